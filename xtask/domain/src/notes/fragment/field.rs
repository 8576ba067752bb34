//! The value of one key of a fragment: what it may be, and the messages if it is something else.

use std::fmt;

use super::source::{Split, control};
use crate::notes::category::Category;
use crate::notes::reference::pasted::suggestion;
use crate::notes::reference::{List, Reference, decimal};
use crate::notes::yaml::{Fault, Node, Placed, Reading, Scalar, Value};
use crate::problem::nearest;
use crate::product::Product;
use crate::shown::excerpt;

/// Reads the value of one key, and reports what is wrong with it.
pub(super) struct Field<'a> {
    pub product: &'a Product,
    pub key: &'a str,
    pub front_matter: &'a Split<'a>,
    pub faults: &'a mut Vec<Fault>,
}

/// A value of a list, or one that stands alone.
#[derive(Clone, Copy)]
pub(super) struct Item<'n> {
    node: &'n Node,
    in_list: bool,
}

impl Field<'_> {
    fn fault(&mut self, line: usize, what: impl fmt::Display) {
        self.faults.push(Fault::new(line, format!("{}: {what}", self.key)));
    }

    /// Reads text, which has to be quoted if a YAML reader could see something else.
    fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let Value::Scalar(scalar) = &node.value else {
            self.fault(node.line, "expected text, found a list or a mapping");
            return None;
        };
        match scalar.reading() {
            Reading::Text if scalar.text.trim().is_empty() => self.fault(node.line, "the text is empty"),
            Reading::Text => {
                let text = scalar.text.trim();
                if let Some(found) = text.chars().find(|c| control(*c)) {
                    self.fault(node.line, format!("the text has the control character {}", found.escape_default()));
                    return None;
                }
                return Some(text);
            }
            Reading::Null => self.null(node.line, "put it in quotes"),
            Reading::Bool => self.fault(node.line, quote(scalar, "a boolean")),
            Reading::Number => self.fault(node.line, quote(scalar, "a number")),
            Reading::Date => self.fault(node.line, quote(scalar, "a date")),
        }
        None
    }

    /// Reports that there is no value, perhaps because it was taken for a comment.
    fn null(&mut self, line: usize, remedy: &str) {
        match self.front_matter.comment(line).map(str::to_owned) {
            Some(comment) => {
                self.fault(line, format!("`{comment}` is a YAML comment, so there is no value: {remedy}"));
            }
            None => self.fault(line, "there is no value: fill it in or remove the line"),
        }
    }

    pub fn synopsis(&mut self, node: &Node) -> String {
        let Some(text) = self.text(node) else { return String::new() };
        if text.contains('\n') {
            self.fault(node.line, "a synopsis is one line");
        }
        let plain = matches!(&node.value, Value::Scalar(scalar) if scalar.plain);
        if let Some(comment) = self.front_matter.comment(node.line).filter(|_| plain).map(str::to_owned) {
            let what = format!("`{comment}` is a YAML comment and would be left out: put the synopsis in quotes");
            self.fault(node.line, what);
        }
        text.to_owned()
    }

    pub fn category(&mut self, node: &Node) -> Option<Category> {
        let text = self.text(node)?;
        let found = Category::ALL.into_iter().find(|category| category.name() == text);
        if found.is_none() {
            let names = Category::ALL.map(Category::name);
            let near = nearest(text, names).map_or_else(
                || format!("known categories are {}", names.join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            self.fault(node.line, format!("unknown category `{}`: {near}", excerpt(text)));
        }
        found
    }

    pub fn significance(&mut self, node: &Node) -> bool {
        match self.text(node) {
            Some("significant") => return true,
            Some(other) => {
                let what = format!("unknown significance `{}`: only `significant` is known", excerpt(other));
                self.fault(node.line, what);
            }
            None => {}
        }
        false
    }

    /// Reads a value, or a list of values.
    pub fn each<T>(&mut self, node: &Node, read: fn(&mut Self, Item) -> Option<T>) -> Vec<T> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|node| read(self, Item { node, in_list: true })).collect(),
            _ => read(self, Item { node, in_list: false }).into_iter().collect(),
        }
    }

    pub fn credit(&mut self, item: Item) -> Option<Placed<String>> {
        self.text(item.node).map(|text| Placed { line: item.node.line, value: text.to_owned() })
    }

    /// Reads a Gerrit change number: plain decimal digits.
    pub fn change(&mut self, item: Item) -> Option<Placed<u64>> {
        let expected = "a Gerrit change number: write its decimal digits, as in 1234";
        let number = self.number(List::Cls, item, expected, decimal);
        number.map(|value| Placed { line: item.node.line, value })
    }

    pub fn issue(&mut self, item: Item) -> Option<Reference> {
        self.reference(List::Issues, item)
    }

    pub fn pull_request(&mut self, item: Item) -> Option<Reference> {
        self.reference(List::Prs, item)
    }

    fn reference(&mut self, list: List, item: Item) -> Option<Reference> {
        let expected = "a reference: write fj#N or N (Lix), gh#N (CppNix), with decimal digits for N";
        self.number(list, item, expected, Reference::parse)
    }

    /// Reads a number, or reports what its author should have written.
    fn number<T>(&mut self, list: List, item: Item, expected: &str, read: fn(&str) -> Option<T>) -> Option<T> {
        let line = item.node.line;
        let Value::Scalar(scalar) = &item.node.value else {
            let example = if list == List::Cls { "change number" } else { "reference" };
            let several = if list == List::Cls { "[1234, 5678]" } else { "[fj#496, gh#10877]" };
            self.fault(line, format!("expected a {example} or a list of them, as in {several}"));
            return None;
        };
        let comment = self.front_matter.comment(line).unwrap_or_default().to_owned();
        if scalar.reading() == Reading::Null {
            let remedy = suggestion(self.product, list, &comment, item.in_list);
            self.null(line, remedy.as_deref().unwrap_or("write fj#N (Lix) or gh#N (CppNix)"));
            return None;
        }
        // `fj#1 #2`: what looks like a second reference is a comment.
        let cut_off = scalar.plain && comment.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        let written = if cut_off { format!("{} {comment}", scalar.text) } else { scalar.text.clone() };
        let value = read(&scalar.text).filter(|_| !cut_off);
        if value.is_none() {
            let shown = excerpt(&written);
            let what = match suggestion(self.product, list, &written, item.in_list) {
                Some(suggestion) => format!("`{shown}` is not {}: {suggestion}", kind(list)),
                None => format!("`{shown}` is not {expected}"),
            };
            self.fault(line, what);
        }
        value
    }
}

fn kind(list: List) -> &'static str {
    match list {
        List::Issues | List::Prs => "a reference",
        List::Cls => "a Gerrit change number",
    }
}

fn quote(scalar: &Scalar, what: &str) -> String {
    format!("`{}` is {what} to YAML, not text: put it in quotes", scalar.text)
}
