//! The list of authors, `change-authors.yml`: how a key in `credits` is shown and linked.
//!
//! Format: a mapping of keys to mappings with `display_name`, `forgejo`, `github`, each optional.

use std::collections::HashMap;

use super::fragment::source::{conflict, control};
use super::yaml::{self, Fault, Key, Node, Reading, Value};
use crate::problem::nearest;
use crate::product::{Links, fill};
use crate::shown::excerpt;

const KEYS: [&str; 3] = ["display_name", "forgejo", "github"];

/// Everyone who may be credited, in the order of the file.
#[derive(Debug, Default)]
pub struct Authors {
    keys: Vec<Key>,
    by_key: HashMap<String, Author>,
}

#[derive(Debug, Default)]
struct Author {
    display_name: Option<String>,
    forgejo: Option<String>,
    github: Option<String>,
}

/// An invalid author list.
#[derive(Debug)]
pub struct Faulty {
    /// All faults, by line.
    pub faults: Vec<Fault>,
    /// Authors, as far as the file could be read, so that credits can still be checked.
    pub authors: Authors,
}

impl Authors {
    /// Parses the list.
    ///
    /// # Errors
    /// Every fault of the file, with the authors that it names.
    pub fn parse(text: &str) -> Result<Authors, Faulty> {
        let unreadable = |fault| Faulty { faults: vec![fault], authors: Authors::guessed(text) };
        if let Some(fault) = conflict(text) {
            return Err(unreadable(fault));
        }
        let root = yaml::parse(text, 1).map_err(unreadable)?;
        let Value::Map(entries) = root.value else {
            let what = "expected a mapping from author keys to `display_name`, `forgejo` and `github`";
            return Err(unreadable(Fault::new(root.line, what)));
        };
        let mut authors = Authors::default();
        let mut faults = Vec::new();
        for (key, node) in entries {
            if key.name.contains(control) {
                faults.push(Fault::new(key.line, format!("the key `{}` has a control character", excerpt(&key.name))));
            }
            let author = Author::parse(&key.name, node, &mut faults);
            authors.by_key.insert(key.name.clone(), author);
            authors.keys.push(key);
        }
        if faults.is_empty() { Ok(authors) } else { Err(Faulty { faults, authors }) }
    }

    /// Guesses the keys of a text that is not YAML: whatever comes before a colon at the start of a line.
    pub fn guessed(text: &str) -> Authors {
        let mut authors = Authors::default();
        for (at, text) in text.lines().enumerate() {
            let Some((name, _)) = text.split_once(": ").or_else(|| Some((text.trim_end().strip_suffix(':')?, "")))
            else {
                continue;
            };
            let name = name.trim_matches(['"', '\'']).to_owned();
            let is_key = !name.is_empty() && !name.starts_with([' ', '\t', '#', '-', '<', '>', '=']);
            if is_key && authors.by_key.insert(name.clone(), Author::default()).is_none() {
                authors.keys.push(Key { line: at + 1, name });
            }
        }
        authors
    }

