//! Narinfos, NARs and listings by other tools: judged as Nix judges them, and repaired if it would reject them.

use std::fs;
use std::io::Read;
use std::process::Command;

use camino::Utf8PathBuf;
use expect_test::expect;
use flate2::Compression;
use flate2::read::GzEncoder;

use crate::cache::repair::nar;
use crate::cache::{BUCKET, files_below, generate};
use crate::headers::set;
use crate::release::{Release, nix};
use crate::repo::NIX_CONFIG;

/// A change to the text of a narinfo.
type Change = (&'static str, fn(&str) -> String);

fn change_line(text: &str, name: &str, line: &str) -> String {
    let start = format!("{name}: ");
    let lines = text.lines().map(|old| if old.starts_with(&start) { line } else { old });
    lines.map(|line| format!("{line}\n")).collect::<String>().replace("\n\n", "\n")
}

/// Bytes of a text in which U+FFFD stands for a byte that is not UTF-8.
fn bytes(text: &str) -> Vec<u8> {
    text.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(&0xff)
}

const CHANGES: [Change; 44] = [
    ("nothing", str::to_owned),
    ("CRLF", |text| text.replace('\n', "\r\n")),
    ("no final newline", |text| text.trim_end().to_owned()),
    ("an empty line at the end", |text| format!("{text}\n")),
    ("an empty line before URL", |text| text.replace("\nURL", "\n\nURL")),
    ("an empty line before FileSize", |text| text.replace("\nFileSize", "\n\nFileSize")),
    ("an unknown field", |text| format!("{text}Unknown: x\n")),
    ("an unknown field without a value", |text| format!("{text}Unknown: \n")),
    ("System", |text| format!("{text}System: x86_64-linux\n")),
    ("another's signature", |text| format!("{text}Sig: other-1:{}==\n", "A".repeat(86))),
    ("a signature that is none", |text| format!("{text}Sig: other-1\n")),
    ("a signature without bytes", |text| format!("{text}Sig: other-1:\n")),
    ("unknown deriver", |text| change_line(text, "Deriver", "Deriver: unknown-deriver")),
    ("odd deriver", |text| change_line(text, "Deriver", "Deriver: x") + "Deriver: x\n"),
    ("no deriver", |text| change_line(text, "Deriver", "")),
    ("empty CA", |text| format!("{text}CA: \n")),
    ("odd CA", |text| format!("{text}CA: x\n")),
    ("two CA", |text| format!("{text}CA: text:sha256:{0}\nCA: text:sha256:{0}\n", "0".repeat(52))),
    ("no URL", |text| change_line(text, "URL", "")),
    ("empty URL", |text| change_line(text, "URL", "URL: ")),
    ("no StorePath", |text| change_line(text, "StorePath", "")),
    ("no NarHash", |text| change_line(text, "NarHash", "")),
    ("no NarSize", |text| change_line(text, "NarSize", "")),
    ("NarSize of 0", |text| change_line(text, "NarSize", "NarSize: 0")),
    ("odd NarSize", |text| change_line(text, "NarSize", "NarSize: many")),
    ("odd FileSize", |text| change_line(text, "FileSize", "FileSize: many")),
    ("no FileHash", |text| change_line(text, "FileHash", "")),
    ("odd FileHash", |text| change_line(text, "FileHash", "FileHash: x")),
    ("a line that is none", |text| format!("{text}<html>\n")),
    ("everything twice", |text| text.repeat(2)),
    ("nothing at all", |_| String::new()),
    ("two URLs", |text| format!("{text}URL: nar/x.nar.zst\n")),
    ("two StorePaths", |text| format!("{text}StorePath: /nix/store/{}-x\n", "0".repeat(32))),
    ("two NarHashes", |text| format!("{text}NarHash: sha256:{}\n", "0".repeat(52))),
    ("two NarSizes", |text| format!("{text}NarSize: 1\n")),
    ("not UTF-8 in an unknown field", |text| format!("{text}Unknown: \u{fffd}\n")),
    ("not UTF-8 in a signature", |text| format!("{text}Sig: other-1:\u{fffd}\nSig: \u{fffd}:AA==\n")),
    ("not UTF-8 in a deriver", |text| change_line(text, "Deriver", "") + "Deriver: \u{fffd}.drv\n"),
    ("not UTF-8 in a reference", |text| change_line(text, "References", "References: \u{fffd}")),
    ("NUL in an unknown field", |text| format!("{text}Unknown: \0\n")),
    ("NUL in a signature", |text| format!("{text}Sig: other-1:\0\n")),
    ("NUL in a reference", |text| change_line(text, "References", "References: \0")),
    ("NUL at the end", |text| format!("{text}\0")),
    ("binary", |_| "\u{1b}[2J(\u{fffd}/\u{0}".to_owned()),
];

/// Whether the installed Nix is older than a version.
fn is_older_than(major: u32, minor: u32) -> bool {
    let said = nix("nix", &["--version"]);
    let numbers: Vec<u32> = said
        .trim()
        .rsplit(' ')
        .next()
        .into_iter()
        .flat_map(|text| text.split('.'))
        .map_while(|n| n.parse().ok())
        .collect();
    numbers < vec![major, minor]
}

/// A path is good if Nix accepts it, and broken if Nix rejects it.
#[test]
fn a_narinfo_is_judged_as_nix_judges_it() {
    use xtask_publish::domain::cache::faults::Keys;
    use xtask_publish::domain::cache::narinfo::NarInfo;

    let dir = tempfile::tempdir().expect("a directory");
    let place = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let (secret, public) = generate();
    fs::write(place("key"), secret).expect("written");
    fs::create_dir(place("src")).expect("a directory");
    fs::write(place("src/a"), "a").expect("written");
    let path = nix("nix-store", &["--add", &place("src")]).trim().to_owned();
    let store = format!("file://{}", place("cache"));
    let features = ["--extra-experimental-features", "nix-command"];
    let to = format!("{store}?compression=zstd&write-nar-listing=true&secret-key={}", place("key"));
    nix("nix", &[&features[..], &["copy", "--to", &to, &path]].concat());
    let hash = path.strip_prefix("/nix/store/").and_then(|name| name.split('-').next()).expect("a store path");
    let file = place(&format!("cache/{hash}.narinfo"));
    let text = fs::read_to_string(&file).expect("a narinfo");
    // Added sources are content-addressed, so Nix trusts them without a signature.
    let plain =
        |text: &str| text.lines().filter(|line| !line.starts_with("CA:")).map(|line| format!("{line}\n")).collect();
    let text: String = plain(&text);
    let keys = Keys { own: Some(public.parse().expect("a key")), also: Vec::new() };
    for (name, change) in CHANGES {
        let bytes = bytes(&change(&text));
        fs::write(&file, &bytes).expect("written");
        let output = Command::new("nix")
            .args(features)
            .args(["store", "verify", "--no-contents", "--store", &store, "--sigs-needed", "1"])
            .args(["--trusted-public-keys", &public, &path])
            .env("NIX_CONFIG", NIX_CONFIG)
            .env("XDG_CACHE_HOME", place("memory"))
            .output()
            .expect("Nix runs");
        let nix = output.status.success();
        let narinfo = NarInfo::parse(&String::from_utf8_lossy(&bytes));
        // Only Nix 2.34 and newer check the form of signatures.
        if narinfo.as_ref().is_ok_and(|narinfo| narinfo.signature_fault().is_some()) {
            assert!(name.contains("signature") && (!nix || is_older_than(2, 34)), "{name}");
        } else {
            let ours = narinfo.and_then(|narinfo| keys.fault(&narinfo).map_or(Ok(()), Err));
            assert_eq!(ours.is_ok(), nix, "{name}: {ours:?}, {}", String::from_utf8_lossy(&output.stderr));
        }
        let _ = fs::remove_dir_all(place("memory"));
    }
    // And its listing is the same as ours.
    let theirs = fs::read(place(&format!("cache/{hash}.ls"))).expect("a listing");
    let ours = xtask_publish::tools::listing::of(path.as_str().into()).expect("read");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&theirs).expect("JSON"), ours);
}

