//! Pasted text: which issues, pull requests and changes it refers to, and what to write instead.
//!
//! Addresses and repositories are those of the product's links.

use super::{List, Tracker, decimal};
use crate::product::{Links, Product};

/// Suggests what to write instead of a value that is not a reference, as the end of a sentence; `None` if that cannot
/// be told.
///
/// `in_list` tells whether the value is one of several in brackets already.
pub fn suggestion(product: &Product, list: List, value: &str, in_list: bool) -> Option<String> {
    let text = value.trim();
    let is_change_id = text.strip_prefix('I').is_some_and(|hex| hex.len() == 40 && hex.bytes().all(is_hex_digit));
    if is_change_id {
        return Some("this is a Change-Id; write the number in the change's address, as in `cls: 1234`".to_owned());
    }
    let items = match pasted(&product.links, text) {
        Pasted::References(items) => items,
        Pasted::Foreign => {
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
    /// Returns the list of a reference that names a tracker but no kind.
    fn of_tracked(self, item: &Item) -> List {
        if self == List::Cls && item.tracker.is_some() { List::Issues } else { self }
    }
}

fn is_hex_digit(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// One reference as it was written, with what that tells about it.
#[derive(Debug, Clone, Copy)]
struct Item {
    pub list: Option<List>,
    pub tracker: Option<Tracker>,
    /// Whether a `#` stood before the number.
    pub hash: bool,
    pub number: u64,
}

impl Item {
    pub fn notation(&self, list: List) -> String {
        match self.tracker {
            _ if list == List::Cls => self.number.to_string(),
            None if !self.hash && self.list.is_none() => self.number.to_string(),
            None | Some(Tracker::Lix) => format!("fj#{}", self.number),
            Some(Tracker::Nix) => format!("gh#{}", self.number),
        }
    }
}

enum Pasted {
    References(Vec<Item>),
    /// An issue or a pull request of another project, or an address of something else.
    Foreign,
    Unknown,
}

/// What a word in front of a number says about it.
#[derive(Debug, Clone, Copy, Default)]
struct Context {
    list: Option<List>,
    tracker: Option<Tracker>,
}

fn pasted(links: &Links, text: &str) -> Pasted {
    let mut items = Vec::new();
    let mut context = Context::default();
    for token in tokens(text) {
        if let Some(address) = address(token) {
            match of_address(links, address) {
                Some(item) => items.push(item),
                None => return Pasted::Foreign,
            }
            continue;
        }
        let at = token.find(|c: char| digit(c).is_some()).unwrap_or(token.len());
        let (word, number) = token.split_at(at);
        if number.is_empty() {
            match of_word(links, word) {
                Some(said) => context = said,
                None if is_filler(word) => {}
                None => return Pasted::Unknown,
            }
            continue;
        }
        let Some(number) = digits(number) else { return Pasted::Unknown };
        let hash = word.contains('#');
        let said = match word {
            "" | "#" | "+" => context,
            "!" => Context { list: Some(List::Prs), tracker: None },
            word => match of_word(links, word) {
                Some(said) => said,
                None if hash && word.contains(|c: char| c.is_alphabetic()) => return Pasted::Foreign,
                None => return Pasted::Unknown,
            },
        };
        items.push(Item { list: said.list, tracker: said.tracker, hash: hash || word == "!", number });
    }
    if items.is_empty() { Pasted::Unknown } else { Pasted::References(items) }
}

/// Returns the words of a text, without brackets, quotes and punctuation; of a Markdown link, the address.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|' | '&')).filter_map(|token| {
        let token = token.split_once("](").map_or(token, |(_, address)| address);
        let around = |c: char| matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'' | '`' | '*');
        let token = token.trim_matches(around).trim_end_matches(['.', ':', '?', '!', '/']).trim_end_matches(around);
        (!token.is_empty()).then_some(token)
    })
}

