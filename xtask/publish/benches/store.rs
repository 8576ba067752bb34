//! `cargo xtask bench store`: compares the speed of our transfers with that of other tools, on the server behind Lix's
//! buckets: a Garage that is started for the comparison and removed afterwards. A measurement, not a test.
//!
//! Ours compares contents, while the others compare sizes and times. Their times include starting a process, which
//! takes a few hundredths of a second (`s5cmd`) or some tenths (`aws`); ours start with a new connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use camino::Utf8PathBuf;
use xtask_publish::tools::content::Content;
use xtask_publish::tools::garage::{Access, Garage};
use xtask_publish::tools::store::{Credentials, Progress, Properties, Store};
use xtask_publish::tools::transfer::{self, Item, all};
use xtask_test_support::noise;

const BUCKET: &str = "bench";
const PAGES: usize = 900;
const PAGE_SIZE: usize = 12_000;
const FILES: usize = 6;
const FILE_SIZE: usize = 60_000_000;

/// Measures as many rounds as the first argument says, and prints the table.
#[tokio::main]
async fn main() -> Result<()> {
    // cargo adds an argument for every benchmark.
    let rounds = std::env::args().skip(1).find(|argument| argument != "--bench").context("no number of rounds")?;
    let rounds = rounds.parse().with_context(|| format!("`{rounds}` is not a number of rounds"))?;
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    print!("{}", run(scratch.path(), rounds).await?);
    Ok(())
}

/// A tool that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Ours,
    S5cmd,
    Aws,
}

impl Tool {
    const ALL: [Self; 3] = [Self::Ours, Self::S5cmd, Self::Aws];

    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::S5cmd => "s5cmd",
            Self::Aws => "aws",
        }
    }

    fn is_installed(self) -> bool {
        let probe = match self {
            Self::Ours => return true,
            Self::S5cmd => "version",
            Self::Aws => "--version",
        };
        Command::new(self.name()).arg(probe).output().is_ok_and(|output| output.status.success())
    }
}

/// A transfer that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    PagesFirst,
    PagesAgain,
    Files,
}

impl Task {
    const ALL: [Self; 3] = [Self::PagesFirst, Self::PagesAgain, Self::Files];

    fn name(self) -> &'static str {
        match self {
            Self::PagesFirst => "900 files of 12 kB, first",
            Self::PagesAgain => "900 files of 12 kB, nothing to do",
            Self::Files => "6 files of 60 MB",
        }
    }
}

/// The times of all rounds, for each task and each installed tool.
#[derive(Clone, Debug)]
struct Report {
    times: Vec<(Task, Tool, Duration)>,
    missing: Vec<Tool>,
}

/// Lets all installed tools do all tasks in turn, `rounds` times. Needs about 1.5 GB in `scratch` for each round.
async fn run(scratch: &Path, rounds: u32) -> Result<Report> {
    let pages = write_files(&scratch.join("pages"), PAGES, "html", |seed| page(PAGE_SIZE, seed))?;
    let files = write_files(&scratch.join("files"), FILES, "bin", |seed| noise(FILE_SIZE, seed))?;
    let garage = Garage::start(&scratch.join("garage"), &[BUCKET]).await?;
    let credentials = garage.make_key("bench", &[BUCKET], Access::ReadWrite, None).await?;
    let (installed, missing): (Vec<_>, Vec<_>) = Tool::ALL.into_iter().partition(|tool| tool.is_installed());
    let mut times = Vec::new();
    for round in 0..rounds {
        for (task, tool) in Task::ALL.into_iter().flat_map(|task| installed.iter().map(move |tool| (task, *tool))) {
            let (directory, prefix) = match task {
                Task::PagesFirst | Task::PagesAgain => (&pages, format!("{}/{round}/pages/", tool.name())),
                Task::Files => (&files, format!("{}/{round}/files/", tool.name())),
            };
            let start = Instant::now();
            match tool {
                Tool::Ours => ours(&garage, &credentials, directory, &prefix).await?,
                Tool::S5cmd | Tool::Aws => theirs(tool, task, &garage, &credentials, directory, &prefix)?,
            }
            times.push((task, tool, start.elapsed()));
        }
    }
    Ok(Report { times, missing })
}