/// The stand-in's listings have directories, links and programs.
#[test]
fn listings_are_what_nix_writes_and_are_written_where_they_are_missing() {
    use xtask_publish::tools::listing;

    let release = Release::new("2.93.1");
    release.upload().ok();
    let bucket = release.object(BUCKET);
    let mut listings = Vec::new();
    for file in files_below(&bucket).into_iter().filter(|file| file.extension() == Some("narinfo")) {
        let narinfo = fs::read_to_string(&file).expect("text");
        let path = narinfo.lines().find_map(|line| line.strip_prefix("StorePath: ")).expect("a path").to_owned();
        let theirs = fs::read(file.with_extension("ls")).expect("a listing");
        let ours = listing::of(path.as_str().into()).expect("read");
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&theirs).expect("JSON"), ours, "{path}");
        listings.push((file.with_extension("ls"), theirs));
    }
    let [(gone, _), (cut, text), (other, _), ..] = &listings[..] else { panic!("too few") };
    fs::remove_file(gone).expect("removed");
    fs::write(cut, &text[..text.len() / 2]).expect("written");
    fs::write(other, r#"{"version":1,"root":{"type":"directory","entries":{}}}"#).expect("written");
    let broken = release.release("verify", "local", &[]);
    assert_eq!(broken.code, Some(1), "{}", broken.stdout);
    for why in ["its listing is missing", "its listing cannot be read"] {
        assert!(broken.stdout.contains(why), "{why}: {}", broken.stdout);
    }
    let plan = release.release("plan", "local", &[]).ok();
    assert!(plan.contains(" list the files of 3, same 7 paths"), "{plan}");
    let nars =
        |release: &Release| fs::metadata(nar(release, "-lix-2.93.1")).and_then(|nar| nar.modified()).expect("a time");
    let before = nars(&release);
    release.upload().ok();
    assert_eq!(nars(&release), before, "nothing is packed again");
    for (file, text) in &listings {
        let now: serde_json::Value = serde_json::from_slice(&fs::read(file).expect("there")).expect("JSON");
        assert_eq!(now, serde_json::from_slice::<serde_json::Value>(text).expect("JSON"));
    }
    release.release("verify", "local", &["--deep"]).ok();
}

