//! The stops: seccomp picks the system calls, so that the rest run at full speed, and ptrace stops at them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::{Ended, Fault, Victim, needs_room};
use crate::disk::{Disk, Step};

/// The system calls that may change a file, each with the places of the paths among its arguments.
const CALLS: &[(i64, &str, Change)] = &[
    (2, "open", Change::OpenAt { dir: None, path: 0, flags: 1 }),
    (257, "open", Change::OpenAt { dir: Some(0), path: 1, flags: 2 }),
    (85, "create", Change::Path { dir: None, path: 0 }),
    (82, "rename", Change::Move { from: (None, 0), to: (None, 1), flags: None }),
    (264, "rename", Change::Move { from: (Some(0), 1), to: (Some(2), 3), flags: None }),
    (316, "rename", Change::Move { from: (Some(0), 1), to: (Some(2), 3), flags: Some(4) }),
    (87, "unlink", Change::Path { dir: None, path: 0 }),
    (263, "unlink", Change::Path { dir: Some(0), path: 1 }),
    (84, "rmdir", Change::Path { dir: None, path: 0 }),
    (83, "mkdir", Change::Path { dir: None, path: 0 }),
    (258, "mkdir", Change::Path { dir: Some(0), path: 1 }),
    (86, "link", Change::Path { dir: None, path: 1 }),
    (265, "link", Change::Path { dir: Some(2), path: 3 }),
    (88, "symlink", Change::Path { dir: None, path: 1 }),
    (266, "symlink", Change::Path { dir: Some(1), path: 2 }),
    (76, "truncate", Change::Path { dir: None, path: 0 }),
    (90, "chmod", Change::Path { dir: None, path: 0 }),
    (268, "chmod", Change::Path { dir: Some(0), path: 1 }),
    (1, "write", Change::File { fd: 0 }),
    (18, "write", Change::File { fd: 0 }),
    (20, "write", Change::File { fd: 0 }),
    (296, "write", Change::File { fd: 0 }),
    (40, "write", Change::File { fd: 0 }),
    (326, "write", Change::File { fd: 2 }),
    (77, "truncate", Change::File { fd: 0 }),
    (285, "allocate", Change::File { fd: 0 }),
    (91, "chmod", Change::File { fd: 0 }),
];

/// The system calls that put something on the disk, and whether it is one file only, which is open.
const SYNCS: &[(i64, bool)] = &[(74, true), (75, true), (162, false), (306, false)];

/// Which arguments of a system call name the file that changes.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// The path at an argument, relative to the directory at another.
    Path { dir: Option<usize>, path: usize },
    /// A directory and a path, old and new.
    Move { from: (Option<usize>, usize), to: (Option<usize>, usize), flags: Option<usize> },
    /// A path, like `Path`, if the flags create or empty the file.
    OpenAt { dir: Option<usize>, path: usize, flags: usize },
    /// An open file.
    File { fd: usize },
}

/// Runs a program. What it changes below `below` is counted, with each program that it starts.
///
/// # Errors
/// The system does not allow it.
pub(super) fn run(
    mut command: Command,
    below: &Utf8Path,
    fault: Option<Fault>,
    disk: Option<&mut Disk>,
) -> Result<Ended> {
    let filter = filter()?;
    // SAFETY: between fork and exec, only async-signal-safe calls are made: `traceme` and the filter's two.
    unsafe {
        command.pre_exec(move || {
            ptrace::traceme().map_err(std::io::Error::from)?;
            seccompiler::apply_filter(&filter).map_err(std::io::Error::other)
        });
    }
    let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let main = Pid::from_raw(i32::try_from(child.id())?);
    let live = BTreeSet::from([main]);
    let trace = Trace {
        main,
        below,
        fault,
        disk,
        points: Vec::new(),
        at_risk: Vec::new(),
        live,
        is_killed: false,
        is_full: false,
    };
    trace.follow()
}

/// Stops at the calls above, and nowhere else.
fn filter() -> Result<BpfProgram> {
    let numbers = CALLS.iter().map(|(number, ..)| number).chain(SYNCS.iter().map(|(number, _)| number));
    let rules = numbers.map(|number| (*number, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Trace(0), arch)?;
    Ok(filter.try_into()?)
}

struct Trace<'a> {
    main: Pid,
    below: &'a Utf8Path,
    fault: Option<Fault>,
    disk: Option<&'a mut Disk>,
    points: Vec<String>,
    at_risk: Vec<Vec<String>>,
    live: BTreeSet<Pid>,
    is_killed: bool,
    /// Whether the disk is full.
    is_full: bool,
}

