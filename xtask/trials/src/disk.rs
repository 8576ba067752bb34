//! What a power cut leaves of the files below a directory: what a program has asked the system to put on the disk, and
//! of the rest as little as the system may leave.
//!
//! What is written to a file is on the disk once the file is synced. A name (made, moved, removed) is on the disk once
//! its directory is synced. Both are judged by themselves: no sync carries anything else along, as it does on many file
//! systems. Two things are kept as they are: git's names, because git never syncs a directory, and the places of other
//! machines and programs ([`ELSEWHERE`]).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

/// Places that lose nothing: the S3 server stands for another machine, and in the others, nothing is relied on.
const ELSEWHERE: [&str; 3] = ["env/s3", "home", "tmp"];

/// What is lost of everything that is not on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// What was written to files; they are empty, or as long as before.
    Content,
    /// The second half of that.
    Half,
    /// What was written, and every change of a name.
    Names,
}

impl Loss {
    pub const ALL: [Loss; 3] = [Loss::Content, Loss::Half, Loss::Names];
}

/// A change that is about to be made.
#[derive(Debug)]
pub enum Step {
    /// A new file or link, unless it is there.
    Create(Utf8PathBuf),
    MakeDir(Utf8PathBuf),
    /// Emptied or shortened to this size in bytes.
    Shorten(Utf8PathBuf, u64),
    Write(Utf8PathBuf),
    Move {
        from: Utf8PathBuf,
        to: Utf8PathBuf,
        exchanges: bool,
    },
    Remove(Utf8PathBuf),
    RemoveDir(Utf8PathBuf),
    /// A file or directory is put on the disk.
    Sync(Utf8PathBuf),
    SyncAll,
}

/// A name in a directory, which is known by its number, because it may be moved itself.
#[derive(Debug, Clone)]
struct Name {
    dir: u64,
    name: String,
}

/// A change of a name that is not on the disk, and what undoes it.
#[derive(Debug)]
enum Change {
    Created(Name),
    MadeDir(Name),
    /// A file that was removed or replaced, and where it is kept.
    Removed(Name, Utf8PathBuf),
    /// A directory that was removed, by the number that stands for it now.
    RemovedDir(Name, u64),
    Moved {
        from: Name,
        to: Name,
    },
    Exchanged(Name, Name),
}

impl Change {
    /// The directory whose sync puts it on the disk.
    fn dir(&self) -> u64 {
        match self {
            Change::Created(name) | Change::MadeDir(name) | Change::Removed(name, _) | Change::RemovedDir(name, _) => {
                name.dir
            }
            Change::Moved { to, .. } => to.dir,
            Change::Exchanged(_, name) => name.dir,
        }
    }
}

/// The disk below a directory.
#[derive(Debug)]
pub struct Disk {
    place: Utf8PathBuf,
    /// Directory, on the same file system, that keeps what is removed.
    kept: Utf8PathBuf,
    /// The number of each file that is not on the disk, and how many of its bytes are.
    unsynced: BTreeMap<u64, u64>,
    /// Changes of names that are not on the disk, in order, with descriptions.
    names: Vec<(Change, String)>,
    /// Number of things that were kept or renumbered.
    count: u64,
}

impl Disk {
    /// A disk that holds everything that is in `place` now. What is removed is kept in `kept`, which is emptied first.
    ///
    /// # Errors
    /// `kept` cannot be made.
    pub fn new(place: &Utf8Path, kept: &Utf8Path) -> Result<Disk> {
        if kept.exists() {
            fs::remove_dir_all(kept).with_context(|| format!("cannot remove {kept}"))?;
        }
        fs::create_dir_all(kept).with_context(|| format!("cannot make {kept}"))?;
        Ok(Disk {
            place: place.to_owned(),
            kept: kept.to_owned(),
            unsynced: BTreeMap::new(),
            names: Vec::new(),
            count: 0,
        })
    }

