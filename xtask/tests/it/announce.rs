//! `release announce`: the drafts, and that edits to them are kept.

use std::fs;

use camino::Utf8PathBuf;
use expect_test::expect;

use crate::repo::Repo;

/// A tagged release with the record of a build.
fn built(prepare: &[&str]) -> Repo {
    let repo = Repo::patch_release();
    repo.write(
        "doc/manual/rl-next/three.md",
        "---\nsynopsis: The `third` thing\nsignificance: significant\ncredits: [puck, jade]\n---\n\nBecause.\n",
    );
    repo.commit_all("something significant");
    repo.xtask(&[&["release", "prepare", "--date", "2025-06-18"], prepare].concat()).ok();
    repo.xtask(&["release", "tag"]).ok();
    write_record(&repo, true);
    repo
}

fn write_record(repo: &Repo, official: bool) {
    let version: serde_json::Value = serde_json::from_str(&repo.read("version.json")).expect("JSON");
    let tag = version["version"].as_str().expect("text");
    let archive = repo.root.join(format!("release/artifacts/lix/lix-{tag}/lix-{tag}.tar.gz"));
    fs::create_dir_all(archive.parent().expect("in a directory")).expect("made");
    let prefix = format!("--prefix=lix-{tag}/");
    repo.git(&["archive", "--format=tar.gz", &prefix, "--output", archive.as_str(), "HEAD"]);
    let facts = xtask::tools::files::digest_of(&fs::read(&archive).expect("an archive"));
    let record = serde_json::json!({
        "version": tag,
        "name": version["release_name"],
        "tag": official.then_some(tag),
        "commit": repo.git(&["rev-parse", "HEAD"]),
        "tree": repo.git(&["rev-parse", "HEAD^{tree}"]),
        "committed": "2025-06-19T20:00:00Z",
        "tool": "0.1.0",
        "profile": "all",
        "builds": {},
        "image": null,
        "files": { format!("lix-{tag}.tar.gz"): { "size": facts.size, "sha256": facts.sha256 } },
    });
    repo.write("release/release.json", &record.to_string());
}

/// Gives the series another name, which appears in the blog post.
fn rename(repo: &Repo, name: &str) {
    let mut record: serde_json::Value = serde_json::from_str(&repo.read("release/release.json")).expect("JSON");
    record["name"] = name.into();
    repo.write("release/release.json", &record.to_string());
}

fn drafts(repo: &Repo, version: &str) -> Utf8PathBuf {
    repo.root.join("release/announce").join(version)
}

