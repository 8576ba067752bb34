//! A new signing key, a lost one, and a stolen one: the commands of the guide's chapter, as a manager types them.

use std::fs;

use crate::cache::generate_named;
use crate::release::Release;
use crate::repo::Ran;

/// Replaces the signing key by one with another name, which is all that is trusted from then on.
fn replace_key(releases: [&Release; 2]) {
    let (secret, _) = generate_named("lix-rehearsal-2");
    fs::write(releases[0].release_dir().join("local/cache.key"), secret).expect("written");
    for release in releases {
        release.configure(|text| text.replacen("name = \"lix-rehearsal\"", "name = \"lix-rehearsal-2\"", 1));
    }
}

/// Exit code and what is said of signatures and decisions.
fn said(release: &Release, ran: &Ran) -> String {
    let text = release.neutral(&(ran.stdout.clone() + &ran.stderr));
    let about = ["SHA256SUMS", "withdrawn", "receipts/", " signed ", "error:", "done:"];
    let lines = text.lines().filter(|line| about.iter().any(|word| line.contains(word)));
    lines.fold(format!("{:?}\n", ran.code), |said, line| format!("{said}{}\n", line.trim_end()))
}

#[test]
fn what_a_stolen_key_signed_is_signed_again() {
    let (old, new) = (Release::new("2.93.1"), Release::new("2.93.2"));
    new.share(&old);
    old.upload().ok();
    new.upload().ok();
    let rollback = || old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]);
    rollback().ok();
    replace_key([&old, &new]);

    let mut log = String::new();
    let mut run = |what: &str, ran: Ran| log += &format!("{what}: {}", said(&old, &ran));
    // Nothing is proven any more, and no pointer may move; what was published can be signed again, and then the list.
    run("verify", old.release("verify", "local", &[]));
    run("rollback", rollback());
    run("upload", old.upload());
    run("rollback", rollback());
    run("upload", old.upload());
    run("verify", old.release("verify", "local", &[]));
    run("doctor", old.release("doctor", "local", &[]));
    run("verify", new.release("verify", "local", &[]));
    expect_test::expect![[r#"
        verify: Some(1)
        broken releases withdrawn.json            s3://local-releases/withdrawn.json is not proven: s3://local-releases/receipts/withdrawn.json is not proven: its signature is by a key that is not known; affects uploads, which move no pointer until then
        broken releases lix/lix-2.93.1/SHA256SUMS.sig the signature of SHA256SUMS is by a key that is not known: nothing here proves that this is what was released; affects everyone who downloads it
        broken cache closures                     /nix/store/11i76h8dni4m7n5iqdcpf4ia1l2chscn-lix-2.93.1-doc: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/6l8fglrqk4gzw58r4aw3l1i3majsmfly-lix-2.93.1-doc: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/77h6yz666qf8ybascax6pfg57jszgcyz-lix-2.93.1: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/bvd1v7khlx35rzr2ad3qng6rs722k5p9-lix-2.93.1.drv: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/l88mqybdnj2ihpqia48kzrgcmmvwgqa2-lix-2.93.1: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken docs manual/lix/2.93/              should lead to 2.93.2, which is not proven: the signature of SHA256SUMS is by a key that is not known; affects everyone who follows it
        broken image release/local/images:2.93    should lead to 2.93.2, which is not proven: the signature of SHA256SUMS is by a key that is not known; affects everyone who follows it
        broken releases receipts/lix-2.93.1.json  it is not proven: its signature is by a key that is not known: run the upload again; affects environments that require this one
        rollback: Some(1)
        warning: s3://local-releases/withdrawn.json is not proven: s3://local-releases/receipts/withdrawn.json is not proven: its signature is by a key that is not known; this rollback rewrites withdrawn.json
        broken releases lix/lix-2.93.1/SHA256SUMS.sig the signature of SHA256SUMS is by a key that is not known: nothing here proves that this is what was released; affects everyone who downloads it
        broken cache closures                     /nix/store/11i76h8dni4m7n5iqdcpf4ia1l2chscn-lix-2.93.1-doc: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/6l8fglrqk4gzw58r4aw3l1i3majsmfly-lix-2.93.1-doc: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/77h6yz666qf8ybascax6pfg57jszgcyz-lix-2.93.1: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/bvd1v7khlx35rzr2ad3qng6rs722k5p9-lix-2.93.1.drv: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/l88mqybdnj2ihpqia48kzrgcmmvwgqa2-lix-2.93.1: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        error: nothing was rolled back by this run
        upload: Some(0)
        warning: s3://local-releases/withdrawn.json is not proven: s3://local-releases/receipts/withdrawn.json is not proven: its signature is by a key that is not known, so it is unknown which versions a rollback withdrew: look at it, or rewrite it with `rollback --to VERSION`, naming the version that users should have
          ~ releases lix/lix-2.93.1/SHA256SUMS.sig sign again OBJECT
          ~ releases receipts/lix-2.93.1.json      says that everything is done
          ok releases lix/lix-2.93.1/SHA256SUMS.sig sign again OBJECT
          ok releases receipts/lix-2.93.1.json      says that everything is done
        done: 2.93.1 is published to local; next: cargo xtask release verify --env local --repo TREE --config BESIDE/releng.toml
        rollback: Some(0)
        warning: s3://local-releases/withdrawn.json is not proven: s3://local-releases/receipts/withdrawn.json is not proven: its signature is by a key that is not known; this rollback rewrites withdrawn.json
        ok     releases lix/lix-2.93.1/SHA256SUMS.sig by lix-rehearsal-2
          ~ releases withdrawn.json           rewrite the list
          ok releases withdrawn.json           rewrite the list
        done: users of local are back on 2.93.1; `rollback --to` a newer version undoes it
        upload: Some(0)
          = releases lix/lix-2.93.1/SHA256SUMS.sig nothing to do
          = releases receipts/lix-2.93.1.json      nothing to do
        done: 2.93.1 is published to local; next: cargo xtask release verify --env local --repo TREE --config BESIDE/releng.toml
        verify: Some(1)
        ok     releases lix/lix-2.93.1/SHA256SUMS.sig by lix-rehearsal-2
        broken docs manual/lix/2.93/              should lead to 2.93.2, which is not proven: the signature of SHA256SUMS is by a key that is not known; affects everyone who follows it
        broken image release/local/images:2.93    should lead to 2.93.2, which is not proven: the signature of SHA256SUMS is by a key that is not known; affects everyone who follows it
        ok     releases receipts/lix-2.93.1.json  is for release.json OBJECT
        doctor: Some(1)
          ✗ nix with flakes      error: getting status of
          ✓ signed               by lix-rehearsal-2: 2.93.1
          · signed               the signature of SHA256SUMS is by a key that is not known: 2.93.2
        verify: Some(1)
        broken releases lix/lix-2.93.2/SHA256SUMS.sig the signature of SHA256SUMS is by a key that is not known: nothing here proves that this is what was released; affects everyone who downloads it
        broken cache closures                     /nix/store/17wf3slpsaqlm7y5i9vbaz53snvyljff-lix-2.93.2: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/3652ak31rm4a0cra74gc16mw9s6887qg-lix-2.93.2-doc: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/9lb0rph7wcrwy8p1ngzv5w100jb5fz0a-lix-2.93.2-doc: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/cg4h56xs8d8a7456qm4aflp3xaw0cidb-lix-2.93.2.drv: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken cache closures                     /nix/store/gc9aamcc4km6iam51bwp5j0cqaa352pl-lix-2.93.2.drv: its narinfo is not signed by the key of this cache (its signatures are by lix-rehearsal); affects everyone who downloads Lix instead of building it
        broken releases receipts/lix-2.93.2.json  it is not proven: its signature is by a key that is not known: run the upload again; affects environments that require this one
    "#]].assert_eq(&log);
}