    /// Notes a change before it is made. `by_git`: names are on the disk at once.
    pub fn note(&mut self, step: &Step, by_git: bool) {
        match step {
            Step::Create(path) if !is_there(path) => self.name(path, by_git, Change::Created),
            Step::MakeDir(path) if !is_there(path) => self.name(path, by_git, Change::MadeDir),
            Step::Create(_) | Step::MakeDir(_) => {}
            Step::Shorten(path, size) => {
                if let Some((number, now)) = facts(path).filter(|(_, now)| size < now) {
                    let on_disk = self.unsynced.get(&number).copied().unwrap_or(now).min(*size);
                    self.unsynced.insert(number, on_disk);
                }
            }
            Step::Write(path) => {
                if let Some((number, size)) = facts(path) {
                    self.unsynced.entry(number).or_insert(size);
                }
            }
            Step::Move { from, to, exchanges } if is_there(from) => self.moved(from, to, *exchanges, by_git),
            Step::Move { .. } => {}
            Step::Remove(path) => self.removed(path, by_git),
            Step::RemoveDir(path) => self.removed_dir(path, by_git),
            Step::Sync(path) => {
                if let Some((number, _)) = facts(path) {
                    self.unsynced.remove(&number);
                    self.names.retain(|(change, _)| change.dir() != number);
                }
            }
            Step::SyncAll => {
                self.unsynced.clear();
                self.names.clear();
            }
        }
    }

    fn name(&mut self, path: &Utf8Path, by_git: bool, change: impl FnOnce(Name) -> Change) {
        if let Some(name) = self.at(path).filter(|_| !by_git) {
            let change = change(name);
            self.names.push((change, format!("name {}", self.below(path))));
        }
    }

    fn moved(&mut self, from: &Utf8Path, to: &Utf8Path, exchanges: bool, by_git: bool) {
        if !exchanges {
            self.removed(to, by_git);
        }
        if let (Some(old), Some(new), false) = (self.at(from), self.at(to), by_git) {
            let change = if exchanges { Change::Exchanged(old, new) } else { Change::Moved { from: old, to: new } };
            self.names.push((change, format!("name {}", self.below(to))));
        }
    }

    fn removed(&mut self, path: &Utf8Path, by_git: bool) {
        let Ok(file) = fs::symlink_metadata(path) else { return };
        if file.is_dir() {
            return;
        }
        let kept = self.kept.join(self.count.to_string());
        match self.at(path).filter(|_| !by_git && fs::hard_link(path, &kept).is_ok()) {
            Some(name) => {
                self.count += 1;
                self.names.push((Change::Removed(name, kept), format!("removal {}", self.below(path))));
            }
            // Its number may be used again.
            None if file.nlink() == 1 => drop(self.unsynced.remove(&file.ino())),
            None => {}
        }
    }

    fn removed_dir(&mut self, path: &Utf8Path, by_git: bool) {
        let Some((number, _)) = facts(path) else { return };
        if path.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some()) {
            return;
        }
        // The number may be used again.
        self.count += 1;
        let stand_in = u64::MAX - self.count;
        for (change, _) in &mut self.names {
            let name = match change {
                Change::Created(name)
                | Change::MadeDir(name)
                | Change::Removed(name, _)
                | Change::RemovedDir(name, _) => vec![name],
                Change::Moved { from, to } | Change::Exchanged(from, to) => vec![from, to],
            };
            name.into_iter().filter(|name| name.dir == number).for_each(|name| name.dir = stand_in);
        }
        self.name(path, by_git, |name| Change::RemovedDir(name, stand_in));
    }

    /// The name that a path has in its directory, if it may be lost.
    fn at(&self, path: &Utf8Path) -> Option<Name> {
        let below = path.strip_prefix(&self.place).ok()?;
        if ELSEWHERE.iter().any(|place| below.starts_with(place)) {
            return None;
        }
        Some(Name { dir: facts(path.parent()?)?.0, name: path.file_name()?.to_owned() })
    }

    fn below<'a>(&self, path: &'a Utf8Path) -> &'a Utf8Path {
        path.strip_prefix(&self.place).unwrap_or(path)
    }

    /// What a power cut now may take: `content` or `name`, and a path.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn at_risk(&self) -> Result<Vec<String>> {
        let content = self.unsynced_files()?.into_iter().map(|(path, _)| format!("content {}", self.below(&path)));
        Ok(content.chain(self.names.iter().map(|(_, what)| what.clone())).collect())
    }

    /// Takes what is not on the disk.
    ///
    /// # Errors
    /// A file cannot be changed.
    pub fn lose(mut self, loss: Loss) -> Result<()> {
        if loss == Loss::Names {
            let mut dirs = Dirs { place: self.place.clone(), known: None, stand_ins: BTreeMap::new() };
            for (change, what) in std::mem::take(&mut self.names).into_iter().rev() {
                dirs.undo(&change).with_context(|| format!("cannot undo the {what}"))?;
            }
        }
        for (path, on_disk) in self.unsynced_files()? {
            let size = fs::metadata(&path)?.len();
            let left = if loss == Loss::Half { on_disk + (size - on_disk) / 2 } else { on_disk };
            let file = fs::File::options().write(true).open(&path);
            file.and_then(|file| file.set_len(left)).with_context(|| format!("cannot shorten {path}"))?;
        }
        Ok(())
    }

    /// The files with content that is not on the disk, each with the number of bytes that are.
    fn unsynced_files(&self) -> Result<Vec<(Utf8PathBuf, u64)>> {
        let mut files = Vec::new();
        if self.unsynced.is_empty() {
            return Ok(files);
        }
        walk(&self.place, &mut |path, file| {
            if let Some(on_disk) = self.unsynced.get(&file.ino()).filter(|on_disk| **on_disk < file.len()) {
                files.push((path.to_owned(), *on_disk));
            }
        })?;
        Ok(files)
    }
}

