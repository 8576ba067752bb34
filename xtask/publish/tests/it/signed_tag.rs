//! Tags that must be signed: `tag` signs, and `upload` and `verify` accept nothing else. The keys are OpenSSH's.

use std::fs;
use std::process::Command;

use camino::Utf8PathBuf;

use crate::release::Release;

/// Makes releng.toml require signatures, by lines that are added to its table.
fn require(release: &Release, more: &str) {
    let text = format!("require-signed-tag = true\n{more}");
    release.configure(|config| config.replacen("require-signed-tag = false\n", &text, 1));
}

/// Makes a key, and lets git sign with it. Returns its public half.
fn sign_with(release: &Release, name: &str) -> String {
    let key: Utf8PathBuf = release.repo.beside(name);
    if !key.exists() {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key.as_str()]);
        assert!(command.status().expect("OpenSSH is installed").success());
    }
    release.repo.git(&["config", "gpg.format", "ssh"]);
    release.repo.git(&["config", "user.signingKey", key.as_str()]);
    fs::read_to_string(key.with_extension("pub")).expect("a public key")
}

/// Writes the list beside releng.toml.
fn list(release: &Release, lines: &str) {
    fs::write(release.repo.beside("allowed-signers"), lines).expect("written");
}

#[test]
fn a_tag_is_signed_by_someone_who_is_listed_or_nothing_is_published() {
    let release = Release::tagged("2.93.1");
    let repo = &release.repo;
    require(&release, "");
    let tag = |args: &[&str]| {
        repo.git(&["switch", "--quiet", "main"]);
        repo.xtask(&[&["release", "tag", "--force-tag", "--config", release.config.as_str()], args].concat())
    };
    let neutral = |text: String| {
        let text = release.neutral(&text);
        let words = text.split(' ').map(|word| if word.starts_with("SHA256:") { "SHA256:KEY," } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    let doctor = || {
        let said = repo.xtask(&["release", "doctor", "--config", release.config.as_str()]).stdout;
        let line = said.lines().find(|line| line.contains("signed tags")).unwrap_or_default();
        neutral(format!("{}\n", line.trim_end()))
    };
    let refs = repo.git(&["for-each-ref"]);
    let mut said = doctor();
    let ours = sign_with(&release, "ours");
    said += &neutral(tag(&[]).fails(1));
    let theirs = sign_with(&release, "theirs");
    list(&release, &format!("manager@example.org namespaces=\"git\" {ours}"));
    said += &doctor();
    said += &neutral(tag(&[]).fails(1));
    assert_eq!(repo.git(&["for-each-ref"]), refs, "nothing moved");
    expect_test::expect![[r#"
          ✗ signed tags          releng.toml requires signed tags, but the list of those who may sign cannot
        warning: there is no remote `origin` to ask whether the tag was pushed
        error: cannot tag the release
          releng.toml requires signed tags, but the list of those who may sign cannot be read (a line for each: `NAME namespaces="git" ssh-ed25519 AAAA…`): BESIDE/allowed-signers
          No such file or directory (os error 2)
          ✓ signed tags          by an SSH key; BESIDE/allowed-signers says whose
        warning: there is no remote `origin` to ask whether the tag was pushed
        error: cannot tag the release
          releng.toml requires a signed tag, and ours is signed with the ED25519 key SHA256:KEY, which is not that of a signer in BESIDE/allowed-signers
        next: set git's `gpg.format = ssh` and `user.signingKey` to a key in that list, and run the same command again
    "#]].assert_eq(&said);

    // Without being asked.
    sign_with(&release, "ours");
    tag(&[]).ok();
    repo.git(&["-c", &format!("gpg.ssh.allowedSignersFile={}", repo.beside("allowed-signers")), "tag", "-v", "2.93.1"]);
    release.seal(&crate::release::SYSTEMS, 2);
    release.upload().ok();
    let verify = || {
        let ran = release.release("verify", "local", &[]);
        let lines = ran.stdout.lines().filter(|line| line.contains(" tag 2.93.1"));
        let cut = |line: &str| format!("{}\n", line.split(": verify time").next().unwrap_or_default());
        format!("{:?} {}", ran.code, neutral(lines.map(cut).collect()))
    };
    let mut said = verify();

    // Someone who may push puts another tag there; the list of signers stays what the manager has.
    // The third is a genuine signature, but of another release.
    let attacks = [
        ["theirs", "--sign", "2.93.1"],
        ["theirs", "--annotate", "2.93.1"],
        ["ours", "--sign", "2.93.0"],
        ["theirs", "--sign", "2.93.1"],
    ];
    for (number, [key, kind, name]) in attacks.into_iter().enumerate() {
        let remote = release.release_dir().join("local/git");
        let us = ["-c", "user.name=Them", "-c", "user.email=them@example.org"];
        let git = |args: &[&str]| repo.git(&[&["--git-dir", remote.as_str()], &us[..], args].concat());
        let setting = format!("user.signingKey={}", repo.beside(key));
        git(&[
            "-c",
            &setting,
            "-c",
            "gpg.format=ssh",
            "tag",
            "--force",
            "--message=release",
            kind,
            name,
            "2.93.1^{commit}",
        ]);
        if number == 2 {
            git(&["update-ref", "refs/tags/2.93.1", "refs/tags/2.93.0"]);
            git(&["tag", "--delete", "2.93.0"]);
        }
        if number == 3 {
            // A list that expires what it lists is as good as none.
            list(&release, &format!("them@example.org valid-before=\"20200101\" {theirs}"));
        }
        said += &verify();
    }
    expect_test::expect![[r#"
        Some(0) ok     tag 2.93.1                         is for OBJECT, signed by manager@example.org
        Some(1) broken tag 2.93.1                         it is another tag for OBJECT, OBJECT, and OBJECT was released; affects everyone who builds from git
        broken tag 2.93.1                         it is signed with the ED25519 key SHA256:KEY, which is not that of a signer in BESIDE/allowed-signers, and releng.toml requires a signature; affects everyone who builds from git
        Some(1) broken tag 2.93.1                         it is another tag for OBJECT, OBJECT, and OBJECT was released; affects everyone who builds from git
        broken tag 2.93.1                         it is not signed, and releng.toml requires a signature; affects everyone who builds from git
        Some(1) broken tag 2.93.1                         it is another tag for OBJECT, OBJECT, and OBJECT was released; affects everyone who builds from git
        broken tag 2.93.1                         it was made for another name, `2.93.0`, and releng.toml requires a signature; affects everyone who builds from git
        Some(1) broken tag 2.93.1                         it is another tag for OBJECT, OBJECT, and OBJECT was released; affects everyone who builds from git
        broken tag 2.93.1                         it is signed with the ED25519 key SHA256:KEY, which is not that of a signer in BESIDE/allowed-signers: BESIDE/allowed-signers:1: key has expired
    "#]].assert_eq(&said);
}

#[test]
fn a_tag_without_a_signature_is_published_only_if_none_is_required() {
    let release = Release::new("2.93.1");
    list(&release, "");
    require(&release, "");
    let said = release.neutral(&release.upload().fails(1));
    expect_test::expect![[r#"
        error: the upload is not finished
          releng.toml requires a signed tag, and the tag 2.93.1 is not signed: if it was never pushed, go back to the branch, make it anew with `release tag --force-tag`, and build again
    "#]].assert_eq(&said);
    assert!(!release.object("local-releases").exists() || !release.object("local-releases/manifest.nix").exists());
    release.configure(|text| {
        text.replacen("require-signed-tag = true\n", "require-signed-tag = true\nsigned-from = \"2.93.2\"\n", 1)
    });
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
}
