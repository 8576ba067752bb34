//! Branches, tags, HEAD, index and files, moved so that running the same command again completes what was stopped.
//!
//! Before the first change, the record of what is about to move ([`Intent`]) is written to the work tree's git
//! directory; it is removed after the last. A record that is found there was left by a kill or a power cut: whatever is
//! between its start and its end is completed, unless the tree was changed in the meantime; then nothing is touched.

use std::fs::{self, File};

use anyhow::{Context, Error, Result, anyhow, bail};
use camino::{Utf8DirEntry, Utf8Path, Utf8PathBuf};

use crate::domain::format::{self, Format};
use crate::domain::oid::Oid;
use crate::domain::release::intent::{Intent, Place, Progress, RefMove, Seen, Way};
use crate::tools::advice;
use crate::tools::files;
use crate::tools::git::Git;
use crate::tools::git::halfway::INTENT;
use crate::tools::git::lists::Difference;
use crate::tools::git::locks;
use crate::tools::interrupt;
use crate::tools::scratch_dir;
use crate::tools::term;

/// One command of git's.
#[derive(Debug)]
pub enum Step<'a> {
    /// Moves the branch that is checked out from one commit to a descendant, with index and files.
    FastForward { branch: &'a str, from: &'a Oid, to: &'a Oid },
    /// Moves refs, none of which is a checked-out branch whose files would change.
    Refs(Vec<RefMove>),
    /// Detaches HEAD at a commit, with index and files.
    Detach(&'a Oid),
    /// Switches HEAD to a branch, with index and files.
    Switch(&'a str),
}

/// A work tree that no other run moves while this value lives.
pub struct Movement<'a> {
    git: &'a Git,
    /// The command, for messages and reflogs: `prepare`, `tag`, `finish`.
    command: &'static str,
    file: Utf8PathBuf,
    /// Lock on the git directory itself, so that no lock file stays behind.
    lock: File,
}

impl<'a> Movement<'a> {
    /// Locks the work tree, and completes what an earlier run left halfway, here or in another work tree of this
    /// repository.
    ///
    /// # Errors
    /// Another run is moving it, or what was left cannot be completed.
    pub fn begin(git: &'a Git, command: &'static str) -> Result<Movement<'a>> {
        interrupt::stands("nothing has changed");
        scratch_dir::tidy_up();
        let movement = Movement::of(git, command)?;
        if movement.is_left_elsewhere()? {
            for other in git.work_trees()?.into_iter().filter(|root| root != git.root() && root.exists()) {
                Movement::of(&Git::open(&other)?, command)?;
            }
        }
        Ok(movement)
    }

    /// Whether another work tree of this repository has a record.
    fn is_left_elsewhere(&self) -> Result<bool> {
        let common = self.git.common_dir()?;
        let linked = common.join("worktrees").read_dir_utf8().into_iter().flatten().flatten();
        let mut dirs = linked.map(Utf8DirEntry::into_path).chain([common]);
        Ok(dirs.any(|dir| dir.join(INTENT) != self.file && files::is_there(&dir.join(INTENT))))
    }

    fn of(git: &'a Git, command: &'static str) -> Result<Movement<'a>> {
        let dir = git.dir()?;
        let movement = Movement { git, command, file: dir.join(INTENT), lock: locks::hold(&dir)? };
        movement.recover()?;
        Ok(movement)
    }

    pub fn git(&self) -> &'a Git {
        self.git
    }

    pub fn command(&self) -> &'static str {
        self.command
    }

    /// Moves everything to its new place.
    ///
    /// # Errors
    /// git cannot move something. The message says whether anything has changed, and what to do if so.
    pub fn carry_out(&self, steps: &[Step]) -> Result<()> {
        let Some(intent) = self.intent(steps)? else { return Ok(()) };
        let text = serde_json::to_string(&intent)?;
        files::write_atomic(&self.file, &format!("{text}\n")).context("nothing has changed")?;
        interrupt::stands("git may have moved a part, which the next run completes");
        let reason = format!("release {}", self.command);
        for step in steps {
            let done = match step {
                Step::FastForward { to, .. } => self.git.fast_forward(to, &reason, &self.lock),
                Step::Refs(moves) => self.git.move_refs(moves, &reason, &self.lock),
                Step::Detach(commit) => self.git.detach_at(commit, &self.lock),
                Step::Switch(branch) => self.git.switch_to(branch, &self.lock),
            };
            if let Err(error) = done {
                return Err(self.how_it_stands(&intent, error));
            }
        }
        self.forget(&self.git.differences(&intent.files)?)?;
        interrupt::stands("everything that was to move is in place");
        steps.iter().try_for_each(|step| self.require_moved(step))
    }

    /// Checks that the branch was moved that was to be: git moves the one that is checked out at that moment.
    fn require_moved(&self, step: &Step) -> Result<()> {
        let Step::FastForward { branch, to, .. } = step else { return Ok(()) };
        let tip = self.git.resolve(&heads(branch))?;
        if let Some(tip) = &tip
            && (tip == *to || self.git.contains(tip, to)?)
        {
            return Ok(());
        }
        bail!(
            "HEAD was switched away from {branch} while this command ran: the new commits, up to {0}, are on what is \
             checked out now; to have them on {branch}, `git switch {branch}` and `git merge --ff-only {0}`",
            to.short()
        )
    }

    /// Returns where the steps start and end; `None` if they move nothing.
    fn intent(&self, steps: &[Step]) -> Result<Option<Intent>> {
        let head = self.git.head()?;
        let (start, from) =
            (head.branch.clone().map_or(Place::Commit(head.commit.clone()), Place::Branch), head.commit);
        let (mut refs, mut place, mut commit) = (Vec::new(), start.clone(), from.clone());
        for step in steps {
            match step {
                Step::FastForward { branch, from, to } => {
                    if place != Place::Branch((*branch).to_owned()) {
                        return Err(moved_meanwhile(&format!(
                            "HEAD was switched away from {branch} while this command ran"
                        )));
                    }
                    let moved = RefMove { name: heads(branch), from: Some((*from).clone()), to: (*to).clone() };
                    if commit != **from {
                        return Err(moved_meanwhile(&has_moved(&moved, Some(&commit))));
                    }
                    refs.push(moved);
                    commit = (*to).clone();
                }
                Step::Refs(moves) => {
                    let here =
                        |moved: &&RefMove| matches!(&place, Place::Branch(branch) if heads(branch) == moved.name);
                    commit = moves.iter().find(here).map_or(commit, |moved| moved.to.clone());
                    refs.extend(moves.iter().cloned());
                }
                Step::Detach(to) => (place, commit) = (Place::Commit((*to).clone()), (*to).clone()),
                Step::Switch(branch) => {
                    let tip = self.git.resolve(&format!("{}^{{commit}}", heads(branch)))?;
                    commit = tip.with_context(|| format!("there is no branch {branch}"))?;
                    place = Place::Branch((*branch).to_owned());
                }
            }
        }
        let is_at_rest = refs.is_empty() && start == place && from == commit;
        let (head, files) = (Way { from: start, to: place }, Way { from, to: commit });
        Ok((!is_at_rest).then(|| Intent { format: Format, command: self.command.to_owned(), refs, head, files }))
    }

    /// Returns the error about a step that failed, after a look at what it has done.
    fn how_it_stands(&self, intent: &Intent, error: Error) -> Error {
        if let Ok((Progress::NotBegun, seen, _)) = look(self.git, intent)
            && self.forget(&[]).is_ok()
        {
            let refs = intent.refs.iter().zip(&seen.refs).find(|(moved, now)| moved.from != **now);
            return match refs {
                Some((moved, now)) => moved_meanwhile(&has_moved(moved, now.as_ref())),
                None => error.context("nothing has changed"),
            };
        }
        error.context(format!(
            "the change was made only in part: once the cause is fixed, the same command completes it\nnext: {}",
            term::next(&intent.command)
        ))
    }

    /// Completes what a killed run left.
    fn recover(&self) -> Result<()> {
        let Some(intent) = read(&self.file)? else { return Ok(()) };
        self.clear_locks(&intent)?;
        let (progress, seen, differences) = look(self.git, &intent)?;
        match progress {
            Progress::NotBegun => {}
            Progress::Done => self.say_completed(&intent),
            Progress::Halfway => {
                interrupt::stands("what an earlier run left halfway may not be complete yet");
                self.complete(&intent, &seen, &differences)
                    .with_context(|| format!("cannot complete what the stopped `{}` was moving", intent.command))?;
                self.say_completed(&intent);
            }
            // The manager has tidied up with git's own commands.
            Progress::Changed(_) if self.git.dirty_files()?.is_empty() => {
                let command = &intent.command;
                term::warn(format_args!("an earlier `{command}` was stopped halfway, and the tree has moved on since"));
            }
            Progress::Changed(what) => return Err(changed(self.git, &self.file, &intent, &what, &differences)),
        }
        self.forget(&differences)
    }

    fn complete(&self, intent: &Intent, seen: &Seen, differences: &[Difference]) -> Result<()> {
        let reason = format!("release {}", intent.command);
        self.git.complete(&intent.files, differences, &seen.paths)?;
        let left = intent.refs.iter().zip(&seen.refs).filter(|(moved, now)| now.as_ref() != Some(&moved.to));
        let left: Vec<RefMove> = left.map(|(moved, _)| moved.clone()).collect();
        if !left.is_empty() {
            self.git.move_refs(&left, &reason, &self.lock)?;
        }
        if seen.head != intent.head.to {
            self.git.put_head(&intent.head.to, &reason)?;
        }
        Ok(())
    }

    fn say_completed(&self, intent: &Intent) {
        term::say(format_args!(
            "an earlier `{}` was stopped halfway: what it was moving is in place now",
            intent.command
        ));
    }

    /// Removes the lock files of a git that was stopped.
    ///
    /// # Errors
    /// A git is still running here.
    fn clear_locks(&self, intent: &Intent) -> Result<()> {
        let begun = fs::metadata(&self.file).and_then(|facts| facts.modified());
        let begun = begun.with_context(|| format!("cannot look at {}", self.file))?;
        let refs: Vec<&str> = intent.refs.iter().map(|moved| moved.name.as_str()).collect();
        self.git.clear_locks(&refs, begun)
    }

    /// Removes the record, once the files that have moved are on the disk, and HEAD, which git does not sync.
    fn forget(&self, moved: &[Difference]) -> Result<()> {
        for difference in moved.iter().filter(|difference| difference.to.is_some()) {
            let path = self.git.root().join(&difference.path);
            if path.is_file() {
                files::sync(&path)?;
            }
        }
        let dir = self.git.dir()?;
        files::sync(&dir.join("HEAD")).and_then(|()| files::sync(&dir))?;
        let removed = fs::remove_file(&self.file);
        removed.with_context(|| format!("everything is in place, but {} cannot be removed", self.file))
    }
}

