//! Tampering: each kind of object, damaged in each way. What is sealed or published is refused and named, and nothing is
//! waited for. The tests print what was seen as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use xtask::domain::extent::Extent;
use xtask::domain::product::Product;
use xtask::tools::git::Git;
use xtask_publish::site::built::Built;

use crate::release::Release;

mod published;

/// Far above what any of it takes; only what waits for ever takes as long.
const LONGEST: Duration = Duration::from_secs(60);

/// What was seen, by kind of object and by damage.
#[derive(Default)]
struct Table {
    cells: BTreeMap<String, BTreeMap<&'static str, String>>,
    wrong: Vec<String>,
}

/// A cell that is as it should be.
const RIGHT: &str = "✓";

impl Table {
    fn note(&mut self, kind: &str, damage: &'static str, seen: Result<(), String>) {
        let cell = match seen {
            Ok(()) => RIGHT.to_owned(),
            Err(why) => {
                self.wrong.push(format!("{kind}, {damage}: {why}"));
                "✗".to_owned()
            }
        };
        let before = self.cells.entry(kind.to_owned()).or_default().entry(damage).or_insert_with(|| RIGHT.to_owned());
        if before == RIGHT {
            *before = cell;
        }
    }

    /// Prints the table, and fails unless every cell is right.
    fn end(self, damages: &[&'static str]) {
        let width = self.cells.keys().map(|kind| kind.chars().count()).max().unwrap_or_default();
        let mut text = format!("\n{:width$}  {}\n", "", damages.join("  "));
        for (kind, cells) in &self.cells {
            let cells = damages.iter().map(|damage| {
                let cell = cells.get(damage).map_or("–", String::as_str);
                format!("{cell:<0$}", damage.chars().count())
            });
            let _ = writeln!(text, "{kind:<width$}  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!("{text}");
        assert!(self.wrong.is_empty(), "{text}\n{}", self.wrong.join("\n"));
    }
}

/// Flips one bit in the middle of a file.
fn flip(path: &Utf8Path) {
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("written");
}

/// A damage, and how it is done to a file. `aside` is a free name elsewhere.
pub type Damage = (&'static str, fn(&Utf8Path, &Utf8Path));

pub const DAMAGES: [Damage; 10] = [
    ("bit", |path, _| flip(path)),
    ("cut off", |path, _| fs::write(path, "").expect("written")),
    ("removed", |path, _| fs::remove_file(path).expect("removed")),
    ("renamed", |path, _| fs::rename(path, beside(path)).expect("renamed")),
    ("added", |path, _| fs::write(beside(path), "added").expect("written")),
    ("link", |path, aside| {
        fs::rename(path, aside).expect("moved");
        symlink(aside, path).expect("a link");
    }),
    ("pipe", |path, _| {
        fs::remove_file(path).expect("removed");
        rustix::fs::mkfifoat(rustix::fs::CWD, path.as_std_path(), rustix::fs::Mode::RWXU).expect("a pipe");
    }),
    ("device", |path, _| {
        fs::remove_file(path).expect("removed");
        symlink("/dev/zero", path).expect("a link");
    }),
    ("200 GB", |path, _| {
        let file = fs::File::options().write(true).open(path).expect("a file");
        file.set_len(200 << 30).expect("a sparse file");
    }),
    ("directory", |path, _| {
        fs::remove_file(path).expect("removed");
        fs::create_dir(path).expect("made");
    }),
];

fn beside(path: &Utf8Path) -> Utf8PathBuf {
    path.with_file_name(format!("{}-added", path.file_name().expect("a name")))
}

/// Opens a release as every command does that publishes it, in a separate thread, which may wait for ever.
fn open(root: &Utf8Path) -> Result<(), String> {
    let (tell, told) = mpsc::channel();
    let root = root.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let opened = runtime.block_on(async {
            let git = Git::open(&root)?;
            Built::open(&git, &Arc::new(Product::built_in()), Extent::All, false).await
        });
        let _ = tell.send(opened.map(drop).map_err(|error| format!("{error:#}")));
    });
    told.recv_timeout(LONGEST).unwrap_or_else(|_| Err("it WAITS".to_owned()))
}

/// The files below a directory.
fn files(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = dir.read_dir_utf8().expect("a directory").map(|entry| entry.expect("an entry").into_path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The blobs of the images, by kind.
fn blobs(images: &Utf8Path) -> BTreeMap<&'static str, Utf8PathBuf> {
    let read = |path: &Utf8Path| -> Value { serde_json::from_slice(&fs::read(path).expect("a blob")).expect("JSON") };
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
        images.join("blobs/sha256").join(digest)
    };
    let index = blob(&read(&images.join("index.json"))["manifests"][0]);
    let manifests = read(&index)["manifests"].clone();
    let (first, second) = (blob(&manifests[0]), blob(&manifests[1]));
    let parts = read(&second);
    let (config, layer) = (blob(&parts["config"]), blob(&parts["layers"][0]));
    [("index", index), ("manifest", first), ("configuration", config), ("layer", layer)].into()
}

/// The file of each kind that is damaged in every way, with what names it in a message.
fn sealed(release: &Release) -> BTreeMap<String, (Utf8PathBuf, String)> {
    let dir = release.release_dir();
    let version = release.version_dir();
    let mut kinds = BTreeMap::new();
    for (kind, path) in [
        ("release.json", dir.join("release.json")),
        ("artifacts/manifest.nix", dir.join("artifacts/manifest.nix")),
        ("version: release.json", version.join("release.json")),
        ("version: SHA256SUMS", version.join("SHA256SUMS")),
        ("version: statement", version.join("lix-2.93.1.intoto.json")),
        ("version: manifest.nix", version.join("manifest.nix")),
        ("version: source archive", version.join("lix-2.93.1.tar.gz")),
        ("version: digest of the archive", version.join("lix-2.93.1.tar.gz.sha256")),
        ("version: a page of the manual", version.join("manual/page-1.html")),
        ("manual: a page", dir.join("manual/page-2.html")),
        ("images/index.json", dir.join("images/index.json")),
        ("images/oci-layout", dir.join("images/oci-layout")),
    ] {
        let name = path.file_name().expect("a name").to_owned();
        kinds.insert(kind.to_owned(), (path, name));
    }
    for (kind, path) in blobs(&dir.join("images")) {
        let name = path.file_name().expect("a name").to_owned();
        kinds.insert(format!("images: {kind}"), (path, name));
    }
    kinds
}

#[test]
fn what_is_sealed_is_refused_and_named_and_never_waited_for() {
    let release = Release::new("2.93.1");
    let root = &release.repo.root;
    assert_eq!(open(root), Ok(()), "it is intact");
    let mut table = Table::default();
    let judged = |seen: Result<(), String>, name: &str| match seen {
        Ok(()) => Err("nothing is noticed".to_owned()),
        Err(why) if why.contains(name) => Ok(()),
        Err(why) => Err(format!("{name} is not named: {why}")),
    };
    // Every file, one bit.
    let dir = release.release_dir();
    let parts = ["artifacts", "manual", "images"].map(|part| files(&dir.join(part))).concat();
    assert!(parts.len() > 30, "{parts:?}");
    for path in &parts {
        let intact = fs::read(path).expect("a file");
        flip(path);
        let name = path.file_name().expect("a name");
        table.note("each file", "bit", judged(open(root), name));
        fs::write(path, intact).expect("written");
    }
    let aside = release.repo.beside("aside");
    for (kind, (path, name)) in sealed(&release) {
        for (damage, harm) in DAMAGES {
            let intact = fs::read(&path).expect("a file");
            harm(&path, &aside);
            table.note(
                &kind,
                damage,
                match damage {
                    // Other things lie in `release/` itself, and are not published.
                    "added" if kind == "release.json" => open(root),
                    _ => judged(open(root), &name),
                },
            );
            for left in [&path, &beside(&path), &aside] {
                let _ = fs::remove_file(left).or_else(|_| fs::remove_dir(left));
            }
            fs::write(&path, intact).expect("written");
        }
    }
    for part in ["artifacts", "manual", "images"] {
        let path = dir.join(part);
        let elsewhere = release.repo.beside(part);
        fs::rename(&path, &elsewhere).expect("moved");
        symlink(&elsewhere, &path).expect("a link");
        table.note(&format!("{part}/"), "link", judged(open(root), part));
        fs::remove_file(&path).expect("removed");
        fs::rename(&elsewhere, &path).expect("moved");
    }
    assert_eq!(open(root), Ok(()), "everything was restored");
    table.end(&DAMAGES.map(|(damage, _)| damage));
}

/// Runs a command that must end, and returns its exit code and what it says.
fn runs(release: &Release, phase: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    let tool = release.command(phase, "local", args);
    command.arg(LONGEST.as_secs().to_string()).arg(tool.get_program()).args(tool.get_args());
    for (name, value) in tool.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = tool.get_current_dir() {
        command.current_dir(dir);
    }
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn what_is_not_sealed_is_never_believed_or_waited_for() {
    let release = Release::new("2.93.1");
    let dir = release.release_dir();
    let mut table = Table::default();
    let aside = release.repo.beside("aside");
    let names = ["journal-local.jsonl", "receipt-local.json", "drvs.txt", "purge-local.txt"];
    for (damage, harm) in DAMAGES.into_iter().filter(|(damage, _)| ["bit", "pipe", "200 GB"].contains(damage)) {
        for name in names {
            let _ = fs::remove_file(dir.join(name));
            fs::write(dir.join(name), "{}\n").expect("written");
            harm(&dir.join(name), &aside);
        }
        let (code, said) = runs(&release, "upload", &["--noconfirm"]);
        for name in names {
            table.note(name, damage, if code == Some(0) { Ok(()) } else { Err(said.clone()) });
        }
    }
    let tag = dir.join("tag.json");
    let intact = fs::read(&tag).expect("a record");
    for (damage, harm) in
        DAMAGES.into_iter().filter(|(damage, _)| ["pipe", "device", "200 GB", "directory"].contains(damage))
    {
        harm(&tag, &aside);
        let seen = match open(&release.repo.root) {
            Err(why) if why.contains("tag.json") => Ok(()),
            other => Err(format!("{other:?}")),
        };
        table.note("tag.json", damage, seen);
        let _ = fs::remove_file(&tag).or_else(|_| fs::remove_dir(&tag));
        fs::write(&tag, &intact).expect("written");
    }
    let (code, said) = runs(&release, "verify", &[]);
    assert_eq!(code, Some(0), "what was published is right: {said}");
    table.end(&["bit", "pipe", "device", "200 GB", "directory"]);
}

#[test]
fn another_commit_or_another_tag_is_refused_and_named() {
    let release = Release::new("2.93.1");
    let (git, root) = (|args: &[&str]| release.repo.git(args), &release.repo.root);
    let (tag, commit) = (git(&["rev-parse", "2.93.1"]), git(&["rev-parse", "2.93.1^{commit}"]));
    let mut table = Table::default();
    let mut says = |kind: &str, words: &[&str]| {
        for phase in ["plan", "upload"] {
            let (code, said) = runs(&release, phase, if phase == "upload" { &["--noconfirm"] } else { &[] });
            let right = code == Some(1) && words.iter().all(|word| said.contains(word));
            table.note(kind, phase, if right { Ok(()) } else { Err(format!("{code:?} {said}")) });
        }
    };
    git(&["switch", "--quiet", "--detach", "2.93.1~1"]);
    says("another commit is checked out", &["git switch --detach 2.93.1"]);
    git(&["tag", "--annotate", "--message", "another", "2.93.9"]);
    says("another tag is checked out", &["git switch --detach 2.93.1"]);
    git(&["switch", "--quiet", "--detach", "2.93.1"]);
    git(&["tag", "--force", "2.93.1", &commit]);
    says("the tag is a lightweight one", &["is a lightweight tag"]);
    git(&["tag", "--force", "--annotate", "--message", "another", "2.93.1", &commit]);
    says("the tag is another object", &["tag.json", &tag[..12]]);
    git(&["tag", "--force", "--annotate", "--message", "another", "2.93.1", "2.93.1~1"]);
    says("the tag is of another commit", &["tag"]);
    git(&["tag", "--delete", "2.93.1"]);
    says("the tag is gone", &["2.93.1"]);
    git(&["update-ref", "refs/tags/2.93.1", &tag]);
    fs::write(root.join("version.json"), release.repo.read("version.json") + "\n").expect("written");
    says("the work tree has changes", &["version.json"]);
    table.end(&["plan", "upload"]);
}
