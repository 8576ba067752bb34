//! The number of a record's format, and how older and newer records are read.
//!
//! What is published is read by older and newer copies of this tool. A copy ignores keys that it does not know; a
//! record that would be misread without them gets another number.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::shown::reason;

/// The format that this tool writes. Records without a number have it, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format;

const NUMBER: u64 = 1;

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(NUMBER)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        match u64::deserialize(deserializer)? {
            NUMBER => Ok(Format),
            other => Err(D::Error::custom(format!("format {other}, but this tool knows {NUMBER}"))),
        }
    }
}

/// Why a published record could not be read, in words that follow its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misread {
    /// A newer tool made it, as its format shows. Nothing is wrong with it.
    Newer(String),
    /// It is not what its name says.
    Wrong(String),
}

impl Misread {
    /// Puts the name before the text.
    #[must_use]
    pub fn of(self, name: &str) -> Misread {
        match self {
            Misread::Newer(why) => Misread::Newer(format!("{name} {why}")),
            Misread::Wrong(why) => Misread::Wrong(format!("{name} {why}")),
        }
    }

    pub fn newer(format: impl fmt::Display) -> Misread {
        Misread::Newer(format!("was made by a newer tool (format {format}): use that tool"))
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Misread::Newer(why) | Misread::Wrong(why)) = self;
        f.write_str(why)
    }
}

/// Reads a record, called `what` in messages.
///
/// # Errors
/// It has a newer format, or is not such a record.
pub fn parse<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, Misread> {
    /// With another number, the rest may have any shape.
    #[derive(Deserialize)]
    struct Numbered {
        format: u64,
    }
    if let Ok(Numbered { format }) = serde_json::from_str(text)
        && format > NUMBER
    {
        return Err(Misread::newer(format));
    }
    serde_json::from_str(text).map_err(|error| Misread::Wrong(format!("is not {what}: {}", reason(error))))
}

/// Returns a key in a text that the value read from it does not have, because it is unknown.
pub fn unknown(text: &str, read: &impl Serialize) -> Option<String> {
    let (text, read) = (serde_json::from_str(text).ok()?, serde_json::to_value(read).ok()?);
    difference(&text, &read)
}

fn difference(text: &Value, read: &Value) -> Option<String> {
    match (text, read) {
        (Value::Object(text), Value::Object(read)) => text.iter().find_map(|(key, value)| match read.get(key) {
            Some(known) => difference(value, known).map(|inner| format!("{key}.{inner}")),
            None => Some(key.clone()),
        }),
        (Value::Array(text), Value::Array(read)) => {
            text.iter().zip(read).find_map(|(text, read)| difference(text, read))
        }
        _ => None,
    }
}
