//! Ctrl-C while something is silent: the run ends at once, says what users see and what to type, and running it again
//! succeeds.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;
use expect_test::expect;
use hyper::Method;

use crate::installers::installers;
use crate::proxy::Fault;
use crate::release::Release;
use crate::repo::{Ran, make_executable};
use crate::rollback::{Harm, Served};

/// Longest time until something happens, on a busy machine; much less than any limit for silence.
const SOON: Duration = Duration::from_secs(30);

/// Starts a command, presses Ctrl-C when it waits, and returns how it ended.
fn interrupted(command: Command, waits: impl Fn() -> bool) -> Ran {
    let mut command = xtask_test_support::heeding_ctrl_c(&command);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let began = Instant::now();
    while !waits() {
        assert!(began.elapsed() < 2 * SOON, "it does not come to that");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Until it waits for the answer.
    std::thread::sleep(Duration::from_millis(200));
    let pressed = Instant::now();
    xtask_test_support::send(child.id(), xtask_test_support::SIGINT);
    let ran = Ran::from(child.wait_with_output().expect("it ends"));
    let took = pressed.elapsed();
    if std::env::var_os("RELENG_TIMES").is_some() {
        eprintln!("{took:?} {command:?}");
    }
    assert!(took < SOON, "it took {took:?}");
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    ran
}

/// What is said at the end.
fn last_words(ran: &Ran) -> String {
    let said = ran.stderr.rfind("warning: stopped by ").map(|at| &ran.stderr[at..]);
    said.unwrap_or_else(|| panic!("nothing is said: {}", ran.stderr)).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_wave() -> Result<()> {
    let served = Served::empty().await?;
    let mut said = String::new();
    let mut stop = |command: Command, method: Method, path: &'static str| {
        served.harmed(Harm { method, path, fault: Some(Fault::Silence), ..Harm::default() });
        let ran = interrupted(command, || served.seen() > 0);
        served.harmed(Harm::default());
        said += &format!("{path}\n{}", last_words(&ran));
    };
    let upload = || served.old.command("upload", "local", &["--noconfirm"]);
    stop(served.old.command("plan", "local", &[]), Method::GET, "/local-releases/manifest.nix");
    stop(upload(), Method::PUT, "/local-docs/release.lock");
    stop(upload(), Method::PUT, "/lix-2.93.1/SHA256SUMS");
    stop(upload(), Method::PUT, "/local-releases/manifest.nix");
    stop(upload(), Method::PUT, "/receipts/lix-2.93.1.json");
    stop(upload(), Method::DELETE, "/local-docs/release.lock");
    served.old.upload().ok();
    stop(served.old.command("verify", "local", &[]), Method::GET, "/lix-2.93.1/release.json");
    let from = installers(&served.old);
    let installer = || served.old.command("installer", "local", &["--from", from.as_str(), "--noconfirm"]);
    stop(installer(), Method::PUT, "/lix-installer-x86_64-linux");
    assert!(installer().status()?.success());
    expect![[r#"
        /local-releases/manifest.nix
        warning: stopped by Ctrl-C: nothing has changed for users
              run the same command again
        /local-docs/release.lock
        warning: stopped by Ctrl-C: nothing has changed for users
              run the same command again
        /lix-2.93.1/SHA256SUMS
        warning: stopped by Ctrl-C: no pointer has moved, so users see what they saw before
              finished work is kept: run the same command again
        /local-releases/manifest.nix
        warning: stopped by Ctrl-C: some pointers may have moved already, so users may see either release
              finished work is kept: run the same command again
        /receipts/lix-2.93.1.json
        warning: stopped by Ctrl-C: all pointers have moved, and only the receipt is missing
              finished work is kept: run the same command again
        /local-docs/release.lock
        warning: stopped by Ctrl-C; not everything unfinished could be undone in time: everything is done, and only the lock is left
              finished work is kept: run the same command again
        /lix-2.93.1/release.json
        warning: stopped by Ctrl-C: nothing has changed for users
              run the same command again
        /lix-installer-x86_64-linux
        warning: stopped by Ctrl-C: no pointer has moved, so users see what they saw before
              finished work is kept: run the same command again
    "#]].assert_eq(&said);
    served.old.release("verify", "local", &["--deep"]).ok();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_rollback_is_carried_out() -> Result<()> {
    let served = Served::start().await?;
    let mut said = String::new();
    for (method, path) in
        [(Method::PUT, "/local-releases/withdrawn.json"), (Method::PUT, "/local-releases/manifest.nix")]
    {
        served.harmed(Harm { method, path, fault: Some(Fault::Silence), ..Harm::default() });
        let command = served.old.command("rollback", "local", &["--to", "2.93.1", "--noconfirm"]);
        let ran = interrupted(command, || served.seen() > 0);
        served.harmed(Harm::default());
        said += &format!("{path}\n{}", last_words(&ran));
    }
    expect![[r#"
        /local-releases/withdrawn.json
        warning: stopped by Ctrl-C: no pointer has moved, so users see what they saw before
              finished work is kept: run the same command again
        /local-releases/manifest.nix
        warning: stopped by Ctrl-C: some pointers may have moved already, so users may see either release
              finished work is kept: run the same command again
    "#]]
    .assert_eq(&said);
    served.old.release("rollback", "local", &["--to", "2.93.1", "--noconfirm"]).ok();
    Ok(())
}

/// A git remote over SSH that answers everything but the push itself, once the contents are there.
#[test]
fn while_a_push_is_silent() {
    let release = Release::new("2.93.1");
    let beside = |name: &str| release.repo.beside(name);
    let (bare, ssh, asked) = (beside("remote.git"), beside("ssh"), beside("asked"));
    release.repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", bare.as_str()]);
    let contents = release.object("local-releases/lix/lix-2.93.1/release.json");
    let script = format!(
        "#!/bin/sh\ncase \"$2\" in *receive-pack*)\n\
         if [ -e {contents} ] && ! [ -e {asked} ]; then touch {asked}; exec sleep 600; fi;;\nesac\nexec sh -c \"$2\"\n"
    );
    fs::write(&ssh, script).expect("written");
    make_executable(&ssh);
    release.repo.git(&["config", "core.sshCommand", ssh.as_str()]);
    release.repo.git(&["config", "ssh.variant", "simple"]);
    release.configure(|text| {
        let git = format!("[environments.local.git.plain]\nurl = \"ssh://git.invalid{bare}\"");
        text.replacen("[environments.local.git.directory]\npath = \"release/local/git\"", &git, 1)
    });
    // Its messages go to a file, which shows that the silence was spoken of.
    let tool = release.command("upload", "local", &["--noconfirm"]);
    let messages = beside("messages");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" 2>{messages}"), "sh"]).arg(tool.get_program()).args(tool.get_args());
    command.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = || fs::read_to_string(&messages).unwrap_or_default();
    interrupted(command, || said().contains("  waiting for ssh://git.invalid"));
    let said = said();
    let waiting = said.lines().find(|line| line.starts_with("  waiting for ")).unwrap_or_default();
    assert!(waiting.contains(", silent for 1") && waiting.contains("; giving up in 2"), "{said}");
    expect![[r#"
        warning: stopped by Ctrl-C: no pointer has moved, so users see what they saw before
              finished work is kept: run the same command again
    "#]]
    .assert_eq(&said[said.rfind("warning: stopped by ").expect("last words")..]);
    assert_eq!(release.repo.git(&["-C", bare.as_str(), "for-each-ref"]), "");
    release.upload().ok();
    release.release("verify", "local", &[]).ok();
}

/// A server that accepts connections and says nothing.
struct Mute {
    address: String,
    accepted: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Mute {
    fn start() -> Mute {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let accepted = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let noted = std::sync::Arc::clone(&accepted);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for socket in listener.incoming() {
                held.push(socket);
                noted.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        });
        Mute { address, accepted }
    }

    fn was_asked(&self) -> bool {
        self.accepted.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[test]
fn while_another_machine_or_program_is_silent() {
    let mut said = String::new();
    let mut stop = |name: &str, phase: &str, change: &dyn Fn(&Release, &str)| {
        let (release, mute) = (Release::new("2.93.1"), Mute::start());
        change(&release, &mute.address);
        let asked = release.repo.beside("asked");
        let ran = interrupted(release.command(phase, "local", &[]), || mute.was_asked() || asked.exists());
        said += &format!("{name}\n{}", last_words(&ran));
    };
    stop("git", "plan", &|release, address| {
        release.configure(|text| {
            let git = format!("[environments.local.git.gerrit]\nurl = \"http://{address}/lix\"");
            text.replacen("[environments.local.git.directory]\npath = \"release/local/git\"", &git, 1)
        });
        release.repo.git(&["remote", "add", "gerrit", &format!("http://{address}/lix")]);
    });
    stop("registry", "plan", &|release, address| release.push_images_to(&format!("{address}/lix"), false));
    stop("public address", "verify", &|release, address| {
        release.upload().ok();
        let names = ["cache", "docs", "install", "releases"];
        let public: String = names.iter().map(|name| format!("{name} = \"http://{address}/{name}\"\n")).collect();
        let public = format!("\n[environments.local.public]\n{public}\n[environments.local.images]");
        release.configure(|text| text.replacen("\n[environments.local.images]", &public, 1));
    });
    stop("keys", "plan", &|release, address| {
        let keys = release.repo.beside("keys");
        let script = format!("#!/bin/sh\ntouch {}\nexec sleep 600\n", release.repo.beside("asked"));
        fs::write(&keys, script).expect("written");
        make_executable(&keys);
        let storage = format!(
            "[environments.local.storage.s3]\nendpoint = \"http://{address}\"\nregion = \"here\"\n\
             credentials.command.program = [\"{keys}\", \"{{access}}\", \"{{buckets}}\"]\n\
             credentials.command.renew-after-minutes = 1"
        );
        release.configure(|text| {
            text.replacen("[environments.local.storage.embedded]\ndirectory = \"release/local/s3\"", &storage, 1)
        });
    });
    expect![[r#"
        git
        warning: stopped by Ctrl-C: nothing has changed for users
              run the same command again
        registry
        warning: stopped by Ctrl-C: nothing has changed for users
              run the same command again
        public address
        warning: stopped by Ctrl-C: nothing has changed for users
              run the same command again
        keys
        warning: stopped by Ctrl-C: nothing has changed for users
              run the same command again
    "#]]
    .assert_eq(&said);
}