/// A narinfo in the embedded bucket.
struct Victim<'a> {
    release: &'a Release,
    file: Utf8PathBuf,
    text: String,
}

impl Victim<'_> {
    fn key(&self) -> &str {
        self.file.file_name().expect("a name")
    }

    fn url(&self) -> &str {
        self.text.lines().find_map(|line| line.strip_prefix("URL: ")).expect("a URL")
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.file, text).expect("written");
    }

    fn with_line(&self, name: &str, line: &str) {
        self.write(change_line(&self.text, name, line));
    }

    fn encoded(&self, key: &str, encoding: &str) {
        set(self.release, BUCKET, key, "content_encoding", encoding);
    }

    fn nar(&self) -> Utf8PathBuf {
        self.release.object(BUCKET).join(self.url())
    }
}

/// Things that other tools may leave in place of one of our paths.
const DAMAGE: [fn(&Victim); 25] = [
    |it| fs::File::create(&it.file).and_then(|file| file.set_len(100 << 20)).expect("written"),
    |it| it.with_line("URL", "URL: "),
    |it| it.with_line("URL", "URL: ../../etc/passwd"),
    |it| it.with_line("URL", "URL: /nar/x.nar.zst"),
    |it| it.with_line("URL", "URL: https://example.org/x.nar.zst"),
    |it| it.with_line("URL", "URL: file:///etc/passwd"),
    |it| it.with_line("URL", "URL: nar"),
    |it| it.with_line("URL", "URL: nar/"),
    |it| it.with_line("URL", &format!("URL: nar/{}.nar.zst", "x".repeat(300))),
    |it| it.with_line("URL", &format!("URL: {}", "nar/".repeat(300) + "x.nar.zst")),
    |it| it.with_line("URL", "URL: nar/\0.nar.zst"),
    |it| it.write(it.text.replace("URL: ", "URL: \u{fffd}").replace('\u{fffd}', "\u{1b}]0;x\u{7}")),
    |it| it.write([&b"\xff\xfe"[..], it.text.as_bytes()].concat()),
    |it| it.write(format!("{}URL: nar/gone.nar.zst\n", it.text)),
    |it| it.with_line("Compression", "Compression: none"),
    |it| it.write(it.text.replace('\n', "\r\n")),
    |it| it.with_line("FileHash", &format!("FileHash: sha256:{}", "0".repeat(52))),
    |it| it.encoded(it.key(), "compress"),
    |it| it.encoded(it.key(), "zstd"),
    // As some programs upload `.zst` files, with an encoding: users would get the unpacked NAR.
    |it| it.encoded(it.url(), "zstd"),
    |it| it.encoded(it.url(), "gzip"),
    |it| it.encoded(it.url(), "sdch"),
    |it| {
        let (bytes, mut gzip) = (fs::read(it.nar()).expect("a NAR"), Vec::new());
        GzEncoder::new(&bytes[..], Compression::best()).read_to_end(&mut gzip).expect("compressed");
        fs::write(it.nar(), gzip).expect("written");
        it.encoded(it.url(), "gzip");
    },
    |it| it.encoded(&it.key().replace("narinfo", "ls"), "compress"),
    |it| it.encoded(&it.key().replace("narinfo", "ls"), "br"),
];

