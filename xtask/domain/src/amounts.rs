//! Amounts and lists, formatted for people.

use std::fmt::Display;

/// Formats a count with its noun: `1 path`, `2 paths`.
pub fn counted(n: usize, what: &str) -> String {
    let ending = match what {
        _ if n == 1 => "",
        _ if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{n} {what}{ending}")
}

/// Formats a size: `52.1 MB`, `12 kB`.
pub fn bytes_for_people(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// Joins names: `a`, `a and b`, `a, b, and c`.
pub fn enumerate(names: impl IntoIterator<Item: Display>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.as_slice() {
        [rest @ .., last] if rest.len() > 1 => format!("{}, and {last}", rest.join(", ")),
        names => names.join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_as_in_prose() {
        let joined = [&[][..], &["a"], &["a", "b"], &["a", "b", "c"]].map(enumerate);
        assert_eq!(joined, ["", "a", "a and b", "a, b, and c"]);
    }
}