    pub fn has(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// Formats an author, as a link if there is a profile; `None` if there is no such author.
    pub fn link(&self, key: &str, links: &Links) -> Option<String> {
        let author = self.by_key.get(key)?;
        let name = author.display_name.as_deref().unwrap_or(key);
        Some(match (&author.forgejo, &author.github) {
            (Some(user), _) => format!("[{name}]({})", fill(&links.forgejo, user)),
            (None, Some(user)) => format!("[{name}]({})", fill(&links.github, user)),
            (None, None) => name.to_owned(),
        })
    }

    /// Suggests what to write instead of a credit that is not a key: a key, or a list of them if it names several
    /// people.
    pub fn guess(&self, credit: &str) -> Option<String> {
        if let Some(key) = self.known_as(credit) {
            return Some(key.to_owned());
        }
        let people = credit.split([',', ';', '&']).flat_map(|part| part.split(" and ")).map(str::trim);
        let people: Vec<&str> = people.filter(|person| !person.is_empty()).collect();
        if people.len() > 1 {
            let keys: Option<Vec<&str>> = people.into_iter().map(|person| self.known_as(person)).collect();
            return keys.map(|keys| format!("[{}]", keys.join(", ")));
        }
        let names = self.keys.iter().flat_map(|key| self.names(&key.name)).flatten();
        nearest(credit, names).and_then(|near| self.known_as(near)).map(str::to_owned)
    }

    /// Returns the key of the only author of this name, ignoring case: first by key, then by the names of profiles,
    /// then by the name that is shown.
    fn known_as(&self, person: &str) -> Option<&str> {
        // As in `@jade`, `Jade <jade@example.org>`, `https://github.com/jade/`.
        let person = person.split('<').next().unwrap_or_default().trim().trim_end_matches(['/', ')']);
        let person = person.rsplit('/').next().unwrap_or_default().trim_start_matches('@').to_lowercase();
        (0..4).find_map(|kind| {
            let is_called = |key: &&str| self.names(key)[kind].is_some_and(|name| name.to_lowercase() == person);
            let mut keys = self.keys.iter().map(|key| key.name.as_str()).filter(is_called);
            let first = keys.next();
            if keys.next().is_some() { None } else { first }
        })
    }

    /// Returns the names of an author, best known first.
    fn names<'a>(&'a self, key: &'a str) -> [Option<&'a str>; 4] {
        let author = self.by_key.get(key);
        let name = |of: fn(&Author) -> &Option<String>| author.and_then(|author| of(author).as_deref());
        [Some(key), name(|a| &a.forgejo), name(|a| &a.github), name(|a| &a.display_name)]
    }

    /// Reports keys that are not in code-point order, which Lix requires so that entries are found and not added twice.
    pub fn unsorted(&self) -> Vec<Fault> {
        let out_of_place = |pair: &[Key]| {
            let [before, after] = pair else { return None };
            (before.name > after.name).then(|| {
                let what = format!("`{}` goes before `{}`: keys are sorted, capitals first", after.name, before.name);
                Fault::new(after.line, what)
            })
        };
        self.keys.windows(2).filter_map(out_of_place).collect()
    }
}

