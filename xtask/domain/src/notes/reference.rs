//! References to issues, pull requests and changes: their notation in fragments, and what people paste instead of it.
//!
//! Addresses and repositories are those of the product's links.

use std::fmt;

use self::pasted::{Item, Pasted, pasted, repository};
use crate::product::product;

mod pasted;

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

/// Decimal digits without sign, leading zeros or separators: what every reader takes for the same number.
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
    const ALL: [List; 3] = [List::Issues, List::Prs, List::Cls];

    pub fn key(self) -> &'static str {
        match self {
            List::Issues => "issues",
            List::Prs => "prs",
            List::Cls => "cls",
        }
    }
}

/// What to write instead of a value that is not a reference, as the end of a sentence; `None` if it is anyone's guess.
///
/// `in_list` tells whether the value is one of several in brackets already.
pub fn suggestion(list: List, value: &str, in_list: bool) -> Option<String> {
    let text = value.trim();
    let is_change_id = text.strip_prefix('I').is_some_and(|hex| hex.len() == 40 && hex.bytes().all(is_hex_digit));
    if is_change_id {
        return Some("this is a Change-Id; write the number in the change's address, as in `cls: 1234`".to_owned());
    }
    let items = match pasted(text) {
        Pasted::References(items) => items,
        Pasted::Foreign => {
            let product = product();
            return Some(format!(
                "only issues, pull requests and changes of {} and of {} are listed here; link others in the text",
                product.name,
                repository(&product.links.nix_issue).unwrap_or("the project it comes from")
            ));
        }
        Pasted::Unknown => return None,
    };
    let written = |of: List| -> Vec<String> {
        items
            .iter()
            .filter(|item| item.list.unwrap_or(list.of_tracked(item)) == of)
            .map(|item| item.notation(of))
            .collect()
    };
    let bracketed = |values: Vec<String>| match &values[..] {
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    };
    let own = written(list);
    let mut shown = if own.len() == items.len() {
        if in_list { format!("`{}`", own.join(", ")) } else { format!("`{}`", bracketed(own)) }
    } else {
        let lists = List::ALL.into_iter().map(|of| (of, written(of))).filter(|(_, values)| !values.is_empty());
        let lists: Vec<String> = lists.map(|(of, values)| format!("`{}: {}`", of.key(), bracketed(values))).collect();
        lists.join(" and ")
    };
    if list != List::Cls && items.iter().any(|item| item.hash && item.tracker.is_none()) {
        shown += " (fj# is Lix, gh# is CppNix)";
    }
    Some(format!("did you mean {shown}?"))
}

impl List {
    /// Where a reference that names a tracker and no kind belongs.
    fn of_tracked(self, item: &Item) -> List {
        if self == List::Cls && item.tracker.is_some() { List::Issues } else { self }
    }
}

fn is_hex_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

#[cfg(test)]
mod tests;