/// Returns the command that was stopped halfway in this work tree, if one was.
///
/// # Errors
/// The record cannot be read.
pub fn interrupted(git: &Git) -> Result<Option<String>> {
    Ok(read(&git.dir()?.join(INTENT))?.map(|intent| intent.command))
}

/// Returns the message about a command that was stopped halfway.
pub fn explain(command: &str) -> String {
    format!("`{command}` was stopped halfway: `{}` completes it", term::next(command))
}

/// Checks that no command was stopped halfway, for commands that do not move anything.
///
/// # Errors
/// One was.
pub fn require_none(git: &Git) -> Result<()> {
    interrupted(git)?.map_or(Ok(()), |command| Err(anyhow!(explain(&command))))
}

/// The error about what was changed while a command was at work, before that command moved anything.
fn moved_meanwhile(what: &str) -> Error {
    advice::advised(
        anyhow!("nothing has changed here: {what}"),
        "run the same command again: it starts from what is there now",
    )
}

/// Says where a ref is that is not where it was seen.
fn has_moved(moved: &RefMove, now: Option<&Oid>) -> String {
    let name = match moved.name.strip_prefix("refs/heads/") {
        Some(branch) => branch.to_owned(),
        None => moved.name.replace("refs/tags/", "the tag "),
    };
    match (&moved.from, now) {
        (None, Some(now)) => format!("{name}, at {}, was made while this command ran", now.short()),
        (_, Some(now)) => format!("{name} was moved to {} while this command ran", now.short()),
        (_, None) => format!("{name} was removed while this command ran"),
    }
}

