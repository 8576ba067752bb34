//! The signature of a release's sums, which is beside them, and the page that says how anyone checks it.
//!
//! The sums list the record, the record lists every page of the manual, every store path and the images: what the
//! signature covers is everything. It is by the key that signs the binary cache, which users trust already. That key
//! differs by environment, so the signature and the page are not in the record, which does not.

use xtask::domain::build::record::Record;
use xtask::domain::digest::Digest;
use xtask::domain::layout::{Layout, RECORD, SUMS, SUMS_SIGNATURE, VERIFY};

use crate::domain::cache::signing::PublicKey;
use crate::domain::publication::plan::{Judgement, Status};
use crate::domain::sshsig;

/// What was seen of the signature and its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Digest of our sums.
    pub sums: Digest,
    /// The name of the key that signed our sums, or what is wrong with the signature; `None` if there is none.
    pub signature: Option<Result<String, String>>,
    /// What is wrong with the page; `None` if nothing is.
    pub page: Option<Page>,
    /// Why nothing can be signed, if so.
    pub unready: Option<String>,
}

/// What is wrong with the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Missing,
    Different,
}

/// Judges what publishing would do to the signature. A bad one is replaced: it proved nothing, and whether the sums may
/// be there is for the directory to say.
pub fn judge(seen: &Seen) -> Judgement {
    let Seen { sums, signature, page, unready } = seen;
    if let Some(why) = unready {
        return Judgement::refused(vec![why.clone()]);
    }
    let sign = match signature {
        None => Some(("sign", format!("sign {SUMS} {sums}"))),
        Some(Err(why)) => Some(("sign again", format!("sign {SUMS} {sums} again: the signature there {why}"))),
        Some(Ok(_)) => None,
    };
    let write = page.map(|page| match page {
        Page::Missing => ("write", format!("write {VERIFY}")),
        Page::Different => ("rewrite", format!("rewrite {VERIFY}")),
    });
    let summary = match (&sign, &write, signature) {
        (Some((sign, _)), _, _) => format!("{sign} {}", sums.short()),
        (None, Some((write, _)), _) => format!("{write} {VERIFY}"),
        (None, None, by) => format!("by {}", by.iter().flatten().cloned().collect::<String>()),
    };
    let status = match (&sign, &write, signature) {
        (None, None, _) => Status::Same,
        (_, _, None) => Status::Absent,
        _ => Status::Different,
    };
    let changes = sign.into_iter().chain(write).map(|(_, change)| change).collect();
    Judgement::new(status, summary, changes)
}

/// Whether published sums prove a record: they are signed by one of the keys, and list it. Returns the key.
///
/// # Errors
/// Says why the record is not proven.
pub fn proof<'a>(
    namespace: &str,
    sums: Option<&[u8]>,
    signature: Option<&[u8]>,
    record: Digest,
    keys: &'a [PublicKey],
) -> Result<&'a PublicKey, String> {
    let sums = sums.ok_or_else(|| format!("{SUMS} is missing"))?;
    let signature = signature.ok_or_else(|| format!("{SUMS} is not signed"))?;
    let key =
        sshsig::check(signature, namespace, sums, keys).map_err(|why| format!("the signature of {SUMS} {why}"))?;
    let line = format!("{record}  {RECORD}");
    if !String::from_utf8_lossy(sums).lines().any(|listed| listed == line) {
        return Err(format!("{SUMS} is signed, but for another {RECORD}"));
    }
    Ok(key)
}

/// Returns the text of the page: what a user types to check a download. `address` is that of the bucket, if users have
/// one.
pub fn page(record: &Record, layout: &Layout, key: &PublicKey, address: Option<&str>) -> String {
    let (version, name) = (&record.version, layout.namespace());
    let archive = match record.builds.keys().next() {
        Some(system) => layout.binary(system),
        None => layout.source(),
    };
    let curl = match address {
        Some(address) => {
            let directory = format!("{}/{}", address.trim_end_matches('/'), layout.version_directory());
            format!("curl -fL --remote-name-all \"{directory}/{{{SUMS},{SUMS_SIGNATURE},{archive}}}\"\n")
        }
        None => String::new(),
    };
    // The user's own copy of the key goes into the command, in Nix's spelling: a page that somebody replaced cannot show
    // the right key and use another one.
    let (nix, digits) = (key.to_string(), key.to_string().rsplit(':').next().unwrap_or_default().to_owned());
    format!(
        "# How to check a download of {version}\n\
         \n\
         `{SUMS}` lists the SHA-256 of every file here, `{RECORD}` among them, which lists the rest: the pages of the manual,\n\
         the store paths and the container images. `{SUMS_SIGNATURE}` is its OpenSSH signature by the key that signs the binary\n\
         cache. Everything needed is `ssh-keygen` of OpenSSH 8.1 or newer and `sha256sum` of coreutils (macOS: `shasum -a 256`).\n\
         \n\
         Once, write down which key you trust. It is the ed25519 key that Nix knows as\n\
         \n    {nix}\n\
         \n\
         Whoever could replace the files here could replace this page: compare that line with your `trusted-public-keys` or\n\
         with the installation guide. This writes the same key as OpenSSH does:\n\
         \n    echo \"{name} namespaces=\\\"{name}\\\" ssh-ed25519 $( (printf '\\0\\0\\0\\013ssh-ed25519\\0\\0\\0 '; echo \
         {digits} | base64 -d) | base64)\" > {name}.signers\n\
         \n\
         Then, for each download:\n\
         \n    {curl_line}ssh-keygen -Y verify -f {name}.signers -I {name} -n {name} -s {SUMS_SIGNATURE} < {SUMS}\n    \
         sha256sum -c --ignore-missing {SUMS}\n\
         \n\
         The second says `Good \"{name}\" signature`, and the last `OK` for each file that was downloaded. Anything else: do not use it.\n",
        curl_line = if curl.is_empty() { String::new() } else { format!("{}\n    ", curl.trim_end()) },
    )
}
