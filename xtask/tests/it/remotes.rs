//! Silent git servers, and addresses that contain credentials.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use expect_test::expect;
use xtask::domain::environment::GitTarget;
use xtask::tools::git::Git;
use xtask::tools::remote::Remote;

use crate::repo::{Repo, make_executable};

fn plain(url: &str) -> GitTarget {
    GitTarget::Plain { url: url.to_owned(), branch_off: "refs/heads/{branch}".to_owned() }
}

/// The errors of a look and a push if the server is silent.
fn given_up(repo: &Repo, url: &str) -> String {
    let git = Git::open(&repo.root).expect("a repository");
    let target = plain(url);
    let remote = || Remote::find(&git, &target).expect("a remote").impatient(Duration::from_millis(1000));
    let look = remote().branch("main").expect_err("it is silent");
    let push = remote().push(&["HEAD:refs/heads/main".to_owned()]).expect_err("it is silent");
    format!("{look:#}\n{push:#}\n")
}

#[test]
fn silent_servers_are_given_up() {
    let repo = Repo::patch_release();
    let mut shown = String::new();
    for scheme in ["http", "git"] {
        // The kernel accepts the connection, and nothing reads from it.
        let server = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = server.local_addr().expect("an address").port();
        shown += &given_up(&repo, &format!("{scheme}://127.0.0.1:{port}/lix")).replace(&port.to_string(), "PORT");
    }
    let (ssh, pids) = (repo.beside("ssh"), repo.beside("pids"));
    std::fs::write(&ssh, format!("#!/bin/sh\necho $$ >> {pids}\nsleep 1000 &\necho $! >> {pids}\nwait\n"))
        .expect("a script");
    make_executable(&ssh);
    repo.git(&["config", "core.sshCommand", ssh.as_str()]);
    repo.git(&["config", "ssh.variant", "ssh"]);
    shown += &given_up(&repo, "ssh://manager@gerrit.invalid/lix");
    expect![[r#"
        cannot look at the git remote http://127.0.0.1:PORT/lix: http://127.0.0.1:PORT/lix has not answered for 1 s, so `git ls-remote --quiet http://127.0.0.1:PORT/lix refs/heads/main` was stopped
        cannot push to http://127.0.0.1:PORT/lix: http://127.0.0.1:PORT/lix has not answered for 1 s, so `git -c core.hooksPath=/dev/null push --porcelain --progress --no-follow-tags http://127.0.0.1:PORT/lix HEAD:refs/heads/main` was stopped
        cannot look at the git remote git://127.0.0.1:PORT/lix: git://127.0.0.1:PORT/lix has not answered for 1 s, so `git ls-remote --quiet git://127.0.0.1:PORT/lix refs/heads/main` was stopped
        cannot push to git://127.0.0.1:PORT/lix: git://127.0.0.1:PORT/lix has not answered for 1 s, so `git -c core.hooksPath=/dev/null push --porcelain --progress --no-follow-tags git://127.0.0.1:PORT/lix HEAD:refs/heads/main` was stopped
        cannot look at the git remote ssh://manager@gerrit.invalid/lix: ssh://manager@gerrit.invalid/lix has not answered for 1 s, so `git ls-remote --quiet ssh://manager@gerrit.invalid/lix refs/heads/main` was stopped
        cannot push to ssh://manager@gerrit.invalid/lix: ssh://manager@gerrit.invalid/lix has not answered for 1 s, so `git -c core.hooksPath=/dev/null push --porcelain --progress --no-follow-tags ssh://manager@gerrit.invalid/lix HEAD:refs/heads/main` was stopped
    "#]].assert_eq(&shown);

    let pids = std::fs::read_to_string(&pids).expect("it was started");
    assert_eq!(pids.lines().count(), 4, "a look and a push, with a child each");
    // A signal takes a moment to arrive.
    let end = Instant::now() + Duration::from_secs(10);
    while let Some(pid) = pids.lines().find(|pid| is_running(pid)) {
        assert!(Instant::now() < end, "{pid} was left behind");
        std::thread::yield_now();
    }
}

/// Whether a process is running, and not a zombie.
fn is_running(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

#[test]
fn what_settings_put_into_an_address_is_shown_nowhere() {
    let repo = Repo::patch_release();
    let port = {
        let server = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        server.local_addr().expect("an address").port()
    };
    let address = format!("http://127.0.0.1:{port}/");
    repo.git(&["remote", "add", "origin", "https://git.invalid/lix"]);
    repo.git(&["config", &format!("url.http://manager:hunter2@127.0.0.1:{port}/.insteadOf"), "https://git.invalid/"]);
    repo.git(&["config", &format!("url.http://ghp_token@127.0.0.1:{port}/.pushInsteadOf"), "https://push.invalid/"]);
    let git = Git::open(&repo.root).expect("a repository");
    let mut shown = String::new();
    for url in ["https://git.invalid/lix", "https://push.invalid/lix", "http://me:secret@127.0.0.1:PORT/lix"] {
        let target = plain(&url.replace("PORT", &port.to_string()));
        let remote = Remote::find(&git, &target).expect("a remote");
        if !url.contains("push") {
            shown += &format!("{:#}\n", remote.branch("main").expect_err("no server"));
        }
        shown += &format!("{:#}\n", remote.push(&["HEAD:refs/heads/main".to_owned()]).expect_err("no server"));
    }
    let tagged = repo.xtask(&["release", "tag", "--verbose"]);
    shown += &tagged.stderr;
    for secret in ["hunter2", "ghp_token", "secret", "manager:"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains(&address), "{shown}");
}
