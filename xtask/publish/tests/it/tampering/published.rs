//! What is published, damaged: each kind of object in each way.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use camino::Utf8Path;

use super::{Table, blobs, files, flip, runs};
use crate::headers;
use crate::installers::installers;
use crate::release::Release;

/// A published object of each kind: bucket and key, and what names it in a report.
fn published(release: &Release) -> BTreeMap<&'static str, (&'static str, String)> {
    let cache = release.object("local-cache");
    let first = |ending: &str| {
        let mut all = files(&cache).into_iter().filter(|path| path.as_str().ends_with(ending)).collect::<Vec<_>>();
        all.sort();
        let path = all.into_iter().next().expect("it was sent");
        path.strip_prefix(&cache).expect("below").to_string()
    };
    let lix = |name: &str| format!("lix/lix-2.93.1/{name}");
    [
        ("version: source archive", ("local-releases", lix("lix-2.93.1.tar.gz"))),
        ("version: SHA256SUMS", ("local-releases", lix("SHA256SUMS"))),
        ("version: statement", ("local-releases", lix("lix-2.93.1.intoto.json"))),
        ("version: manifest.nix", ("local-releases", lix("manifest.nix"))),
        ("version: a page of the manual", ("local-releases", lix("manual/page-1.html"))),
        ("manifest.nix at the root", ("local-releases", "manifest.nix".to_owned())),
        ("docs of the series", ("local-docs", "manual/lix/2.93/page-3.html".to_owned())),
        ("docs stable", ("local-docs", "manual/lix/stable/page-4.html".to_owned())),
        ("nix-cache-info", ("local-cache", "nix-cache-info".to_owned())),
        ("narinfo", ("local-cache", first(".narinfo"))),
        ("NAR", ("local-cache", first(".nar.zst"))),
        ("listing", ("local-cache", first(".ls"))),
        ("installer", ("local-install", lix("lix-installer-x86_64-linux"))),
        ("installer at the root", ("local-install", "lix/lix-installer-aarch64-linux".to_owned())),
    ]
    .into()
}