impl Trace<'_> {
    fn follow(mut self) -> Result<Ended> {
        let mut status = None;
        // The program stops once when it begins.
        match waitpid(self.main, None)? {
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => {
                let options = ptrace::Options::PTRACE_O_TRACESECCOMP
                    | ptrace::Options::PTRACE_O_TRACEFORK
                    | ptrace::Options::PTRACE_O_TRACEVFORK
                    | ptrace::Options::PTRACE_O_TRACECLONE
                    | ptrace::Options::PTRACE_O_TRACEEXEC
                    | ptrace::Options::PTRACE_O_EXITKILL;
                ptrace::setoptions(pid, options)?;
                ptrace::cont(pid, None)?;
            }
            other => bail!("the program did not begin: {other:?}"),
        }
        while !self.live.is_empty() {
            let event = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Err(nix::Error::ECHILD) => break,
                event => event?,
            };
            match event {
                WaitStatus::Exited(pid, code) => {
                    self.live.remove(&pid);
                    if pid == self.main {
                        status = Some(code);
                    }
                }
                WaitStatus::Signaled(pid, ..) => drop(self.live.remove(&pid)),
                // It was being started as the rest died.
                WaitStatus::PtraceEvent(pid, ..) | WaitStatus::Stopped(pid, _) if self.is_dead() => {
                    self.live.insert(pid);
                    let _ = kill(pid, Signal::SIGKILL);
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    self.live.insert(pid);
                    if event == ptrace::Event::PTRACE_EVENT_SECCOMP as i32 {
                        self.stop(pid)?;
                    } else if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 {
                        self.pass(link(pid, "exe").map(|program| format!("exec {program}")))?;
                    }
                    go_on(pid, None);
                }
                WaitStatus::Stopped(pid, signal) => {
                    // A new process stops once when it begins; any other signal is its own.
                    let is_new = self.live.insert(pid) && signal == Signal::SIGSTOP;
                    let is_ours = is_new || signal == Signal::SIGTRAP;
                    go_on(pid, (!is_ours).then_some(signal));
                }
                _ => {}
            }
        }
        self.look_at_disk()?;
        Ok(Ended { points: self.points, at_risk: self.at_risk, status: status.filter(|_| !self.is_killed) })
    }

    /// Whether everything was killed.
    fn is_dead(&self) -> bool {
        self.is_killed && self.fault.is_some_and(|fault| fault.what != Victim::Program)
    }

    /// Counts a change, and kills before it or notes it.
    fn stop(&mut self, pid: Pid) -> Result<()> {
        let Some((point, steps)) = self.call(pid) else { return Ok(()) };
        // Nothing of a file without a name survives.
        self.pass(point.clone().filter(|point| !point.ends_with(NAMELESS)))?;
        if self.is_full && point.is_some_and(|point| needs_room(&point)) {
            refuse(pid)?;
        }
        if let Some(disk) = self.disk.as_mut().filter(|_| !self.is_killed) {
            let by_git = link(pid, "exe").is_some_and(|exe| exe.file_name().unwrap_or_default().starts_with("git"));
            steps.iter().for_each(|step| disk.note(step, by_git));
        }
        Ok(())
    }

    /// Notes what a power cut would take now, unless something is to happen.
    fn look_at_disk(&mut self) -> Result<()> {
        if let (Some(disk), None) = (&self.disk, self.fault) {
            self.at_risk.push(disk.at_risk()?);
        }
        Ok(())
    }

    fn pass(&mut self, point: Option<String>) -> Result<()> {
        let Some(point) = point.filter(|_| !self.is_killed) else { return Ok(()) };
        self.points.push(point);
        self.look_at_disk()?;
        let Some(Fault { what, .. }) = self.fault.filter(|fault| fault.before == self.points.len()) else {
            return Ok(());
        };
        self.is_killed = what != Victim::Disk;
        match what {
            Victim::Program => kill(self.main, Signal::SIGKILL)?,
            Victim::All | Victim::Power => {
                for pid in &self.live {
                    // It may have ended by itself.
                    let _ = kill(*pid, Signal::SIGKILL);
                }
            }
            Victim::Disk => self.is_full = true,
        }
        Ok(())
    }

    /// What a call is about to do, if it does it where it counts: the change, unless it only syncs, and its steps.
    fn call(&self, pid: Pid) -> Option<(Option<String>, Vec<Step>)> {
        let (number, args) = arguments(pid)?;
        let file = |fd: usize| link(pid, &format!("fd/{}", args[fd] as i32));
        if let Some((_, is_one)) = SYNCS.iter().find(|(known, _)| *known == number) {
            return Some((None, vec![if *is_one { Step::Sync(file(0)?) } else { Step::SyncAll }]));
        }
        let (_, name, change) = CALLS.iter().find(|(known, ..)| *known == number)?;
        let at = |dir: Option<usize>, path: usize| path_at(pid, dir.map(|dir| args[dir]), args[path]);
        let (path, steps) = match *change {
            Change::Path { dir, path } => {
                let path = at(dir, path)?;
                let step = match *name {
                    "unlink" if number == 263 && args[2] & nix::libc::AT_REMOVEDIR as u64 != 0 => {
                        Some(Step::RemoveDir(path.clone()))
                    }
                    "unlink" => Some(Step::Remove(path.clone())),
                    "rmdir" => Some(Step::RemoveDir(path.clone())),
                    "mkdir" => Some(Step::MakeDir(path.clone())),
                    "truncate" => Some(Step::Shorten(path.clone(), args[1])),
                    "create" | "link" | "symlink" => Some(Step::Create(path.clone())),
                    _ => None,
                };
                (path, step.into_iter().collect())
            }
            Change::Move { from, to, flags } => {
                let exchanges = flags.is_some_and(|flags| args[flags] & u64::from(nix::libc::RENAME_EXCHANGE) != 0);
                let (from, to) = (at(from.0, from.1)?, at(to.0, to.1)?);
                (to.clone(), vec![Step::Move { from, to, exchanges }])
            }
            Change::OpenAt { dir, path, flags } => {
                let (flags, path) = (args[flags] as i32, at(dir, path)?);
                let mut steps = Vec::new();
                if flags & nix::libc::O_CREAT != 0 {
                    steps.push(Step::Create(path.clone()));
                }
                if flags & nix::libc::O_TRUNC != 0 {
                    steps.push(Step::Shorten(path.clone(), 0));
                }
                if steps.is_empty() {
                    return None;
                }
                (path, steps)
            }
            Change::File { fd } => {
                let path = file(fd)?;
                let step = match *name {
                    "truncate" => vec![Step::Shorten(path.clone(), args[1])],
                    "chmod" => Vec::new(),
                    _ => vec![Step::Write(path.clone())],
                };
                (path, step)
            }
        };
        self.counted(name, &path, steps)
    }

    fn counted(&self, name: &str, path: &Utf8Path, steps: Vec<Step>) -> Option<(Option<String>, Vec<Step>)> {
        let below = path.strip_prefix(self.below).ok()?;
        Some((Some(format!("{name} {below}")), steps))
    }
}