/// Objects that cannot be read are repaired, and do not stop anything.
#[test]
fn hopeless_objects_are_named_and_repaired() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let mut files = files_below(&release.object(BUCKET));
    files.retain(|file| file.extension() == Some("narinfo"));
    files.sort();
    let mut told = String::new();
    for damages in DAMAGE.chunks(files.len()) {
        for (file, damage) in files.iter().zip(damages) {
            let text = fs::read_to_string(file).expect("text");
            damage(&Victim { release: &release, file: file.clone(), text });
        }
        let verified = release.release("verify", "local", &["--verbose"]);
        assert_eq!(verified.code, Some(1), "{}{}", verified.stdout, verified.stderr);
        assert!(!verified.stdout.contains("could not be checked"), "{}", verified.stdout);
        let plan = release.release("plan", "local", &["--verbose"]).ok();
        for line in plan.lines().filter(|line| line.starts_with("      ")) {
            let (_, why) = line.split_once(": ").expect("a reason");
            told += &redacted(why);
        }
        // Paths that only a broken narinfo refers to are not checked.
        for line in verified.stdout.lines().filter(|line| line.starts_with("broken")) {
            let (why, _) = line.split_once("; affects").expect("who is affected");
            let (_, why) = why.split_once(": ").expect("a reason");
            assert!(plan.contains(why), "{why}: {plan}");
        }
        release.upload().ok();
        release.release("verify", "local", &["--deep"]).ok();
    }
    expect![[r#"
        its narinfo cannot be read: it has 104857600 bytes, but at most 4194304 were expected
        its narinfo is invalid: it has no URL
        its URL is not the name of an object here: `../../etc/passwd`
        its URL is not the name of an object here: `/nar/x.nar.zst`
        its URL is not the name of an object here: `https://example.org/x.nar.zst`
        its URL is not the name of an object here: `file:///etc/passwd`
        its NAR is missing: nar
        its URL is not the name of an object here: `nar/`
        its NAR is missing: nar/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.nar.zst
        its URL is not the name of an object here: `nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/nar/…`
        its URL is not the name of an object here: `nar/\0.nar.zst`
        its URL is not the name of an object here: `\u{1b}]0;x\u{7}nar/HASH.nar.zst`
        its narinfo is invalid: it has no StorePath
        its NAR is missing: nar/gone.nar.zst
        its Compression is none, but its NAR is nar/HASH.nar.zst, which means zstd
        its narinfo is invalid: it has Windows line ends, which Nix does not accept
        its FileHash is 0000000000000000000000000000000000000000000000000000, but its NAR is nar/HASH.nar.zst
        its narinfo cannot be read: its Content-Encoding is "compress", which cannot be decoded here
        its narinfo cannot be read: it is damaged: its content, encoded as zstd, cannot be decoded: BadMagicNumber(1919906899)
        its NAR is served with Content-Encoding zstd, which Nix cannot read: nar/HASH.nar.zst
        its NAR is served with Content-Encoding gzip, which Nix cannot read: nar/HASH.nar.zst
        its NAR is served with Content-Encoding sdch, which Nix cannot read: nar/HASH.nar.zst
        its NAR is served with Content-Encoding gzip, which Nix cannot read: nar/HASH.nar.zst
        its NAR is served with Content-Encoding gzip, which Nix cannot read: nar/HASH.nar.zst
        its NAR is served with Content-Encoding gzip, which Nix cannot read: nar/HASH.nar.zst
        its listing cannot be read: its Content-Encoding is "compress", which cannot be decoded here
        its listing cannot be read: it is damaged: its content, encoded as br, cannot be decoded: Invalid Data
    "#]].assert_eq(&told);
}

/// Replaces the names that Nix makes from contents.
fn redacted(why: &str) -> String {
    let word = |word: &str| match word.split(['/', '.']).find(|part| part.len() == 52 && !part.starts_with("000")) {
        Some(hash) => word.replace(hash, "HASH"),
        None => word.to_owned(),
    };
    why.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n"
}

#[test]
fn what_every_client_reads_first_is_repaired() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    for encoding in ["compress", "gzip"] {
        set(&release, BUCKET, "nix-cache-info", "content_encoding", encoding);
        let verified = release.release("verify", "local", &[]);
        let told = verified.stdout.contains("nix-cache-info cannot be read: its Content-Encoding is \"compress\"")
            || verified.stdout.contains("nix-cache-info cannot be read: it is damaged");
        assert!(verified.code == Some(1) && told, "{}", verified.stdout);
        release.upload().ok();
        release.release("verify", "local", &["--deep"]).ok();
    }
}
