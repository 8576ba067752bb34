//! The directory `release/`, replaced in one step.
//!
//! The next release is gathered in `release.new/`, beside `release/`, and the kernel exchanges the two in one step: at
//! every moment, also after a kill, `release/` is the old release or the new one. What other phases keep in `release/`
//! is moved after the exchange; if a kill comes in between, the next run moves it ([`recover`]).
//!
//! On file systems that cannot exchange directories, two renames with `release.old/` between them do the same, with the
//! same recovery. Knows the names of a release's parts, and nothing else about them.

use std::fs::{self, File};
use std::io::ErrorKind;

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, RenameFlags};

use crate::domain::layout::{BUILT, GC_ROOTS, RELEASE, RELEASE_NEW, RELEASE_OLD};
use crate::tools::{files, term};

/// A release that is being made. Dropped before [`Stage::replace`], it leaves nothing behind.
pub struct Stage {
    root: Utf8PathBuf,
    /// Whether it has the place of the old release, which lies in [`Stage::dir`] then.
    is_in_place: bool,
    _lock: File,
}

/// Keeps other runs from changing `release/` while the value lives. Locks the tree's top directory: that leaves no lock
/// file behind, and the directory stays the same whatever is replaced in it.
///
/// # Errors
/// Another run of this tool holds it.
pub fn lock(root: &Utf8Path) -> Result<File> {
    let busy = || format!("another run of this tool is working on {}: wait for it to end", root.join(RELEASE));
    lock_if_free(root)?.with_context(busy)
}

/// As [`lock`]; `None` if another run holds it.
fn lock_if_free(root: &Utf8Path) -> Result<Option<File>> {
    let lock = File::open(root).with_context(|| format!("cannot open {root}"))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        result => result.with_context(|| format!("cannot lock {root}")).map(|()| Some(lock)),
    }
}

/// Locks `release/`, as [`lock`] does, and tidies up after a killed run: for phases that work in it.
///
/// # Errors
/// As for [`lock`] and [`recover`].
pub fn hold(root: &Utf8Path) -> Result<File> {
    let lock = lock(root)?;
    recover(root)?;
    Ok(lock)
}

/// Tidies up after a killed run: for phases that may run beside another one. If another run holds the lock, that run has
/// tidied up.
///
/// # Errors
/// As for [`recover`].
pub fn tidy(root: &Utf8Path) -> Result<()> {
    lock_if_free(root)?.map_or(Ok(()), |_lock| recover(root))
}

/// Says what a killed run left outside `release/`, for phases that change nothing, and so do not find it there.
///
/// # Errors
/// The file system refuses.
pub fn untidy(root: &Utf8Path) -> Result<Option<String>> {
    let mut names: Vec<String> = stranded(root)?.into_iter().map(|(_, name)| name).collect();
    if root.join(RELEASE_OLD).exists() && !root.join(RELEASE).exists() {
        names = vec!["everything".to_owned()];
    }
    names.sort();
    let explained = || {
        let (names, build) = (names.join(", "), term::next("build"));
        format!("{RELEASE}/ is without {names}, because a build was killed: `{build}` brings back what is missing")
    };
    Ok((!names.is_empty()).then(explained))
}

/// Checks that nothing was left outside `release/`.
///
/// # Errors
/// Something was.
pub fn require_tidy(root: &Utf8Path) -> Result<()> {
    untidy(root)?.map_or(Ok(()), |explained| Err(anyhow!(explained)))
}

