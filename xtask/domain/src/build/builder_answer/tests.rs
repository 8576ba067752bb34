//! Builders in every state, and how each is reached.

use super::*;
use crate::build::builders::{Line, parse};
use expect_test::expect;

fn builder(line: &str) -> Builder {
    match &parse(line)[..] {
        [Line::Builder(builder)] => builder.clone(),
        other => panic!("one builder, not {other:?}"),
    }
}

#[test]
fn a_builder_is_reached_as_nix_reaches_it() {
    let words = |line: &str| match Destination::of(&builder(line)) {
        None => "not with SSH".to_owned(),
        Some(there) => {
            let known = there.host_key.as_ref().map(|key| format!("/known with {key}"));
            let words = there.arguments("-p 7", known.as_deref(), 5);
            words[..words.len() - 1].join(" ")
        }
    };
    let lines = [
        "ssh://mac aarch64-darwin",
        "ssh-ng://nix@[::1]:2222 - /key 4",
        "me@host",
        "ssh://host?ssh-key=/other",
        "ssh://host - - 1 1 - - c3NoLWVkMjU1MTkgQUFBQQ==",
        "ssh://-oProxyCommand=x",
        "auto",
        "/a/store",
        "unix:///socket",
    ];
    expect![[r"
        -p 7 -x -T -o BatchMode=yes -o ConnectTimeout=5 -- mac
        -p 7 -x -T -o BatchMode=yes -o ConnectTimeout=5 -p 2222 -i /key -- nix@::1
        -p 7 -x -T -o BatchMode=yes -o ConnectTimeout=5 -- me@host
        -p 7 -x -T -o BatchMode=yes -o ConnectTimeout=5 -i /other -- host
        -p 7 -x -T -o BatchMode=yes -o ConnectTimeout=5 -o UserKnownHostsFile=/known with ssh-ed25519 AAAA -o HostKeyAlias=releng-builder -- host
        -p 7 -x -T -o BatchMode=yes -o ConnectTimeout=5 -- -oProxyCommand=x
        not with SSH
        not with SSH
        not with SSH"]]
    .assert_eq(&lines.map(words).join("\n"));
    assert_eq!(SCRIPT.matches('\'').count(), 2, "a login shell passes it on as one word");
}

#[test]
fn every_answer_says_what_is_wrong_and_what_to_do() {
    let says = |version: &str, systems: &str, free: &str| {
        let free = format!("free map auto home 264212084 67570216 {free} 71% /nix");
        Answer::Says(format!("version {version}\n{systems}{free}\n"))
    };
    let linux = "extra-platforms = i686-linux\nsystem = x86_64-linux\nsystem-features = benchmark kvm\n";
    let new = "nix-store (Nix) 2.34.8";
    let refused = |text: &str| Answer::Refused(text.to_owned());
    let cases = [
        ("ssh://a x86_64-linux,i686-linux - 1 1 kvm", says(new, linux, "27715672")),
        ("ssh://a", says("nix-store (Lix, like Nix) 2.93.1", linux, "27715672")),
        ("ssh://a aarch64-darwin - 1 1 big-parallel", says("nix-store (Nix) 2.3.16", linux, "1000")),
        // Restricted to Nix's protocol, with a Nix that shows no configuration, and without Nix.
        ("ssh://a aarch64-linux", Answer::Unknown),
        ("ssh://a aarch64-linux", says(new, "", "27715672")),
        ("ssh://a", Answer::Says("version \nfree x\n".to_owned())),
        ("ssh://a", Answer::Silent(10)),
        (
            "ssh://me@a",
            refused(
                "No ED25519 host key is known for a and you have requested strict checking.\nHost key verification failed.",
            ),
        ),
        ("ssh://a", refused("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.")),
        ("ssh://a - - 1 1 - - a2V5", refused("Host key verification failed.")),
        ("ssh://me@a - /key", refused("me@a: Permission denied (publickey).")),
        ("ssh://a", refused("a: Permission denied (publickey,password).")),
        (
            "ssh://a - /key",
            refused(
                "Warning: Identity file /key not accessible: No such file or directory.\na: Permission denied (publickey).",
            ),
        ),
        ("ssh://a - /key", refused("@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\na: Permission denied (publickey).")),
        ("ssh://a", refused("ssh: Could not resolve hostname a: Name or service not known")),
        ("ssh://a", refused("ssh: connect to host a port 22: Connection refused")),
        ("ssh://a", refused("ssh: connect to host a port 22: No route to host")),
        ("ssh://a", refused("Connection timed out during banner exchange\n")),
        ("ssh://a", refused("kex_exchange_identification: Connection closed by remote host\n\n")),
        ("ssh://a", refused("cannot run `ssh a`: is `ssh` installed and on PATH?")),
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|(line, answer)| {
            let verdict = Verdict::new(&builder(line), "x86_64-linux", answer);
            let mark = match (verdict.usable, verdict.problems.is_empty()) {
                (true, true) => "✓",
                (true, false) => "!",
                (false, _) if verdict.ours_alone => "✗ (we)",
                (false, _) => "✗",
            };
            format!("{mark} {}", verdict.line())
        })
        .collect();
    expect![[r#"
        ✓ ssh://a: x86_64-linux, Nix 2.34.8, 28.4 GB free
        ✓ ssh://a: x86_64-linux, Nix 2.93.1, 28.4 GB free
        ! ssh://a is listed for aarch64-darwin, but builds for x86_64-linux: correct the list of builders, or `extra-platforms` there; it is listed with big-parallel, which it does not have: correct the list of builders, or `system-features` there; it has Nix 2.3.16, and 2.8 or newer was tried: install a newer one there; it has only 0.0 GB free in /nix/store: `nix-collect-garbage` there frees some
        ✓ ssh://a: answers, but does not say anything of itself
        ✓ ssh://a: Nix 2.34.8, 28.4 GB free
        ✗ ssh://a has no `nix-store` on the PATH of a session without a terminal: install Nix there, or put it on that PATH
        ✗ ssh://a does not answer within 10 s: is it running, and not overloaded?
        ✗ (we) ssh://me@a has a host key that is not known here: `ssh me@a` once, and compare what it shows
        ✗ (we) ssh://a has another host key than before: ask who runs it; if that is right, `ssh-keygen -R a`
        ✗ ssh://a has another host key than the list of builders says: ask who runs it, then correct the list
        ✗ (we) ssh://me@a rejects the key /key: the public half belongs into `authorized_keys` of me@a
        ✗ (we) ssh://a rejects every key that SSH offers: the public half belongs into `authorized_keys` of a
        ✗ (we) ssh://a needs the key /key, which cannot be read here: correct its path or its owner
        ✗ (we) ssh://a is not asked with a key that others can read: `chmod 600 /key`
        ✗ ssh://a cannot be found: is its name right, and the network (or the VPN) there?
        ✗ ssh://a is there, but has no SSH server at that port: start it, or correct the port
        ✗ ssh://a cannot be reached: is it running, and the network (or the VPN) there?
        ✗ ssh://a cannot be reached: is it running, and the network (or the VPN) there?
        ✗ ssh://a cannot be used: kex_exchange_identification: Connection closed by remote host; `ssh a nix-store --version` tries it
        ✗ ssh://a cannot be asked, because `ssh` is not installed here: install it"#]].assert_eq(&shown.join("\n"));
}
