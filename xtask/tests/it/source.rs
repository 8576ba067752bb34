//! The source archive: the same bytes from every clone of a tag, and never anything but the tag's tree.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use expect_test::expect;
use xtask::domain::oid::Oid;
use xtask::tools::git::Git;
use xtask::tools::source::Source;

use crate::repo::{Repo, make_executable};

/// A line with `é` in UTF-16, with a byte order mark.
const UTF_16: &[u8] = b"\xff\xfe\xe9\0\n\0";

/// A commit with a file of every kind, tagged `1.0.0`.
fn tree() -> Repo {
    let repo = Repo::empty();
    let attributes = "\
STAMP export-subst
ID ident
*.bat eol=crlf
wide.txt working-tree-encoding=UTF-16LE-BOM
/secret export-ignore
*.key export-ignore
";
    repo.write(".gitattributes", attributes);
    repo.write("README.md", "the readme\n");
    repo.write("STAMP", "$Format:%H %h %T %aN %cI %ad %s$ $Id$ $Format:%aE$\n");
    repo.write("ID", "$Id$\n");
    repo.write("run.bat", "one\ntwo\n");
    fs::write(repo.root.join("wide.txt"), UTF_16).expect("written");
    repo.write("secret/file", "secret\n");
    repo.write("keys/private.key", "secret\n");
    repo.write("bin/run", "#!/bin/sh\n");
    make_executable(&repo.root.join("bin/run"));
    repo.write("empty", "");
    repo.write(&format!("{}/deep", ["a directory with a long name"; 12].join("/")), "deep\n");
    repo.write("a line\nand \"another\"\t*", "odd\n");
    fs::write(repo.root.as_std_path().join(OsStr::from_bytes(b"latin-\xe9")), "odd\n").expect("written");
    std::os::unix::fs::symlink("../".repeat(60) + "away", repo.root.join("link")).expect("linked");
    repo.write(".mailmap", "Named In Tree <manager@example.org>\n");
    repo.git(&["config", "core.abbrev", "7"]);
    repo.git(&["add", "--all"]);
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},modules/one", "1".repeat(40))]);
    repo.git(&["commit", "--quiet", "-m", "release: 1.0.0, für alle"]);
    repo.git(&["tag", "--annotate", "-m", "release: 1.0.0", "1.0.0"]);
    repo
}

/// Path of the archive, or the error.
fn archive(repo: &Repo) -> Result<Utf8PathBuf, String> {
    let to = repo.beside("source.tar.gz");
    let made = || {
        let git = Git::open(&repo.root)?;
        let commit: Oid = repo.git(&["rev-parse", "1.0.0^{commit}"]).parse().map_err(anyhow::Error::msg)?;
        git.require_objects(&commit, false)?;
        let source = Source::open(&git, &commit, None)?;
        source.faults()?.into_result()?;
        source.archive("lix-1.0.0/", &to)
    };
    made().map(|_| to).map_err(|error: anyhow::Error| format!("{error:#}"))
}

fn clone(repo: &Repo, options: &[&str]) -> Repo {
    let scratch = tempfile::tempdir().expect("a directory");
    let root = Utf8Path::from_path(scratch.path()).expect("UTF-8").join("tree");
    repo.git(&[&["clone", "--quiet"], options, &[&format!("file://{}", repo.root), root.as_str()]].concat());
    Repo::at(scratch, root)
}

/// A clone whose git configuration would change every file.
fn contrary(repo: &Repo) -> Repo {
    let clone = clone(repo, &[]);
    let settings = "\
core.abbrev=20 core.autocrlf=true core.eol=crlf core.ignoreCase=true core.symlinks=false core.quotePath=true
core.bigFileThreshold=1 core.fileMode=false core.precomposeUnicode=true core.compression=0 core.commentChar=$
core.sparseCheckout=true core.splitIndex=true core.untrackedCache=true core.fsmonitor=false core.safecrlf=true
tar.umask=0077 tar.tar.command=false tar.tar.gz.command=false i18n.logOutputEncoding=ISO-8859-1
i18n.commitEncoding=ISO-8859-1 log.date=relative log.mailmap=false log.showSignature=true log.decorate=full
color.ui=always mailmap.file=.git/mailmap feature.manyFiles=true feature.experimental=true diff.noprefix=true
filter.shout.clean=cat filter.shout.smudge=false filter.shout.required=true attr.tree=other
submodule.recurse=true uploadArchive.allowUnreachable=true";
    for setting in settings.split_whitespace() {
        let (key, value) = setting.split_once('=').expect("a value");
        clone.git(&["config", key, value]);
    }
    let dir = clone.root.join(".git");
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("written");
    clone.git(&["config", "core.attributesFile", dir.join("attributes").as_str()]);
    write("attributes", "bin export-ignore\n* filter=shout\n");
    write("info/attributes", "README.md export-ignore\n* export-subst filter=shout eol=crlf -ident\n");
    write("mailmap", "Somebody Else <manager@example.org>\n");
    clone.git(&["config", "user.name", "Somebody"]);
    clone.git(&["config", "user.email", "somebody@example.org"]);
    clone.git(&["notes", "add", "-m", "a note", "1.0.0"]);
    for name in ["mine", "1.0.0", "other"] {
        clone.git(&["branch", name, "refs/tags/1.0.0^{commit}"]);
    }
    fs::write(clone.beside("other"), "something else\n").expect("written");
    let other = clone.git(&["hash-object", "-w", "--no-filters", clone.beside("other").as_str()]);
    clone.git(&["replace", &clone.git(&["rev-parse", "HEAD:README.md"]), &other]);
    let tree = clone.git(&["write-tree"]);
    let commit = clone.git(&["commit-tree", "-m", "another commit", &tree]);
    clone.git(&["replace", &clone.git(&["rev-parse", "HEAD"]), &commit]);
    clone
}