impl Stage {
    /// Starts with an empty directory, after tidying up what a killed run left.
    ///
    /// # Errors
    /// Another build runs in this tree, or a directory cannot be made.
    pub fn begin(root: &Utf8Path) -> Result<Stage> {
        let lock = hold(root)?;
        let stage = Stage { root: root.to_owned(), is_in_place: false, _lock: lock };
        for dir in [root.join(RELEASE).join(GC_ROOTS), stage.dir()] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {dir}"))?;
        }
        let roots = root.join(RELEASE).join(GC_ROOTS);
        for (name, _) in files::links(&roots)?.into_iter().filter(|(name, _)| is_half_made_link(name)) {
            remove(&roots.join(name))?;
        }
        Ok(stage)
    }

    /// Returns the directory to gather the new release in.
    pub fn dir(&self) -> Utf8PathBuf {
        self.root.join(RELEASE_NEW)
    }

    /// Returns the directory of the present release.
    pub fn current(&self) -> Utf8PathBuf {
        self.root.join(RELEASE)
    }

    /// Puts the new release in the old one's place.
    ///
    /// # Errors
    /// The file system refuses, for example for lack of permissions.
    pub fn replace(mut self) -> Result<()> {
        let (new, current) = (self.dir(), self.current());
        files::sync_below(&new)?;
        if !exchange(&new, &current)? {
            let old = self.root.join(RELEASE_OLD);
            rename(&current, &old)?;
            rename(&new, &current)?;
        }
        self.is_in_place = true;
        files::sync(&self.root)?;
        recover(&self.root)
    }

    /// Puts the parts `names` of the new release in place, one by one, and keeps the others. A kill between two of them
    /// leaves each complete, old or new.
    ///
    /// # Errors
    /// As for [`Stage::replace`].
    pub fn replace_parts(self, names: &[&str]) -> Result<()> {
        files::sync_below(&self.dir())?;
        for name in names {
            let (new, current) = (self.dir().join(name), self.current().join(name));
            if !current.exists() || !exchange(&new, &current)? {
                remove(&current)?;
                rename(&new, &current)?;
            }
        }
        files::sync(&self.current())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Once it is in place, what other phases keep may not have been moved back yet: the next run does that.
        if !self.is_in_place {
            // The next run removes what stays.
            let _ = fs::remove_dir_all(self.dir());
        }
    }
}

/// Tidies up after a killed run: moves what other phases keep in `release/` back there, and removes an unfinished
/// release. Every phase that changes what is in `release/` does this first, through [`hold`] or [`tidy`].
///
/// # Errors
/// The same name exists in both places, or the file system refuses.
fn recover(root: &Utf8Path) -> Result<()> {
    let current = root.join(RELEASE);
    let old = root.join(RELEASE_OLD);
    if old.exists() && !current.exists() {
        rename(&old, &current)?;
    }
    let stranded = stranded(root)?;
    for (left, name) in &stranded {
        if current.join(name).exists() {
            bail!("{name} is in both {left} and {current}, because a build was killed: remove one of them");
        }
        rename(&left.join(name), &current.join(name))?;
    }
    if !stranded.is_empty() {
        // Before the places that they were moved from are removed.
        files::sync(&current)?;
    }
    remove(&old)?;
    remove(&root.join(RELEASE_NEW))
}

/// Lists what other phases keep in `release/` and a killed run left elsewhere: the directory, and the name there.
fn stranded(root: &Utf8Path) -> Result<Vec<(Utf8PathBuf, String)>> {
    let mut stranded = Vec::new();
    for left in [RELEASE_OLD, RELEASE_NEW].map(|name| root.join(name)) {
        let entries = match fs::read_dir(&left) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("cannot read {left}"))?,
        };
        for entry in entries {
            let name = entry.with_context(|| format!("cannot read {left}"))?.file_name();
            let name = name.to_str().with_context(|| format!("{left} holds a name that is not UTF-8"))?;
            if !BUILT.contains(&name) && !name.starts_with('.') {
                stranded.push((left.clone(), name.to_owned()));
            }
        }
    }
    Ok(stranded)
}

