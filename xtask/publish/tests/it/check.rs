//! `release check`: a release that fails each check and no other, and one that passes all.

mod judges;
mod materials;
pub mod stand_in;

use std::fs;
use std::process::Command;

use serde_json::Value;
use stand_in::{SMOKE, StandIn, VERSION};
use xtask::domain::layout::{self, Layout};
use xtask::domain::product::Product;
use xtask::domain::system::System;

use crate::scripted::{Answer, Scripted};
use crate::tampering::DAMAGES;

const TARBALL: &str = "lix-0.1.0-x86_64-linux.tar.xz";
const IMAGE: &str = "lix-0.1.0-docker-image-x86_64-linux.tar.gz";
/// A shell command that writes the header of an ELF executable for 64-bit Arm.
const ARM: &str = r"printf '\177ELF\002\001\001\0\0\0\0\0\0\0\0\0\003\0\267\0'";

/// Asserts that a release fails exactly these checks, for a reason with these words.
#[track_caller]
fn fails(stand_in: &StandIn, checks: &[&str], why: &str) {
    let (bad, text) = stand_in.bad();
    assert_eq!(bad.iter().map(String::as_str).collect::<Vec<_>>(), checks, "{text}");
    assert!(text.contains(why), "{why}: {text}");
}

#[test]
fn each_damage_of_an_archive_is_found_by_its_check_alone() {
    let top = "lix-0.1.0-x86_64-linux";
    let within = format!("cd {top}/store/*-lix-0.1.0;");
    let arm = format!("{within} {ARM} > bin/arm; chmod +x bin/arm");
    let home = format!(r"{within} printf '\177ELF\002\001\001...RPATH /home/somebody/lix/lib' > lib.so");
    let script = format!("{within} chmod +w bin/nix; echo '# built in /home/somebody/lix' >> bin/nix");
    let cases: [(&str, &[&str], &str, &str, &str); 10] = [
        (
            TARBALL,
            &[],
            &format!("mv {top}/store/*-lix-0.1.0 {top}/store/{}-lix-0.1.0", "0".repeat(32)),
            "tarballs",
            "which the manifest names, is not in",
        ),
        (TARBALL, &[], &arm, "tarballs", "is an executable for aarch64-linux, not for x86_64-linux"),
        (TARBALL, &[], &home, "tarballs", "has the path `/home/somebody/`"),
        (TARBALL, &[], &script, "tarballs", "has the path `/home/somebody/`"),
        (TARBALL, &[], &format!("{within} ln -s /etc etc"), "tarballs", "leads to `/etc`, outside of the store"),
        (
            TARBALL,
            &["--absolute-names", "--transform=s,^x$,../x,"],
            "touch x",
            "tarballs",
            "`../x` leaves the directory",
        ),
        (TARBALL, &[], &format!("rm {top}/.reginfo"), "tarballs", ".reginfo is missing"),
        (IMAGE, &[], "printf damage | dd of=layer.tar bs=1 seek=1600 conv=notrunc", "images", "has the digest"),
        (
            IMAGE,
            &[],
            "sed -i s/amd64/arm64/ config.json",
            "images",
            "it says that it is for linux/arm64, not for linux/amd64",
        ),
        (
            "lix-0.1.0.tar.gz",
            &[],
            "echo more >> lix-0.1.0/version.json",
            "source",
            "version.json differs from the tree",
        ),
    ];
    let built = StandIn::built();
    let (bad, text) = built.bad();
    assert!(bad.is_empty(), "{text}");
    std::thread::scope(|scope| {
        for (archive, more, change, check, why) in cases {
            scope.spawn(move || {
                let damaged = StandIn::built();
                damaged.repack(archive, more, change);
                fails(&damaged, &[check], why);
            });
        }
    });
}

