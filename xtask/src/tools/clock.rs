//! Today's date.

use anyhow::{Context, Result, anyhow};

use super::process;
use crate::domain::date::Date;

/// Returns today's date in the local time zone. Asks `date`, which every system has, so that no library for time zones
/// is needed.
///
/// # Errors
/// `date` cannot be run, or prints something else.
pub fn today() -> Result<Date> {
    let sh = process::shell_in("/".into())?;
    let text = process::read(sh.cmd("date").arg("+%Y-%m-%d")).context("cannot tell today's date")?;
    text.trim().parse().map_err(|why: String| anyhow!("`date`: {why}"))
}
