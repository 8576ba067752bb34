//! The author data base, `change-authors.yml`: how a key in `credits` is shown and linked.
//!
//! Format: a mapping of keys to mappings with `display_name`, `forgejo`, `github`, each optional. Refuses to read files
//! and to know who is credited where.

use std::collections::HashMap;

use super::problem::nearest;
use super::product::{fill, product};
use super::yaml::{self, Fault, Key, Node, Reading, Value};

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

impl Authors {
    /// # Errors
    /// Every fault of the file, by line.
    pub fn parse(text: &str) -> Result<Authors, Vec<Fault>> {
        let root = yaml::parse(text, 1).map_err(|fault| vec![fault])?;
        let Value::Map(entries) = root.value else {
            return Err(vec![Fault::new(
                root.line,
                "expected a mapping from author keys to `display_name`, `forgejo` and `github`",
            )]);
        };
        let mut authors = Authors::default();
        let mut faults = Vec::new();
        for (key, node) in entries {
            let author = Author::parse(&key.name, node, &mut faults);
            authors.by_key.insert(key.name.clone(), author);
            authors.keys.push(key);
        }
        if faults.is_empty() { Ok(authors) } else { Err(faults) }
    }

    /// How a key is shown: linked where the person has a profile.
    ///
    /// # Errors
    /// The nearest key (or none) if there is no such author.
    pub fn link(&self, key: &str) -> Result<String, Option<&str>> {
        let Some(author) = self.by_key.get(key) else {
            return Err(nearest(key, self.keys.iter().map(|key| key.name.as_str())));
        };
        let name = author.display_name.as_deref().unwrap_or(key);
        Ok(match (&author.forgejo, &author.github) {
            (Some(user), _) => format!("[{name}]({})", fill(&product().links.forgejo, user)),
            (None, Some(user)) => format!("[{name}]({})", fill(&product().links.github, user)),
            (None, None) => name.to_owned(),
        })
    }

    /// Where the keys are not in code-point order, which Lix demands so that entries are found and not added twice.
    pub fn unsorted(&self) -> Vec<Fault> {
        let out_of_place = |pair: &[Key]| {
            let [before, after] = pair else { return None };
            (before.name > after.name).then(|| {
                let what =
                    format!("`{}` comes before `{}`: keys are in order, capitals first", after.name, before.name);
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
        let shown = ["9p4", "Artturin", "horrors", "nobody"].map(|key| authors.link(key).expect(key));
        expect![[r#"
            [Ersei Saggi](https://github.com/9p4)
            [Artturin](https://github.com/Artturin)
            [eldritch horrors](https://git.lix.systems/pennae)
            Nobody "N" <n@x> 名"#]]
        .assert_eq(&shown.join("\n"));
        assert_eq!(authors.link("horrers"), Err(Some("horrors")));
        assert_eq!(authors.link("zzz"), Err(None));
        assert!(authors.unsorted().is_empty());
    }

    #[test]
    fn faults_come_all_at_once() {
        let faults =
            Authors::parse("a:\n  gihtub: x\n  github: 12\nb: text\nc:\n  forgejo: [x]\n").expect_err("faulty");
        let shown: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.line, f.what)).collect();
        expect![[r#"
            2: unknown key `gihtub`: did you mean `github`?
            3: `12` is not text to every YAML reader: write "12"
            4: `b` needs a mapping with any of `display_name`, `forgejo`, `github`
            6: `forgejo` needs one line of text"#]]
        .assert_eq(&shown.join("\n"));
        let unsorted = Authors::parse("b: {}\na: {}\nB: {}\n").expect("valid").unsorted();
        assert_eq!(unsorted.iter().map(|f| f.line).collect::<Vec<_>>(), [2, 3]);
    }
}
