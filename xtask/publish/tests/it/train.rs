//! Several releases published together: one plan, one question, and each pointer moved once.

use std::fs;

use expect_test::expect;

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
    expect![[r#"
        Lix 2.94.2 (maintenance), 2.95.2 (patch), 2.93.4 (maintenance) to local

        contents
          + 2.94.2  releases lix/lix-2.94.2/               add 14 (28 kB)
          + 2.94.2  releases lix/lix-2.94.2/SHA256SUMS.sig sign OBJECT
          + 2.94.2  cache closures                         add 10 paths (3 kB unpacked)
          + 2.94.2  docs manual/lix/2.94/                  add 8 (208 B): the newest release of 2.94 here
          + 2.94.2  images release/local/images            push OBJECT (4 kB)
          + 2.95.2  releases lix/lix-2.95.2/               add 14 (28 kB)
          + 2.95.2  releases lix/lix-2.95.2/SHA256SUMS.sig sign OBJECT
          + 2.95.2  cache closures                         add 10 paths (3 kB unpacked)
          + 2.95.2  docs manual/lix/2.95/                  add 8 (208 B): the newest release of 2.95 here
          + 2.95.2  images release/local/images            push OBJECT (4 kB)
          + 2.93.4  releases lix/lix-2.93.4/               add 14 (28 kB)
          + 2.93.4  releases lix/lix-2.93.4/SHA256SUMS.sig sign OBJECT
          + 2.93.4  cache closures                         add 10 paths (3 kB unpacked)
          + 2.93.4  docs manual/lix/2.93/                  add 8 (208 B): the newest release of 2.93 here
          + 2.93.4  images release/local/images            push OBJECT (4 kB)

        git
          + 2.94.2  branch release-2.94                    to OBJECT
          + 2.94.2  tag 2.94.2                             to OBJECT
          + 2.95.2  branch release-2.95                    to OBJECT
          + 2.95.2  tag 2.95.2                             to OBJECT
          + 2.93.4  branch release-2.93                    to OBJECT
          + 2.93.4  tag 2.93.4                             to OBJECT

        pointers
          - 2.94.2  releases manifest.nix                  stays: 2.95.2 is newer, and is published with it
          - 2.94.2  docs manual/lix/stable/                stays: 2.95.2 is newer, and is published with it
          + 2.94.2  image release/local/images:2.94.2      to OBJECT
          + 2.94.2  image release/local/images:2.94        to OBJECT: the newest release of 2.94 here
          - 2.94.2  image release/local/images:latest      stays: 2.95.2 is newer, and is published with it
          + 2.95.2  releases manifest.nix                  to 2.95.2: the newest stable release here
          + 2.95.2  docs manual/lix/stable/                add 8 (208 B): the newest stable release here
          + 2.95.2  image release/local/images:2.95.2      to OBJECT
          + 2.95.2  image release/local/images:2.95        to OBJECT: the newest release of 2.95 here
          + 2.95.2  image release/local/images:latest      to OBJECT: the newest stable release here
          - 2.93.4  releases manifest.nix                  stays: 2.95.2 is newer, and is published with it
          - 2.93.4  docs manual/lix/stable/                stays: 2.95.2 is newer, and is published with it
          + 2.93.4  image release/local/images:2.93.4      to OBJECT
          + 2.93.4  image release/local/images:2.93        to OBJECT: the newest release of 2.93 here
          - 2.93.4  image release/local/images:latest      stays: 2.95.2 is newer, and is published with it

        receipt
          + 2.94.2  releases receipts/lix-2.94.2.json      says that everything is done
          + 2.95.2  releases receipts/lix-2.95.2.json      says that everything is done
          + 2.93.4  releases receipts/lix-2.93.4.json      says that everything is done

        plan DIGEST
    "#]]
    .assert_eq(&first.neutral(&plan));
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

/// A text with numbers for the directories of some trees.
fn without_places(trees: &[Release], text: &str) -> String {
    let roots = trees.iter().map(|tree| tree.repo.root.as_str()).enumerate();
    roots.fold(text.to_owned(), |text, (i, root)| text.replace(root, &format!("TREE{i}")))
}

#[test]
fn what_is_wrong_with_one_stops_all() {
    let releases = ["2.94.2", "2.93.4"].map(Release::new);
    let damaged = releases[1].release_dir().join("manual/page-1.html");
    let page = fs::read(&damaged).expect("a page");
    fs::write(&damaged, "changed").expect("written");
    let mut shown = train(&releases, &["--noconfirm"]).fails(1);
    assert!(!releases[0].object("local-releases/lix").exists());
    fs::write(&damaged, page).expect("written");

    shown = without_places(&releases, &shown);
    let same = ["2.94.2", "2.94.2"].map(Release::new);
    shown += &without_places(&same, &train(&same, &["--noconfirm"]).fails(1));

    let root = releases[0].repo.root.as_str();
    let config = releases[0].config.as_str();
    let args = ["release", "train", "--env", "local", "--config", config, "--noconfirm", "--repo", root];
    shown += &without_places(&releases, &releases[0].repo.xtask(&args).fails(1));
    shown += &without_places(&releases, &releases[0].repo.xtask(&["release", "status", "--repo", root]).fails(2));

    shown += &xtask(&["release", "train", "--env", "local", "--config", config, "--noconfirm"]).fails(2);
    let list = releases[0].repo.beside("empty");
    fs::write(&list, "# nothing tonight\n").expect("written");
    let error = xtask(&["release", "train", "--env", "local", "--config", config, list.as_str()]).fails(1);
    shown += &error.replace(list.as_str(), "LIST");

    let patches = ["2.94.2", "2.94.3"].map(Release::new);
    shown += &without_places(&patches, &train(&patches, &["--noconfirm"]).fails(1));
    let args = ["--repo", root, "release", "train", "--env", "local", "--config", config, "--repo", root];
    shown += &xtask(&args).fails(2);
    expect![[r#"
        error: the train is not finished
          TREE1/release cannot be published as it is
          page-1.html has changed: built with 26 bytes, and now it has 7
        error: the train is not finished
          TREE1 and TREE0 both have 2.94.2
        error: the train is not finished
          TREE0 is named twice
        error: only `release train` takes more than one `--repo`

        Usage: cargo xtask [OPTIONS] <COMMAND>

        For more information, try '--help'.
        error: no trees given: name each with `--repo`, or pass a file that lists them

        Usage: cargo xtask [OPTIONS] <COMMAND>

        For more information, try '--help'.
        error: the train is not finished
          LIST lists no trees: write one directory on each line
        error: the train is not finished
          TREE1 and TREE0 both have branch release-2.94: publish them one after the other
        error: put every `--repo` after the name of the phase

        Usage: cargo xtask [OPTIONS] <COMMAND>

        For more information, try '--help'.
    "#]]
    .assert_eq(&shown);

    // The trees may also be named by `--repo`, that of the first one last.
    let args = ["release", "train", "--env", "local", "--config", config, "--noconfirm"];
    let other = ["--repo", releases[1].repo.root.as_str()];
    releases[0].repo.xtask(&[&args[..], &other].concat()).ok();
    assert!(releases[1].object("local-releases/lix/lix-2.94.2/release.json").exists(), "the first names the place");
}

#[test]
fn killed_anywhere_the_same_train_goes_on() {
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
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
        xtask_test_support::kill_group(child.id());
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
