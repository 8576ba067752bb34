//! Who a release is by: commit, merge and tag are by the person, and signed with the key, that git itself would take in
//! that repository, however its settings get there.

use std::fs;
use std::process::Command;

use camino::Utf8Path;
use expect_test::expect;

use crate::repo::{Ran, Repo};

/// Another person, configured for the machine.
const PRIVATE: &str = "[user]\n\tname = Private Person\n\temail = private@home.example\n";
/// The release manager.
const MANAGER: &str = "[user]\n\tname = Release Manager\n\temail = rm@lix.example\n";

/// A tree without an identity, with these global settings. `DIR` stands for the directory beside the tree.
struct Somebody {
    repo: Repo,
    global: String,
}

impl Somebody {
    fn with(global: &str) -> Somebody {
        let repo = Repo::patch_release();
        for key in ["user.name", "user.email"] {
            repo.git(&["config", "--unset", key]);
        }
        let beside = repo.beside("");
        fs::write(repo.beside("manager.conf"), MANAGER).expect("written");
        let file = repo.beside("global.conf");
        fs::write(&file, global.replace("DIR", beside.as_str().trim_end_matches('/'))).expect("written");
        Somebody { repo, global: file.into_string() }
    }

    fn run(&self, root: &Utf8Path, args: &[&str], env: &[(&str, &str)]) -> Ran {
        let mut command = crate::repo::command(args);
        command.args(["--repo", root.as_str()]).env("GIT_CONFIG_GLOBAL", &self.global).envs(env.iter().copied());
        Ran::from(command.output().expect("the tool runs"))
    }

    /// Prepares and tags in a work tree; returns who made each commit and tag, and what git itself would have written.
    fn tagged(&self, root: &Utf8Path, env: &[(&str, &str)]) -> String {
        self.run(root, &["release", "prepare"], env).ok();
        self.run(root, &["release", "tag"], env).ok();
        let git = |args: &[&str]| {
            let mut command = Command::new("git");
            command.current_dir(root).args(args).env("GIT_CONFIG_GLOBAL", &self.global);
            command.env("GIT_CONFIG_SYSTEM", "/dev/null").envs(env.iter().copied());
            let ran = Ran::from(command.output().expect("git runs"));
            ran.ok().trim().to_owned()
        };
        let person = "%an <%ae>, %cn <%ce>";
        let commit = |name: &str, revision: &str| {
            format!("{name}: {}\n", git(&["log", "-1", &format!("--format={person}"), revision]))
        };
        let merge = git(&["for-each-ref", "--contains=2.93.1", "--format=%(refname)", "refs/heads"]);
        let all = [
            commit("prepared", "2.93.1~1"),
            commit("release", "2.93.1^{commit}"),
            commit("merge", &merge),
            format!("tag: {}\n", git(&["for-each-ref", "--format=%(taggername) %(taggeremail)", "refs/tags/2.93.1"])),
        ];
        // git's answer with HEAD on the branch, as it was then.
        git(&["switch", "--quiet", merge.trim_start_matches("refs/heads/")]);
        git(&["commit", "--quiet", "--allow-empty", "--message", "by git itself"]);
        git(&["tag", "--annotate", "--message", "by git itself", "itself"]);
        let itself = [
            commit("prepared", "HEAD"),
            commit("release", "HEAD"),
            commit("merge", "HEAD"),
            format!("tag: {}\n", git(&["for-each-ref", "--format=%(taggername) %(taggeremail)", "refs/tags/itself"])),
        ];
        assert_eq!(all.concat(), itself.concat(), "{env:?}");
        all.concat()
    }
}

const ALL_BY_THE_MANAGER: &str = "\
prepared: Release Manager <rm@lix.example>, Release Manager <rm@lix.example>
release: Release Manager <rm@lix.example>, Release Manager <rm@lix.example>
merge: Release Manager <rm@lix.example>, Release Manager <rm@lix.example>
tag: Release Manager <rm@lix.example>
";

#[test]
fn settings_that_depend_on_where_the_repository_lies_hold_for_everything() {
    for condition in
        ["gitdir:DIR/", "gitdir/i:DIR/TREE/", "onbranch:main", "hasconfig:remote.*.url:https://*.example/**"]
    {
        let somebody = Somebody::with(&format!("{PRIVATE}[includeIf \"{condition}\"]\n\tpath = DIR/manager.conf\n"));
        somebody.repo.git(&["remote", "add", "elsewhere", "https://lix.example/lix"]);
        assert_eq!(somebody.tagged(&somebody.repo.root, &[]), ALL_BY_THE_MANAGER, "{condition}");
    }
    // Only the conditional identity.
    let only = "[user]\n\tuseConfigOnly = true\n[includeIf \"gitdir:DIR/\"]\n\tpath = DIR/manager.conf\n";
    let somebody = Somebody::with(only);
    assert_eq!(somebody.tagged(&somebody.repo.root, &[]), ALL_BY_THE_MANAGER);
}