fn address(token: &str) -> Option<&str> {
    let token = strip_prefix_ignoring_case(token, "https://")
        .or_else(|| strip_prefix_ignoring_case(token, "http://"))
        .unwrap_or(token);
    let host = token.split('/').next().unwrap_or_default();
    (host != token && host.contains('.')).then_some(token)
}

/// Reads an address such as `git.lix.systems/lix-project/lix/issues/12#issuecomment-3`.
fn of_address(links: &Links, address: &str) -> Option<Item> {
    let numbered = [
        (&links.issue, List::Issues, Tracker::Lix),
        (&links.pull, List::Prs, Tracker::Lix),
        (&links.nix_issue, List::Issues, Tracker::Nix),
        (&links.nix_pull, List::Prs, Tracker::Nix),
    ];
    for (link, list, tracker) in numbered {
        let before = without_scheme(link).split("{}").next().unwrap_or_default();
        if let Some(rest) = strip_prefix_ignoring_case(address, before) {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let number = digits(&rest[..end])?;
            return Some(Item { list: Some(list), tracker: Some(tracker), hash: true, number });
        }
    }
    // Gerrit: /c/lix/+/1234/5/file, /c/1234, /1234, /q/1234, and formerly /#/c/1234/.
    let host = without_scheme(&links.change).split('/').next().unwrap_or_default();
    let path = strip_prefix_ignoring_case(address, host).filter(|path| path.starts_with(['/', '#']))?;
    let path = path.strip_prefix("/#").unwrap_or(path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let change = path.rsplit_once("/+/").map_or(path, |(_, change)| change);
    let number = change.split('/').find_map(digits)?;
    Some(Item { list: Some(List::Cls), tracker: None, hash: false, number })
}

/// Returns what `fj`, `NixOS/nix#`, `cl/` or `PR` says about the number after it.
fn of_word(links: &Links, word: &str) -> Option<Context> {
    let word = word.trim_matches(['#', '/', '-', ':', '_', '!', '=', '~', '@', '+']).to_lowercase();
    let is = |link: &str| repository(link).is_some_and(|name| name.to_lowercase() == word);
    let context = |list, tracker| Some(Context { list, tracker });
    match word.as_str() {
        "fj" | "lix" | "forgejo" => context(None, Some(Tracker::Lix)),
        "gh" | "nix" | "github" | "cppnix" => context(None, Some(Tracker::Nix)),
        "cl" | "cls" | "c" | "change" | "changes" | "gerrit" => context(Some(List::Cls), None),
        "pr" | "prs" | "pull" | "pulls" | "mr" => context(Some(List::Prs), None),
        "issue" | "issues" | "bug" => context(Some(List::Issues), None),
        _ if is(&links.issue) => context(None, Some(Tracker::Lix)),
        _ if is(&links.nix_issue) => context(None, Some(Tracker::Nix)),
        _ => None,
    }
}

fn is_filler(word: &str) -> bool {
    let word = word.to_lowercase();
    matches!(
        word.as_str(),
        "and"
            | "or"
            | "see"
            | "also"
            | "fix"
            | "fixes"
            | "close"
            | "closes"
            | "of"
            | "in"
            | "for"
            | "request"
            | "requests"
            | "+"
            | "-"
            | "#"
    )
}

/// Returns the repository in the address of its issues, `lix-project/lix`.
fn repository(link: &str) -> Option<&str> {
    let (_, path) = without_scheme(link).split_once('/')?;
    path.rsplitn(3, '/').nth(2)
}

fn without_scheme(link: &str) -> &str {
    link.split_once("://").map_or(link, |(_, rest)| rest)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Parses a number that may have leading zeros, or the wide digits of an input method.
fn digits(text: &str) -> Option<u64> {
    let digits: Option<String> = text.chars().map(digit).collect();
    digits.and_then(|digits| decimal(digits.trim_start_matches('0')))
}

fn digit(c: char) -> Option<char> {
    match c {
        '0'..='9' => Some(c),
        '０'..='９' => char::from_digit(c as u32 - '０' as u32, 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
