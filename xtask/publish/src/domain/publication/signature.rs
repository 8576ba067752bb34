//! The signature of a release's sums, which is beside them, the signed statement of provenance, and the page that says how
//! anyone checks them.
//!
//! The sums list the record, the record lists every page of the manual, every store path and the images: what the
//! signature covers is everything. It is by the key that signs the binary cache, which users trust already. That key
//! differs by environment, so the signatures and the page are not in the record, which does not.

use xtask::domain::build::record::Record;
use xtask::domain::digest::Digest;
use xtask::domain::layout::{Layout, RECORD, SUMS, SUMS_SIGNATURE, VERIFY};

use crate::domain::cache::signing::PublicKey;
use crate::domain::publication::plan::Judgement;
use crate::domain::sshsig;

/// What was seen of the signatures and the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What is signed: the sums first.
    pub signed: Vec<Signed>,
    /// What is wrong with the page; `None` if nothing is.
    pub page: Option<Page>,
    /// Why nothing can be signed, if so.
    pub unready: Option<String>,
}

/// A file of ours, and its signature there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Name of the file.
    pub name: String,
    pub digest: Digest,
    /// Name of the object with its signature.
    pub object: String,
    /// The name of the key that signed it, or what is wrong with the signature; `None` if there is none.
    pub by: Option<Result<String, String>>,
}

/// What is wrong with the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Missing,
    Different,
}

/// Judges what publishing would do to the signatures. A bad one is replaced: it proved nothing, and whether what it signs
/// may be there is for the directory to say.
pub fn judge(seen: &Seen) -> Judgement {
    let Seen { signed, page, unready } = seen;
    if let Some(why) = unready {
        return Judgement::refused(vec![why.clone()]);
    }
    let sign = |Signed { name, digest, object, by }: &Signed| match by {
        None => Some((format!("sign {}", digest.short()), format!("sign {name} {digest} in {object}"))),
        Some(Err(why)) => {
            let change = format!("sign {name} {digest} again in {object}: the signature there {why}");
            Some((format!("sign again {}", digest.short()), change))
        }
        Some(Ok(_)) => None,
    };
    let write = page.map(|page| match page {
        Page::Missing => format!("write {VERIFY}"),
        Page::Different => format!("rewrite {VERIFY}"),
    });
    let write = write.map(|change| (change.clone(), change));
    let (summaries, changes): (Vec<_>, Vec<_>) = signed.iter().filter_map(sign).chain(write).unzip();
    let by = signed.iter().find_map(|signed| signed.by.clone()?.ok()).unwrap_or_default();
    match summaries.into_iter().next() {
        None => Judgement::same(format!("by {by}")),
        Some(summary) if signed.iter().all(|signed| signed.by.is_none()) => Judgement::absent(summary, changes),
        Some(summary) => Judgement::different(summary, changes),
    }
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
            format!("curl -fL --remote-name-all \"{directory}/{{{SUMS},{SUMS_SIGNATURE},{archive}}}\" &&\n    ")
        }
        None => String::new(),
    };
    let stated = match &record.materials {
        Some(_) => format!(
            "\nIt also lists `{}`, which says what the files were made of and how, as an in-toto statement with SLSA's provenance.\n\
             For programs that read those, `{}` is the same, signed by such a key in an envelope (DSSE).\n",
            layout.statement(),
            layout.envelope()
        ),
        None => String::new(),
    };
    let listed = match record.builds.keys().next().map(|system| layout.sbom(system)) {
        Some(sbom) if record.files.contains_key(&sbom) => format!(
            "\nIt also lists a bill of materials for each system (`{sbom}`, CycloneDX): every store path that its users download.\n"
        ),
        _ => String::new(),
    };
    // Each command runs only if the one before succeeded: without `ssh-keygen`, nothing must look good.
    // The user's own copy of the key goes into the command, in Nix's spelling: a page that someone replaced cannot show
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
         Anyone who could replace the files here could replace this page: compare that line with your `trusted-public-keys`\n\
         or with the installation guide. This writes the same key as OpenSSH does:\n\
         \n    echo \"{name} namespaces=\\\"{name}\\\" ssh-ed25519 $( (printf '\\0\\0\\0\\013ssh-ed25519\\0\\0\\0 '; echo \
         {digits} | base64 -d) | base64)\" > {name}.signers\n\
         \n\
         Then, for each download:\n\
         \n    {curl}ssh-keygen -Y verify -f {name}.signers -I {name} -n {name} -s {SUMS_SIGNATURE} < {SUMS} &&\n    \
         sha256sum -c --ignore-missing {SUMS}\n\
         \n\
         `ssh-keygen` says `Good \"{name}\" signature`, and then `sha256sum` says `OK` for each file that was downloaded. Anything else: do not use it.\n{stated}{listed}"
    )
}
