//! Fuzz targets for what git's commands write. `xtask_test_support::fuzz` makes the texts.
//!
//! What every reader promises: it never panics; it makes up no name; and its messages have nothing that is hidden.

use xtask::tools::git::lists;
use xtask_test_support::fuzz::{Promise, check, check_same, target, text};

fn fuzz(name: &str, promise: impl Fn(&[u8]) -> Promise) {
    target(env!("CARGO_MANIFEST_DIR"), name, promise);
}

/// Checks that a name is what is between two of the characters that end one.
fn check_name(name: &str, of: &str, ends: &[char]) -> Promise {
    check_same("a name has no end in it", &name.contains(ends), &false)?;
    check_same("a name is one of the list", &of.split(ends).any(|part| part == name), &true)
}

#[test]
fn refs_of_remotes() {
    fuzz("remote-refs", |bytes| {
        let list = text(bytes);
        check(lists::remote_refs(&list), |refs| {
            refs.iter().try_for_each(|(name, oid)| {
                check_same("the line", &list.split('\n').any(|line| line == format!("{oid}\t{name}")), &true)
            })
        })
    });
}

#[test]
fn names() {
    fuzz("names", |bytes| lists::names(bytes).iter().try_for_each(|name| check_name(name, &text(bytes), &['\n'])));
}

#[test]
fn work_trees() {
    fuzz("work-trees", |bytes| {
        let list = text(bytes);
        for path in lists::work_trees(&list) {
            let line = format!("worktree {path}");
            check_same("the line", &list.split('\n').any(|other| other == line), &true)?;
        }
        match lists::work_tree_of(&list, "refs/heads/main") {
            Some(path) => check_name(&format!("refs/heads/main {path}"), &list, &['\n']),
            None => Ok(()),
        }
    });
}

#[test]
fn entries_of_trees_and_of_the_index() {
    let check_mode = |mode: &str| check_same("a mode has no blank", &mode.contains([' ', '\t', '\0']), &false);
    fuzz("tree-entries", |bytes| {
        check(lists::tree_entries(bytes), |entries| {
            entries.iter().try_for_each(|entry| {
                check_mode(&entry.mode)?;
                check_same(
                    "the end of a line",
                    &text(bytes).contains(&format!(" {}\t{}", entry.oid, entry.path)),
                    &true,
                )
            })
        })
    });
    fuzz("staged", |bytes| {
        check(lists::staged(bytes), |staged| {
            staged.iter().try_for_each(|(path, one)| {
                check_mode(&one.mode)?;
                check_same("its object", &text(bytes).contains(&format!(" {} {} ", one.mode, one.oid)), &true)?;
                check_same("a path has no end in it", &path.contains('\0'), &false)
            })
        })
    });
}

#[test]
fn what_differs_between_trees() {
    fuzz("differences", |bytes| {
        for one in lists::differences(&text(bytes)).unwrap_or_default() {
            check_name(&one.path, &text(bytes), &['\0'])?;
            for entry in one.from.iter().chain(&one.to) {
                check_same("its path", &entry.path, &one.path)?;
                check_same("a missing entry has no mode", &(entry.mode == "000000"), &false)?;
            }
        }
        Ok(())
    });
}
