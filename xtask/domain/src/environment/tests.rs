//! What our `releng.toml` says, and what is refused.

use expect_test::expect;

use super::*;

const OURS: &str = include_str!("../../../releng.toml");

#[test]
fn our_own_file() {
    let config = Config::parse(OURS).expect("valid");
    assert_eq!(config.environments.keys().collect::<Vec<_>>(), ["local", "production", "staging"]);
    let production = config.environment("production").expect("known");
    assert_eq!((production.colour, production.noconfirm), (Colour::Red, false));
    assert_eq!(production.profiles, [Profile::All]);
    assert_eq!(production.requires.as_deref(), Some("staging"));
}

#[test]
fn a_slip_is_an_error_that_shows_the_place() {
    let error = Config::parse(&OURS.replacen("noconfirm = ", "no-confirm = ", 1)).expect_err("unknown key");
    assert!(error.contains("line ") && error.contains("unknown field `no-confirm`"), "{error}");
    let error = Config::parse(&OURS.replacen("\"{access}\", ", "", 1)).expect_err("no placeholder");
    expect!["environment `staging`: `program` has no argument `{access}`"].assert_eq(&error);
    let error = Config::parse(&OURS.replacen("heads/{branch}", "heads/branch", 1)).expect_err("no placeholder");
    expect!["environment `local`: `branch-off` is not a ref with `{branch}` in it: refs/heads/branch"]
        .assert_eq(&error);
    let error = Config::parse(&OURS.replacen("renew-after-minutes = 45", "renew-after-minutes = 0", 1));
    expect![
        "environment `staging`: `renew-after-minutes` is 0: set the number of minutes after which a new key is made"
    ]
    .assert_eq(&error.expect_err("always anew"));
    for (wrong, why) in [("production", "leads back to itself"), ("stagging", "names an unknown environment: stagging")]
    {
        let text = OURS.replacen("requires = \"staging\"", &format!("requires = {wrong:?}"), 1);
        let error = Config::parse(&text).expect_err("no other environment");
        assert_eq!(error, format!("environment `production`: `requires` {why}"));
    }
    for (from, to) in [
        ("environments.local", "environments.\"../local\""),
        ("environments.local", "environments.\"\""),
        ("environments.local", "environments.\"-local\""),
        ("\"x86_64-linux-only\"", "\"x86_64-linux\""),
    ] {
        let error = Config::parse(&OURS.replace(from, to)).expect_err(to);
        assert!(error.contains("a name has only letters") || error.contains("there is no profile"), "{error}");
    }
    let purge = |rest: &str| {
        let text = OURS.replacen("noconfirm = true", &format!("noconfirm = true\n{rest}"), 1);
        Config::parse(&text).expect_err(rest) + "\n"
    };
    expect![[r#"
            environment `local`: `purge` gets addresses, but `public` is missing
            environment `local`: `purge` names no program
        "#]]
    .assert_eq(&(purge("purge = [\"purge\"]") + &purge("purge = [\"\"]")));
    let ours = Config::parse(OURS).expect("valid");
    let way = |name| (ours.is_stage(name), ours.before(name));
    assert_eq!(["local", "staging", "production"].map(way), [(false, 0), (true, 0), (true, 1)]);
    let error = Config::parse(OURS).expect("valid").environment("prod").expect_err("unknown");
    expect!["there is no environment `prod`: known environments are local, production, staging"].assert_eq(&error);
}

#[test]
fn commits_go_through_review_and_new_branches_do_not() {
    let config = Config::parse(OURS).expect("valid");
    let refs = |name: &str| {
        let git = &config.environment(name).expect("known").git;
        (git.onto_branch("main"), git.new_branch("release-2.94"))
    };
    let plain = ("refs/heads/main".to_owned(), "refs/heads/release-2.94".to_owned());
    assert_eq!(refs("staging"), plain);
    assert_eq!(refs("production"), ("refs/for/main".to_owned(), plain.1));
}

#[test]
fn keys_are_asked_for_no_more_than_is_needed() {
    let program = ["ssh", "host", "{access}", "{buckets}"].map(str::to_owned);
    let command = |access| credentials_command(&program, access, &["a".to_owned(), "b".to_owned()]).join(" ");
    assert_eq!(command(Access::Read), "ssh host --read a b");
    assert_eq!(command(Access::ReadWrite), "ssh host --read --write a b");
}

#[test]
fn every_manager_has_another_user_name() {
    let wanted = "ssh://gerrit.lix.systems:2022/lix";
    for url in [wanted, "ssh://jade@gerrit.lix.systems:2022/lix", "ssh://a.b@gerrit.lix.systems:2022/lix.git/"] {
        assert!(same_but_for_user(url, wanted), "{url}");
    }
    for url in [
        "https://gerrit.lix.systems:2022/lix",
        "ssh://gerrit.lix.systems/lix",
        "ssh://evil/gerrit.lix.systems:2022/lix",
        "lix",
    ] {
        assert!(!same_but_for_user(url, wanted), "{url}");
    }
}
