//! The problems that stop a phase, all of them at once.
//!
//! Every check collects [`Problem`]s instead of stopping at the first: at three in the morning, a list is fixed faster
//! than a series of surprises.

use std::fmt;

use super::notes::yaml::Fault;
use super::shown::{self, one_line};

/// Largest number of files that a message names.
pub const NAMED: usize = 10;

/// One thing that is wrong and how to fix it, in one sentence, with its place if it has one. What others wrote in it is
/// made fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the reader would type it, and the line, from 1.
    place: Option<(String, usize)>,
    what: String,
}

impl Problem {
    pub fn new(what: impl Into<String>) -> Problem {
        Problem { place: None, what: shown::lines(&what.into()) }
    }

    pub fn at(path: impl Into<String>, line: usize, what: impl Into<String>) -> Problem {
        Problem { place: Some((one_line(&path.into()), line)), what: shown::lines(&what.into()) }
    }

    /// Turns the faults of one file into problems with its path.
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

/// Problems, sorted by file and line, and shown one per line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds a problem that does not belong to a line of a file.
    pub fn add(&mut self, what: impl Into<String>) {
        self.push(Problem::new(what));
    }

    /// Reports the same problem of several files: `PATH WHAT` for the first few, and the number of the others.
    pub fn of_files(paths: &[String], what: &str) -> Problems {
        let named = paths.iter().take(NAMED).map(|path| format!("{} {what}", one_line(path)));
        let rest = paths.len().saturating_sub(NAMED);
        let rest = (rest > 0).then(|| format!("the same is true of {rest} more"));
        named.chain(rest).map(Problem::new).collect()
    }

    /// Files that differ from HEAD.
    pub fn uncommitted(paths: &[String]) -> Problems {
        Problems::of_files(paths, "has uncommitted changes: commit or stash them")
    }

    /// Adds what another check found.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Problem>) {
        self.0.extend(others);
    }

    /// Returns the value of a check that succeeded; adds the problems of one that did not.
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

    /// Succeeds if there are no problems.
    ///
    /// # Errors
    /// The problems themselves, sorted by place.
    pub fn into_result(mut self) -> Result<(), Problems> {
        // Stable: problems without a place come first, in the order in which they were found.
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

/// Returns the candidate that `word` most likely stands for: it finds typos, parts of words, and other cases.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness > 0.7)
        .map(|(_, candidate)| candidate)
}
