//! What stands in the way, all of it at once.
//!
//! Every check collects [`Problem`]s instead of stopping at the first: a person at three in the morning fixes a list
//! faster than a series of surprises. Refuses to decide which problems are fatal: a phase that holds any stops.

use std::fmt;

use super::notes::yaml::Fault;
use super::shown::one_line;

/// How many files a message names, where there may be thousands.
pub const NAMED: usize = 10;

/// One thing that is wrong and what would be right, in one sentence, with its place where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A file, as the reader would type it, and a line from 1.
    place: Option<(String, usize)>,
    what: String,
}

impl Problem {
    pub fn new(what: impl Into<String>) -> Problem {
        Problem { place: None, what: what.into() }
    }

    pub fn at(path: impl Into<String>, line: usize, what: impl Into<String>) -> Problem {
        Problem { place: Some((path.into(), line)), what: what.into() }
    }

    /// Gives the faults of one file their path.
    pub fn in_file(path: &str, faults: impl IntoIterator<Item = Fault>) -> Problems {
        faults.into_iter().map(|fault| Problem::at(path, fault.line, fault.what)).collect()
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((path, line)) = &self.place {
            write!(f, "{path}:{line}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// Problems in the order of their files and lines, one a line when shown.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// A problem that is not of one line of a file.
    pub fn add(&mut self, what: impl Into<String>) {
        self.push(Problem::new(what));
    }

    /// The same problem of several files: of the first few by name, `PATH WHAT`, and of the others by their number.
    pub fn of_files(paths: &[String], what: &str) -> Problems {
        let named = paths.iter().take(NAMED).map(|path| format!("{} {what}", one_line(path)));
        let rest = paths.len().saturating_sub(NAMED);
        let rest = (rest > 0).then(|| format!("the same is true of {rest} more"));
        named.chain(rest).map(Problem::new).collect()
    }

    /// Files that differ from HEAD.
    pub fn uncommitted(paths: &[String]) -> Problems {
        Problems::of_files(paths, "has changes that are not committed: commit or stash them")
    }

    /// Takes over what another check found.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Problem>) {
        self.0.extend(others);
    }

    /// Keeps the value of a check that succeeded; keeps the problems of one that did not.
    pub fn collect<T>(&mut self, result: Result<T, impl Into<Problems>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problems) => {
                self.extend(problems.into());
                None
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// # Errors
    /// The problems themselves, sorted by place, if there are any.
    pub fn into_result(mut self) -> Result<(), Problems> {
        // Stable: problems without a place keep the order in which they were found, in front.
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<I: IntoIterator<Item = Problem>>(problems: I) -> Problems {
        Problems(problems.into_iter().collect())
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that `word` most likely stands for: `Some` for a slip of the keyboard, a part, or another case.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness > 0.7)
        .map(|(_, candidate)| candidate)
}
/// Characters of somebody else's text that a message quotes.
const QUOTED: usize = 120;

/// Somebody else's text, as a message may quote it: on one line, without control characters, and not too long.
pub fn excerpt(text: &str) -> String {
    let shown = |c: char| match c {
        '\'' | '"' | '\\' => c.to_string(),
        c => c.escape_debug().to_string(),
    };
    let rest = if text.chars().nth(QUOTED).is_some() { "…" } else { "" };
    text.chars().take(QUOTED).map(shown).collect::<String>() + rest
}
