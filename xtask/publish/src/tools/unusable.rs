//! What was read and cannot be used: damaged, encoded in an unknown way, or larger than it may be. That is an answer
//! about the object, as "there is nothing" is: asking again does not help, and replacing the object does.

use std::error::Error;
use std::fmt;

use anyhow::Result;

/// Why an object cannot be used, in a clause whose subject is "it".
#[derive(Clone, Debug)]
pub struct Unusable(pub String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unusable {}

/// What was read, or why it cannot be used.
///
/// # Errors
/// Every other error: what the object is is not known then.
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
