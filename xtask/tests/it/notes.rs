//! `release notes` on directories as people have them, and with mistakes.

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
        doc/manual/rl-next/sub/ignored.md is in a subdirectory, which is not read: move it up
        doc/manual/change-authors.yml:2: `jade` goes before `puck`: keys are sorted, capitals first
        doc/manual/rl-next/a-bad.md:1: there is no `synopsis`: add `synopsis: one line of Markdown`
        doc/manual/rl-next/a-bad.md:2: unknown key `synopsys`: did you mean `synopsis`?
        doc/manual/rl-next/a-bad.md:3: category: unknown category `fix`: did you mean `Fixes`?
        doc/manual/rl-next/a-bad.md:4: issues: `#561` is a YAML comment, so there is no value: did you mean `fj#561` (fj# is Lix, gh# is CppNix)?
        doc/manual/rl-next/b.md:4: credits: `jada` is not in the author list: did you mean `jade`?
        doc/manual/rl-next/b.md:4: credits: `名` is not in the author list: add it there
        doc/manual/rl-next/one.md:2: synopsis: doc/manual/rl-next/b.md has the same one: merge the two, or change one of them
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
        DIR/directory.md:1: is not a regular file: a fragment is one Markdown file, directly in the directory
        DIR/empty.md:1: the file is empty: a fragment starts with a line `---`, YAML, and another line `---`
        DIR/huge.md:1: is larger than 1 MiB: this cannot be a release note
        DIR/leads-nowhere.md:1: is a symlink that leads nowhere: No such file or directory (os error 2)
        DIR/leads-out.md:1: is a symlink that leads out of its directory: put the file itself there
        DIR/name-�.md:1: has a name that is not UTF-8: rename it
        DIR/pipe.md:1: is not a regular file: a fragment is one Markdown file, directly in the directory
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
fn what_lies_beside_fragments_is_no_problem_for_rendering_and_one_for_check() {
    let repo = Repo::empty();
    let dir = repo.beside("beside");
    fs::create_dir_all(dir.join("sub/deeper")).expect("directories");
    fs::create_dir_all(dir.join("pictures")).expect("a directory");
    for name in [
        "X.MD",
        "y.markdown",
        "w.mdx",
        "z.md.txt",
        "sub/v.md",
        "sub/deeper/u.MD",
        "pictures/p.png",
        "a.md~",
        "README",
        ".gitkeep",
        ".a.md.swp",
        ".hidden.md",
        "line\nbreak.txt",
    ] {
        fs::write(dir.join(name), "---\nsynopsis: Beside\n---\nx\n").expect("a file");
    }
    symlink("manager@host.1234:5", dir.join(".#a.md")).expect("a link");
    symlink("..", dir.join("sub/round.md")).expect("a link");
    fs::write(dir.join("a.md"), "---\nsynopsis: Real\n---\nx\n").expect("a file");
    let ran = notes(&["--check", "--no-authors", dir.as_str()]);
    assert_eq!(ran.code, Some(1));
    expect![[r#"
        DIR/.#a.md shows that an editor has unsaved changes to a.md: save them, or remove this mark
        DIR/.hidden.md is not read: if it is a fragment, rename it to hidden.md
        DIR/README is not read: if it is a fragment, rename it to README.md
        DIR/X.MD is not read: if it is a fragment, rename it to X.md
        DIR/a.md~ is an editor's copy and is not read: remove it
        DIR/line\nbreak.txt is not read: if it is a fragment, rename it to line\nbreak.md
        DIR/sub/round.md is in a subdirectory, which is not read: move it up
        DIR/sub/v.md is in a subdirectory, which is not read: move it up
        DIR/sub/deeper/u.MD is in a subdirectory, which is not read: move it up
        DIR/w.mdx is not read: if it is a fragment, rename it to w.md
        DIR/y.markdown is not read: if it is a fragment, rename it to y.md
        DIR/z.md.txt is not read: if it is a fragment, rename it to z.md
    "#]]
    .assert_eq(&ran.stdout.replace(dir.as_str(), "DIR"));

    let rendered = notes(&["--no-authors", dir.as_str()]);
    assert!(
        rendered.stderr.contains("X.MD is not read: if it is a fragment, rename it to X.md"),
        "{}",
        rendered.stderr
    );
    assert_eq!(rendered.ok(), "## Miscellany\n\n- Real\n\n  x\n\n\n");
}

#[test]
fn what_people_paste_is_answered_with_what_to_write_all_at_once() {
    let repo = Repo::patch_release();
    repo.write("doc/manual/change-authors.yml", "horrors:\n  display_name: eldritch horrors\n  forgejo: pennae\n");
    repo.write("doc/manual/rl-next/one.md", "---\nsynopsis: One\n---\n");
    repo.write(
        "doc/manual/rl-next/pasted.md",
        "---\nsynopsis: Merge #12 and #13\ncls: 1902, 11326\nissues: https://gerrit.lix.systems/c/lix/+/1234/2\nprs:\n  \
         - https://github.com/NixOS/nix/issues/14120\n  - NixOS/nix#9 lix-project/lix#8\ncategory: fix\n\
         credits: [pennae, Eldritch Horrors, nobody]\n---\n",
    );
    let ran = repo.xtask(&["release", "notes", "--check"]);
    assert_eq!(ran.code, Some(1));
    expect![[r#"
        doc/manual/rl-next/pasted.md:2: synopsis: `#12 and #13` is a YAML comment and would be left out: put the synopsis in quotes
        doc/manual/rl-next/pasted.md:3: cls: `1902, 11326` is not a Gerrit change number: did you mean `[1902, 11326]`?
        doc/manual/rl-next/pasted.md:4: issues: `https://gerrit.lix.systems/c/lix/+/1234/2` is not a reference: did you mean `cls: 1234`?
        doc/manual/rl-next/pasted.md:6: prs: `https://github.com/NixOS/nix/issues/14120` is not a reference: did you mean `issues: gh#14120`?
        doc/manual/rl-next/pasted.md:7: prs: `NixOS/nix#9 lix-project/lix#8` is not a reference: did you mean `gh#9, fj#8`?
        doc/manual/rl-next/pasted.md:8: category: unknown category `fix`: did you mean `Fixes`?
        doc/manual/rl-next/pasted.md:9: credits: `pennae` is not in the author list: did you mean `horrors`?
        doc/manual/rl-next/pasted.md:9: credits: `Eldritch Horrors` is not in the author list: did you mean `horrors`?
        doc/manual/rl-next/pasted.md:9: credits: `nobody` is not in the author list: add it there
    "#]].assert_eq(&ran.stdout);
    let error = repo.xtask(&["release", "notes"]).fails(1);
    assert!(error.contains("unknown category") && error.contains("`nobody` is not in the author list"), "{error}");
}

#[test]
fn bytes_that_are_not_text_are_named_by_line_and_line_ends_of_any_system_are_read() {
    let repo = Repo::empty();
    let dir = repo.beside("bytes");
    fs::create_dir(&dir).expect("a directory");
    let note = "---\nsynopsis: Real\n---\n\nx\ny\n";
    let utf16 = |text: &str, mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        mark.into_iter().chain(text.encode_utf16().flat_map(bytes)).collect()
    };
    for (name, content) in [
        ("bom.md", format!("\u{feff}{note}").into_bytes()),
        ("crlf.md", note.replace('\n', "\r\n").into_bytes()),
        ("no-end.md", note.trim_end().as_bytes().to_vec()),
    ] {
        fs::write(dir.join(name), content).expect("a file");
        assert_eq!(notes(&["--no-authors", dir.as_str()]).ok(), "## Miscellany\n\n- Real\n\n  x\n  y\n\n\n", "{name}");
        fs::remove_file(dir.join(name)).expect("removed");
    }
    for (name, content) in [
        ("cr.md", note.replace('\n', "\r").into_bytes()),
        ("mixed.md", note.replace("x\n", "x\r").into_bytes()),
        ("utf16le.md", utf16(note, [0xff, 0xfe], u16::to_le_bytes)),
        ("utf16be.md", utf16(note, [0xfe, 0xff], u16::to_be_bytes)),
        ("nul.md", note.replace("y\n", "\0").into_bytes()),
        ("escape.md", note.replace("y\n", "\x1b[31m").into_bytes()),
        ("latin1.md", b"---\nsynopsis: Real\n---\n\n\xe9\n".to_vec()),
        ("cut.md", note.as_bytes()[..20].to_vec()),
    ] {
        fs::write(dir.join(name), content).expect("a file");
    }
    let ran = notes(&["--check", "--no-authors", dir.as_str()]);
    assert_eq!(ran.code, Some(1));
    expect![[r#"
        DIR/cr.md:1: this line ends with a carriage return alone: save the file with LF line ends
        DIR/cut.md:1: the front matter has no end: a fragment starts with a line `---`, YAML, and another line `---`
        DIR/escape.md:6: this line has the control character \u{1b}: remove it
        DIR/latin1.md:5: this is not UTF-8: save the file in that encoding
        DIR/mixed.md:5: this line ends with a carriage return alone: save the file with LF line ends
        DIR/nul.md:6: this is a NUL character, which text does not have: save the file as UTF-8 text
        DIR/utf16be.md:1: this is UTF-16, not UTF-8: save the file in that encoding
        DIR/utf16le.md:1: this is UTF-16, not UTF-8: save the file in that encoding
    "#]]
    .assert_eq(&ran.stdout.replace(dir.as_str(), "DIR"));
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

#[test]
fn a_faulty_author_list_hides_nothing() {
    let repo = Repo::patch_release();
    repo.write("doc/manual/rl-next/a.md", "---\nsynopsis: A\ncredits: [jade, puck, nobody]\n---\nx\n");
    repo.write("doc/manual/rl-next/b.md", "---\nsynopsis: B\nissues: x\ncredits: somebody\n---\nx\n");
    repo.commit_all("fragments");
    let mut shown = String::new();
    for list in
        ["jade:\n  gihtub: jade\npuck: x\n", "jade: {}\n\tx: y\npuck: {}\n", "jade:\n  forgejo: \u{7}\npuck: {}\n"]
    {
        repo.write("doc/manual/change-authors.yml", list);
        let checked = repo.xtask(&["release", "notes", "--check"]);
        assert_eq!(checked.code, Some(1), "{checked:?}");
        shown += &format!("{}\n", checked.stdout);
        let prepared = repo.xtask(&["release", "prepare"]).fails(1);
        for line in checked.stdout.lines() {
            assert!(prepared.contains(line), "{line}: {prepared}");
        }
    }
    fs::remove_file(repo.root.join("doc/manual/change-authors.yml")).expect("a file");
    shown += &repo.xtask(&["release", "notes", "--check"]).stdout;
    expect![[r#"
        doc/manual/change-authors.yml:2: unknown key `gihtub`: did you mean `github`?
        doc/manual/change-authors.yml:3: `puck` needs a mapping with any of `display_name`, `forgejo`, `github`
        doc/manual/rl-next/a.md:3: credits: `nobody` is not in the author list: add it there
        doc/manual/rl-next/b.md:3: issues: `x` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
        doc/manual/rl-next/b.md:4: credits: `somebody` is not in the author list: add it there

        doc/manual/change-authors.yml:2: this is not YAML: tabs disallowed within this context (block indentation) (YAML is indented with spaces, not tabs)
        doc/manual/rl-next/a.md:3: credits: `nobody` is not in the author list: add it there
        doc/manual/rl-next/b.md:3: issues: `x` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
        doc/manual/rl-next/b.md:4: credits: `somebody` is not in the author list: add it there

        doc/manual/change-authors.yml:2: this line has the control character \u{7}: remove it
        doc/manual/rl-next/a.md:3: credits: `nobody` is not in the author list: add it there
        doc/manual/rl-next/b.md:3: issues: `x` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
        doc/manual/rl-next/b.md:4: credits: `somebody` is not in the author list: add it there

        the author list doc/manual/change-authors.yml cannot be read: No such file or directory (os error 2); without it, credits are not checked
        doc/manual/rl-next/b.md:3: issues: `x` is not a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N
    "#]]
    .assert_eq(&shown);
}

/// Fragments in the style of the project from which Lix was forked.
#[test]
fn fragments_of_other_projects_are_answered_with_what_to_write() {
    let repo = Repo::patch_release();
    for (name, text) in [
        (
            "a.md",
            "---\nsynopsis: \"`nix foo`\"\nprs: [9999]\nissues: [1, 2]\ndescription: |\n  text\n---\n\n# Heading\n",
        ),
        ("b.md", "synopsis: No fences\nissues: 1 2\ndescription: {\n\ntext\n\n}\n"),
        ("c.md", "---\nsynopsis: Hashes\nissues: [#5]\n---\nx\n"),
        ("d.md", "---\nsynopsis: No end\ndescription:\n  - one\n"),
        ("e.md", "# Heading\n\nText.\n"),
        ("f.md", "synopsis: No start\nprs: 3\n---\n\nText.\n"),
        ("g.md", "---\nsynopsis: Foo: bar\n---\nx\n"),
        ("h.md", "---\nsynopsis: Hashes\nprs: #123 #124\nauthors: [x]\ntitle: y\nkind: z\n---\nx\n"),
        ("i.md", "---\nsynopsis: Tab\nprs:\n\t- 1\n---\nx\n"),
    ] {
        repo.write(&format!("doc/manual/rl-next/{name}"), text);
    }
    expect![[r#"
        doc/manual/rl-next/a.md:5: unknown key `description`: the text goes below the second line `---`
        doc/manual/rl-next/b.md:1: the line `---` above the keys is missing: a fragment starts with a line `---`, YAML, and another line `---`
        doc/manual/rl-next/c.md:3: a `#` here starts a comment, so this list has no end: write fj#N or gh#N, or use quotes
        doc/manual/rl-next/d.md:1: the front matter has no end: a fragment starts with a line `---`, YAML, and another line `---`
        doc/manual/rl-next/e.md:1: there is no front matter: a fragment starts with a line `---`, YAML, and another line `---`
        doc/manual/rl-next/f.md:1: the line `---` above the keys is missing: a fragment starts with a line `---`, YAML, and another line `---`
        doc/manual/rl-next/g.md:2: this is not YAML: mapping values are not allowed in this context (text that contains `: ` or quotes, or starts with a special character, goes in quotes)
        doc/manual/rl-next/h.md:3: prs: `#123 #124` is a YAML comment, so there is no value: did you mean `[fj#123, fj#124]` (fj# is Lix, gh# is CppNix)?
        doc/manual/rl-next/h.md:4: unknown key `authors`: did you mean `credits`?
        doc/manual/rl-next/h.md:5: unknown key `title`: did you mean `synopsis`?
        doc/manual/rl-next/h.md:6: unknown key `kind`: did you mean `category`?
        doc/manual/rl-next/i.md:4: this is not YAML: tabs disallowed within this context (block indentation) (YAML is indented with spaces, not tabs)
    "#]]
    .assert_eq(&repo.xtask(&["release", "notes", "--check"]).stdout);
}
