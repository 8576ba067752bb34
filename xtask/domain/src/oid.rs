//! Names of git objects.
//!
//! A separate type so that a commit is not taken for a branch or a digest. A name is checked when it is read from git
//! or from a file, so that no other code has to check it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The complete hexadecimal name of an object, as git writes it: 40 digits (SHA-1) or 64 (SHA-256), in lower case.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(String);

impl Oid {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for Oid {
    type Err = String;

    fn from_str(name: &str) -> Result<Oid, String> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !matches!(name.len(), 40 | 64) || !name.bytes().all(is_digit) {
            let shown: String = name.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(format!(
                "`{shown}` is not the name of a git object: 40 or 64 hexadecimal digits in lower case"
            ));
        }
        Ok(Oid(name.to_owned()))
    }
}

impl TryFrom<String> for Oid {
    type Error = String;

    fn try_from(name: String) -> Result<Oid, String> {
        name.parse()
    }
}

impl From<Oid> for String {
    fn from(oid: Oid) -> String {
        oid.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_names_in_lower_case_are_read() {
        for name in ["0123456789abcdef0123456789abcdef01234567", &"a".repeat(64)] {
            let oid: Oid = name.parse().expect(name);
            assert_eq!((oid.as_str(), oid.short()), (name, &name[..12]));
            let json = serde_json::to_string(&oid).expect("JSON");
            assert_eq!(serde_json::from_str::<Oid>(&json).expect("the same"), oid);
        }
        let (short, long, upper) = ("a".repeat(39), "a".repeat(41), "A".repeat(40));
        // The last two have 40 bytes, but fewer characters, or a line end.
        let (accents, line) = (format!("a{}b", "é".repeat(19)), format!("{}\n", "a".repeat(39)));
        for name in ["", "main", "HEAD", "-x", &short, &long, &upper, &accents, &line, &"g".repeat(40)] {
            name.parse::<Oid>().expect_err(name);
            serde_json::from_value::<Oid>(name.into()).expect_err(name);
        }
        let why = "main\u{1b}[31m".parse::<Oid>().expect_err("it is a branch");
        expect_test::expect![[
            r"`main\u{1b}[31m` is not the name of a git object: 40 or 64 hexadecimal digits in lower case"
        ]]
        .assert_eq(&why);
    }
}
