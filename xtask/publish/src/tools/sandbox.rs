//! Runs a program with another store, or another root, than this machine's: in namespaces of the kernel, without network,
//! with an empty home.

use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Cmd, Shell};
use xtask::tools::process;

/// Directories with programs of this machine.
const PROGRAMS: [&str; 4] = ["/bin", "/lib", "/lib64", "/usr"];
/// Where administrators' programs are, if they are not on `PATH`.
const ADMINISTRATION: [&str; 2] = ["/usr/sbin", "/sbin"];
/// Mounts a directory as `/nix`, and becomes the program. All words are arguments, and none is part of the script. What it
/// needs itself is on this machine's search path; `INSIDE` is that of the program.
const WITH_STORE: &str = r#"mount --rbind "$0" /nix || exit; PATH=$INSIDE; unset INSIDE; exec "$@""#;
/// Mounts directories below a new root, up to the word `--`, and becomes the program in it.
const WITH_ROOT: &str = r#"while [ "$1" != -- ]; do mkdir -p "$0$1" && mount --rbind "$1" "$0$1" || exit; shift; done
shift; chroot=$(command -v chroot); PATH=$INSIDE; unset INSIDE; exec "$chroot" "$0" "$@""#;

/// The program that makes namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Bubblewrap,
    Unshare,
}

impl Maker {
    fn name(self) -> &'static str {
        match self {
            Maker::Bubblewrap => "bubblewrap",
            Maker::Unshare => "unshare",
        }
    }
}

/// What a program sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum View {
    /// This machine's files, with another directory as `/nix`.
    Store(Utf8PathBuf),
    /// A directory as `/`.
    Root {
        dir: Utf8PathBuf,
        /// Whether it has no programs, and gets this machine's.
        borrows: bool,
    },
}

impl View {
    /// A directory as `/`, as it is before anything runs in it: that makes the directories that are borrowed.
    pub fn root(dir: Utf8PathBuf) -> View {
        let borrows = !dir.join("bin").exists() && !dir.join("usr").exists();
        View::Root { dir, borrows }
    }
}

/// Runs programs in namespaces.
pub struct Sandbox {
    sh: Shell,
    maker: Maker,
    /// The home of programs, outside of the namespaces.
    home: Utf8PathBuf,
}

impl Sandbox {
    /// Finds what makes namespaces here. Programs get `home` as their home.
    ///
    /// # Errors
    /// Neither bubblewrap nor `unshare` works; the message says why.
    pub fn new(home: &Utf8Path) -> Result<Sandbox> {
        let mut why = Vec::new();
        for maker in [Maker::Bubblewrap, Maker::Unshare] {
            let sandbox = Sandbox { sh: process::shell_in(home)?, maker, home: home.to_owned() };
            let view = View::Store("/nix".into());
            match sandbox.run(&view, &["/bin/sh".to_owned(), "-c".to_owned(), ":".to_owned()], "", "/bin") {
                Ok(output) if output.status.success() => return Ok(sandbox),
                Ok(output) => why.push(process::last_lines(&output.stderr)),
                Err(error) => why.push(format!("{error:#}")),
            }
        }
        anyhow::bail!("neither bubblewrap nor `unshare` works here: {}", why.join("; "))
    }

    /// Name of the program that makes namespaces.
    pub fn name(&self) -> &'static str {
        self.maker.name()
    }

    /// Runs a program with its arguments, with this on its stdin and this search path.
    ///
    /// # Errors
    /// The namespaces' own program cannot be started.
    pub fn run(&self, view: &View, words: &[String], stdin: &str, path: &str) -> Result<Output> {
        let borrowed: Vec<&str> = match view {
            View::Root { borrows: true, .. } => {
                PROGRAMS.into_iter().filter(|dir| Utf8Path::new(dir).exists()).collect()
            }
            View::Root { .. } | View::Store(_) => Vec::new(),
        };
        let cmd = match self.maker {
            Maker::Bubblewrap => self.bubblewrap(view, &borrowed),
            Maker::Unshare => self.unshare(view, &borrowed),
        };
        // An image may have no list of users, and then Nix asks USER.
        let variables = [("HOME", self.home_inside(view)), ("USER", "user"), ("LC_ALL", "C.UTF-8")];
        let cmd = cmd.args(words).env_clear().envs(variables);
        let cmd = match self.maker {
            Maker::Bubblewrap => cmd.env("PATH", path),
            Maker::Unshare => cmd.env("PATH", std::env::join_paths(search_path())?).env("INSIDE", path),
        };
        process::capture(cmd.stdin(stdin)).context("cannot run a program in namespaces")
    }

    /// The home, as programs see it.
    fn home_inside(&self, view: &View) -> &str {
        match (self.maker, view) {
            (Maker::Unshare, View::Store(_)) => self.home.as_str(),
            _ => "/tmp",
        }
    }

    fn bubblewrap(&self, view: &View, borrowed: &[&str]) -> Cmd<'_> {
        let cmd = self.sh.cmd(program("bwrap")).args(["--unshare-all", "--die-with-parent", "--new-session"]);
        let cmd = match view {
            View::Store(nix) => cmd.args(["--ro-bind", "/", "/", "--bind", nix.as_str(), "/nix"]),
            View::Root { dir, .. } => cmd.args(["--bind", dir.as_str(), "/"]),
        };
        let cmd = borrowed.iter().fold(cmd, |cmd, dir| cmd.args(["--ro-bind", dir, dir]));
        cmd.args(["--dev", "/dev", "--proc", "/proc", "--bind", self.home.as_str(), "/tmp", "--chdir", "/tmp"])
    }

    fn unshare(&self, view: &View, borrowed: &[&str]) -> Cmd<'_> {
        let cmd = self.sh.cmd(program("unshare")).args(["--user", "--map-root-user", "--mount", "--net", "--pid"]);
        let cmd = cmd.args(["--fork", "--kill-child", "/bin/sh", "-c"]);
        match view {
            View::Store(nix) => cmd.args([WITH_STORE, nix.as_str()]),
            View::Root { dir, .. } => cmd.args([WITH_ROOT, dir.as_str()]).args(borrowed).arg("--"),
        }
    }
}

/// The directories of programs on this machine, those for administrators among them.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(ADMINISTRATION.map(PathBuf::from)).collect()
}

/// Returns the path of a program of this machine: it does not have to be on the search path of what it starts.
fn program(name: &str) -> PathBuf {
    let mut paths = search_path().into_iter().map(|dir| dir.join(name));
    paths.find(|path| path.is_file()).unwrap_or_else(|| name.into())
}
