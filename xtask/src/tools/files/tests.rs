//! Files of every kind, and what is said of those that are not read.

use super::*;

#[test]
fn of_a_line_that_a_power_cut_has_torn_nothing_stays() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
    for (before, after) in [("one\nhal", "one\nnext\n"), ("hal", "next\n"), ("one\n", "one\nnext\n"), ("", "next\n")] {
        fs::write(dir.join("journal"), before).expect("room");
        append_line(&dir.join("journal"), "next").expect("room");
        assert_eq!(fs::read_to_string(dir.join("journal")).expect("there"), after, "{before}");
    }
}

#[test]
fn compressed_bytes_depend_on_the_content_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
    let content = b"the same text ".repeat(1000);
    let one = gzip(&mut &content[..], &dir.join("one/x.gz")).expect("room");
    let two = gzip(&mut &content[..], &dir.join("two.gz")).expect("room");
    assert_eq!(one, two);
    assert_eq!(digest_of(&fs::read(dir.join("two.gz")).expect("there")), two);
    assert_eq!(gunzip(&dir.join("two.gz"), &dir.join("three")).expect("gzip"), digest_of(&content));
    assert_eq!(list(dir).expect("readable"), ["one/x.gz", "three", "two.gz"]);
    assert!(create(&dir.join("three"), "x").is_err(), "nothing is overwritten");
}

#[test]
fn what_replaces_a_file_is_for_others_to_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
    let path = dir.join("a/draft");
    for content in ["one", "two"] {
        write_atomic(&path, content).expect("room");
        assert_eq!(read_text(&path).expect("a file"), content);
    }
    fs::write(dir.join("usual"), "").expect("room");
    let mode = |path: &Utf8Path| fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(&path), mode(&dir.join("usual")));
    assert_eq!(list(dir).expect("readable"), ["a/draft", "usual"]);
}

#[test]
fn nothing_but_a_file_is_read_and_nothing_is_waited_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = Utf8Path::from_path(dir.path()).expect("UTF-8");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, dir.join(name)).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.join("pipe").as_std_path(), rustix::fs::Mode::RUSR).expect("a pipe");
    link("/dev/zero", "zero");
    link("pipe", "link");
    link("nowhere", "dangling");
    fs::create_dir(dir.join("dir")).expect("a directory");
    File::create(dir.join("huge")).and_then(|file| file.set_len(200 << 30)).expect("a sparse file");
    let say =
        |name: &str| format!("{:#}", read_if_there(&dir.join(name)).expect_err(name)).replace(dir.as_str(), "DIR");
    expect_test::expect![[r#"
            DIR/pipe is not a regular file, but a pipe
            DIR/zero is not a regular file, but a device
            DIR/link is not a regular file, but a pipe
            cannot read DIR/dangling: No such file or directory (os error 2)
            DIR/dir is not a regular file, but a directory
            DIR/huge has 214748364800 bytes, which is far too large for this file"#]]
    .assert_eq(&["pipe", "zero", "link", "dangling", "dir", "huge"].map(say).join("\n"));
    assert!(append_line(&dir.join("pipe"), "x").is_err() && append_line(&dir.join("journal"), "x").is_ok());
    assert_eq!(read_if_there(&dir.join("absent")).expect("looked at"), None);
    assert!(copy(&dir.join("pipe"), &[]).is_err() && read_prefix(&dir.join("zero"), 4).is_err());
    assert_eq!(empty_directories(dir).expect("readable"), ["dir"]);
    link("dir", "elsewhere");
    assert!(require_directory(&dir.join("dir")).is_ok() && require_directory(&dir.join("elsewhere")).is_err());
}
