//! `version.json`, and edits of it that leave every other byte alone.
//!
//! Values are replaced where they are in the text: key order, indentation, unknown keys and the final newline are the
//! author's.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::shown::{excerpt, reason};
use crate::version::Version;

/// Path of the file in the tree.
pub const PATH: &str = "version.json";

/// A parsed `version.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    text: String,
    pub version: Version,
    /// `release_name`, if the file has it.
    pub name: Option<String>,
    /// `official_release`, in trees that have the flag here.
    pub official: Option<bool>,
}

/// The values as spelled, so that their places in the text are known. Duplicate keys do not deserialise.
#[derive(Deserialize)]
#[serde(expecting = "an object with `version`")]
struct Raw<'a> {
    #[serde(borrow)]
    version: &'a RawValue,
    #[serde(borrow)]
    release_name: Option<&'a RawValue>,
    #[serde(borrow)]
    official_release: Option<&'a RawValue>,
}

impl VersionFile {
    /// Parses the text.
    ///
    /// # Errors
    /// What is wrong with the text, without its path.
    pub fn parse(text: &str) -> Result<VersionFile, String> {
        if text.starts_with('\u{feff}') {
            return Err("starts with a byte-order mark: save it as UTF-8 without one".to_owned());
        }
        let raw: Raw =
            serde_json::from_str(text).map_err(|error| format!("is not a valid version file: {}", reason(error)))?;
        let string = |raw: &RawValue, key: &str| {
            serde_json::from_str::<String>(raw.get())
                .map_err(|_| format!("`{key}` must be a string, not {}", excerpt(raw.get())))
        };
        let official = raw.official_release.map(|flag| {
            serde_json::from_str(flag.get())
                .map_err(|_| format!("`official_release` must be true or false, not {}", excerpt(flag.get())))
        });
        Ok(VersionFile {
            version: string(raw.version, "version")?.parse().map_err(|error| format!("`version`: {error}"))?,
            name: raw.release_name.map(|name| string(name, "release_name")).transpose()?,
            official: official.transpose()?,
            text: text.to_owned(),
        })
    }

    /// Returns the file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the file with another version and, if the file names its series, another name.
    pub fn with(&self, version: &Version, name: &str) -> VersionFile {
        let renamed = match &self.name {
            Some(_) => self.edit(|raw| raw.release_name, &serde_json::Value::from(name).to_string()),
            None => self.clone(),
        };
        renamed.edit(|raw| Some(raw.version), &serde_json::Value::from(version.to_string()).to_string())
    }

    /// Returns the file with the flag set; unchanged if the flag is elsewhere.
    pub fn with_official(&self, official: bool) -> VersionFile {
        self.edit(|raw| raw.official_release, &official.to_string())
    }

    fn edit(&self, pick: for<'a> fn(&Raw<'a>) -> Option<&'a RawValue>, json: &str) -> VersionFile {
        let raw: Raw = serde_json::from_str(&self.text).expect("the text was parsed before");
        let Some(value) = pick(&raw) else { return self.clone() };
        // A borrowed raw value is a slice of the text it was read from.
        let start = value.get().as_ptr() as usize - self.text.as_ptr() as usize;
        let text = format!("{}{json}{}", &self.text[..start], &self.text[start + value.get().len()..]);
        VersionFile::parse(&text).expect("one value was exchanged for another of its kind")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const TEXT: &str = "{\n    \"release_name\": \"Bombe glac\\u00e9e\", \"x\": [1,  2],\n\t\"version\" : \"2.92.0\",\n  \"official_release\":false}";

    #[test]
    fn only_the_values_change() {
        let file = VersionFile::parse(TEXT).expect("valid");
        assert_eq!(file.name.as_deref(), Some("Bombe glacée"));
        let edited = file.with(&"2.93.0".parse().expect("valid"), "Dragon's \"Breath\" ō").with_official(true);
        expect![[r#"
            {
                "release_name": "Dragon's \"Breath\" ō", "x": [1,  2],
            	"version" : "2.93.0",
              "official_release":true}"#]]
        .assert_eq(edited.text());
        assert_eq!(
            file.with(&file.version, "Bombe glacée").with_official(false).with_official(false).version,
            file.version
        );
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let shown: Vec<String> = [
            "",
            "[]",
            "{}",
            "{\"version\": 2}",
            "{\"version\": \"2.93\"}",
            "{\"version\": \"2.93.0\", \"version\": \"2.93.1\"}",
            "{\"version\": \"2.93.0\", \"official_release\": \"no\"}",
        ]
        .iter()
        .map(|text| VersionFile::parse(text).expect_err(text))
        .collect();
        expect![[r#"
            is not a valid version file: EOF while parsing a value at line 1 column 0
            is not a valid version file: invalid length 0, expected an object with `version` at line 1 column 2
            is not a valid version file: missing field `version` at line 1 column 2
            `version` must be a string, not 2
            `version`: `2.93` is not a version: the third component is missing (a release is 2.93.0, its series 2.93)
            is not a valid version file: duplicate field `version` at line 1 column 31
            `official_release` must be true or false, not "no""#]]
        .assert_eq(&shown.join("\n"));
    }
}
