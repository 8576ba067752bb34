//! A stand-in tree in a temporary directory: version 0.1.0, official and tagged, always the same commit.

use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use xshell::{Shell, cmd};

pub const VERSION: &str = "0.1.0";

/// As root and off the network; the stand-in's builders need the host's programs. Tests build the same things at the
/// same time, and wait for each other's locks.
const NIX_CONFIG: &str = "sandbox = false\nbuild-users-group =\nsubstituters =\nbuild-poll-interval = 1\n";

pub struct Tree {
    _dir: TempDir,
    pub root: Utf8PathBuf,
    pub sh: Shell,
}

/// How a run of the tool ended, and what it said.
pub struct Ran {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Whether the programs are installed; says what is skipped without them.
pub fn programs() -> bool {
    let missing = ["nix", "nix-store", "skopeo"].into_iter().find(|program| {
        let ran = Command::new(program).arg("--version").output();
        !ran.is_ok_and(|output| output.status.success())
    });
    missing.inspect(|program| crate::repo::skip(&format!("{program} is not installed"))).is_none()
}

impl Tree {
    /// Makes the tree in a directory of this name.
    pub fn named(name: &str) -> Tree {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = Utf8Path::from_path(dir.path()).expect("UTF-8").join(name);
        Tree::at(dir, root)
    }

    pub fn at(dir: TempDir, root: Utf8PathBuf) -> Tree {
        std::fs::create_dir_all(&root).expect("writable");
        let sh = Shell::new().expect("a current directory");
        sh.change_dir(&root);
        for (key, value) in [("NAME", "Nobody"), ("EMAIL", "nobody@example.org"), ("DATE", "1750000000 +0000")] {
            sh.set_var(format!("GIT_AUTHOR_{key}"), value);
            sh.set_var(format!("GIT_COMMITTER_{key}"), value);
        }
        sh.set_var("GIT_CONFIG_GLOBAL", "/dev/null");
        sh.set_var("NIX_CONFIG", NIX_CONFIG);
        xtask_test_support::copy_stand_in(&root);
        let tree = Tree { _dir: dir, root, sh };
        tree.write("version.json", "{\n    \"version\": \"0.1.0\",\n    \"release_name\": \"First Light\"\n}\n");
        tree.write(".gitignore", "/release\n/release.new\n/release.old\n");
        tree.edit("flake.nix", "officialRelease = false;", "officialRelease = true;");
        tree.git(&["init", "--quiet", "--initial-branch=main"]);
        tree.tag();
        tree
    }

    pub fn git(&self, args: &[&str]) -> String {
        cmd!(self.sh, "git {args...}").quiet().read().expect("git works")
    }

    /// Commits everything, moves the tag there, and detaches HEAD on it.
    pub fn tag(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "release: 0.1.0"]);
        self.git(&["tag", "--force", "--annotate", "--message", "release: 0.1.0", VERSION]);
        self.git(&["switch", "--quiet", "--detach", VERSION]);
    }

    /// Adds settings, attributes, refs and variables that make git behave differently.
    pub fn set_contrary(&self) {
        let settings = [
            ("core.abbrev", "20"),
            ("core.attributesFile", ".git/attributes"),
            ("core.eol", "crlf"),
            ("core.quotePath", "true"),
            ("core.symlinks", "false"),
            ("core.untrackedCache", "true"),
            ("color.ui", "always"),
            ("diff.noprefix", "true"),
            ("feature.manyFiles", "true"),
            ("i18n.logOutputEncoding", "ISO-8859-1"),
            ("log.date", "relative"),
            ("log.showSignature", "true"),
            ("status.showUntrackedFiles", "all"),
            ("tar.umask", "0077"),
        ];
        for (key, value) in settings {
            self.git(&["config", key, value]);
        }
        self.write(".git/info/attributes", "README.md export-ignore\nversion.json export-subst\n");
        self.write(".git/attributes", "doc export-ignore\n");
        self.git(&["branch", VERSION, "HEAD"]);
        self.git(&["notes", "add", "--message", "a note", "HEAD"]);
        // Everything is replaced by nothing.
        let empty = self.git(&["mktree"]);
        self.git(&["replace", "HEAD^{tree}", &empty]);
        for (name, value) in [
            ("GIT_NAMESPACE", "elsewhere"),
            ("GIT_ATTR_SOURCE", "HEAD~100"),
            ("GIT_DEFAULT_HASH", "sha256"),
            ("GIT_DEFAULT_REF_FORMAT", "reftable"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_REPLACE_REF_BASE", "refs/heads"),
            ("GIT_INDEX_FILE", "/nonexistent/index"),
            ("GIT_TRACE", "1"),
            ("GIT_TEMPLATE_DIR", "/nonexistent"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.autocrlf"),
            ("GIT_CONFIG_VALUE_0", "true"),
            ("TZ", "Asia/Kathmandu"),
            ("LANG", "de_DE.UTF-8"),
        ] {
            self.sh.set_var(name, value);
        }
    }

    /// Resets to the first commit, and deletes the tag of the version.
    pub fn reset(&self) {
        self.git(&["switch", "--quiet", "main"]);
        self.git(&["tag", "--force", "--annotate", "--message", "release: 0.1.0", VERSION]);
        self.git(&["switch", "--quiet", "--detach", VERSION]);
    }

    pub fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path)
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).expect(path)
    }

    pub fn write(&self, path: &str, content: &str) {
        self.sh.write_file(self.path(path), content).expect(path);
    }

    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no `{from}`");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// Puts a program, written as a shell script, first on `PATH`.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path(&format!("../bin/{name}"));
        self.sh.write_file(&path, format!("#!/bin/sh\n{script}\n")).expect("writable");
        cmd!(self.sh, "chmod +x {path}").quiet().run().expect("chmod works");
    }

    pub fn build(&self, args: &[&str]) -> Ran {
        let path = std::env::var("PATH").expect("a PATH");
        let path = format!("{}:{path}", self.path("../bin"));
        let tool = env!("CARGO_BIN_EXE_xtask");
        let cmd = cmd!(self.sh, "{tool} --repo . release build {args...}").env("PATH", path);
        let Output { status, stdout, stderr } = cmd.quiet().ignore_status().output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran { ok: status.success(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Asserts that the run fails, and returns its error without Nix's own output.
    pub fn refused(&self, args: &[&str]) -> String {
        let ran = self.build(args);
        assert!(!ran.ok, "{}", ran.stderr);
        let start = ran.stderr.find("error: cannot build the release").expect("our error");
        ran.stderr[start..].replace(self.root.as_str(), "TREE")
    }

    /// Like it, but it must succeed, silent on stdout.
    pub fn built(&self, args: &[&str]) -> String {
        let ran = self.build(args);
        assert!(ran.ok, "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
        ran.stderr
    }

    /// One digest over all files below a directory.
    pub fn digest(&self, dir: &str) -> String {
        let script = format!("cd {dir}; find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum");
        cmd!(self.sh, "sh -euc {script}").quiet().read().expect("coreutils work")
    }
}
