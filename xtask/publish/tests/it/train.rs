//! Several releases published together: one plan, one question, and each pointer moved once.

use std::fs;

use crate::release::Release;
use crate::repo::{Ran, command, xtask};

const VERSIONS: [&str; 3] = ["2.94.2", "2.95.2", "2.93.4"];

/// Runs `train` with a list in the first tree's directory.
fn train(releases: &[Release], args: &[&str]) -> Ran {
    let first = &releases[0];
    let lines: String =
        releases.iter().map(|release| format!("{} # {}\n", release.repo.root, release.version)).collect();
    let list = first.repo.beside("train");
    fs::write(&list, format!("# tonight\n\n{lines}")).expect("written");
    let all = ["release", "train", list.as_str(), "--env", "local", "--config", first.config.as_str()];
    xtask(&[&all[..], args].concat())
}

#[test]
fn contents_of_all_then_git_of_all_then_each_pointer_once() {
    let releases = VERSIONS.map(Release::new);
    let first = &releases[0];
    let plan = train(&releases, &["--dry-run"]).ok();
    assert!(!first.object("local-releases/lix").exists(), "a plan writes nothing");
    assert!(plan.starts_with("Lix 2.94.2 (maintenance), 2.95.2 (patch), 2.93.4 (maintenance) to local\n"), "{plan}");
    assert!(plan.contains("+ 2.95.2  releases manifest.nix"), "{plan}");
    assert!(plan.contains("- 2.94.2  releases manifest.nix             stays: 2.95.2 is published with it"), "{plan}");
    let digest = plan.trim_end().rsplit(' ').next().expect("a digest");

    let asked = train(&releases, &[]).fails(1);
    assert_eq!(asked.matches("I want to release this to local").count(), 1, "asked once: {asked}");
    assert!(asked.contains("there was no answer; without a terminal, agree with `--plan DIGEST`"), "{asked}");
    let ran = train(&releases, &["--plan", digest]);
    let done: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("  ok ")).collect();
    let position = |what: &str| done.iter().position(|line| line.starts_with(what)).expect(what);
    let last_content = VERSIONS.map(|version| position(&format!("{version}  releases lix/"))).into_iter().max();
    let first_git = VERSIONS.map(|version| position(&format!("{version}  branch"))).into_iter().min();
    let last_git = VERSIONS.map(|version| position(&format!("{version}  tag"))).into_iter().max();
    assert!(last_content < first_git && last_git < Some(position("2.95.2  releases manifest.nix")), "{done:#?}");
    assert_eq!(done.iter().filter(|line| line.contains("manifest.nix")).count(), 1, "{done:#?}");
    assert!(ran.stderr.contains("2.94.2, 2.95.2, 2.93.4 are published to local"), "{}", ran.stderr);
    ran.ok();

    let live = fs::read_to_string(first.object("local-releases/manifest.nix")).expect("a manifest");
    assert!(live.contains("-lix-2.95.2\""), "{live}");
    for release in &releases {
        let receipt = fs::read_to_string(release.release_dir().join("receipt-local.json")).expect("a receipt");
        assert!(receipt.contains(&format!("\"version\": \"{}\"", release.version)), "{receipt}");
        // All publish to the same place, wherever a tree is.
        first.release("verify", "local", &[&release.version]).ok();
    }
    let again = train(&releases, &["--noconfirm"]);
    assert!(!again.stderr.contains("  ok "), "{}", again.stderr);
    again.ok();
}

#[test]
fn what_is_wrong_with_one_stops_all() {
    let releases = ["2.94.2", "2.93.4"].map(Release::new);
    let damaged = releases[1].release_dir().join("manual/page-1.html");
    let page = fs::read(&damaged).expect("a page");
    fs::write(&damaged, "changed").expect("written");
    let error = train(&releases, &["--noconfirm"]).fails(1);
    assert!(error.contains("page-1.html has changed"), "{error}");
    assert!(!releases[0].object("local-releases/lix").exists());
    fs::write(&damaged, page).expect("written");

    let error = train(&["2.94.2", "2.94.2"].map(Release::new), &["--noconfirm"]).fails(1);
    assert!(error.contains("both have 2.94.2"), "{error}");

    let root = releases[0].repo.root.as_str();
    let config = releases[0].config.as_str();
    let args = ["release", "train", "--env", "local", "--config", config, "--noconfirm", "--repo", root];
    let error = releases[0].repo.xtask(&args).fails(1);
    assert!(error.contains("is named twice"), "{error}");
    let error = releases[0].repo.xtask(&["release", "status", "--repo", root]).fails(2);
    assert!(error.contains("only `release train` takes more than one `--repo`"), "{error}");

    let error = xtask(&["release", "train", "--env", "local", "--config", config, "--noconfirm"]).fails(2);
    assert!(error.contains("no trees given"), "{error}");
    let list = releases[0].repo.beside("empty");
    fs::write(&list, "# nothing tonight\n").expect("written");
    let error = xtask(&["release", "train", "--env", "local", "--config", config, list.as_str()]).fails(1);
    assert!(error.contains("lists no trees"), "{error}");

    let error = train(&["2.94.2", "2.94.3"].map(Release::new), &["--noconfirm"]).fails(1);
    assert!(error.contains("both have branch release-2.94: publish them one after the other"), "{error}");
    let args = ["--repo", root, "release", "train", "--env", "local", "--config", config, "--repo", root];
    let error = xtask(&args).fails(2);
    assert!(error.contains("put every `--repo` after the name of the phase"), "{error}");

    // The trees may also be named by `--repo`, that of the first one last.
    let args = ["release", "train", "--env", "local", "--config", config, "--noconfirm"];
    let other = ["--repo", releases[1].repo.root.as_str()];
    releases[0].repo.xtask(&[&args[..], &other].concat()).ok();
    assert!(releases[1].object("local-releases/lix/lix-2.94.2/release.json").exists(), "the first names the place");
}

#[test]
fn killed_anywhere_the_same_train_goes_on() {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    let releases = ["2.95.2", "2.94.2"].map(Release::new);
    let list = releases[0].repo.beside("list");
    let lines: String = releases.iter().map(|release| format!("{}\n", release.repo.root)).collect();
    fs::write(&list, lines).expect("written");
    let config = releases[0].config.as_str();
    let args = ["release", "train", list.as_str(), "--env", "local", "--config", config, "--noconfirm"];
    for moment in 0..8 {
        let mut child =
            command(&args).process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the tool runs");
        std::thread::sleep(std::time::Duration::from_millis(300 + 400 * moment));
        Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status().expect("kill runs");
        child.wait().expect("it ends");
        if releases[0].object("local-releases/manifest.nix").exists() {
            for release in &releases {
                let key = format!("local-releases/lix/lix-{}/release.json", release.version);
                assert!(releases[0].object(&key).exists(), "moment {moment}: pointers come last");
            }
        }
    }
    xtask(&args).ok();
    for release in &releases {
        releases[0].release("verify", "local", &[&release.version]).ok();
    }
}
