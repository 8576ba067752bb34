//! The checks of the world: open issues that block a release, and the announcement.

use anyhow::{Context, Result};
use serde::Deserialize;
use xtask::domain::problem::{Problem, Problems};
use xtask::domain::shown::excerpt;
use xtask::phases::announce;
use xtask::tools::{files, term};

use super::{Candidate, outcome};
use crate::domain::checks::report::Outcome;
use crate::tools::http::Http;

/// Longest list of issues that is read, in bytes.
const LIST: u64 = 16 << 20;
/// Longest page of an announcement that is read, in bytes.
const PAGE: u64 = 16 << 20;

/// An issue, as Forgejo, Gitea and GitHub list it.
#[derive(Deserialize)]
struct Issue {
    number: u64,
    title: String,
    html_url: Option<String>,
    /// Only pull requests have it, which GitHub lists among the issues.
    pull_request: Option<serde_json::Value>,
}

/// Asks for the open issues that block a release.
pub async fn blockers(candidate: &Candidate) -> Result<Outcome> {
    let Some(address) = &candidate.settings.blockers else {
        return Ok(Outcome::Passed { told: "releng.toml names no issues that block a release".to_owned() });
    };
    let text = get(address, LIST).await?.with_context(|| format!("{address} does not exist"))?;
    let issues: Vec<Issue> =
        serde_json::from_slice(&text).with_context(|| format!("{address} is not a list of issues"))?;
    let shown = |issue: &Issue| {
        let address = issue.html_url.as_deref().map(|address| format!(" ({})", excerpt(address))).unwrap_or_default();
        Problem::new(format!("#{} {}{address}", issue.number, excerpt(&issue.title)))
    };
    let problems: Problems = issues.iter().filter(|issue| issue.pull_request.is_none()).map(shown).collect();
    Ok(outcome(problems, "no open issue blocks the release".to_owned()))
}

/// Looks whether the announcement is ready.
pub async fn post(candidate: &Candidate) -> Result<Outcome> {
    let (Some(post), Some(version)) = (&candidate.settings.post, &candidate.record.tag) else {
        return Ok(Outcome::Passed { told: "nothing has to be ready".to_owned() });
    };
    let (what, is_ready, remedy) = match post.address(&version.to_string()) {
        Some(address) => {
            let is_there = get(&address, PAGE).await?.is_some();
            (address, is_there, "write it".to_owned())
        }
        None => {
            let dir = announce::directory(version);
            let drafts = files::list(&candidate.tree.join(&dir)).unwrap_or_default();
            (dir.to_string(), !drafts.is_empty(), term::next("announce"))
        }
    };
    let missing = (!is_ready).then(|| Problem::new(format!("{what} does not exist: {remedy}")));
    Ok(outcome(missing.into_iter().collect(), format!("{what} is ready")))
}

/// Reads a page at an address; `None` if it does not exist.
async fn get(address: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let (address, query) = address.split_once('?').map_or((address, None), |(address, query)| (address, Some(query)));
    let (base, key) = address.rsplit_once('/').with_context(|| format!("{address} is not an address"))?;
    let http = Http::impatient(base);
    let http = match query {
        Some(query) => http.with_query(query),
        None => http,
    };
    http.get(key, limit).await.with_context(|| format!("cannot ask {address}"))
}
