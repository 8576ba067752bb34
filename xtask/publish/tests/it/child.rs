//! Concurrent programs: ended with everything that they started as soon as their result is not needed.

use std::time::{Duration, Instant};

use anyhow::Result;
use camino::Utf8Path;
use tempfile::TempDir;
use xshell::Shell;
use xtask_publish::tools::child::{self, Wait};

/// Time limit that is never reached here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that writes down its process id and that of a child, and then waits.
const SLEEPERS: &str = "trap '' TERM; sleep 600 & echo $! > inner; echo $$ > outer; wait; wait";

struct Place {
    dir: TempDir,
    sh: Shell,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        let sh = Shell::new().expect("a shell");
        sh.change_dir(dir.path());
        Place { dir, sh }
    }

    /// Waits for the process ids that [`SLEEPERS`] writes down.
    async fn numbers(&self) -> [u32; 2] {
        let dir = Utf8Path::from_path(self.dir.path()).expect("UTF-8");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let number = |name| std::fs::read_to_string(dir.join(name)).ok()?.trim().parse().ok();
            if let (Some(inner), Some(outer)) = (number("inner"), number("outer")) {
                return [inner, outer];
            }
            assert!(Instant::now() < deadline, "it does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether a process is running, and not a zombie.
fn is_alive(number: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{number}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_ended_with_all_that_it_started() {
    let place = Place::new();
    let running = child::capture(place.sh.cmd("sh").args(["-c", SLEEPERS]), &Wait::for_("the sleepers"));
    let numbers = tokio::select! {
        _ = running => panic!("it waits for ten minutes"),
        numbers = place.numbers() => numbers,
    };
    child::all_ended().await;
    for number in numbers {
        assert!(!is_alive(number), "{number} goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_beside_it_ends_a_program_at_once() {
    let place = Place::new();
    let sleeping = child::read(place.sh.cmd("sh").args(["-c", SLEEPERS]), &Wait::for_("the sleepers"));
    let failing = async {
        let numbers = place.numbers().await;
        Err::<String, _>(anyhow::anyhow!("403: {numbers:?}"))
    };
    let started = Instant::now();
    let error = futures_util::future::try_join(sleeping, failing).await.expect_err("one of them fails");
    assert!(error.to_string().starts_with("403") && started.elapsed() < PATIENCE, "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_or_is_silent_is_given_up() -> Result<()> {
    let place = Place::new();
    let sleep = || place.sh.cmd("sleep").arg("600");
    let wait = Wait::for_("the registry r").at_most(Duration::from_secs(1));
    let error = child::read(sleep(), &wait).await.expect_err("it takes too long");
    assert_eq!(error.to_string(), "the registry r did not answer within 1 s, so `sleep 600` was stopped");
    let wait = Wait::for_("the registry r").unless_silent(Duration::from_secs(1));
    let error = child::read(sleep(), &wait).await.expect_err("it is silent");
    assert_eq!(error.to_string(), "the registry r was silent for 1 s, so `sleep 600` was stopped");

    // A working program is not silent, however long it takes: this one reads and writes a byte every tenth of a second.
    let busy = "i=0; while [ $i -lt 25 ]; do read -r line < input; echo $i; sleep 0.1; i=$((i+1)); done";
    std::fs::write(place.dir.path().join("input"), "x\n")?;
    let printed = child::read(place.sh.cmd("sh").args(["-c", busy]), &wait).await?;
    assert_eq!(printed.lines().count(), 25);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_leaves_another_behind_is_not_waited_for() -> Result<()> {
    let place = Place::new();
    let started = Instant::now();
    // As ssh leaves a shared connection behind, which holds our pipe.
    let printed = child::read(place.sh.cmd("sh").args(["-c", "sleep 20 & echo here"]), &Wait::for_("ssh")).await?;
    assert!(printed == "here" && started.elapsed() < Duration::from_secs(15), "{printed} {:?}", started.elapsed());
    Ok(())
}
