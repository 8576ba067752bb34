//! `withdrawn.json`: the versions that rollbacks have withdrawn, no longer offered as the newest stable release.
//!
//! The format stays a plain list of versions, because copies of this tool in older branches read it. Its copy beside the
//! receipts is signed and proves it; older tools look there only for versions that are mentioned.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xtask::domain::format::Misread;
use xtask::domain::shown::excerpt;
use xtask::domain::version::Version;

use crate::domain::cache::signing::PublicKey;
use crate::domain::publication::plan::Judgement;
use crate::domain::publication::statement;

/// What was seen of the list, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub there: BTreeSet<Version>,
    /// Why the list cannot be read, if so; `there` then holds every version that the text mentions.
    pub unclear: Option<String>,
    pub ours: BTreeSet<Version>,
}

/// Judges whether the list is as it should be. Versions that are no longer withdrawn are offered again.
pub fn judge(seen: &Seen) -> Judgement {
    let Seen { there, unclear, ours } = seen;
    let names =
        |versions: &[&Version]| versions.iter().map(|version| version.to_string()).collect::<Vec<_>>().join(", ");
    let new: Vec<&Version> = ours.difference(there).collect();
    let again: Vec<&Version> = there.difference(ours).collect();
    let parts = [
        (!new.is_empty()).then(|| format!("withdraw {}, which stays published", names(&new))),
        (!again.is_empty()).then(|| format!("offer {} again", names(&again))),
        unclear.as_ref().map(|_| "rewrite the list".to_owned()),
    ];
    let changes: Vec<String> = new
        .iter()
        .map(|version| format!("withdraw {version}"))
        .chain(again.iter().map(|version| format!("offer {version} again")))
        .chain(unclear.iter().map(|why| format!("rewrite the list: {why}")))
        .collect();
    if changes.is_empty() {
        return Judgement::same(names(&ours.iter().collect::<Vec<_>>()));
    }
    Judgement::different(parts.into_iter().flatten().collect::<Vec<_>>().join("; "), changes)
}

/// # Errors
/// Says why the list cannot be read.
pub fn parse(text: &[u8]) -> Result<BTreeSet<Version>, Misread> {
    let not_a_list = |what: String| Misread::Wrong(format!("is not a list of versions: {what}"));
    let value: Value = serde_json::from_slice(text).map_err(|error| not_a_list(error.to_string()))?;
    match &value {
        Value::Array(entries) => entries.iter().map(version).collect(),
        Value::Object(object) if object.contains_key("format") => {
            Err(Misread::newer(excerpt(&object["format"].to_string())))
        }
        other => Err(not_a_list(excerpt(&other.to_string()))),
    }
}

fn version(entry: &Value) -> Result<Version, Misread> {
    let version = entry.as_str().and_then(|text| text.parse().ok());
    let lists = || Misread::Wrong(format!("lists {}, which is not a version", excerpt(&entry.to_string())));
    version.ok_or_else(lists)
}

/// What the signed copy of the list says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    environment: String,
    withdrawn: BTreeSet<Version>,
}

impl Copy {
    pub fn new(environment: &str, withdrawn: &BTreeSet<Version>) -> Copy {
        Copy { environment: environment.to_owned(), withdrawn: withdrawn.clone() }
    }
}

/// Reads the copy of the list, which one of the keys must have signed for this environment.
///
/// # Errors
/// Says why it proves nothing, as a clause about the copy.
pub fn proven(copy: &[u8], environment: &str, keys: &[PublicKey]) -> Result<BTreeSet<Version>, String> {
    statement::check(copy, statement::WITHDRAWN, keys)?;
    let copy: Copy = serde_json::from_slice(copy).map_err(|error| format!("is signed, but {error}"))?;
    if copy.environment != environment {
        return Err(format!("is that of {}", excerpt(&copy.environment)));
    }
    Ok(copy.withdrawn)
}

/// Returns every version that is mentioned in a text that [`parse`] rejects. A rollback keeps these when it replaces
/// the list.
pub fn salvage(text: &[u8]) -> BTreeSet<Version> {
    let text = String::from_utf8_lossy(text);
    text.split(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)))
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// # Panics
/// Never: versions are strings.
pub fn to_json(versions: &BTreeSet<Version>) -> Vec<u8> {
    serde_json::to_vec_pretty(versions).expect("versions are strings")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn show(versions: BTreeSet<Version>) -> String {
        versions.iter().map(Version::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_unreadable_list_is_never_an_empty_one() {
        let texts = [
            "[]",
            r#"["2.93.1", "2.93.1", "2.90-beta.1"]"#,
            "",
            "null",
            "[\"2.93.1\"",
            r#"["2.93.1", "latest"]"#,
            r#"["2.93.1", 2]"#,
            r#"{"format": 2, "withdrawn": {"2.93.1": "a crash", "2.93.2": "another"}}"#,
            r#"{"versions": ["2.93.1"]}"#,
            "<html>503 2.93.1</html>",
            "\u{1b}]0;x\u{7}",
        ];
        let line = |text: &&str| {
            let read =
                parse(text.as_bytes()).map_or_else(|why| why.to_string(), |read| format!("withdraws {}", show(read)));
            format!("{}: {read}; kept: {}\n", text.escape_debug(), show(salvage(text.as_bytes())))
        };
        expect![[r#"
            []: withdraws ; kept: 
            [\"2.93.1\", \"2.93.1\", \"2.90-beta.1\"]: withdraws 2.90-beta.1 2.93.1; kept: 2.90-beta.1 2.93.1
            : is not a list of versions: EOF while parsing a value at line 1 column 0; kept: 
            null: is not a list of versions: null; kept: 
            [\"2.93.1\": is not a list of versions: EOF while parsing a list at line 1 column 9; kept: 2.93.1
            [\"2.93.1\", \"latest\"]: lists "latest", which is not a version; kept: 2.93.1
            [\"2.93.1\", 2]: lists 2, which is not a version; kept: 2.93.1
            {\"format\": 2, \"withdrawn\": {\"2.93.1\": \"a crash\", \"2.93.2\": \"another\"}}: was made by a newer tool (format 2): use that tool; kept: 2.93.1 2.93.2
            {\"versions\": [\"2.93.1\"]}: is not a list of versions: {"versions":["2.93.1"]}; kept: 2.93.1
            <html>503 2.93.1</html>: is not a list of versions: expected value at line 1 column 1; kept: 2.93.1
            \u{1b}]0;x\u{7}: is not a list of versions: expected value at line 1 column 1; kept: 
        "#]].assert_eq(&texts.iter().map(line).collect::<String>());
        let two = BTreeSet::from(["2.93.1", "2.93.2"].map(|text| text.parse::<Version>().expect(text)));
        assert_eq!(parse(&to_json(&two)), Ok(two));
    }
}
