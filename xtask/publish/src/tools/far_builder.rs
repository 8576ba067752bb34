//! A builder of Nix on this machine that is as far away as a real one: it is reached only with SSH, on loopback, and has
//! its own store. For rehearsals and tests.
//!
//! Its SSH server runs in a mount namespace in which `/nix` is another directory. That takes root.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::tools::files;

use super::server::{Life, Server, free_addresses};

/// Places of sshd, which insists on a full path and is not a program for users.
const SSHD: [&str; 3] = ["/usr/sbin/sshd", "/usr/bin/sshd", "/run/current-system/sw/bin/sshd"];
/// Number of attempts to start: a free port may be taken before sshd uses it.
const STARTS: u32 = 3;

/// Mounts the store, and becomes sshd. `/run` is ours, because sshd wants a directory there.
const ENTER: &str = r#"
case $1 in
    memory) mount -t tmpfs -o "size=$2" none /nix ;;
    directory) mount --bind "$2" /nix ;;
esac
mount -t tmpfs -o mode=755 none /run
mkdir /run/sshd
exec "$3" -D -e -f "$4"
"#;

/// Where the builder's store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a directory, which it finds again when it is started again.
    Directory,
    /// In memory, with this many megabytes.
    Memory(u64),
}

/// A running builder. It ends with this value; its directory stays.
#[derive(Debug)]
pub struct FarBuilder {
    dir: Utf8PathBuf,
    place: Place,
    address: SocketAddr,
    server: Server,
}

impl FarBuilder {
    /// Returns why there can be no such builder on this machine.
    pub fn obstacle() -> Option<String> {
        let runs = |program: &str, args: &[&str]| {
            Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
        };
        for program in ["ssh", "ssh-keygen", "unshare", "mount", "nix-store"] {
            if !files::on_path(program) {
                return Some(format!("{program} is not installed"));
            }
        }
        if sshd().is_none() {
            return Some("sshd is not installed (`apt-get install openssh-server`)".to_owned());
        }
        if !Path::new("/nix").is_dir() {
            return Some("there is no /nix yet".to_owned());
        }
        if !runs("unshare", &["--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/run"]) {
            return Some("this user cannot make a mount namespace (`unshare --mount` takes root)".to_owned());
        }
        let words = ["--mount", "--pid", "--fork", "sh", "-euc", "mount -t tmpfs none /nix; exec nix-store --version"];
        (!runs("unshare", &words)).then(|| "Nix itself is in /nix here, which another store would hide".to_owned())
    }

    /// Starts it on a free port, with everything in `dir`. `settings` are Nix's, as in `nix.conf`.
    ///
    /// # Errors
    /// It does not start; the error quotes sshd.
    pub async fn start(dir: &Utf8Path, place: Place, settings: &str) -> Result<FarBuilder> {
        fs::create_dir_all(dir.join("nix")).with_context(|| format!("cannot make {dir}"))?;
        let dir = dir.canonicalize_utf8().with_context(|| format!("cannot find {dir}"))?;
        for key in ["host", "key"] {
            let path = dir.join(key);
            if !path.exists() {
                let words = ["-q", "-t", "ed25519", "-N", "", "-C", key, "-f", path.as_str()];
                let made = Command::new("ssh-keygen").args(words).status().context("cannot run ssh-keygen")?;
                ensure!(made.success(), "ssh-keygen cannot make {path}");
            }
        }
        fs::copy(dir.join("key.pub"), dir.join("authorized_keys")).context("cannot copy a public key")?;
        // As this machine is configured, but it does not delegate any further.
        files::write_atomic(&dir.join("nix.conf"), &format!("!include /etc/nix/nix.conf\n{settings}\nbuilders =\n"))?;
        let mut start = 1;
        loop {
            let [address] = free_addresses()?;
            match FarBuilder::start_at(&dir, place, address).await {
                Err(_) if start < STARTS => start += 1,
                started => break started,
            }
        }
    }

    /// Starts it again at the same address, after it ended or was ended.
    ///
    /// # Errors
    /// As for [`FarBuilder::start`].
    pub async fn again(self) -> Result<FarBuilder> {
        let FarBuilder { dir, place, address, server } = self;
        drop(server);
        FarBuilder::start_at(&dir, place, address).await
    }

    async fn start_at(dir: &Utf8Path, place: Place, address: SocketAddr) -> Result<FarBuilder> {
        let sshd = sshd().context("sshd is not installed")?;
        let host = fs::read_to_string(dir.join("host.pub")).context("cannot read a public key")?;
        let known = format!("[{}]:{} {host}", address.ip(), address.port());
        files::write_atomic(&dir.join("known_hosts"), &known)?;
        files::write_atomic(&dir.join("sshd_config"), &configuration(dir, address))?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh"]);
        match place {
            Place::Directory => command.args(["directory", dir.join("nix").as_str()]),
            Place::Memory(megabytes) => command.args(["memory", &format!("{megabytes}m")]),
        };
        command.args([sshd, dir.join("sshd_config").as_str()]);
        let mut server = Server::start(command, dir.join("log").as_std_path(), Life::Ours)?;
        server.ready(&[address]).await?;
        Ok(FarBuilder { dir: dir.to_owned(), place, address, server })
    }

    /// Its line in Nix's list of builders.
    pub fn line(&self, systems: &str) -> String {
        format!("ssh://root@{} {systems} {} 4 1", self.address.ip(), self.dir.join("key"))
    }

    /// Options for SSH, which Nix reads from `NIX_SSHOPTS`.
    pub fn ssh_options(&self) -> String {
        let known = self.dir.join("known_hosts");
        format!(
            "-F /dev/null -p {} -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null \
             -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes",
            self.address.port()
        )
    }

    /// Its directory: `authorized_keys`, `known_hosts`, sshd's `log`.
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// Process id of the program that all its processes descend from.
    pub fn pid(&self) -> u32 {
        self.server.id()
    }
}

fn sshd() -> Option<&'static str> {
    SSHD.into_iter().find(|sshd| Path::new(sshd).is_file())
}

fn configuration(dir: &Utf8Path, address: SocketAddr) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!(
        r#"ListenAddress {address}
HostKey {dir}/host
AuthorizedKeysFile {dir}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv NIX_CONF_DIR={dir} PATH={path}
"#
    )
}
