//! `manifest.nix`: the store path of each system, which `nix upgrade-nix` reads. Owns its format.

use std::collections::BTreeMap;

use crate::system::System;

/// The store path of each system's `out`.
pub type Manifest = BTreeMap<System, String>;

/// Formats a manifest as it is published.
pub fn render(manifest: &Manifest) -> String {
    let lines = manifest.iter().map(|(system, path)| format!("  {system} = \"{path}\";\n"));
    format!("{{\n{}}}\n", lines.collect::<String>())
}