fn heads(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

fn look(git: &Git, intent: &Intent) -> Result<(Progress, Seen, Vec<Difference>)> {
    let differences = git.differences(&intent.files)?;
    let seen = Seen {
        refs: intent.refs.iter().map(|moved| git.resolve(&moved.name)).collect::<Result<_>>()?,
        head: git.place()?,
        paths: git.seen_paths(&differences)?,
    };
    Ok((intent.progress(&seen), seen, differences))
}

fn changed(git: &Git, file: &Utf8Path, intent: &Intent, what: &[String], differences: &[Difference]) -> Error {
    let paths: Vec<String> = differences.iter().map(|difference| term::typed(&difference.path)).collect();
    let restore = |to: &Oid| {
        format!("git -C {} restore --source={} --staged --worktree -- {}", git.root(), to.short(), paths.join(" "))
    };
    anyhow!(
        "an earlier `{}` was stopped halfway, and the tree has been changed since: {}\n\
         to complete it, which discards that change: {}\n\
         to undo it, which also discards that change: {}\n\
         then run the same command again; or, if the tree is as you want it, remove {file}",
        intent.command,
        what.join("; "),
        restore(&intent.files.to),
        restore(&intent.files.from),
    )
}

fn read(file: &Utf8Path) -> Result<Option<Intent>> {
    let Some(text) = files::read_if_there(file)? else { return Ok(None) };
    let intent = format::parse(&text, "the record of a movement").map_err(|why| {
        anyhow!("{file} {why}\nan earlier command was stopped: see what `git status` says, fix it, and remove the file")
    })?;
    Ok(Some(intent))
}