impl Author {
    fn parse(key: &str, node: Node, faults: &mut Vec<Fault>) -> Author {
        let mut author = Author::default();
        let Value::Map(fields) = node.value else {
            faults.push(Fault::new(
                node.line,
                format!("`{key}` needs a mapping with any of `display_name`, `forgejo`, `github`"),
            ));
            return author;
        };
        for (field, node) in fields {
            let slot = match field.name.as_str() {
                "display_name" => &mut author.display_name,
                "forgejo" => &mut author.forgejo,
                "github" => &mut author.github,
                other => {
                    let near = nearest(other, KEYS).unwrap_or("display_name, forgejo or github");
                    faults.push(Fault::new(field.line, format!("unknown key `{other}`: did you mean `{near}`?")));
                    continue;
                }
            };
            match node.value {
                Value::Scalar(scalar) if scalar.text.contains(control) => {
                    let what = format!("`{}` has a control character: {}", field.name, excerpt(&scalar.text));
                    faults.push(Fault::new(node.line, what));
                }
                Value::Scalar(scalar) if scalar.reading() == Reading::Text && !scalar.text.is_empty() => {
                    *slot = Some(scalar.text);
                }
                Value::Scalar(scalar) if scalar.plain && !scalar.text.is_empty() => {
                    let what = format!("`{}` is not text to every YAML reader: write \"{0}\"", scalar.text);
                    faults.push(Fault::new(node.line, what));
                }
                _ => faults.push(Fault::new(node.line, format!("`{}` needs one line of text", field.name))),
            }
        }
        author
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::product::Product;
    use expect_test::expect;

    const PEOPLE: &str = "\
# comment
9p4:
  display_name: Ersei Saggi
  github: 9p4
Artturin:
  github: Artturin
horrors:
  display_name: eldritch horrors
  forgejo: pennae
  github: pennae
nobody:
  display_name: Nobody \"N\" <n@x> 名
";

    #[test]
    fn forgejo_goes_before_github_before_plain_text() {
        let authors = Authors::parse(PEOPLE).expect("valid");
        let links = Product::built_in().links;
        let shown = ["9p4", "Artturin", "horrors", "nobody"].map(|key| authors.link(key, &links).expect(key));
        expect![[r#"
            [Ersei Saggi](https://github.com/9p4)
            [Artturin](https://github.com/Artturin)
            [eldritch horrors](https://git.lix.systems/pennae)
            Nobody "N" <n@x> 名"#]]
        .assert_eq(&shown.join("\n"));
        assert_eq!(authors.link("horrers", &links), None);
        assert!(authors.unsorted().is_empty());
    }

    #[test]
    fn people_are_guessed_by_any_of_their_names() {
        let authors = Authors::parse(PEOPLE).expect("valid");
        let mut shown = String::new();
        for credit in [
            "horrers",
            "Horrors",
            "pennae",
            "Eldritch Horrors",
            "@artturin",
            "https://github.com/9p4/",
            "[h](https://git.lix.systems/pennae)",
            "Ersei Saggi <e@example.org>",
            "9p4, horrors",
            "pennae and @9P4",
            "9p4, stranger",
            "zzz",
            "",
            ",",
        ] {
            shown += &format!("{credit} -> {}\n", authors.guess(credit).as_deref().unwrap_or("-"));
        }
        expect![[r#"
            horrers -> horrors
            Horrors -> horrors
            pennae -> horrors
            Eldritch Horrors -> horrors
            @artturin -> Artturin
            https://github.com/9p4/ -> 9p4
            [h](https://git.lix.systems/pennae) -> horrors
            Ersei Saggi <e@example.org> -> 9p4
            9p4, horrors -> [9p4, horrors]
            pennae and @9P4 -> [horrors, 9p4]
            9p4, stranger -> -
            zzz -> -
             -> -
            , -> -
        "#]]
        .assert_eq(&shown);
    }

    #[test]
    fn faults_come_all_at_once() {
        let faults =
            Authors::parse("a:\n  gihtub: x\n  github: 12\nb: text\nc:\n  forgejo: [x]\n").expect_err("faulty");
        let shown: Vec<String> = faults.faults.iter().map(|f| format!("{}: {}", f.line, f.what)).collect();
        expect![[r#"
            2: unknown key `gihtub`: did you mean `github`?
            3: `12` is not text to every YAML reader: write "12"
            4: `b` needs a mapping with any of `display_name`, `forgejo`, `github`
            6: `forgejo` needs one line of text"#]]
        .assert_eq(&shown.join("\n"));
        let keys: Vec<&str> = faults.authors.keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(keys, ["a", "b", "c"], "they can be credited all the same");
        let unsorted = Authors::parse("b: {}\na: {}\nB: {}\n").expect("valid").unsorted();
        assert_eq!(unsorted.iter().map(|f| f.line).collect::<Vec<_>>(), [2, 3]);
    }
    #[test]
    fn keys_of_what_is_not_yaml_are_known_all_the_same() {
        for text in [
            "jade:\n  forgejo: jade\n\tgithub: x\n\"9p4\": {}\nx y: [\n",
            "jade:\n9p4:\njade:\nx y: {}\n",
            "jade:\n<<<<<<< HEAD\n9p4:\n=======\nx y: {}\n>>>>>>> other\n",
        ] {
            let faulty = Authors::parse(text).expect_err(text);
            assert_eq!(faulty.faults.len(), 1, "{text}");
            for key in ["jade", "9p4", "x y"] {
                assert!(faulty.authors.has(key), "{key} of {text}");
            }
            assert_eq!(faulty.authors.keys.len(), 3, "{text}");
        }
    }
}