#[test]
fn a_manual_that_differs_from_its_build_is_found() {
    let stand_in = StandIn::built();
    for dir in [stand_in.release_dir(), stand_in.version_dir()] {
        let page = dir.join("manual/release-notes/rl-0.1.html");
        let html = fs::read_to_string(&page).expect("a page").replace("Lix 0.1.0 (", "Lix 0.1.1 (");
        fs::write(&page, html).expect("written");
    }
    stand_in.seal();
    // The section is missing, and the output `doc` has another page.
    fails(&stand_in, &["manual", "outputs"], "has no section `Lix 0.1.0`");
}

#[test]
fn what_is_built_wrong_is_found_by_its_check_alone() {
    let broken = StandIn::with(|repo| {
        let summary = repo.read("doc/manual/src/SUMMARY.md");
        repo.write("doc/manual/src/SUMMARY.md", &format!("{summary}\n- [Gone](gone.md)\n"));
        let nix = repo.read("stand-in/default.nix");
        let debug = nix.replacen("\"doc\"\n", "\"doc\"\n          \"debug\"\n", 1).replacen(
            "mkdir -p $out/bin $doc",
            "mkdir -p $debug $out/bin $doc",
            1,
        );
        repo.write("stand-in/default.nix", &debug.replacen("(Lix, like Nix) ${version}", "(Lix, like Nix) 9.9.9", 1));
        repo.write("stand-in/failing", "");
    });
    fails(&broken, &["manual", "outputs"], "index.html: 1 broken: `gone.html`");
    let (_, text) = broken.bad();
    assert!(text.contains("x86_64-linux.debug: ") && text.contains(" is empty"), "{text}");
    broken.checks_with(SMOKE);
    let said = broken.check(&["--only", "smoke", "jobs"]);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    for words in [
        "tarball for x86_64-linux: `nix --version` does not say `nix (Lix, like Nix) 0.1.0`, but:\n        | nix (Lix, like Nix) 9.9.9\n",
        "cache for x86_64-linux: `nix --version` does not say",
        "image for x86_64-linux: `nix --version` does not say",
        "not built: release-checks.x86_64-linux-only.runs.x86_64-linux",
        "cannot build runs-x86_64-linux here: ",
        "| this fails",
    ] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    assert!(!said.stdout.contains("only.links"), "one job that fails does not stop another: {}", said.stdout);
}

#[test]
fn jobs_are_built_with_each_variant_and_their_absence_proves_nothing() {
    let stand_in = StandIn::built();
    let jobs = |jobs: &str| {
        stand_in.configure(&format!("\n[checks]\n{jobs}\n"));
        let said = stand_in.check(&["--only", "jobs"]);
        (said.code, said.stdout)
    };
    let own = "jobs = [\"release-checks.{profile}\"]";
    assert_eq!(jobs(own), (Some(0), "ok       jobs      2 jobs built\n".to_owned()));
    let (code, said) = jobs(&format!("{own}\nvariants = [[\"--option\", \"cores\", \"1\"]]"));
    assert_eq!((code, said.as_str()), (Some(0), "ok       jobs      4 jobs built\n"));
    let (code, said) = jobs(&format!("{own}\nvariants = [[\"--no-such-option\"]]"));
    assert!(code == Some(1) && said.contains("with `--no-such-option`"), "{said}");
    let absent = "not run  jobs      the flake has no `no-such.x86_64-linux-only`, which `jobs` in releng.toml names\n";
    assert_eq!(jobs("jobs = [\"no-such.{profile}\"]"), (Some(0), absent.to_owned()));
    assert_eq!(jobs("jobs = [\"release-checks.{profile}\", \"no-such.{profile}\"]"), (Some(0), absent.to_owned()));
}