/// End of the path of an open file whose name was removed.
const NAMELESS: &str = " (deleted)";

/// Makes the system call that a process has come to fail, because the disk is full.
fn refuse(pid: Pid) -> Result<()> {
    let mut regs = ptrace::getregs(pid)?;
    // No call has this number, so nothing is done, and the result stays.
    regs.orig_rax = u64::MAX;
    regs.rax = -i64::from(nix::libc::ENOSPC) as u64;
    Ok(ptrace::setregs(pid, regs)?)
}

fn go_on(pid: Pid, signal: Option<Signal>) {
    // It may have been killed meanwhile.
    let _ = ptrace::cont(pid, signal);
}

fn arguments(pid: Pid) -> Option<(i64, [u64; 6])> {
    let regs = ptrace::getregs(pid).ok()?;
    Some((regs.orig_rax as i64, [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9]))
}

/// A path in the memory of a process, made absolute.
fn path_at(pid: Pid, dir: Option<u64>, address: u64) -> Option<Utf8PathBuf> {
    let path = Utf8PathBuf::from(text(pid, address)?);
    let base = match dir.map(|dir| dir as i32) {
        _ if path.is_absolute() => Utf8PathBuf::new(),
        None | Some(nix::libc::AT_FDCWD) => link(pid, "cwd")?,
        Some(dir) => link(pid, &format!("fd/{dir}"))?,
    };
    let mut clean = Utf8PathBuf::new();
    for part in base.join(path).components() {
        match part.as_str() {
            "." => {}
            ".." => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    Some(clean)
}

fn link(pid: Pid, name: &str) -> Option<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(fs::read_link(format!("/proc/{pid}/{name}")).ok()?).ok()
}

/// Text that ends with a zero byte.
fn text(pid: Pid, address: u64) -> Option<String> {
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    memory.seek(SeekFrom::Start(address)).ok()?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 256];
    while bytes.len() < 4096 {
        // Memory may end with the text.
        let length = memory.read(&mut chunk).ok().filter(|length| *length > 0)?;
        if let Some(end) = chunk[..length].iter().position(|byte| *byte == 0) {
            bytes.extend_from_slice(&chunk[..end]);
            return String::from_utf8(bytes).ok();
        }
        bytes.extend_from_slice(&chunk[..length]);
    }
    None
}
