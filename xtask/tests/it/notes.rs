//! `release notes` on directories as people have them, and as they should not.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use expect_test::expect;

use crate::repo::{Ran, Repo, xtask};

fn notes(args: &[&str]) -> Ran {
    xtask(&[&["release", "notes"], args].concat())
}

#[test]
fn renders_the_trees_own_fragments_with_links() {
    let repo = Repo::patch_release();
    let rendered = repo.xtask(&["release", "notes"]).ok();
    expect![[r#"
        ## Fixes

        - One [cl/1](https://gerrit.lix.systems/c/lix/+/1)

          First.

          Many thanks to [jade](https://git.lix.systems/jade) for this.


        ## Miscellany

        - Two [cl/2](https://gerrit.lix.systems/c/lix/+/2)

          Second.


    "#]]
    .assert_eq(&rendered);
    assert_eq!(repo.git(&["status", "--porcelain"]), "", "nothing is written");
}

#[test]
fn several_directories_are_one() {
    let repo = Repo::patch_release();
    let (a, b) = (repo.beside("a"), repo.beside("b"));
    for (dir, synopsis) in [(&a, "B comes second"), (&b, "A comes first")] {
        fs::create_dir(dir).expect("a directory");
        fs::write(
            dir.join(format!("{}.md", synopsis.replace(' ', "-"))),
            format!("---\nsynopsis: {synopsis}\n---\nx\n"),
        )
        .expect("a file");
    }
    let rendered = notes(&["--no-authors", a.as_str(), b.as_str()]).ok();
    assert!(rendered.find("A comes first") < rendered.find("B comes second"), "{rendered}");
    assert_eq!(rendered.matches("## Miscellany").count(), 1);
}

#[test]
fn an_empty_directory_renders_to_nothing_and_a_missing_one_is_an_error() {
    let repo = Repo::empty();
    let dir = repo.beside("empty");
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join(".gitkeep"), "").expect("a file");
    fs::write(dir.join(".hidden.md"), "not a fragment").expect("a file");
    assert_eq!(notes(&["--no-authors", dir.as_str()]).ok(), "");
    assert!(notes(&["--no-authors", repo.beside("none").as_str()]).fails(1).contains("cannot read the directory"));
    assert!(repo.xtask(&["release", "notes"]).fails(1).contains("has no doc/manual"));
}

#[test]
fn check_reports_everything_at_once_and_writes_nothing() {
    let repo = Repo::patch_release();
    assert_eq!(repo.xtask(&["release", "notes", "--check"]).ok(), "");
    repo.write("doc/manual/change-authors.yml", "puck: {}\njade:\n  forgejo: jade\n");
    repo.write("doc/manual/rl-next/a-bad.md", "---\nsynopsys: x\ncategory: fix\nissues: #561\n---\n");
    repo.write("doc/manual/rl-next/b.md", "---\nsynopsis: One\ncls: [2, 3]\ncredits: [jada, 名]\n---\n");
    repo.write("doc/manual/rl-next/sub/ignored.md", "anything");
    let ran = repo.xtask(&["release", "notes", "--check"]);
    expect![[r#"
        doc/manual/change-authors.yml:2: `jade` comes before `puck`: keys are in order, capitals first
        doc/manual/rl-next/a-bad.md:1: there is no `synopsis`: add `synopsis: one line of Markdown`
        doc/manual/rl-next/a-bad.md:2: unknown key `synopsys`: did you mean `synopsis`?
        doc/manual/rl-next/a-bad.md:3: category: unknown category `fix`: did you mean `Fixes`?
        doc/manual/rl-next/a-bad.md:4: issues: `#561` is a YAML comment, so there is no value: write fj#561 (Lix) or gh#561 (CppNix)
        doc/manual/rl-next/b.md:4: credits: `jada` is not in the author list: did you mean `jade`?
        doc/manual/rl-next/b.md:4: credits: `名` is not in the author list: add it there
        doc/manual/rl-next/one.md:2: synopsis: doc/manual/rl-next/b.md has the same one: merge the two, or tell them apart
        doc/manual/rl-next/two.md:3: cls: 2 is already listed in doc/manual/rl-next/b.md: a change belongs to one entry, once
    "#]].assert_eq(&ran.stdout);
    assert_eq!(ran.code, Some(1));
    let error = repo.xtask(&["release", "notes"]).fails(1);
    assert!(error.contains("a-bad.md:2: unknown key `synopsys`"), "{error}");
}

#[test]
fn what_is_no_regular_file_is_an_error_for_that_file() {
    let repo = Repo::empty();
    let dir = repo.beside("odd");
    fs::create_dir_all(dir.join("directory.md")).expect("a directory");
    fs::write(repo.beside("outside.md"), "---\nsynopsis: x\n---\n").expect("a file");
    symlink("../outside.md", dir.join("leads-out.md")).expect("a link");
    symlink("nowhere.md", dir.join("leads-nowhere.md")).expect("a link");
    fs::write(dir.join("real.md"), "---\nsynopsis: Real\n---\nx\n").expect("a file");
    fs::write(dir.join("huge.md"), vec![b'a'; (1 << 20) + 1]).expect("a file");
    fs::write(dir.join("bad-utf8.md"), b"---\nsynopsis: x\n---\n\xff\n").expect("a file");
    fs::write(dir.join("empty.md"), "").expect("a file");
    std::process::Command::new("mkfifo").arg(dir.join("pipe.md")).status().expect("a pipe");
    fs::write(dir.as_std_path().join(std::ffi::OsStr::from_bytes(b"name-\xff.md")), "no fragment").expect("a file");
    let ran = notes(&["--check", "--no-authors", dir.as_str()]);
    assert_eq!(ran.code, Some(1));
    expect![[r#"
        DIR/bad-utf8.md:4: this is not UTF-8: save the file in that encoding
        DIR/directory.md:1: is not a file: a fragment is one Markdown file, directly in the directory
        DIR/empty.md:1: the file is empty: a fragment starts with a line `---`, YAML, and another line `---`
        DIR/huge.md:1: is larger than 1 MiB: this cannot be a release note
        DIR/leads-nowhere.md:1: is a symlink that leads nowhere: No such file or directory (os error 2)
        DIR/leads-out.md:1: is a symlink that leads out of its directory: put the file itself there
        DIR/name-�.md:1: there is no front matter: a fragment starts with a line `---`, YAML, and another line `---`
        DIR/pipe.md:1: is not a file: a fragment is one Markdown file, directly in the directory
    "#]]
    .assert_eq(&ran.stdout.replace(dir.as_str(), "DIR"));

    // A link that stays inside is just another name.
    let good = repo.beside("good");
    fs::create_dir(&good).expect("a directory");
    fs::write(good.join("real.md"), "---\nsynopsis: Real\n---\nx\n").expect("a file");
    symlink("real.md", good.join("also.md")).expect("a link");
    assert_eq!(notes(&["--no-authors", good.as_str()]).ok().matches("- Real").count(), 2);
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let repo = Repo::patch_release();
    let mut child = repo
        .command(&["release", "notes"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the tool runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty());
}