/// Directories by their numbers, while changes are undone.
struct Dirs {
    place: Utf8PathBuf,
    known: Option<BTreeMap<u64, Utf8PathBuf>>,
    /// Numbers of directories that were made again.
    stand_ins: BTreeMap<u64, u64>,
}

impl Dirs {
    /// Where a name is now; `None` if its directory is gone.
    fn path(&mut self, name: &Name) -> Result<Option<Utf8PathBuf>> {
        let number = self.stand_ins.get(&name.dir).copied().unwrap_or(name.dir);
        if self.known.is_none() {
            let mut known = BTreeMap::from([(fs::metadata(&self.place)?.ino(), self.place.clone())]);
            walk(&self.place, &mut |path, file| {
                if file.is_dir() {
                    known.insert(file.ino(), path.to_owned());
                }
            })?;
            self.known = Some(known);
        }
        Ok(self.known.as_ref().and_then(|known| known.get(&number)).map(|dir| dir.join(&name.name)))
    }

    fn undo(&mut self, change: &Change) -> Result<()> {
        match change {
            Change::Created(name) => {
                if let Some(path) = self.path(name)?.filter(|path| is_there(path) && !path.is_dir()) {
                    fs::remove_file(path)?;
                }
            }
            Change::MadeDir(name) => {
                if let Some(path) = self.path(name)?.filter(|path| path.is_dir()) {
                    fs::remove_dir_all(path)?;
                    self.known = None;
                }
            }
            Change::Removed(name, kept) => {
                if let Some(path) = self.path(name)?.filter(|path| !is_there(path)) {
                    fs::rename(kept, path)?;
                }
            }
            Change::RemovedDir(name, stand_in) => {
                if let Some(path) = self.path(name)?.filter(|path| !is_there(path)) {
                    fs::create_dir(&path)?;
                    self.stand_ins.insert(*stand_in, fs::metadata(&path)?.ino());
                    self.known = None;
                }
            }
            Change::Moved { from, to } => {
                if let (Some(from), Some(to)) = (self.path(from)?, self.path(to)?)
                    && is_there(&to)
                {
                    fs::rename(to, from)?;
                    self.known = None;
                }
            }
            Change::Exchanged(a, b) => {
                if let (Some(a), Some(b)) = (self.path(a)?, self.path(b)?) {
                    let beside = Utf8PathBuf::from(format!("{a}.exchanged"));
                    fs::rename(&a, &beside)?;
                    fs::rename(&b, &a)?;
                    fs::rename(beside, b)?;
                    self.known = None;
                }
            }
        }
        Ok(())
    }
}

/// Visits everything below a directory that may be lost; no link is followed.
fn walk(place: &Utf8Path, visit: &mut impl FnMut(&Utf8Path, &fs::Metadata)) -> Result<()> {
    let mut todo = vec![place.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in dir.read_dir_utf8().with_context(|| format!("cannot read {dir}"))?.flatten() {
            let Ok(file) = fs::symlink_metadata(entry.path()) else { continue };
            visit(entry.path(), &file);
            let is_elsewhere = ELSEWHERE.iter().any(|other| place.join(other) == entry.path());
            if file.is_dir() && !is_elsewhere {
                todo.push(entry.into_path());
            }
        }
    }
    Ok(())
}

fn is_there(path: &Utf8Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The number and size of a file or directory.
fn facts(path: &Utf8Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.ino(), file.len()))
}

#[cfg(test)]
mod tests;
