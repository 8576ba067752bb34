//! A push that a git remote refused: what it says about each ref, and what to do about it.
//!
//! The texts are the remote's; git writes the reasons to stdout (`--porcelain`) and the remote's messages to stderr.

use std::fmt;

use crate::shown;

/// Why a push was refused, on both of git's streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The refused refs of the remote, with a reason each.
    pub refs: Vec<(String, String)>,
    /// Other messages of the remote or of git itself.
    pub said: Vec<String>,
}

/// Messages of review servers about commits that they have already, in review or submitted: Gerrit's versions, and
/// others.
const NOTHING_NEW: [&str; 4] = ["no new changes", "no changes made", "already exists (", "nothing new"];

/// Number of last lines of the messages that are shown.
const LINES: usize = 15;

impl Refusal {
    /// Reads what `git push --porcelain` wrote; `None` if it names no refused ref, because the push failed before that.
    pub fn read(stdout: &str, stderr: &str) -> Option<Refusal> {
        let refs: Vec<(String, String)> = stdout.lines().filter_map(refused).collect();
        if refs.is_empty() {
            return None;
        }
        let mut said: Vec<String> = Vec::new();
        for line in stderr.lines().filter_map(word) {
            if !said.contains(&line) && !refs.iter().any(|(_, reason)| *reason == line) {
                said.push(line);
            }
        }
        said.drain(..said.len().saturating_sub(LINES));
        Some(Refusal { refs, said })
    }

    /// Whether this is not a real refusal, because Gerrit has all of these commits.
    pub fn is_nothing_new(&self) -> bool {
        let is_known = |reason: &str| NOTHING_NEW.iter().any(|words| reason.to_lowercase().contains(words));
        self.refs.iter().all(|(_, reason)| is_known(reason))
    }

    fn remedies(&self) -> Vec<&'static str> {
        let all = self.refs.iter().map(|(_, reason)| reason).chain(&self.said);
        let all = all.map(|text| text.to_lowercase()).collect::<Vec<_>>().join("\n");
        let fits = |(texts, _): &&(&[&str], &str)| texts.iter().any(|text| all.contains(text));
        REMEDIES.iter().filter(fits).map(|(_, remedy)| *remedy).collect()
    }
}

/// Texts that refusals contain, in lower case, with the remedy.
const REMEDIES: [(&[&str], &str); 9] = [
    (
        &["missing change-id", "invalid change-id"],
        "Gerrit wants a Change-Id in each commit: install its `commit-msg` hook in this clone (its page of the \
         repository shows how), undo the tag and its commits as the guide says, and tag again",
    ),
    (
        &["not registered", "invalid committer", "invalid author"],
        "Gerrit does not know that address as yours: register it there, or set `git config user.email` to one that is \
         registered, undo the tag and its commits as the guide says, and tag again",
    ),
    (
        &["closed"],
        "the change was abandoned or submitted already: look at it in Gerrit, where an abandoned one can be restored",
    ),
    (
        &["prohibited by gerrit", "not permitted", "permission denied", "access denied"],
        "your account may not push this: a tag needs `Create Annotated Tag` or `Create Signed Tag`, a branch \
          `Create Reference`, a review `Push` on `refs/for/…`: ask the repository's administrators for it",
    ),
    (
        &["hidden ref"],
        "the remote hides this ref (`transfer.hideRefs`, `receive.hideRefs`) and accepts no push to it: ask its \
         administrators",
    ),
    (
        &["non-fast-forward", "fetch first", "stale info", "needs force"],
        "the remote has commits that our branch does not contain, because someone else pushed: run the same command again to \
         see them",
    ),
    (&["already exists"], "the remote has a ref of this name with other content: run the same command again to see it"),
    (
        &["cannot lock ref", "failed to update ref", "failed to lock", "lock failure", "unable to create"],
        "another push may be under way: run the same command again",
    ),
    (
        &["unpacker error", "internal server error", "index-pack", "disk quota", "no space left"],
        "the server failed, and not because of what was pushed: try again; if it fails again, tell its administrators",
    ),
];

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refs = self.refs.iter().map(|(name, reason)| format!("{name} was refused: {reason}"));
        let said = self.said.iter().map(|line| format!("  {line}"));
        let remedies = self.remedies().into_iter().map(str::to_owned);
        f.write_str(&refs.chain(said).chain(remedies).collect::<Vec<_>>().join("\n"))
    }
}

/// Reads the remote's ref and the reason from a line such as
/// `!⇥abc:refs/for/main⇥[remote rejected] (no new changes)`, where `⇥` stands for a tab.
fn refused(line: &str) -> Option<(String, String)> {
    let [refs, summary] = line.strip_prefix("!\t")?.splitn(2, '\t').collect::<Vec<_>>()[..] else { return None };
    // A deletion has nothing before the colon, and a name has no colon.
    let name = refs.rsplit(':').next().unwrap_or(refs);
    let reason = match summary.split_once(" (") {
        Some((_, reason)) => reason.strip_suffix(')').unwrap_or(reason),
        None => summary.trim_matches(['[', ']']),
    };
    Some((shown::reason(name), shown::reason(reason.trim())))
}