/// Whether Nix was killed before it renamed this link: `NAME.tmp-PID-NUMBER`.
fn is_half_made_link(name: &str) -> bool {
    let numbers = name.rsplit_once(".tmp-").and_then(|(_, numbers)| numbers.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// Exchanges two directories. Returns whether the file system can do that.
fn exchange(a: &Utf8Path, b: &Utf8Path) -> Result<bool> {
    use rustix::io::Errno;
    let here = rustix::fs::CWD;
    match rustix::fs::renameat_with(here, a.as_std_path(), here, b.as_std_path(), RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        result => result.with_context(|| format!("cannot exchange {a} and {b}")).map(|()| true),
    }
}

fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {from} to {to}"))
}

fn remove(path: &Utf8Path) -> Result<()> {
    let result = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("cannot remove {path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree whose `release/` is "old", with something of another phase's in it.
    fn tree() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).expect("UTF-8");
        fill(&root.join(RELEASE), "old");
        fs::create_dir(root.join("release/local")).expect("writable");
        fs::write(root.join("release/tag.json"), "tag").expect("writable");
        (dir, root)
    }

    fn fill(dir: &Utf8Path, content: &str) {
        fs::create_dir_all(dir.join("manual")).expect("writable");
        for file in ["release.json", "manual/index.html"] {
            fs::write(dir.join(file), content).expect("writable");
        }
    }

    /// Checks that `release/` is complete, and that nothing is beside it.
    fn check(root: &Utf8Path, content: &str) {
        for file in ["release.json", "manual/index.html"] {
            assert_eq!(fs::read_to_string(root.join(RELEASE).join(file)).expect(file), content);
        }
        assert_eq!(fs::read_to_string(root.join("release/tag.json")).expect("kept"), "tag");
        assert!(root.join("release/local").is_dir());
        assert!(!root.join(RELEASE_NEW).exists() && !root.join(RELEASE_OLD).exists());
    }

    #[test]
    fn a_release_is_replaced_and_what_others_keep_there_stays() {
        let (_dir, root) = tree();
        let stage = Stage::begin(&root).expect("no other run");
        assert!(Stage::begin(&root).is_err_and(|error| error.to_string().contains("another run")));
        fill(&stage.dir(), "new");
        stage.replace().expect("possible");
        check(&root, "new");

        let stage = Stage::begin(&root).expect("the lock is free again");
        fill(&stage.dir(), "failed");
        drop(stage);
        check(&root, "new");

        let stage = Stage::begin(&root).expect("no other run");
        fill(&stage.dir(), "newer");
        stage.replace_parts(&["manual"]).expect("possible");
        assert_eq!(fs::read_to_string(root.join("release/manual/index.html")).expect("there"), "newer");
        fs::write(root.join("release/manual/index.html"), "new").expect("writable");
        check(&root, "new");
    }

    #[test]
    fn a_link_that_nix_was_killed_before_is_removed() {
        let (_dir, root) = tree();
        let roots = root.join("release/gcroots");
        fs::create_dir(&roots).expect("writable");
        for name in ["abc-lix-0.1.0", "abc-lix-0.1.0.tmp-9670-656746932", "abc-x.tmp-1"] {
            std::os::unix::fs::symlink("/nix/store/abc", roots.join(name)).expect("writable");
        }
        drop(Stage::begin(&root).expect("no other run"));
        let mut left: Vec<_> = files::links(&roots).expect("readable").into_iter().map(|(name, _)| name).collect();
        left.sort();
        assert_eq!(left, ["abc-lix-0.1.0", "abc-x.tmp-1"]);
    }

    #[test]
    fn what_cannot_be_moved_back_is_not_removed() {
        let (_dir, root) = tree();
        let stage = Stage::begin(&root).expect("no other run");
        fill(&stage.dir(), "new");
        fs::write(stage.dir().join("tag.json"), "in the way").expect("writable");
        assert!(stage.replace().is_err(), "there are two of them");
        fs::remove_file(root.join("release/tag.json")).expect("it was in the way");
        recover(&root).expect("possible");
        check(&root, "new");
    }

    #[test]
    fn a_kill_at_any_moment_leaves_the_old_release_or_the_new_one() {
        // While gathering.
        let (_dir, root) = tree();
        fill(&root.join(RELEASE_NEW), "half");
        recover(&root).expect("possible");
        check(&root, "old");

        // After the exchange, and after each thing that follows it.
        let after: [&[&str]; 4] = [&[], &["local"], &["tag.json"], &["local", "tag.json"]];
        for moved in after {
            let (_dir, root) = tree();
            fill(&root.join(RELEASE_NEW), "new");
            assert!(exchange(&root.join(RELEASE_NEW), &root.join(RELEASE)).expect("possible"));
            for name in moved {
                rename(&root.join(RELEASE_NEW).join(name), &root.join(RELEASE).join(name)).expect("possible");
            }
            recover(&root).expect("possible");
            check(&root, "new");
        }

        // Where there is no exchange: between the two renames, and after them.
        for (both, content) in [(false, "old"), (true, "new")] {
            let (_dir, root) = tree();
            fill(&root.join(RELEASE_NEW), "new");
            rename(&root.join(RELEASE), &root.join(RELEASE_OLD)).expect("possible");
            if both {
                rename(&root.join(RELEASE_NEW), &root.join(RELEASE)).expect("possible");
            }
            recover(&root).expect("possible");
            check(&root, content);
        }
    }

    #[test]
    fn a_phase_beside_another_one_leaves_tidying_up_to_it() {
        let (_dir, root) = tree();
        fill(&root.join(RELEASE_NEW), "half");
        let lock = lock(&root).expect("no other run");
        tidy(&root).expect("another run has it");
        assert!(root.join(RELEASE_NEW).exists());
        drop(lock);
        tidy(&root).expect("possible");
        check(&root, "old");
    }

    #[test]
    fn what_lies_in_both_places_is_not_decided_here() {
        let (_dir, root) = tree();
        fill(&root.join(RELEASE_NEW), "new");
        fs::write(root.join("release.new/tag.json"), "another").expect("writable");
        let error = recover(&root).expect_err("two of them").to_string();
        assert!(error.contains("tag.json is in both"), "{error}");
    }
}