#[test]
fn every_clone_of_a_tag_gives_the_same_archive() {
    let repo = tree();
    let plain = archive(&clone(&repo, &[])).map(|path| fs::read(path).expect("readable"));
    let plain = plain.expect("an archive");
    let bare = clone(&repo, &["--bare"]);
    let elsewhere = bare.beside("work tree");
    bare.git(&["worktree", "add", "--quiet", "--detach", elsewhere.as_str(), "1.0.0"]);
    let linked = Repo::at(tempfile::tempdir().expect("a directory"), elsewhere);
    for clone in [contrary(&repo), clone(&repo, &["--depth=1", "--branch=1.0.0"]), linked, repo.copy()] {
        let other = archive(&clone).expect("an archive");
        assert!(fs::read(other).expect("readable") == plain, "from {}", clone.root);
    }
}

#[test]
fn the_archive_is_the_tree() {
    let repo = tree();
    let path = archive(&repo).expect("an archive");
    let tar = |args: &[&str]| {
        let ran = Command::new("tar").args(args).env("LC_ALL", "C").output().expect("tar runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    };
    let listed = String::from_utf8(tar(&["tzf", path.as_str()])).expect("tar escapes");
    let deep = ["a directory with a long name"; 12].join("/");
    let listed: Vec<String> = listed.lines().map(|line| line.replace(&deep, "DEEP")).collect();
    let listed: Vec<&str> = listed.iter().map(String::as_str).filter(|line| !line.contains("a directory")).collect();
    expect![[r#"
        lix-1.0.0/
        lix-1.0.0/.gitattributes
        lix-1.0.0/.mailmap
        lix-1.0.0/ID
        lix-1.0.0/README.md
        lix-1.0.0/STAMP
        lix-1.0.0/DEEP/
        lix-1.0.0/DEEP/deep
        lix-1.0.0/a line\nand "another"\t*
        lix-1.0.0/bin/
        lix-1.0.0/bin/run
        lix-1.0.0/empty
        lix-1.0.0/keys/
        lix-1.0.0/latin-\351
        lix-1.0.0/link
        lix-1.0.0/modules/
        lix-1.0.0/modules/one/
        lix-1.0.0/run.bat
        lix-1.0.0/wide.txt
    "#]]
    .assert_eq(&(listed.join("\n") + "\n"));
    let file = |name: &str| tar(&["xzOf", path.as_str(), &format!("lix-1.0.0/{name}")]);
    let [commit, tree] = ["HEAD", "HEAD^{tree}"].map(|name| repo.git(&["rev-parse", name]));
    let stamp = String::from_utf8(file("STAMP")).expect("UTF-8");
    assert!(stamp.starts_with(&format!("{commit} {commit} {tree} Named In Tree 20")), "{stamp}");
    assert!(stamp.ends_with(" release: 1.0.0, für alle $Id$ manager@example.org\n"), "{stamp}");
    assert_eq!(file("ID"), format!("$Id: {} $\n", repo.git(&["rev-parse", "HEAD:ID"])).into_bytes());
    assert_eq!(file("run.bat"), b"one\r\ntwo\r\n");
    assert_eq!(file("wide.txt"), UTF_16);
    let git = Git::open(&repo.root).expect("a repository");
    let commit = commit.parse().expect("an object name");
    assert_eq!(Source::open(&git, &commit, None).expect("readable").submodules(), ["modules/one"]);
}

#[test]
fn what_a_clone_decides_is_refused_by_name() {
    let repo = Repo::empty();
    repo.write(
        ".gitattributes",
        "*.bin filter=lfs diff=lfs merge=lfs -text\nVERSION export-subst\nold/*.bin -filter\n/gone export-ignore\n",
    );
    repo.write("logo.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    repo.write("old/logo.bin", "as it is\n");
    repo.write("gone/logo.bin", "not archived\n");
    repo.write("VERSION", "$Format:%d$ $Format:%(describe)$ %d\n");
    repo.commit_all("a tree");
    repo.git(&["tag", "--annotate", "-m", "x", "1.0.0"]);
    expect![[r#"
        VERSION has the attribute `export-subst`, and %d %(describe) in it differs from clone to clone or from day to day: use `%H` or another placeholder that does not
        logo.bin has the attribute `filter=lfs`, and each clone decides for itself what that filter does: remove the attribute, and release the content that git has"#]].assert_eq(&archive(&repo).expect_err("it depends on the clone"));
}

#[test]
fn what_is_not_there_is_named_with_the_command_that_fetches_it() {
    let repo = tree();
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let partial = clone(&repo, &["--filter=blob:none", "--no-checkout", "--origin=upstream.example"]);
    let said = archive(&partial).expect_err("its files are not there");
    let commit = partial.git(&["rev-parse", "HEAD"]);
    expect!["this is a partial clone: commit COMMIT is missing 13 objects; fetch them with `git fetch --refetch --no-filter upstream.example`"].assert_eq(&said.replace(&commit[..12], "COMMIT"));
    partial.git(&["fetch", "--quiet", "--refetch", "--no-filter", "upstream.example"]);
    archive(&partial).expect("an archive");

    let damaged = repo.copy();
    let blob = damaged.git(&["rev-parse", "HEAD:README.md"]);
    fs::remove_file(damaged.root.join(".git/objects").join(&blob[..2]).join(&blob[2..])).expect("removed");
    let said = archive(&damaged).expect_err("a file is not there");
    let commit = damaged.git(&["rev-parse", "HEAD"]);
    expect!["this repository is damaged: commit COMMIT is missing 1 object; `git fsck` shows more"]
        .assert_eq(&said.replace(&commit[..12], "COMMIT"));
}