#[test]
fn the_drafts_of_a_release() {
    let repo = built(&[]);
    let state = repo.state();
    let ran = repo.xtask(&["release", "announce"]);
    expect![[r#"
        Lix 2.93.1 "Bici Bici", drafts in TREE/release/announce/2.93.1
          wrote      blog.md
          wrote      toot.txt
          wrote      website.toml
          wrote      nixpkgs.toml
          wrote      checklist.md
        done: nothing was posted; next: read and edit them, as checklist.md says
    "#]]
    .assert_eq(&without_warnings(&ran.stderr).replace(repo.root.as_str(), "TREE"));
    ran.ok();
    assert_eq!(repo.state(), state);
    let dir = drafts(&repo, "2.93.1");
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect(name);
    expect![[r#"
        +++
        title = "Announcing Lix 2.93.1"
        author = "Lix Team"
        date = "2025-06-18"
        +++

        Lix 2.93.1 is out, a maintenance release of Lix 2.93 “Bici Bici”.

        ## Changes

        ### The `third` thing

        Because.

        All changes are in the [release notes](https://docs.lix.systems/manual/lix/2.93/release-notes/rl-2.93.html).

        ## Credits

        Many thanks to [jade](https://git.lix.systems/jade) and puck for their work on this release.
        Lix 2.93.1 is out!

        • The third thing

        Release notes: https://docs.lix.systems/manual/lix/2.93/release-notes/rl-2.93.html
    "#]]
    .assert_eq(&(read("blog.md") + &read("toot.txt")));
    let archive = fs::read(repo.root.join("release/artifacts/lix/lix-2.93.1/lix-2.93.1.tar.gz")).expect("an archive");
    let hash = xtask::tools::files::digest_of(&archive).sha256.sri();
    assert!(read("nixpkgs.toml").contains(&format!("\nhash = \"{hash}\"\n")), "{}", read("nixpkgs.toml"));
    assert!(read("website.toml").contains("version = \"2.93.1\"\nversion-without-suffix = \"2.93.1\"\n"));
    assert!(read("checklist.md").contains("- [ ] NixOS module: pin it to 2.93.1"), "{}", read("checklist.md"));

    // HEAD may have moved: the record says what was released.
    repo.git(&["switch", "--quiet", "main"]);
    let again = repo.xtask(&["release", "announce"]);
    assert!(again.stderr.contains("unchanged  blog.md") && !again.stderr.contains("wrote"), "{}", again.stderr);
    again.ok();
}

#[test]
fn drafts_lead_to_pages_that_exist_and_to_what_is_newest() {
    let repo = built(&[]);
    let record = repo.read("release/release.json");
    let page = |name: &str| {
        record.replace(
            "\"files\":{",
            &format!("\"files\":{{\"manual/{name}\":{{\"size\":0,\"sha256\":\"{}\"}},", "0".repeat(64)),
        )
    };
    repo.write("release/release.json", &page("index.html"));
    repo.xtask(&["release", "announce"]).ok();
    let toot = || fs::read_to_string(drafts(&repo, "2.93.1").join("toot.txt")).expect("a toot");
    assert!(toot().ends_with("\nManual: https://docs.lix.systems/manual/lix/2.93/\n"), "{}", toot());
    repo.write("release/release.json", &page("release-notes/rl-2.93.html"));
    repo.git(&["tag", "2.95.0"]);
    repo.git(&["tag", "2.96.0-rc1"]);
    repo.git(&["tag", "not-a-version"]);
    repo.xtask(&["release", "announce"]).ok();
    assert!(toot().ends_with("/manual/lix/2.93/release-notes/rl-2.93.html\n"), "{}", toot());
    expect![[r#"
        # After Lix 2.93.1

        Left to do by hand:

        - [ ] Website: usually no post, because the notes mention no security fix; if there is one after all, a pull request with blog.md as content/blog/2025-06-18-lix-2.93.1-release.md, merged once the release is public
        - [ ] Toot (toot.txt), once the blog post is online
        - [ ] Install page, installer repository and NixOS module: nothing to do; they stay on 2.95.0, the newest stable tag
        - [ ] nixpkgs: a pull request (nixpkgs.toml), with backports to the stable branches
    "#]].assert_eq(&fs::read_to_string(drafts(&repo, "2.93.1").join("checklist.md")).expect("a checklist"));
}

/// Without Nix, something is missing, and the output says so.
fn without_warnings(stderr: &str) -> String {
    stderr.split_inclusive('\n').filter(|line| !line.starts_with("warning:")).collect()
}

#[test]
fn the_source_is_hashed_as_nixpkgs_will_see_it() {
    let repo = built(&[]);
    let unpacked = repo.beside("unpacked");
    fs::create_dir(&unpacked).expect("made");
    repo.git(&["--work-tree", unpacked.as_str(), "checkout", "--force", "HEAD", "--", "."]);
    let hash = std::process::Command::new("nix")
        .args(["--extra-experimental-features", "nix-command", "hash", "path", unpacked.as_str()])
        .output();
    let Some(hash) = hash.ok().filter(|hash| hash.status.success()) else {
        crate::repo::skip("Nix is not installed");
        return;
    };
    let hash = String::from_utf8(hash.stdout).expect("UTF-8");
    let draft = || {
        repo.xtask(&["release", "announce"]).ok();
        fs::read_to_string(drafts(&repo, "2.93.1").join("nixpkgs.toml")).expect("there")
    };
    let text = draft();
    assert!(text.contains(&format!("\nunpacked-hash = \"{}\"\n", hash.trim())), "{text}");
    repo.write("release/artifacts/lix/lix-2.93.1/lix-2.93.1.tar.gz", "damaged");
    let text = draft();
    assert!(text.contains("nix-prefetch-url --unpack https://") && !text.contains("unpacked-hash"), "{text}");
}

#[test]
fn what_a_person_has_edited_is_theirs() {
    let repo = built(&[]);
    repo.xtask(&["release", "announce"]).ok();
    let dir = drafts(&repo, "2.93.1");
    fs::write(dir.join("blog.md"), "my words\n").expect("written");
    let again = repo.xtask(&["release", "announce"]);
    assert!(again.stderr.contains("edited     blog.md, kept as it is"), "{}", again.stderr);
    again.ok();
    // Another author makes another draft.
    rename(&repo, "Another Name");
    let newer = repo.xtask(&["release", "announce"]);
    assert!(newer.stderr.contains("the newer draft is") && newer.stderr.contains("blog.new.md"), "{}", newer.stderr);
    newer.ok();
    assert_eq!(fs::read_to_string(dir.join("blog.md")).expect("there"), "my words\n");
    assert!(fs::read_to_string(dir.join("blog.new.md")).expect("there").contains("“Another Name”"));
    fs::write(dir.join("blog.new.md"), "my words, too\n").expect("written");
    rename(&repo, "A Third");
    repo.xtask(&["release", "announce"]).ok();
    assert_eq!(fs::read_to_string(dir.join("blog.new.md")).expect("there"), "my words, too\n");
    assert!(fs::read_to_string(dir.join("blog.new2.md")).expect("there").contains("A Third"));

    // A draft without edits is replaced.
    fs::remove_file(dir.join("blog.md")).expect("removed");
    repo.xtask(&["release", "announce"]).ok();
    rename(&repo, "A Fourth");
    repo.xtask(&["release", "announce"]).ok();
    assert!(fs::read_to_string(dir.join("blog.md")).expect("there").contains("A Fourth"));
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_new_major_and_a_pre_release() {
    let repo = built(&["2.94.0", "--name", "Açaí na tigela"]);
    repo.xtask(&["release", "announce"]).ok();
    let blog = fs::read_to_string(drafts(&repo, "2.94.0").join("blog.md")).expect("there");
    assert!(
        blog.starts_with("+++\ntitle = \"Announcing Lix 2.94 “Açaí na tigela”\"\nauthor = \"Lix Team\"\n"),
        "{blog}"
    );

    let early = built(&["2.94.0-rc1", "--name", "Açaí na tigela"]);
    early.xtask(&["release", "announce"]).ok();
    let blog = fs::read_to_string(drafts(&early, "2.94.0-rc1").join("blog.md")).expect("there");
    assert!(blog.contains("### The `third` thing") && blog.contains("date = \"2025-06-19\""), "{blog}");
}

#[test]
fn nothing_to_announce() {
    let repo = Repo::patch_release();
    let error = repo.xtask(&["release", "announce"]).fails(1);
    assert!(error.contains("has `cargo xtask release build` finished?"), "{error}");
    write_record(&repo, false);
    let error = repo.xtask(&["release", "announce"]).fails(1);
    assert!(error.contains("not an official release: there is nothing to announce"), "{error}");
    write_record(&repo, true);
    repo.write("release/release.json", &repo.read("release/release.json").replace("lix-2.93.1.tar.gz", "other"));
    let error = repo.xtask(&["release", "announce"]).fails(1);
    assert!(error.contains("has no lix-2.93.1.tar.gz") && error.contains("no section for 2.93.1"), "{error}");
    assert!(!drafts(&repo, "2.93.1").exists());
}
