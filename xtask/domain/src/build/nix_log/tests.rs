//! What Nix writes in its structured format, of several versions.

use super::*;
use expect_test::expect;

const MACHINE: &str = "ssh://mac";

fn start(id: u64, name: &str, machine: &str) -> String {
    let drv = format!("/nix/store/{}-{name}.drv", "a".repeat(32));
    let text = format!("building '{drv}'");
    serde_json::json!({"action": "start", "id": id, "level": 3, "type": 105, "text": text, "fields": [drv, machine, 1, 1]})
        .to_string()
}

fn says(level: u64, text: &str) -> String {
    serde_json::json!({"action": "msg", "level": level, "msg": text.replace("DRV", &format!("/nix/store/{}", "a".repeat(32)))})
        .to_string()
}

fn line(id: u64, text: &str) -> String {
    serde_json::json!({"action": "result", "id": id, "type": 101, "fields": [text]}).to_string()
}

fn heard(lines: &[String]) -> Builds {
    let mut builds = Builds::default();
    for line in lines {
        builds.hear(&format!("@nix {line}"));
    }
    builds
}

fn shown(builds: &Builds) -> String {
    let failures: Vec<String> = builds.failures().iter().map(Failure::to_string).collect();
    let unplaced = builds.unplaced().into_iter().map(|(name, system)| format!("no machine for {name}: {system}"));
    let others = builds.others().into_iter().map(|other| format!("other: {other}"));
    failures.into_iter().chain(unplaced).chain(others).collect::<Vec<_>>().join("\n")
}

// All as Nix 2.8.0 and 2.34.8 write them.
#[test]
fn a_broken_build_is_not_a_lost_builder() {
    let red = "\u{1b}[31;1merror:\u{1b}[0m";
    let answered = format!(
        "{red} build of '\u{1b}[35;1mDRV-bad.drv\u{1b}[0m' on 'ssh://mac' failed: builder for 'DRV-bad.drv' failed with exit code 3"
    );
    let eof = format!("{red} unexpected end-of-file");
    let old = heard(&[
        start(1, "bad", MACHINE),
        start(2, "slow", MACHINE),
        start(3, "near", ""),
        line(1, "one"),
        says(0, &answered),
        line(1, "two"),
        says(0, "error: builder for 'DRV-bad.drv' failed with exit code 1"),
        line(2, "Connection to mac closed by remote host.\r"),
        says(0, &eof),
        says(0, "error: builder for 'DRV-slow.drv' failed with exit code 1"),
        says(0, "error: builder for 'DRV-near.drv' failed with exit code 4;\nlast 1 log lines:\n> x"),
        says(0, "error: 3 dependencies of derivation 'DRV-top.drv' failed to build"),
    ]);
    let new = heard(&[
        start(1, "bad", MACHINE),
        start(2, "slow", MACHINE),
        start(3, "near", ""),
        says(0, &answered),
        says(0, "error: Cannot build 'DRV-bad.drv'.\n       Reason: builder failed with exit code 1.\n"),
        says(0, &eof),
        line(2, ""),
        says(0, "error: Cannot build 'DRV-slow.drv'.\n       Reason: builder failed with exit code 1.\n"),
        says(0, "error: Cannot build 'DRV-near.drv'.\n       Reason: builder failed with exit code 4.\n"),
        says(0, "error: Cannot build 'DRV-top.drv'.\n       Reason: 3 dependencies failed."),
    ]);
    expect![[r#"
        cannot build bad on ssh://mac: its builder failed with exit code 3
          | one
          | two
        ssh://mac was lost while it built slow: unexpected end-of-file
          | Connection to mac closed by remote host.
        cannot build near here: its builder failed with exit code 4
        other: error: 3 dependencies of derivation '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-top.drv' failed to build

        cannot build bad on ssh://mac: its builder failed with exit code 3
        ssh://mac was lost while it built slow: unexpected end-of-file
        cannot build near here: its builder failed with exit code 4
        other: error: Cannot build '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-top.drv'.
               Reason: 3 dependencies failed."#]]
    .assert_eq(&format!("{}\n\n{}", shown(&old), shown(&new)));
    assert!(old.started(&format!("/nix/store/{}-slow.drv", "a".repeat(32))));
    assert_eq!(
        old.failures().iter().map(|failure| failure.kind).collect::<Vec<_>>(),
        [Kind::Broken, Kind::Lost, Kind::Broken]
    );
}

#[test]
fn a_full_disk_and_a_missing_machine_are_named() {
    let missing = |required: &str| {
        format!(
            "Failed to find a machine for remote build!\nderivation: {}-arm.drv\nrequired (system, features): {required}\n1 available machines:",
            "a".repeat(32)
        )
    };
    let builds = heard(&[
        start(1, "big", MACHINE),
        line(1, "cp: error writing: No space left on device"),
        says(0, "build of 'DRV-big.drv' on 'ssh://mac' failed: builder for 'DRV-big.drv' failed with exit code 1"),
        says(0, "error: builder for 'DRV-big.drv' failed with exit code 1"),
        says(1, &missing("(aarch64-darwin, )")),
        says(1, &missing("(aarch64-darwin, [kvm])")),
        says(0, "error: unable to start any build; remote machines may not have all required system features."),
        "no JSON".to_owned(),
    ]);
    expect![[r#"
        ssh://mac had no space left for big: its builder failed with exit code 1
          | cp: error writing: No space left on device
        no machine for arm: aarch64-darwin with kvm
        other: @nix no JSON
        other: error: unable to start any build; remote machines may not have all required system features."#]]
    .assert_eq(&shown(&builds));
    // Found in the end.
    let found = heard(&[says(1, &missing("(aarch64-darwin, )")), start(1, "arm", MACHINE)]);
    assert!(found.unplaced().is_empty() && found.failures().is_empty());
}

#[test]
fn progress_is_one_line() {
    let mut builds = heard(&[
        r#"{"action":"start","id":9,"level":0,"text":"","type":104}"#.to_owned(),
        start(1, "near", ""),
        start(2, "far", MACHINE),
        line(2, "10%\r20%\r"),
        r#"{"action":"result","fields":[3,7,2,0],"id":9,"type":105}"#.to_owned(),
    ]);
    expect!["3 of 7 built; far on ssh://mac and 1 more: 20%"].assert_eq(&builds.now().expect("it builds"));
    for id in [1, 2] {
        assert_eq!(builds.hear(&format!(r#"@nix {{"action":"stop","id":{id}}}"#)), Heard::Progress);
    }
    assert_eq!(builds.now(), None);
    assert_eq!(builds.hear("a warning"), Heard::Message("a warning".to_owned()));
    assert_eq!(builds.hear(&format!("@nix {}", says(5, "chatter"))), Heard::Progress);
}
