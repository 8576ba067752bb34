//! Which tags must be signed, and what of that a tag object itself shows.
//!
//! Whether a signature is good is for git and `ssh-keygen` to say.

use serde::Deserialize;

use crate::shown::excerpt;
use crate::version::Version;

/// The table `product.tags` of `releng.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TagRules {
    /// Whether tags must be signed; `tag` then signs without being asked.
    #[serde(default)]
    pub require_signed_tag: bool,
    /// The first version whose tag must be signed; all, if it is left out.
    pub signed_from: Option<Version>,
    /// Path, relative to `releng.toml`, of the file that lists who may sign, as `ssh-keygen` reads it.
    #[serde(default = "beside")]
    pub allowed_signers: String,
}

fn beside() -> String {
    "allowed-signers".to_owned()
}

impl TagRules {
    /// Whether the tag of a version must be signed.
    pub fn requires_signature(&self, version: &Version) -> bool {
        self.require_signed_tag && self.signed_from.as_ref().is_none_or(|from| version >= from)
    }
}

/// Checks everything of a signed tag but the signature: that the object is a tag of this name, with a signature that a
/// list of signers can judge. Git itself does not compare the name with that of the ref.
///
/// # Errors
/// Says what is wrong, as a clause about the tag.
pub fn check_object(text: &str, name: &str) -> Result<(), String> {
    let (header, body) = text.split_once("\n\n").unwrap_or((text, ""));
    match header.lines().find_map(|line| line.strip_prefix("tag ")) {
        Some(named) if named == name => {}
        Some(named) => return Err(format!("was made for another name, `{}`", excerpt(named))),
        None => return Err("has no name".to_owned()),
    }
    let begins = |kind: &str| body.lines().any(|line| line == format!("-----BEGIN {kind}-----"));
    if begins("SSH SIGNATURE") {
        Ok(())
    } else if begins("PGP SIGNATURE") || begins("SIGNED MESSAGE") {
        Err("is signed, but not with an SSH key, and the list of signers has only those".to_owned())
    } else {
        Err("is not signed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_requires_a_signature() {
        let rules = |text: &str| toml::from_str::<TagRules>(text).map_err(|error| error.message().to_owned());
        let required = |text: &str| {
            let rules = rules(text).expect("valid");
            ["2.93.5", "2.94.0-rc1", "2.94.0", "2.94.1"]
                .map(|version| rules.requires_signature(&version.parse().expect("valid")))
        };
        assert_eq!(required(""), [false; 4]);
        assert_eq!(required("signed-from = \"2.94.0\""), [false; 4]);
        assert_eq!(required("require-signed-tag = true"), [true; 4]);
        assert_eq!(required("require-signed-tag = true\nsigned-from = \"2.94.0\""), [false, false, true, true]);
        assert_eq!(rules("").expect("valid").allowed_signers, "allowed-signers");
        assert!(rules("sign = true").is_err() && rules("signed-from = \"2.94\"").is_err());
    }

    #[test]
    fn what_a_tag_object_shows() {
        let tag = |name: &str, body: &str| {
            format!("object 1\ntype commit\ntag {name}\ntagger T <t@example.org> 1 +0000\n\n{body}")
        };
        let ssh = "release: 2.93.1\n-----BEGIN SSH SIGNATURE-----\nU1N\n-----END SSH SIGNATURE-----\n";
        let texts = [
            tag("2.93.1", ssh),
            tag("2.93.0", ssh),
            tag("2.93.1", &ssh.replace("SSH", "PGP")),
            tag("2.93.1", &ssh.replace("SSH SIGNATURE", "SIGNED MESSAGE")),
            tag("2.93.1", "release: 2.93.1\n"),
            tag("2.93.1", "release: see -----BEGIN SSH SIGNATURE-----\n"),
            tag("\u{202e}2.93.1", ssh),
            // The header ends at the first empty line.
            format!("object 1\n\ntag 2.93.1\n{ssh}"),
            String::new(),
        ];
        let said = texts.map(|text| check_object(&text, "2.93.1").map_or_else(|why| why, |()| "good".to_owned()));
        expect![[r#"
            good
            was made for another name, `2.93.0`
            is signed, but not with an SSH key, and the list of signers has only those
            is signed, but not with an SSH key, and the list of signers has only those
            is not signed
            is not signed
            was made for another name, `\u{202e}2.93.1`
            has no name
            has no name"#]]
        .assert_eq(&said.join("\n"));
    }
}