#[test]
fn growth_is_compared_with_what_is_published() {
    let stand_in = StandIn::built();
    let releases = stand_in.release_dir().join("local/s3/local-releases");
    let mut before = stand_in.record();
    before.version = "0.0.9".to_owned();
    before.tag = Some("0.0.9".parse().expect("a version"));
    let layout = Layout::new(&Product::built_in(), "0.0.9");
    let publish = |before: &xtask::domain::build::record::Record| {
        let dir = releases.join(layout.version_directory());
        fs::create_dir_all(&dir).expect("directories");
        fs::write(dir.join(layout::RECORD), before.to_json()).expect("written");
        let manifest = before
            .manifest()
            .into_iter()
            .map(|(system, path)| format!("  {system} = \"{}\";\n", path.replace("-lix-0.1.0", "-lix-0.0.9")));
        fs::write(releases.join("manifest.nix"), format!("{{\n{}}}\n", manifest.collect::<String>())).expect("written");
    };
    publish(&before);
    let same = stand_in.bad();
    assert!(same.0.is_empty() && same.1.contains("compared with 0.0.9"), "{}", same.1);

    // A dependency of no size at all is one that nobody may have wanted.
    let build = before.builds.get_mut(&System::main()).expect("built");
    let closure = build.closure.clone();
    build.closure.retain(|path, _| !path.name().starts_with("liblix"));
    let lib = closure.values().sum::<u64>() - build.closure.values().sum::<u64>();
    *build.closure.values_mut().next().expect("itself") += lib;
    publish(&before);
    fails(&stand_in, &["growth"], "closure of x86_64-linux, new since 0.0.9: liblix");

    // 15 % less then is more than 10 % now.
    let build = before.builds.get_mut(&System::main()).expect("built");
    build.closure = closure.iter().map(|(path, size)| (path.clone(), size * 100 / 115)).collect();
    publish(&before);
    fails(&stand_in, &["growth"], "%) since 0.0.9, more than 10 %");
    let text = stand_in.bad().1;
    assert!(text.contains("changed: liblix (") && !text.contains("new since"), "{text}");
    let accepted = stand_in.check(&["--only", "growth", "--accept-growth", "a new library"]).ok();
    assert!(accepted.contains("because: a new library"), "{accepted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn issues_that_block_and_posts_that_are_missing_are_found() {
    let server = Scripted::start(|asked| match asked.path.as_str() {
        path if path.starts_with("/issues") => Answer::new(
            200,
            r#"[{"number": 7, "title": "It \u001b[31mcrashes", "html_url": "https://example.org/7"}, {"number": 8, "title": "a pull", "pull_request": {}}]"#,
        ),
        _ => Answer::new(404, ""),
    });
    let server = server.await.expect("a server");
    let stand_in = StandIn::built();
    stand_in.checks_with(&format!("blockers = \"{}/issues?state=open&labels=blocker\"\n", server.url));
    fails(&stand_in, &["blockers"], "#7 It \\\\u{1b}[31mcrashes (https://example.org/7)");
    stand_in.check(&["--only", "blockers", "--despite-blockers", "only on Tuesdays"]).ok();
    stand_in.checks_with("post = \"drafts\"\n");
    fails(&stand_in, &["post"], "release/announce/0.1.0 does not exist");
    stand_in.repo.xtask(&["release", "announce"]).ok();
    assert_eq!(stand_in.bad().0.len(), 0);
    stand_in.checks_with(&format!("post = {{ address = \"{}/blog/{{version}}\" }}\n", server.url));
    fails(&stand_in, &["post"], &format!("/blog/{VERSION} does not exist"));
}

#[test]
fn everything_passes_and_is_bound_to_the_record() {
    let stand_in = StandIn::built();
    stand_in.checks_with(SMOKE);
    let said = stand_in.check(&[]).ok();
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), 10, "{said}");
    let path = stand_in.release_dir().join(layout::CHECKS);
    let checks: Value = serde_json::from_str(&fs::read_to_string(&path).expect("written")).expect("JSON");
    let digest = Command::new("sha256sum").arg(stand_in.release_dir().join(layout::RECORD)).output().expect("runs");
    assert!(String::from_utf8_lossy(&digest.stdout).starts_with(checks["record"].as_str().expect("a digest")));
}

