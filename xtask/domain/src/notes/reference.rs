//! References to issues, pull requests and changes: their notation in fragments. [`pasted`] reads what people paste
//! instead.

pub mod pasted;

use std::fmt;

/// An issue or a pull request, `fj#496`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    pub tracker: Tracker,
    pub number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracker {
    /// Lix's Forgejo.
    Lix,
    /// CppNix on GitHub.
    Nix,
}

impl Reference {
    /// Reads `fj#496`, `lix#496`, `gh#10877`, `nix#10877` or a bare number.
    pub fn parse(text: &str) -> Option<Reference> {
        let (tracker, number) = match text.split_once('#') {
            Some(("fj" | "lix", number)) => (Tracker::Lix, number),
            Some(("gh" | "nix", number)) => (Tracker::Nix, number),
            Some(_) => return None,
            None => (Tracker::Lix, text),
        };
        decimal(number).map(|number| Reference { tracker, number })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracker = match self.tracker {
            Tracker::Lix => "lix",
            Tracker::Nix => "nix",
        };
        write!(f, "{tracker}#{}", self.number)
    }
}

/// Parses decimal digits without sign, leading zeros or separators, which every reader takes for the same number.
pub fn decimal(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok()).flatten()
}

/// The keys of a fragment that hold references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    Issues,
    Prs,
    Cls,
}

impl List {
    pub const ALL: [List; 3] = [List::Issues, List::Prs, List::Cls];

    pub fn key(self) -> &'static str {
        match self {
            List::Issues => "issues",
            List::Prs => "prs",
            List::Cls => "cls",
        }
    }
}
