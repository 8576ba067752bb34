//! Server programs on loopback: started, waited for, and never left running by accident.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpStream;
use xtask::tools::process::environment;

/// Time in which a server has to accept connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// With this process, however it ends.
    Ours,
    /// When the manager stops it, after it was [left](Server::leave).
    Own,
}

/// Whether a server's program is on `PATH`.
pub(super) fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    environment::without_secrets(&mut command);
    command.arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A running server. It is killed when this is dropped and, with [`Life::Ours`], by Linux when the thread that started
/// it ends for any other reason.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with its output in the file `log`.
    pub(super) fn start(mut command: Command, log: &Path, life: Life) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let starting = || format!("cannot start {name}");
        let output = File::create(log).with_context(starting)?;
        environment::without_secrets(&mut command);
        command.stdin(Stdio::null()).stdout(output.try_clone().with_context(starting)?).stderr(output);
        match life {
            Life::Ours => die_with_parent(&mut command),
            // So that Ctrl-C does not stop it, too.
            Life::Own => drop(command.process_group(0)),
        }
        let child = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("{name} is not installed, or not on PATH"),
            child => child.with_context(starting)?,
        };
        Ok(Self { child, name, log: log.to_owned() })
    }

    /// Waits until each address accepts connections. An error quotes the end of the log.
    pub(super) async fn ready(&mut self, addresses: &[SocketAddr]) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for address in addresses {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("{} ended ({status}) instead of listening on {address}:\n{}", self.name, self.last_words());
                }
                ensure!(
                    Instant::now() < deadline,
                    "{} is not listening on {address} after {PATIENCE:?}:\n{}",
                    self.name,
                    self.last_words()
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Lets it run on without us, and returns its process id.
    pub(super) fn leave(self) -> u32 {
        let pid = self.child.id();
        // Dropping it would kill the server.
        std::mem::forget(self);
        pid
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has already ended, the kill fails, and waiting reaps it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds free addresses on loopback. If another process takes one before the server does, the server fails.
pub(super) fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    // All are held until the last is found, so that no two are equal.
    let held: Vec<_> = (0..N)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect::<io::Result<_>>()
        .context("no free port on loopback")?;
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&held) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    let ask = || match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: between fork and exec only one system call is made, and nothing is allocated or locked.
    unsafe { command.pre_exec(ask) };
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_: &mut Command) {}
