//! Today, where this machine is.

use anyhow::{Context, Result, anyhow};

use super::process;
use crate::domain::date::Date;

/// Today's date in the local time zone, which `date` knows: a program every system has, in place of a library that reads
/// time zones.
///
/// # Errors
/// `date` cannot be run, or prints something else.
pub fn today() -> Result<Date> {
    let sh = process::shell_in("/".into())?;
    let text = process::read(sh.cmd("date").arg("+%Y-%m-%d")).context("cannot tell today's date")?;
    text.trim().parse().map_err(|why: String| anyhow!("`date`: {why}"))
}