/// Returns a line of stderr if it is a message, and not one of git's usual lines or the remote's progress.
fn word(line: &str) -> Option<String> {
    const FRAME: [&str; 8] = [
        "error: failed to push some refs",
        "hint: ",
        "To ",
        "Counting objects",
        "Compressing objects",
        "Writing objects",
        "Delta compression",
        "Enumerating objects",
    ];
    const PROGRESS: [&str; 4] = ["Processing changes", "Resolving deltas", "Counting objects", "Checking connectivity"];
    // Progress overwrites its line; only the last state stays.
    let line = line.rsplit('\r').find(|part| !part.trim().is_empty())?;
    if FRAME.iter().any(|frame| line.starts_with(frame)) || line.starts_with("Total ") {
        return None;
    }
    let (from_remote, text) = match line.strip_prefix("remote:") {
        Some(text) => (true, text),
        None => (false, line),
    };
    let text = text.strip_suffix("\u{1b}[K").unwrap_or(text).trim_end();
    let text = text.strip_prefix(' ').unwrap_or(text);
    let is_progress = from_remote && PROGRESS.iter().any(|progress| text.starts_with(progress));
    (!text.is_empty() && !is_progress).then(|| shown::reason(text))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(stdout: &str, stderr: &str, expected: Expect) {
        let refusal = Refusal::read(stdout, stderr).expect("a refusal");
        expected.assert_eq(&(refusal.to_string() + "\n"));
    }

    #[test]
    fn reasons_are_shown_once_with_what_helps() {
        check(
            "To ssh://gerrit.example/lix\n!\tabc:refs/for/main\t[remote rejected] (commit abc1234: missing Change-Id in message footer)\nDone\n",
            "remote: \nremote: Processing changes: refs: 1\rremote: Processing changes: refs: 1, done    \n\
             remote: ERROR: commit abc1234: missing Change-Id in message footer        \n\
             remote: \nremote: Hint: to automatically insert a Change-Id, install the hook:        \n\
             remote:   gitdir=$(git rev-parse --git-dir); scp -p -P 2022 …        \n\
             error: failed to push some refs to 'ssh://gerrit.example/lix'\n",
            expect![[r#"
                refs/for/main was refused: commit abc1234: missing Change-Id in message footer
                  ERROR: commit abc1234: missing Change-Id in message footer
                  Hint: to automatically insert a Change-Id, install the hook:
                    gitdir=$(git rev-parse --git-dir); scp -p -P 2022 …
                Gerrit wants a Change-Id in each commit: install its `commit-msg` hook in this clone (its page of the repository shows how), undo the tag and its commits as the guide says, and tag again
            "#]],
        );
        check(
            "!\tabc:refs/tags/2.94.0\t[remote rejected] (prohibited by Gerrit: not permitted: create signed tag)\n",
            "",
            expect![[r#"
                refs/tags/2.94.0 was refused: prohibited by Gerrit: not permitted: create signed tag
                your account may not push this: a tag needs `Create Annotated Tag` or `Create Signed Tag`, a branch `Create Reference`, a review `Push` on `refs/for/…`: ask the repository's administrators for it
            "#]],
        );
        check(
            "!\tabc:refs/heads/main\t[rejected] (non-fast-forward)\n \tdef:refs/heads/x\tabc..def\n",
            "hint: Updates were rejected because the tip of your current branch is behind\n",
            expect![[r#"
                refs/heads/main was refused: non-fast-forward
                the remote has commits that our branch does not contain, because someone else pushed: run the same command again to see them
            "#]],
        );
        check(
            "!\tabc:refs/heads/x\t[remote rejected] (hook declined)\n",
            "remote: not on a Friday\nremote: not on a Friday\n",
            expect![[r#"
                refs/heads/x was refused: hook declined
                  not on a Friday
            "#]],
        );
        check(
            "!\tabc:refs/heads/x\t[remote failure] (remote failed to report status)\n!\t:refs/heads/y\t[no match]\n",
            "fatal: the remote end hung up unexpectedly\n",
            expect![[r#"
                refs/heads/x was refused: remote failed to report status
                refs/heads/y was refused: no match
                  fatal: the remote end hung up unexpectedly
            "#]],
        );
    }

    #[test]
    fn what_gerrit_has_already_is_not_a_refusal() {
        let line = "!\tabc:refs/for/main\t[remote rejected] (no new changes)\n";
        for words in
            ["no new changes", "No changes made", "commit(s) already exists (as current patchset)", "nothing new"]
        {
            let line = line.replace("no new changes", words);
            assert!(Refusal::read(&line, "").is_some_and(|refusal| refusal.is_nothing_new()), "{words}");
        }
        let other = "!\tabc:refs/tags/1\t[remote rejected] (change https://gerrit.example/c/lix/+/12 closed)\n";
        assert!(Refusal::read(&format!("{line}{other}"), "").is_some_and(|refusal| !refusal.is_nothing_new()));
        assert_eq!(Refusal::read("To x\n*\ta:b\t[new branch]\nDone\n", "fatal: no route to host\n"), None);
        assert_eq!(Refusal::read("!\n!\t\n!x", ""), None, "cut off");
    }
}
