//! Objects that were read and cannot be used: damaged, with an unknown encoding, or too large. As with a missing
//! object, reading it again does not help, but replacing it does.

use std::error::Error;
use std::fmt;

use anyhow::Result;

/// Why an object cannot be used, as a clause about "it".
#[derive(Clone, Debug)]
pub struct Unusable(pub String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unusable {}

/// Returns the object, or why it cannot be used.
///
/// # Errors
/// Every other error, after which nothing is known about the object.
pub fn usable<T>(read: Result<T>) -> Result<Result<T, String>> {
    let error = match read {
        Ok(read) => return Ok(Ok(read)),
        Err(error) => error,
    };
    match error.chain().find_map(|cause| cause.downcast_ref::<Unusable>()) {
        Some(Unusable(why)) => Ok(Err(why.clone())),
        None => Err(error),
    }
}
