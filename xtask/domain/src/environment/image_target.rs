//! Where container images are published.

use std::fmt;

use crate::shown::excerpt;
use serde::Deserialize;

/// Where an environment's images are pushed to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageTargets {
    /// Targets. Each has every image before a tag moves in it.
    pub targets: Vec<ImageTarget>,
    /// Whether registries must speak HTTPS, with a certificate that is trusted.
    pub tls_verify: bool,
    /// Whether registries require a login before we push.
    pub login: bool,
}

/// One target, as skopeo spells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ImageTarget {
    /// `docker://REGISTRY/REPOSITORY`: what follows the scheme.
    Registry { repository: String },
    /// `oci:DIRECTORY`: an OCI layout; relative to the tree that is released.
    Directory { path: String },
}

impl TryFrom<String> for ImageTarget {
    type Error = String;

    fn try_from(text: String) -> Result<ImageTarget, String> {
        let wrong = |why: &str| Err(format!("the image target `{}` {why}", excerpt(&text)));
        match (text.strip_prefix("docker://"), text.strip_prefix("oci:")) {
            // A tag here would be moved by every release.
            (Some(name), _) if name.contains('@') || name.rsplit('/').next().is_some_and(|last| last.contains(':')) => {
                wrong("has a tag or a digest: leave it out, each release has its own")
            }
            (Some(name), _) if name.split('/').count() < 2 || name.split('/').any(str::is_empty) => {
                wrong("is not docker://REGISTRY/REPOSITORY")
            }
            (Some(name), _) => Ok(ImageTarget::Registry { repository: name.to_owned() }),
            (_, Some(path)) if path.is_empty() || path.contains(':') => wrong("is not oci:DIRECTORY"),
            (_, Some(path)) => Ok(ImageTarget::Directory { path: path.to_owned() }),
            (None, None) => wrong("is neither docker://REGISTRY/REPOSITORY nor oci:DIRECTORY"),
        }
    }
}

impl fmt::Display for ImageTarget {
    /// Writes a short form for people: what users type, or the directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageTarget::Registry { repository } => f.pad(repository),
            ImageTarget::Directory { path } => f.pad(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_skopeo_writes_is_read() {
        let shown: Vec<String> = [
            "docker://git.lix.systems/lix-project/lix",
            "docker://127.0.0.1:5000/lix",
            "oci:release/local/images",
            "docker://ghcr.io/lix-project/lix:latest",
            "docker://ghcr.io",
            "oci:a:b",
            "dir:a",
        ]
        .iter()
        .map(|text| match ImageTarget::try_from((*text).to_owned()) {
            Ok(target) => format!("{target:?}"),
            Err(why) => why,
        })
        .collect();
        expect![[r#"
            Registry { repository: "git.lix.systems/lix-project/lix" }
            Registry { repository: "127.0.0.1:5000/lix" }
            Directory { path: "release/local/images" }
            the image target `docker://ghcr.io/lix-project/lix:latest` has a tag or a digest: leave it out, each release has its own
            the image target `docker://ghcr.io` is not docker://REGISTRY/REPOSITORY
            the image target `oci:a:b` is not oci:DIRECTORY
            the image target `dir:a` is neither docker://REGISTRY/REPOSITORY nor oci:DIRECTORY"#]]
        .assert_eq(&shown.join("\n"));
    }
}
