//! Reads a `manifest.nix` from a bucket: plain ones by itself, others through Nix.
//!
//! The file is untrusted, so Nix evaluates it in isolation: it cannot read other files, fetch, build or write to the
//! store, and its time and memory are limited.

use std::time::Duration;

use anyhow::Result;
use camino::Utf8Path;
use xtask::domain::build::manifest::Manifest;
use xtask::domain::shown::excerpt;
use xtask::tools::scratch_dir::ScratchDir;
use xtask::tools::{files, process};

use crate::domain::live_manifest::{self, Live};

/// Time limit for the evaluation.
const PATIENCE: Duration = Duration::from_secs(10);
/// Memory limit for the evaluation, in bytes.
const MEMORY: &str = "1073741824";
/// Name of the file on Nix's search path, which has nothing else.
const NAME: &str = "releng-manifest";
/// Expression that evaluates the manifest, and limits Nix's output whatever its values are.
const READ: &str = r#"
    let
      manifest = import <releng-manifest>;
      string = name: value:
        if builtins.isString value && builtins.stringLength value < 4096 then
          builtins.unsafeDiscardStringContext value
        else
          throw "`${builtins.substring 0 80 name}` is not a short string";
    in
    if !builtins.isAttrs manifest then
      throw "it is not a set"
    else if builtins.length (builtins.attrNames manifest) > 100 then
      throw "it has more than 100 attributes"
    else
      builtins.mapAttrs string manifest
"#;
/// Settings that isolate the evaluation, whatever the manager's own configuration says.
const RESTRICTIONS: [(&str, &str); 6] = [
    ("restrict-eval", "true"),
    ("allowed-uris", ""),
    ("allow-import-from-derivation", "false"),
    ("allow-unsafe-native-code-during-evaluation", "false"),
    ("substituters", ""),
    ("show-trace", "false"),
];

/// Reads a manifest.
///
/// # Errors
/// Nix could not be run. Nix's own error about the manifest is part of the value.
pub async fn read(bytes: &[u8]) -> Result<Live> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let says = match live_manifest::parse(&text) {
        Ok(manifest) => Ok(manifest),
        Err(why) => {
            let bytes = bytes.to_owned();
            tokio::task::spawn_blocking(move || evaluate(&bytes, &why)).await??
        }
    };
    Ok(Live { text, says })
}

/// Evaluates a manifest that our own parser rejected for the reason `why`.
fn evaluate(bytes: &[u8], why: &str) -> Result<Result<Manifest, String>> {
    if !files::on_path("nix-instantiate") {
        return Ok(Err(format!("{why}, and Nix, which might read it, is not installed")));
    }
    let scratch = ScratchDir::new()?;
    let dir = scratch.path();
    let file = dir.join("manifest.nix");
    files::create(&file, bytes)?;
    let sh = process::shell_in(dir)?;
    let restrictions = RESTRICTIONS.iter().flat_map(|(name, value)| ["--option", name, value]);
    let cmd = sh
        .cmd("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--readonly-mode", "--store", "dummy://"])
        .args(restrictions)
        .args(["-I", &format!("{NAME}={file}"), "--expr", READ])
        .env("NIX_PATH", "")
        .env("GC_MAXIMUM_HEAP_SIZE", MEMORY);
    Ok(match process::read_within(PATIENCE, cmd) {
        Ok(json) => live_manifest::of_json(&json),
        Err(error) => Err(format!("cannot be read by Nix ({})", reason(&format!("{error:#}"), dir))),
    })
}

/// Shortens the error of an evaluation to Nix's reason, on one line, without the command.
fn reason(message: &str, dir: &Utf8Path) -> String {
    let text = message.rsplit("error: ").next().filter(|text| text.len() < message.len());
    let text = text.or_else(|| message.rsplit("` ").next()).unwrap_or(message);
    let text = text.replace(&format!("{dir}/"), "").replace(dir.as_str(), "its directory");
    excerpt(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