#[test]
fn what_is_published_is_missed_compared_and_named() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let from = installers(&release);
    release.release("installer", "local", &["--from", from.as_str(), "--noconfirm"]).ok();
    let there = release.release_dir().join("local");
    let intact = release.repo.beside("intact");
    let copy = |from: &Utf8Path, to: &Utf8Path| {
        let _ = fs::remove_dir_all(to);
        let copied = Command::new("cp").args(["--archive", "--reflink=auto", from.as_str(), to.as_str()]).status();
        assert!(copied.expect("cp runs").success());
    };
    copy(&there, &intact);
    let mut table = Table::default();
    let objects = published(&release);
    let images = blobs(&there.join("images"));
    // The record is what everything is compared with, and no pointer leads to a version without a receipt, so these are
    // damaged alone; so is an index, below which the rest is.
    let record = ("local-releases", "lix/lix-2.93.1/release.json".to_owned());
    let record = BTreeMap::from([("version: release.json", record)]);
    let receipt = ("local-releases", "receipts/lix-2.93.1.json".to_owned());
    let receipt = BTreeMap::from([("receipt", receipt)]);
    // Nothing else is said about what is signed while the sums are not.
    let lix = |name: &str| ("local-releases", format!("lix/lix-2.93.1/{name}"));
    let sums = BTreeMap::from([("signature: of the sums", lix("SHA256SUMS.sig"))]);
    let signed = BTreeMap::from([
        ("signature: of the statement", lix("lix-2.93.1.intoto.jsonl")),
        ("signature: page", lix("VERIFY.md")),
    ]);
    for (damage, group) in [
        ("flipped", &objects),
        ("flipped", &sums),
        ("flipped", &signed),
        ("deleted", &sums),
        ("deleted", &signed),
        ("type", &sums),
        ("type", &signed),
        ("keeping", &sums),
        ("keeping", &signed),
        ("saving", &sums),
        ("saving", &signed),
        ("flipped", &record),
        ("flipped", &receipt),
        ("deleted", &objects),
        ("deleted", &record),
        ("deleted", &receipt),
        ("type", &objects),
        ("keeping", &objects),
        ("saving", &objects),
    ] {
        let mut named: Vec<(String, String)> = Vec::new();
        for (kind, (bucket, key)) in group {
            let path = release.object(bucket).join(key);
            match damage {
                "flipped" => flip(&path),
                "deleted" => fs::remove_file(&path).expect("removed"),
                "type" => headers::set(&release, bucket, key, "content_type", "text/x-wrong"),
                "keeping" => headers::set(&release, bucket, key, "cache_control", "no-store"),
                _ => headers::set(&release, bucket, key, "content_disposition", "attachment"),
            }
            let name = key.rsplit('/').next().expect("a name");
            // The narinfo and the listing of a path have its hash in their names, and so has every message about it.
            named.push(((*kind).to_owned(), name.trim_end_matches(".narinfo").trim_end_matches(".ls").to_owned()));
        }
        if group.len() > 2 && ["flipped", "deleted"].contains(&damage) {
            for (kind, path) in images.iter().filter(|(kind, _)| **kind != "index") {
                if damage == "flipped" {
                    flip(path)
                } else {
                    fs::remove_file(path).expect("removed")
                }
                named.push((format!("images: {kind}"), path.file_name().expect("a name").to_owned()));
            }
        } else if group.contains_key("receipt") {
            let path = &images["index"];
            if damage == "flipped" {
                flip(path)
            } else {
                fs::remove_file(path).expect("removed")
            }
            named.push(("images: index".to_owned(), path.file_name().expect("a name").to_owned()));
        }
        let (code, verified) = runs(&release, "verify", &["--deep", "--verbose"]);
        let (_, planned) = runs(&release, "plan", &["--verbose"]);
        assert_ne!(code, Some(0), "{damage}: {verified}");
        for (kind, name) in named {
            let found = |said: &str, by: &str| {
                // Without its record, a version was only begun, as its directory says.
                let directory = if kind == "version: release.json" { "lix/lix-2.93.1/" } else { &name };
                let is_wrong = |line: &str| !["ok", "$", "  ="].iter().any(|mark| line.starts_with(mark));
                let is_named = said.lines().any(|line| line.contains(directory) && is_wrong(line));
                if is_named { Ok(()) } else { Err(format!("{by} does not name {name}:\n{said}")) }
            };
            table.note(&kind, damage, found(&verified, "verify"));
            // `plan` is about a release, without its installers. It believes the digests in a server's listing, which
            // here are those from before the bit was flipped behind the server's back: that is for `verify` to find.
            let is_listed = damage == "flipped" && !kind.starts_with("images");
            if !kind.starts_with("installer") && !is_listed {
                table.note(&kind, damage, found(&planned, "plan"));
            }
        }
        copy(&intact, &there);
    }
    // On the git remote.
    let remote = there.join("git");
    let git = |args: &[&str]| release.repo.git(&[&["-C", remote.as_str()], args].concat());
    let commit = git(&["rev-parse", "2.93.1^{commit}"]);
    let harms: [(&str, &[&str]); 3] = [
        ("deleted", &["update-ref", "-d", "refs/tags/2.93.1"]),
        ("flipped", &["update-ref", "refs/tags/2.93.1", &commit]),
        ("deleted", &["update-ref", "-d", "refs/heads/release-2.93"]),
    ];
    for (damage, harm) in harms {
        git(harm);
        let (kind, name) = if harm.contains(&"refs/heads/release-2.93") {
            ("branch", "branch release-2.93")
        } else {
            ("tag", "tag 2.93.1")
        };
        for phase in ["verify", "plan"] {
            let (_, said) = runs(&release, phase, &[]);
            let noticed = said.lines().any(|line| {
                line.contains(name) && ["broken", "  +", "  ~", "  !"].iter().any(|mark| line.starts_with(mark))
            });
            table.note(kind, damage, if noticed { Ok(()) } else { Err(format!("{phase}: {said}")) });
        }
        copy(&intact, &there);
    }
    release.release("verify", "local", &["--deep"]).ok();
    table.end(&["flipped", "deleted", "type", "keeping", "saving"]);
}

/// Objects that are not part of any plan: `verify` and `plan` name them, and `upload` removes those in manuals, which
/// mirror ours, and keeps the others.
#[test]
fn what_is_extra_is_named_and_removed_from_manuals_only() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let from = installers(&release);
    let installer = ["--from", from.as_str(), "--noconfirm"];
    release.release("installer", "local", &installer).ok();
    let mut table = Table::default();
    let extra = [
        ("version directory", "local-releases", "lix/lix-2.93.1/extra.tar.gz"),
        ("docs of the series", "local-docs", "manual/lix/2.93/extra.html"),
        ("docs stable", "local-docs", "manual/lix/stable/extra-too.html"),
        ("installers of the version", "local-install", "lix/lix-2.93.1/extra-installer"),
        ("installers at the root", "local-install", "lix/lix-installer-i686-linux"),
    ];
    for (_, bucket, key) in extra {
        fs::write(release.object(bucket).join(key), "extra").expect("written");
    }
    let verified = release.release("verify", "local", &["--verbose"]);
    let planned = runs(&release, "plan", &["--verbose"]).1;
    let installing = runs(&release, "installer", &[&installer[..], &["--dry-run", "--verbose"]].concat()).1;
    release.upload().ok();
    for (kind, bucket, key) in extra {
        let name = key.rsplit('/').next().expect("a name");
        let named = |said: &str| if said.contains(name) { Ok(()) } else { Err(said.to_owned()) };
        let said = format!("{}{}", verified.stdout, verified.stderr);
        table.note(kind, "verify", named(&said));
        // The top of that bucket is not mirrored.
        if kind != "installers at the root" {
            table.note(kind, "plan", named(if bucket == "local-install" { &installing } else { &planned }));
        }
        let is_there = release.object(bucket).join(key).exists();
        let right = is_there != (bucket == "local-docs");
        table.note(kind, "upload", if right { Ok(()) } else { Err(format!("{key} is there: {is_there}")) });
    }
    table.end(&["verify", "plan", "upload"]);
}
