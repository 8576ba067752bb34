//! A program and everything that it starts, stopped before each system call that changes a file below a directory. Before
//! one of them, it is killed, or the disk is full from then on.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod linux;

use std::process::Command;

use anyhow::Result;
use camino::Utf8Path;

use crate::disk::Disk;

/// What happens to a run, and when.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The number of the change before which it happens, counted from 1.
    pub before: usize,
    pub what: Victim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Victim {
    /// The program alone: what it has started goes on
    Program,
    /// The program and everything that it has started
    All,
    /// The same, and what was not synced is lost, as in a power cut
    Power,
    /// No program, but the disk: it is full from then on, until the run has ended
    Disk,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The changes that it came to, in order.
    pub points: Vec<String>,
    /// What a power cut would have taken before each of them, and at the end, if the disk was watched.
    pub at_risk: Vec<Vec<String>>,
    /// The exit code; `None` if it was killed.
    pub status: Option<i32>,
}

/// Whether a change needs room on the disk, by its description.
pub fn needs_room(point: &str) -> bool {
    let what = point.split(' ').next().unwrap_or_default();
    ["open", "create", "rename", "mkdir", "link", "symlink", "write", "allocate"].contains(&what)
}

/// Runs a program. Changes below `below` are counted, and so is each program that starts. `disk` learns of them, too.
///
/// # Errors
/// The system does not allow it, or is not Linux on x86_64.
pub fn run(command: Command, below: &Utf8Path, fault: Option<Fault>, disk: Option<&mut Disk>) -> Result<Ended> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    return linux::run(command, below, fault, disk);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    anyhow::bail!(
        "only Linux on x86_64 can stop {command:?} before what it changes below {below}, {fault:?}, {disk:?}"
    );
}