async fn ours(garage: &Garage, credentials: &Credentials, directory: &Path, prefix: &str) -> Result<()> {
    let store = Store::new(garage.endpoint(), credentials.clone(), BUCKET);
    let properties = Properties { content_type: "text/html".into(), cache_control: "public, max-age=60".into() };
    let entries = std::fs::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>()?;
    let reading = entries.into_iter().map(|entry| {
        let (key, properties) = (format!("{prefix}{}", entry.file_name().display()), properties.clone());
        async move {
            let path = Utf8PathBuf::try_from(entry.path())?;
            Ok(Item { content: Content::of_file(&path).await?, key, path, properties })
        }
    });
    let items = all(reading).await?;
    let silent: Progress = Arc::new(|_| ());
    let mut listing = store.list(prefix).await?;
    let surveyed = transfer::survey(&store, items, &listing).await?;
    transfer::send(&store, &surveyed, &silent).await?;
    for one in &surveyed {
        listing.remove(&one.item.key);
    }
    transfer::delete(&store, listing.into_keys()).await
}

fn theirs(
    tool: Tool,
    task: Task,
    garage: &Garage,
    credentials: &Credentials,
    directory: &Path,
    prefix: &str,
) -> Result<()> {
    let mut command = Command::new(tool.name());
    command.arg("--endpoint-url").arg(&garage.endpoint().url);
    match (tool, task) {
        (Tool::Aws, Task::Files) => command.args(["s3", "cp", "--recursive", "--only-show-errors"]),
        (Tool::Aws, _) => command.args(["s3", "sync", "--delete", "--only-show-errors"]),
        (_, Task::Files) => command.arg("cp"),
        (_, _) => command.args(["sync", "--delete"]),
    };
    let output = command
        .arg(format!("{}/", directory.display()))
        .arg(format!("s3://{BUCKET}/{prefix}"))
        .env("AWS_ACCESS_KEY_ID", &credentials.id)
        .env("AWS_SECRET_ACCESS_KEY", &credentials.secret)
        .env("AWS_REGION", &garage.endpoint().region)
        .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", tool.name()))?;
    ensure!(
        output.status.success(),
        "{} failed ({}): {}",
        tool.name(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn write_files(directory: &Path, count: usize, extension: &str, content: impl Fn(u64) -> Vec<u8>) -> Result<PathBuf> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    for number in 0..count {
        let path = directory.join(format!("{number:04}.{extension}"));
        std::fs::write(&path, content(number as u64)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(directory.to_owned())
}

fn page(length: usize, seed: u64) -> Vec<u8> {
    let mut page = b"<!doctype html><title>Page</title>\n".to_vec();
    for word in noise(length / 4, seed).chunks(4) {
        page.extend_from_slice(format!("<p>{}</p>\n", hex::encode(word)).as_bytes());
    }
    page.truncate(length);
    page
}

impl fmt::Display for Report {
    /// Shows the median of each cell in seconds, with the fastest and the slowest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for task in Task::ALL {
            write!(f, "{:36}", task.name())?;
            for tool in Tool::ALL {
                let mine = self.times.iter().filter(|(t, who, _)| (*t, *who) == (task, tool));
                let mut seconds: Vec<_> = mine.map(|(_, _, time)| time.as_secs_f64()).collect();
                seconds.sort_by(f64::total_cmp);
                if let (Some(first), Some(last)) = (seconds.first(), seconds.last()) {
                    let median = seconds[seconds.len() / 2];
                    write!(f, "  {} {median:5.2} ({first:.2} to {last:.2})", tool.name())?;
                }
            }
            writeln!(f)?;
        }
        for tool in &self.missing {
            writeln!(f, "left out: {} is not installed", tool.name())?;
        }
        Ok(())
    }
}