#[test]
fn a_work_tree_of_its_own_may_have_a_manager_of_its_own() {
    let somebody = Somebody::with(PRIVATE);
    let repo = &somebody.repo;
    repo.git(&["config", "extensions.worktreeConfig", "true"]);
    let linked = repo.beside("linked");
    repo.git(&["worktree", "add", "--quiet", "-b", "releng/2.93.1", linked.as_str()]);
    let linked = Repo::at(tempfile::tempdir().expect("a directory"), linked);
    for (key, value) in [("user.name", "Release Manager"), ("user.email", "rm@lix.example")] {
        linked.git(&["config", "--worktree", key, value]);
    }
    assert_eq!(somebody.tagged(&linked.root, &[]), ALL_BY_THE_MANAGER);
}

#[test]
fn author_committer_and_environment_count_as_they_do_for_git() {
    let roles =
        "[author]\n\tname = The Author\n\temail = author@lix.example\n[committer]\n\temail = committer@lix.example\n";
    let somebody = Somebody::with(&format!("{MANAGER}{roles}"));
    expect![[r#"
        prepared: The Author <author@lix.example>, Release Manager <committer@lix.example>
        release: The Author <author@lix.example>, Release Manager <committer@lix.example>
        merge: The Author <author@lix.example>, Release Manager <committer@lix.example>
        tag: Release Manager <committer@lix.example>
    "#]]
    .assert_eq(&somebody.tagged(&somebody.repo.root, &[]));

    let environments: [&[(&str, &str)]; 3] = [
        &[
            ("GIT_COMMITTER_NAME", "Release Manager"),
            ("GIT_COMMITTER_EMAIL", "rm@lix.example"),
            ("GIT_AUTHOR_NAME", "Release Manager"),
            ("GIT_AUTHOR_EMAIL", "rm@lix.example"),
        ],
        &[
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "user.name"),
            ("GIT_CONFIG_VALUE_0", "Release Manager"),
            ("GIT_CONFIG_KEY_1", "user.email"),
            ("GIT_CONFIG_VALUE_1", "rm@lix.example"),
        ],
        &[("GIT_CONFIG_PARAMETERS", "'user.name=Release Manager' 'user.email'='rm@lix.example'")],
    ];
    for environment in environments {
        let somebody = Somebody::with(PRIVATE);
        assert_eq!(somebody.tagged(&somebody.repo.root, environment), ALL_BY_THE_MANAGER);
    }
}

/// An ssh key, and the settings that sign everything with it.
fn sign_with(dir: &Utf8Path, name: &str, address: &str) -> String {
    let key = dir.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", key.as_str()]).status();
    assert!(made.expect("ssh-keygen runs").success());
    let public = fs::read_to_string(key.with_extension("pub")).expect("a public key");
    fs::write(dir.join(format!("{name}.signers")), format!("{address} {public}")).expect("written");
    format!(
        "[user]\n\tsigningKey = {key}\n[gpg]\n\tformat = ssh\n[gpg \"ssh\"]\n\tallowedSignersFile = {dir}/{name}.signers\n"
    )
}

#[test]
fn the_key_is_the_one_of_the_repository_too() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        return crate::repo::skip("ssh-keygen is not installed");
    }
    for sign in ["commit", "tag", "option"] {
        let condition = "[includeIf \"gitdir:DIR/\"]\n\tpath = DIR/manager.conf\n";
        let somebody = Somebody::with("");
        let dir = somebody.repo.beside("");
        let dir = Utf8Path::new(dir.as_str().trim_end_matches('/'));
        let private = format!("{PRIVATE}{}{condition}", sign_with(dir, "private", "private@home.example"));
        fs::write(&somebody.global, private.replace("DIR", dir.as_str())).expect("written");
        let switch = if sign == "option" { String::new() } else { format!("[{sign}]\n\tgpgSign = true\n") };
        let manager = format!("{MANAGER}{}{switch}", sign_with(dir, "rm", "rm@lix.example"));
        fs::write(dir.join("manager.conf"), manager).expect("written");

        let root = &somebody.repo.root;
        somebody.run(root, &["release", "prepare"], &[]).ok();
        let option = if sign == "option" { vec!["release", "tag", "--sign"] } else { vec!["release", "tag"] };
        somebody.run(root, &option, &[]).ok();
        let good = |kind: &str, name: &str| {
            let mut command = Command::new("git");
            command.current_dir(root).args([kind, name]).env("GIT_CONFIG_GLOBAL", &somebody.global);
            let said = Ran::from(command.output().expect("git runs")).stderr;
            said.contains("Good \"git\" signature for rm@lix.example")
        };
        assert_eq!(good("verify-tag", "2.93.1"), sign != "commit", "{sign}");
        assert_eq!(good("verify-commit", "2.93.1^{commit}"), sign != "tag", "{sign}");
        assert_eq!(good("verify-commit", "main"), sign != "tag", "{sign}");
    }
}
