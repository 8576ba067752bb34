//! `release status`: its pages at different stages, and that looking changes nothing.

mod stages;

use std::fs;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use expect_test::{Expect, expect};
use tempfile::TempDir;
use xtask::tools::files;
use xtask_publish::tools::anonymous::Anonymous;
use xtask_publish::tools::embedded::Embedded;
use xtask_publish::tools::store::Store;

use crate::release::Release;
use crate::repo::make_executable;

const PURPOSES: [&str; 4] = ["cache", "docs", "install", "releases"];

/// The page, without the `--repo` and `--config` of each next command.
fn status(release: &Release) -> String {
    let everywhere = format!(" --repo {} --config {}", release.repo.root, release.config);
    release.repo.xtask(&["release", "status", "--config", release.config.as_str()]).ok().replace(&everywhere, "")
}

/// A page without commits and today's date.
fn page(text: &str) -> String {
    let is_commit = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let line = |line: &str| {
        let words = line.split(' ').map(|word| match word.trim_end_matches([',', ')']) {
            bare if is_commit(bare) => word.replace(bare, "COMMIT"),
            bare if bare.len() == 10 && bare.starts_with("20") => "DATE".to_owned(),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

fn check(release: &Release, expected: Expect) {
    let text = status(release);
    assert!(text.lines().count() <= 25, "one screen: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    expected.assert_eq(&page(&text));
}

/// Two environments: staging with public addresses, production without.
struct World {
    // Dropped in this order: the readers, the server, its data.
    _public: Vec<Anonymous>,
    _server: Embedded,
    data: TempDir,
}

impl World {
    async fn of(release: &Release) -> Result<World> {
        let data = tempfile::tempdir()?;
        let names: Vec<String> = ["staging", "production"]
            .iter()
            .flat_map(|env| PURPOSES.map(|purpose| format!("{env}-{purpose}")))
            .collect();
        let server = Embedded::start(data.path(), &names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let keys = release.repo.beside("keys");
        let printed = serde_json::json!({ "name": "x", "id": "local", "secret_key": "local-secret" });
        fs::write(&keys, format!("#!/bin/sh\necho '{printed}'\n"))?;
        make_executable(&keys);
        let storage = format!(
            "storage.s3]\nendpoint = \"{}\"\nregion = \"local\"\n[environments.local.storage.s3.credentials.command]\n\
             program = [\"{keys}\", \"{{access}}\", \"{{buckets}}\"]\nrenew-after-minutes = 45\n",
            server.endpoint().url
        );
        let mut public = (Vec::new(), "[environments.staging.public]\n".to_owned());
        for purpose in PURPOSES {
            let store = Store::new(server.endpoint(), Embedded::credentials(), format!("staging-{purpose}"));
            let anonymous = Anonymous::start(store).await?;
            public.1 += &format!("{purpose} = \"{}\"\n", anonymous.url());
            public.0.push(anonymous);
        }
        release.configure(|text| {
            let start = text.find("[environments.local]").expect("an environment");
            let end = text.find("# Like production").expect("the next");
            let local = text[start..end].replacen("storage.embedded]\ndirectory = \"release/local/s3\"", &storage, 1);
            let staging = local.replace("environments.local", "environments.staging").replace("local-", "staging-");
            let staging = staging.replace("release/local", "release/staging");
            let production = staging.replace("environments.staging", "environments.production");
            let production = production.replace("staging-", "production-").replace("release/staging", "release/prod");
            let production = production.replacen("noconfirm = true", "noconfirm = false\nrequires = \"staging\"", 1);
            format!("{}{staging}\n{}\n{production}", &text[..start], public.1)
        });
        Ok(World { _public: public.0, _server: server, data })
    }

    fn object(&self, environment: &str, key: &str) -> Utf8PathBuf {
        let (bucket, key) = key.split_once('/').expect("a bucket and a key");
        let data = Utf8Path::from_path(self.data.path()).expect("UTF-8");
        data.join(format!("{environment}-{bucket}")).join(key)
    }

    fn publish(&self, release: &Release, environment: &str) {
        let plan = release.release("plan", environment, &["--json"]).ok();
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        release.release("upload", environment, &["--plan", plan["digest"].as_str().expect("a digest")]).ok();
    }

    fn put(&self, environment: &str, key: &str, text: &str) {
        files::write_atomic(&self.object(environment, key), text).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_on_its_way() -> Result<()> {
    let release = Release::tagged("2.93.1");
    let world = World::of(&release).await?;
    assert!(status(&release).contains("next: cargo xtask release build\n"));
    release.seal(&crate::release::SYSTEMS, crate::release::PAGES);
    check(
        &release,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at COMMIT

              notes        ✓ in rl-2.93.md, dated DATE
              tag          ✓ 2.93.1 at COMMIT, merged back to main
              build        ✓ in release/, for all, from COMMIT
              check        · not checked yet
              staging      · not published
              production   · not published
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release check                 # it is not proven yet
                  cargo xtask release upload --env staging
        "#]],
    );

    world.publish(&release, "staging");
    // As if that run had been killed at the very end.
    let receipt = world.object("staging", "releases/receipts/lix-2.93.1.json");
    fs::remove_file(&receipt)?;
    check(
        &release,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at COMMIT

              notes        ✓ in rl-2.93.md, dated DATE
              tag          ✓ 2.93.1 at COMMIT, merged back to main
              build        ✓ in release/, for all, from COMMIT
              check        · not checked yet
              staging      · published as built, unfinished: upload again; 3 files complete by name and size
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           · no installers yet
              production   · not published
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release check                 # it is not proven yet
                  cargo xtask release upload --env staging
        "#]],
    );
    world.publish(&release, "staging");
    let page = status(&release);
    assert!(page.contains("staging      ✓ published as built; 3 files complete by name and size"), "{page}");
    assert!(page.contains("verify --env staging     # unless you have done so"), "{page}");
    assert!(page.contains("      cargo xtask release upload --env production\n"), "{page}");

    world.publish(&release, "production");
    check(
        &release,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at COMMIT

              notes        ✓ in rl-2.93.md, dated DATE
              tag          ✓ 2.93.1 at COMMIT, merged back to main
              build        ✓ in release/, for all, from COMMIT
              check        · not checked yet
              staging      ✓ published as built; 3 files complete by name and size
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           · no installers yet
              production   ✓ published as built; 3 files complete by name and size
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           · no installers yet
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release verify --env production                # unless you have done so
                  cargo xtask release installer --env production --from DIR  # once they are built
                  cargo xtask release finish --env production --push
        "#]],
    );

    world.put("production", "install/lix/lix-2.93.1/installer.json", "{}");
    release.repo.xtask(&["release", "finish", "--yes"]).ok();
    let page = status(&release);
    assert!(page.contains("finish       · production does not have ") && page.contains(" on main\n"), "{page}");
    assert!(page.ends_with("      cargo xtask release finish --env production --push\n"), "{page}");
    release.repo.git(&["push", "--quiet", "release/prod/git", "main"]);
    let page = status(&release);
    assert!(
        page.contains("finish       ✓ done, here and at production\n")
            && page.ends_with("next: cargo xtask release announce\n"),
        "{page}"
    );
    release.repo.xtask(&["release", "announce"]).ok();
    assert!(status(&release).ends_with("next: nothing, this release is out\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_should_be() -> Result<()> {
    let release = Release::new("2.93.1");
    let world = World::of(&release).await?;
    for environment in ["staging", "production"] {
        world.publish(&release, environment);
    }
    let directory = "releases/lix/lix-2.93.1";
    world.put("staging", &format!("{directory}/lix-2.93.1.tar.gz"), "short");
    fs::remove_file(world.object("staging", &format!("{directory}/lix-2.93.1.tar.gz.sha256")))?;
    world.put("staging", "docs/manual/lix/stable/index.html", "another");
    fs::remove_file(world.object("staging", "docs/manual/lix/2.93/index.html"))?;
    world.put("production", "releases/withdrawn.json", "[\"2.93.1\"]");
    let manifest = world.object("production", "releases/manifest.nix");
    fs::write(&manifest, fs::read_to_string(&manifest)?.replace("2.93.1", "2.93.0"))?;
    check(
        &release,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at COMMIT

              notes        ✓ in rl-2.93.md, dated DATE
              tag          ✓ 2.93.1 at COMMIT, merged back to main
              build        ✓ in release/, for all, from COMMIT
              check        · not checked yet
              staging      ✗ published as built; 2 of 3 files incomplete: lix-2.93.1.tar.gz, …
                           · `nix upgrade-nix` leads to it; no docs 2.93; docs stable is another version's
                           · no installers yet
              production   ✓ published as built, and withdrawn by a rollback; 3 files complete by name and size
                           · docs 2.93 and docs stable lead to it; `nix upgrade-nix` leads to 2.93.0
                           ✗ a rollback withdrew it but did not move all pointers: run `rollback` again
                           ✗ withdrawn.json is not signed: receipts/withdrawn.json is missing
                           · no installers yet
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release rollback --env production --to 2.93.0  # it stopped halfway
        "#]],
    );

    // As an older tool publishes.
    let record = world.object("production", &format!("{directory}/release.json"));
    let (sums, aside) = (record.with_file_name("SHA256SUMS"), record.with_file_name("aside"));
    fs::rename(&record, &aside)?;
    fs::rename(&sums, sums.with_extension("aside"))?;
    let page = status(&release);
    assert!(page.contains("production   ✓ published by an older tool, without a record"), "{page}");
    fs::rename(&aside, &record)?;
    fs::rename(sums.with_extension("aside"), &sums)?;

    // Files without a record, and a record that differs from ours.
    fs::remove_file(world.object("staging", &format!("{directory}/release.json")))?;
    release.seal(&["x86_64-linux"], 3);
    let page = status(&release);
    assert!(page.contains("staging      · the upload is not finished: upload again"), "{page}");
    assert!(page.contains("production   ✗ published with different content from release/"), "{page}");
    let json = release.repo.xtask(&["release", "status", "--json", "--config", release.config.as_str()]).ok();
    let json: serde_json::Value = serde_json::from_str(&json)?;
    let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["head", "name", "next", "product", "topics", "version"]);
    expect![[r#"
        {
          "begun": [],
          "directory": {
            "is": "other",
            "record": DIGEST
          },
          "finished": true,
          "installers": false,
          "lock": null,
          "missing": [],
          "pointers": [
            {
              "leads": {
                "to": "2.93.0"
              },
              "what": "`nix upgrade-nix`"
            },
            {
              "leads": "here",
              "what": "docs 2.93"
            },
            {
              "leads": "here",
              "what": "docs stable"
            }
          ],
          "review": null,
          "unread": [
            {
              "is_damaged": true,
              "why": "withdrawn.json is not signed: receipts/withdrawn.json is missing"
            }
          ],
          "withdrawn": true
        }
    "#]]
    .assert_eq(
        &format!("{:#}\n", json["topics"][5]["seen"])
            .replace(&json["topics"][5]["seen"]["directory"]["record"].to_string(), "DIGEST"),
    );
    let next = json["next"][0]["command"].as_str().expect("a command");
    assert!(next.starts_with("cargo xtask release rollback --env production --to 2.93.0 --repo "), "{next}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_left_and_what_newer_tools_wrote() -> Result<()> {
    let release = Release::new("2.93.1");
    let world = World::of(&release).await?;
    for environment in ["staging", "production"] {
        world.publish(&release, environment);
    }
    let newer = |environment, key: &str| {
        let object = world.object(environment, key);
        let text = fs::read_to_string(&object).expect("an object");
        world.put(environment, key, &text.replacen("\"format\": 1", "\"format\": 2", 1));
    };
    for environment in ["staging", "production"] {
        world.put(environment, "releases/lix/lix-2.93.2/SHA256SUMS", "");
        world.put(environment, "releases/withdrawn.json", r#"{"format": 2, "withdrawn": {"2.93.0": "a crash"}}"#);
    }
    newer("staging", "releases/receipts/lix-2.93.1.json");
    newer("production", "releases/lix/lix-2.93.1/release.json");
    let lock = |process: &str, expires: &str| {
        let owner = format!(r#"{{"name": "Jade", "host": "far", "process": {process}, "boot": "another"}}"#);
        format!(r#"{{"owner": {owner}, "taken": "2025-01-01T00:00:00Z", "expires": "{expires}"}}"#)
    };
    world.put("staging", "docs/release.lock", &lock("7", "2999-01-01T12:00:00Z"));
    world.put("production", "docs/release.lock", &lock("8", "2025-01-01T00:10:00Z"));
    check(
        &release,
        expect![[r#"
            Lix 2.93.1 "Bici Bici", detached at COMMIT

              notes        ✓ in rl-2.93.md, dated DATE
              tag          ✓ 2.93.1 at COMMIT, merged back to main
              build        ✓ in release/, for all, from COMMIT
              check        · not checked yet
              staging      ✓ published as built; 3 files complete by name and size
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           ? withdrawn.json was made by a newer tool (format 2): use that tool
                           ? its receipt was made by a newer tool (format 2): use that tool
                           · no installers yet
                           … Jade (process 7 on far) is publishing here; the lock expires at 12:02 UTC
              production   ? release.json was made by a newer tool (format 2): use that tool
                           ✓ `nix upgrade-nix`, docs 2.93 and docs stable lead to it
                           ? withdrawn.json was made by a newer tool (format 2): use that tool
                           ✗ release.json is not proven: SHA256SUMS is signed, but for another release.json
                           · no installers yet
                           · the upload of 2.93.2 was begun here and is not finished
                           · Jade (process 8 on far) left a lock here; the next upload removes it
              finish       · switch back to main
              announce     · no drafts yet

            next: cargo xtask release check                 # it is not proven yet
                  cargo xtask release verify --env staging  # not everything there is readable
        "#]],
    );
    world.put("staging", "docs/release.lock", "<html>");
    world.put("staging", "releases/withdrawn.json", "null");
    let receipts = world.object("staging", "releases/receipts");
    let page = status(&release);
    assert!(
        page.contains("✗ release.lock cannot be read as a lock") && page.contains("✗ withdrawn.json is not"),
        "{page}"
    );
    // A rollback has left a copy.
    fs::remove_file(world.object("staging", "releases/withdrawn.json"))?;
    fs::write(receipts.join("withdrawn.json"), r#"["2.93.1"]"#)?;
    let page = status(&release);
    assert!(page.contains("✗ withdrawn.json is missing, although a rollback wrote it"), "{page}");
    assert!(page.contains("staging      ✓ published as built, and withdrawn by a rollback"), "{page}");
    Ok(())
}
