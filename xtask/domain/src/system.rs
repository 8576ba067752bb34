//! Systems as Nix names them (`x86_64-linux`), and platforms, as OCI names the same (`linux/amd64`).

use std::fmt;
use std::str::FromStr;

use crate::shown::excerpt;
use serde::{Deserialize, Serialize};

/// A system that a release is built for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct System(String);

impl System {
    /// Returns the system that every release has, and whose `doc` output has the manual.
    pub fn main() -> System {
        System("x86_64-linux".to_owned())
    }

    /// Returns the platform of its container image; `None` for a system that gets no image.
    pub fn platform(&self) -> Option<Platform> {
        let architecture = match self.0.split_once('-')? {
            ("x86_64", "linux") => "amd64",
            ("aarch64", "linux") => "arm64",
            _ => return None,
        };
        Some(Platform { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None })
    }
}

impl FromStr for System {
    type Err = String;

    /// # Errors
    /// The text is not a CPU and an operating system.
    fn from_str(text: &str) -> Result<System, String> {
        let word = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match text.split_once('-') {
            Some((cpu, os)) if word(cpu) && word(os) => Ok(System(text.to_owned())),
            _ => Err(format!("`{}` is not a system: expected one such as x86_64-linux", excerpt(text))),
        }
    }
}

impl TryFrom<String> for System {
    type Error = String;

    fn try_from(text: String) -> Result<System, String> {
        text.parse()
    }
}

impl From<System> for String {
    fn from(system: System) -> String {
        system.0
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A system as OCI names it: what a container image runs on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", excerpt(&self.os), excerpt(&self.architecture))?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{}", excerpt(variant)))
    }
}
