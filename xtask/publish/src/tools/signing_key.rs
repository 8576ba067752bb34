//! Finds the signing key of a binary cache: in a file, in a file encrypted by age, or generated for a rehearsal.
//! A decrypted key is never written here; `secret_file` does that.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use camino::{Utf8Path, Utf8PathBuf};
use xshell::Shell;
use xtask::tools::{files, process, term};

use crate::domain::cache::signing::SecretKey;

/// Programs that decrypt, with the same options.
const DECRYPTORS: [&str; 2] = ["age", "rage"];
const ARMOUR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
/// Start of a file that was encrypted with a passphrase only.
const BY_PASSPHRASE: &str = "age-encryption.org/v1\n-> scrypt ";
/// Number of first bytes of a file that show how it is encrypted.
const HEAD: usize = 512;
/// Environment variable that names another file of identities.
const IDENTITY: &str = "AGE_IDENTITY";

/// Finds and opens the manager's key.
///
/// # Errors
/// The key is missing, cannot be decrypted, or is invalid.
pub fn open(name: &str, tree: &Utf8Path) -> Result<SecretKey> {
    let path = find(name, tree)?;
    let text = if is_encrypted(&path) { decrypt(&path)? } else { read(&path)? };
    text.parse().map_err(|why| anyhow!("{path} is not a signing key: {why}"))
}

/// Finds the file of the manager's key.
///
/// # Errors
/// The file is missing; the message lists the places.
pub fn find(name: &str, tree: &Utf8Path) -> Result<Utf8PathBuf> {
    let places = places(name, tree);
    places.iter().find(|path| path.is_file()).cloned().with_context(|| {
        let places: String = places.iter().map(|path| format!("\n{path}")).collect();
        format!("the signing key `{name}` is missing: put it in one of these places{places}")
    })
}

/// Whether a key is encrypted.
pub fn is_encrypted(path: &Utf8Path) -> bool {
    path.extension() == Some("age")
}

/// Returns the program that decrypts, if one is installed.
pub fn decryptor() -> Option<&'static str> {
    DECRYPTORS.into_iter().find(|program| files::on_path(program))
}

/// Opens a generated key; `None` if it does not exist yet.
///
/// # Errors
/// The key cannot be read, or is invalid.
pub fn open_made(path: &Utf8Path) -> Result<Option<SecretKey>> {
    if !path.exists() {
        return Ok(None);
    }
    read(path)?.parse().map(Some).map_err(|why| anyhow!("{path} is not a signing key: {why}"))
}

/// Opens a generated key, and generates it first if it does not exist.
///
/// # Errors
/// Nix cannot generate it, or it cannot be written.
pub fn open_or_make(path: &Utf8Path, name: &str) -> Result<SecretKey> {
    if let Some(key) = open_made(path)? {
        return Ok(key);
    }
    let sh = Shell::new().context("cannot determine the current directory")?;
    let text = super::nix_cache::generate_key(&sh, name)?;
    files::write_atomic_with_mode(path, text.as_bytes(), 0o600)?;
    text.parse().map_err(|why| anyhow!("`nix key generate-secret` printed an invalid key: {why}"))
}

/// Lists where a key may be, outside the checkout first: a key inside it may end up in an archive.
fn places(name: &str, tree: &Utf8Path) -> Vec<Utf8PathBuf> {
    let directories =
        configuration().map(|directory| directory.join("lix-releng")).into_iter().chain([tree.to_owned()]);
    directories.flat_map(|directory| [directory.join(name), directory.join(format!("{name}.age"))]).collect()
}

/// Reads an unencrypted key, and makes sure that only its owner can.
fn read(path: &Utf8Path) -> Result<String> {
    let mode = std::fs::metadata(path).with_context(|| format!("cannot look at {path}"))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700)).with_context(|| {
            format!("cannot make the signing key {path} private: others can read it (mode {mode:o})")
        })?;
        term::warn(format_args!(
            "others could read the signing key {path} (mode {mode:o}), and now only you can: if others use this \
             machine, make a new key"
        ));
    }
    files::read_text(path).context("cannot read the signing key")
}

fn decrypt(path: &Utf8Path) -> Result<String> {
    let Some(program) = decryptor() else {
        bail!("{path} is encrypted, and neither {} is installed", DECRYPTORS.join(" nor "));
    };
    let head = files::read_prefix(path, HEAD)?;
    let identities = if is_by_passphrase(&head) { Vec::new() } else { identities()? };
    let sh = Shell::new().context("cannot determine the current directory")?;
    let named = identities.iter().flat_map(|identity| ["--identity", identity.as_str()]);
    let text = process::ask(sh.cmd(program).arg("--decrypt").args(named).arg(path)).with_context(|| {
        let tried: Vec<&str> = identities.iter().map(|identity| identity.as_str()).collect();
        match tried.as_slice() {
            [] => format!("cannot decrypt {path} with a passphrase"),
            tried => format!(
                "cannot decrypt {path} with any identity in {}: name another one in {IDENTITY}",
                tried.join(", ")
            ),
        }
    })?;
    // The error itself would contain the text.
    String::from_utf8(text).map_err(|_| anyhow!("{path} is not a signing key: it is not text"))
}

/// Whether the file needs a passphrase; age then rejects identities.
fn is_by_passphrase(file: &[u8]) -> bool {
    let start = |bytes: &[u8]| bytes.starts_with(BY_PASSPHRASE.as_bytes());
    let text = String::from_utf8_lossy(file);
    let armoured = text.strip_prefix(ARMOUR).and_then(|rest| rest.trim_start().lines().next());
    armoured.map_or(start(file), |line| BASE64.decode(line.trim()).is_ok_and(|bytes| start(&bytes)))
}

/// Finds the usual files of identities.
fn identities() -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    if let Some(named) = std::env::var(IDENTITY).ok().filter(|named| !named.is_empty()) {
        found.push(named.into());
    }
    if let Some(directory) = configuration().map(|directory| directory.join("age")).filter(|dir| dir.is_dir()) {
        let texts = files::list(&directory)?.into_iter().filter(|path| path.extension() == Some("txt"));
        found.extend(texts.map(|path| directory.join(path)));
    }
    let ssh = home().into_iter().flat_map(|home| ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name)));
    found.extend(ssh.filter(|path| path.is_file()));
    if found.is_empty() {
        bail!(
            "no age identity: {IDENTITY} is not set, and there is no ~/.config/age/*.txt, ~/.ssh/id_ed25519 or \
             ~/.ssh/id_rsa"
        );
    }
    Ok(found)
}

fn configuration() -> Option<Utf8PathBuf> {
    let named = std::env::var("XDG_CONFIG_HOME").ok().filter(|named| !named.is_empty()).map(Utf8PathBuf::from);
    named.or_else(|| home().map(|home| home.join(".config")))
}

fn home() -> Option<Utf8PathBuf> {
    std::env::var("HOME").ok().map(Utf8PathBuf::from)
}
