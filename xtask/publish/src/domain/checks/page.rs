//! What a page of HTML offers to links, and where its own links lead. Tags are found as browsers find them (WHATWG).

use std::collections::BTreeSet;

use html5gum::{Token, Tokenizer};

/// The parts of a page that links concern.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Page {
    /// What `#` can be followed by in links to the page.
    pub anchors: BTreeSet<String>,
    /// Addresses that it links to or loads, as they are written, each once.
    pub links: BTreeSet<String>,
    /// Where its links begin, if it says so.
    pub base: Option<String>,
    /// Texts of its headings.
    pub headings: Vec<String>,
    /// Everything that a reader sees, tags removed.
    pub text: String,
}

impl Page {
    /// Reads a page. Whatever a browser would show can be read.
    pub fn read(html: &str) -> Page {
        let mut page = Page::default();
        let (mut heading, mut hidden) = (None, 0usize);
        let Ok(tokens) = Tokenizer::new(html).collect::<Result<Vec<_>, _>>();
        for token in tokens {
            match token {
                Token::StartTag(tag) => {
                    let name = String::from_utf8_lossy(&tag.name).into_owned();
                    for (key, value) in &tag.attributes {
                        let value = String::from_utf8_lossy(value).into_owned();
                        page.attribute(&name, &String::from_utf8_lossy(key), value);
                    }
                    match name.as_str() {
                        "script" | "style" if !tag.self_closing => hidden += 1,
                        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => heading = Some(String::new()),
                        _ => {}
                    }
                }
                Token::EndTag(tag) => match &tag.name[..] {
                    b"script" | b"style" => hidden = hidden.saturating_sub(1),
                    b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => {
                        page.headings.extend(heading.take().map(|text: String| text.trim().to_owned()));
                    }
                    _ => {}
                },
                Token::String(text) if hidden == 0 => {
                    let text = String::from_utf8_lossy(&text);
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                    page.text.push_str(&text);
                }
                Token::String(_) | Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
            }
        }
        page
    }

    fn attribute(&mut self, tag: &str, key: &str, value: String) {
        match (tag, key) {
            ("base", "href") => self.base = Some(value),
            (_, "id") | ("a", "name") => drop(self.anchors.insert(value)),
            ("a" | "area" | "link", "href") | (_, "src") | ("form", "action") => drop(self.links.insert(value)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn as_a_browser_reads_it() {
        let page = Page::read(
            r#"<!DOCTYPE html><BASE HREF="/x/"><link rel=stylesheet href=style.css><h1 id="A&amp;B">Lix <b>2.93.1</b> (2025)</h1>
            <a name='old'></a><a href="a.html?x=1#y">a</a><img src="i.png"><!-- <a href="no.html"> -->
            <script>"<a href='neither.html'>"</script><p>text <a href="unclosed"#,
        );
        expect![[r#"
            Page {
                anchors: {
                    "A&B",
                    "old",
                },
                links: {
                    "a.html?x=1#y",
                    "i.png",
                    "neither.html",
                    "style.css",
                },
                base: Some(
                    "/x/",
                ),
                headings: [
                    "Lix 2.93.1 (2025)",
                ],
                text: "Lix 2.93.1 (2025)\n            a\n            text ",
            }"#]]
        .assert_eq(&format!("{page:#?}"));
    }
}