#[test]
fn building_again_notices_what_changes_with_every_build() {
    let stand_in = StandIn::with(|repo| {
        let nix = repo.read("stand-in/default.nix");
        repo.write(
            "stand-in/default.nix",
            &nix.replacen(
                "cat $liblix/lib/liblix\n",
                "cat $liblix/lib/liblix\n        # $(cat /proc/sys/kernel/random/uuid)\n",
                1,
            ),
        );
    });
    // Someone added a file, which no clone makes.
    fs::write(stand_in.version_dir().join("more.txt"), "more").expect("written");
    let path = stand_in.release_dir().join(layout::RECORD);
    let mut record: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a record")).expect("JSON");
    record["files"]["more.txt"] = serde_json::json!({"size": 4, "sha256": "0".repeat(64)});
    fs::write(&path, record.to_string()).expect("written");
    stand_in.seal();
    let said = stand_in.check(&["--only", "rebuild"]);
    assert_eq!(said.code, Some(1), "{}{}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("x86_64-linux: ") && said.stdout.contains("may not be deterministic"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("more.txt is not built in the other clone"), "{}", said.stdout);
}

#[test]
fn an_environment_may_require_a_proof() {
    let stand_in = StandIn::built();
    let upload = |more: &[&str]| stand_in.release(&[&["upload", "--env", "local", "--noconfirm"], more].concat());
    let said = upload(&["--skip-checks", "in a hurry"]).fails(1);
    assert!(said.contains("local does not require checks: leave out `--skip-checks`"), "{said}");

    stand_in.require_checks();
    let said = upload(&[]).fails(1);
    assert!(said.contains("the release is not checked: run `check` (`--skip-checks REASON`"), "{said}");
    stand_in.check(&["--only", "source", "tarballs"]).ok();
    let said = upload(&[]).fails(1);
    assert!(
        said.contains("not checked: images, manual, outputs, jobs, smoke, growth, blockers, and post: run `check`"),
        "{said}"
    );
    stand_in.check(&[]).ok();
    upload(&[]).ok();
    let receipt = stand_in.object("local-releases/receipts/lix-0.1.0.json");
    assert_eq!(receipt["checked"]["outcomes"]["jobs"], "passed");
    assert_eq!(receipt["checked"]["outcomes"].as_object().expect("an object").len(), 10);
    assert_eq!(receipt["checked"].get("skipped"), None);
    // What is published already is repaired without a proof.
    fs::remove_file(stand_in.release_dir().join(layout::CHECKS)).expect("it was there");
    upload(&[]).ok();

    let other = StandIn::built();
    other.require_checks();
    other.release(&["upload", "--env", "local", "--noconfirm", "--skip-checks", "in a hurry"]).ok();
    assert_eq!(other.object("local-releases/receipts/lix-0.1.0.json")["checked"]["skipped"], "in a hurry");
}

#[test]
fn damaged_outcomes_prove_nothing() {
    let stand_in = StandIn::built();
    stand_in.require_checks();
    stand_in.check(&["--only", "source"]).ok();
    let path = stand_in.release_dir().join(layout::CHECKS);
    let aside = stand_in.repo.beside("aside");
    let whole = fs::read(&path).expect("written");
    for (damage, apply) in DAMAGES.iter().filter(|(damage, _)| !["bit", "added"].contains(damage)) {
        apply(&path, &aside);
        let said = stand_in.release(&["upload", "--env", "local", "--noconfirm"]).fails(1);
        assert!(said.contains("checks.json") || said.contains(": run `check`"), "{damage}: {said}");
        if fs::remove_file(&path).is_err() {
            let _ = fs::remove_dir(&path);
        }
        fs::write(&path, &whole).expect("written");
    }
}

#[test]
fn outcomes_of_another_build_prove_nothing() {
    let stand_in = StandIn::built();
    stand_in.require_checks();
    stand_in.check(&[]).ok();
    stand_in.repack("lix-0.1.0-manual.tar.gz", &[], "touch lix-0.1.0-manual/more");
    let said = stand_in.release(&["upload", "--env", "local", "--noconfirm"]).fails(1);
    assert!(said.contains("the checks are of another build"), "{said}");
}
