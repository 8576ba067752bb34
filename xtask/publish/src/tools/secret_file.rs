//! Secrets for programs that read them from a file. The file has no name, and is in memory where the system allows it, so
//! that nothing is left of it however this process ends.

use std::fs::File;
use std::io::{Seek, Write};

use anyhow::{Context, Result};

/// The path at which a program finds its stdin.
pub const STDIN: &str = "/dev/stdin";

/// Returns a file with a secret, to be the stdin of one program.
///
/// # Errors
/// The file cannot be made.
pub fn nameless(secret: &str) -> Result<File> {
    let made = made().and_then(|mut file| {
        file.write_all(secret.as_bytes())?;
        // Elsewhere than on Linux, opening `/dev/stdin` does not go back to the start.
        file.rewind().map(|()| file)
    });
    made.context("cannot keep a secret in a file without a name")
}

#[cfg(target_os = "linux")]
fn made() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("secret", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn made() -> std::io::Result<File> {
    tempfile::tempfile()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reads_it_and_no_directory_has_it() {
        let file = nameless("a secret").expect("memory");
        let mut program = std::process::Command::new("cat");
        let output = program.arg(STDIN).stdin(file.try_clone().expect("a handle")).output().expect("cat runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "a secret");
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&file.metadata().expect("open")), 0);
    }
}
