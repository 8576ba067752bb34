//! The guide against the tool: every command and option that `releng.md` and `README.md` name is there, and everything
//! that `cargo xtask release` has is in the guide.
//!
//! What there is, `--help` says. Commands are looked for in blocks and in backticks; in backticks also without
//! `cargo xtask release`, and options alone. Refuses to judge what stands after `--`, and what other programs take.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use expect_test::expect;

use crate::repo::xtask;

/// Options alone in backticks that belong to other programs.
const OTHERS_OPTIONS: [&str; 3] = ["--builders", "--builders-use-substitutes", "--locked"];

/// Other programs that appear with options in backticks.
const OTHERS: [&str; 7] = ["age", "apt-get", "cargo", "git", "nix", "nix-hash", "skopeo"];

#[test]
fn every_command_in_the_guide_is_there() {
    let tool = Tool::asked();
    let faults: Vec<String> = ["releng.md", "README.md"]
        .iter()
        .flat_map(|file| read(&tool, &text(file)).1.into_iter().map(move |fault| format!("{file}:{fault}")))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn everything_that_is_there_is_in_the_guide() {
    let tool = Tool::asked();
    let (mentions, _) = read(&tool, &text("releng.md"));
    let is_said = |command: &str, option: Option<&str>| {
        mentions.iter().any(|mention| match (&mention.command, option) {
            (Some(named), None) => named == command,
            (Some(named), Some(option)) => named == command && mention.options.contains(option),
            (None, option) => option.is_some_and(|option| mention.options.contains(option)),
        })
    };
    let mut missing = Vec::new();
    for (command, help) in tool.commands.iter().filter(|(command, _)| command.starts_with("release ")) {
        missing.extend((!is_said(command, None)).then(|| command.clone()));
        let unsaid = help.options.iter().filter(|option| !is_said(command, Some(option)));
        missing.extend(unsaid.map(|option| format!("{command} {option}")));
    }
    assert!(missing.is_empty(), "releng.md does not mention\n{}", missing.join("\n"));
}

#[test]
fn what_is_wrong_is_named_by_its_line() {
    let guide = "Use `prepare --dry`, or `releese notes --check`,\nor `finish --env\nENV --now`, `--nowhere`:\n\n    \
                 cargo xtask release prepar 2.93.1  # `--not-read`\n    cargo xtask release tag -- --sign\n\n\
                 Not ours: `git tag --list`, `latest`, `build.SYSTEM`. Right: `tag --sign`, `--quiet`, `cargo xtask ci`.\n";
    expect![[r#"
        1: `release prepare` has no option `--dry`
        1: there is no command `releese`
        2: `release finish` has no option `--now`
        3: no command has an option `--nowhere`
        5: there is no command `release prepar`
        6: `release tag` takes nothing after `--`"#]]
    .assert_eq(&read(&Tool::asked(), guide).1.join("\n"));
}

fn text(file: &str) -> String {
    let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).expect(&path)
}

/// The commands and options in `--help`.
#[derive(Default)]
struct Tool {
    /// Commands by their words, such as `release tag`; the tool itself is the empty string.
    commands: BTreeMap<String, Help>,
    /// Options of every command.
    everywhere: BTreeSet<String>,
}

#[derive(Default)]
struct Help {
    options: BTreeSet<String>,
    /// Its subcommands.
    below: Vec<String>,
    /// Whether it accepts arguments for another program after `--`.
    passes_on: bool,
}

impl Tool {
    fn asked() -> Tool {
        let mut tool = Tool::default();
        tool.ask("");
        tool
    }

    /// Reads the help of a command and of its subcommands.
    fn ask(&mut self, command: &str) {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let text = xtask(&args).ok();
        let mut help = Help { passes_on: text.contains("[-- <"), ..Help::default() };
        let mut heading = "";
        for line in text.lines() {
            let Some(first) = line.split_whitespace().next() else { continue };
            // `-q, --quiet`, or only the long one.
            let is_option = first.starts_with("--") || (first.starts_with('-') && first.ends_with(','));
            let option = line.split_whitespace().find(|word| word.starts_with("--")).filter(|_| is_option);
            match (heading, option) {
                _ if !line.starts_with(' ') => heading = line,
                ("Commands:", _) if first != "help" => help.below.push(first.to_owned()),
                ("Everywhere:", Some(option)) | (_, Some(option @ "--help")) => {
                    self.everywhere.insert(option.to_owned());
                }
                ("Options:", Some(option)) => drop(help.options.insert(option.to_owned())),
                _ => {}
            }
        }
        help.below.iter().for_each(|name| self.ask(&join(command, name)));
        self.commands.insert(command.to_owned(), help);
    }
}

fn join(above: &str, word: &str) -> String {
    if above.is_empty() { word.to_owned() } else { format!("{above} {word}") }
}

/// Something in the guide about this tool: a command with options, or an option alone.
struct Mention {
    command: Option<String>,
    options: BTreeSet<String>,
}

/// Checks everything that a text says about this tool, and lists what is wrong, by line.
fn read(tool: &Tool, markdown: &str) -> (Vec<Mention>, Vec<String>) {
    let (mut mentions, mut faults) = (Vec::new(), Vec::new());
    for Code { line, text, is_block } in code(markdown) {
        let text = text.replace(|c| "\"'()[]$,".contains(c), " ").replace(';', " ; ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut wrong = Vec::new();
        let after = |at: usize| words[..at].ends_with(&["cargo", "xtask"]);
        match (0..words.len()).filter(|at| after(*at)).collect::<Vec<_>>() {
            starts if is_block || !starts.is_empty() => {
                mentions.extend(starts.into_iter().map(|at| command(tool, "", &words[at..], &mut wrong)));
            }
            _ => mentions.extend(bare(tool, &words, &mut wrong)),
        }
        faults.extend(wrong.into_iter().map(|what| format!("{line}: {what}")));
    }
    (mentions, faults)
}

struct Code {
    line: usize,
    text: String,
    is_block: bool,
}

/// Lines of blocks without comments, and text in backticks, which may continue on the next line.
fn code(markdown: &str) -> Vec<Code> {
    let (mut found, mut prose, mut fenced) = (Vec::new(), String::new(), false);
    for (line, text) in (1..).zip(markdown.lines()) {
        let fence = text.starts_with("```");
        fenced ^= fence;
        if fenced || text.starts_with("    ") {
            let text = text.split(" # ").next().unwrap_or(text).to_owned();
            found.push(Code { line, text, is_block: true });
        } else if !fence {
            prose += text;
        }
        prose += "\n";
    }
    let mut line = 1;
    for (i, text) in prose.split('`').enumerate() {
        if i % 2 == 1 {
            found.push(Code { line, text: text.to_owned(), is_block: false });
        }
        line += text.matches('\n').count();
    }
    assert!(prose.matches('`').count() % 2 == 0, "a backtick has no partner");
    found.sort_by_key(|code| code.line);
    found
}

/// A command in backticks without `cargo xtask release`, or an option.
fn bare(tool: &Tool, words: &[&str], wrong: &mut Vec<String>) -> Option<Mention> {
    let (first, rest) = words.split_first()?;
    if first.starts_with("--") && first.len() > 2 {
        let named = |help: &Help| help.options.contains(*first);
        if !tool.everywhere.contains(*first) && !tool.commands.values().any(named) && !OTHERS_OPTIONS.contains(first) {
            wrong.push(format!("no command has an option `{first}`"));
        }
        return Some(Mention { command: None, options: [(*first).to_owned()].into() });
    }
    let is_word = first.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !OTHERS.contains(first);
    let has_options = is_word && rest.iter().any(|word| word.starts_with("--"));
    let of_release = tool.commands.contains_key(&join("release", first));
    let is_ours = of_release || tool.commands.contains_key(*first) || has_options;
    is_ours.then(|| command(tool, if of_release { "release" } else { "" }, words, wrong))
}

/// Finds the command that starts with these words, below another one.
fn command(tool: &Tool, above: &str, words: &[&str], wrong: &mut Vec<String>) -> Mention {
    let (mut command, mut options) = (above.to_owned(), BTreeSet::new());
    let mut words = words.iter().take_while(|word| !["|", "&&", ";", "cargo"].contains(word)).peekable();
    while let Some(word) = words.next_if(|word| tool.commands.contains_key(&join(&command, word))) {
        command = join(&command, word);
    }
    let help = &tool.commands[&command];
    let next = words.peek().filter(|next| !help.below.is_empty() && !next.starts_with(['-', '<', '…']));
    if let Some(next) = next {
        wrong.push(format!("there is no command `{}`", join(&command, next)));
        return Mention { command: None, options };
    }
    for word in words {
        if *word == "--" && !help.passes_on {
            wrong.push(format!("`{command}` takes nothing after `--`"));
        }
        if *word == "--" {
            break;
        }
        if word.starts_with("--") {
            if !help.options.contains(*word) && !tool.everywhere.contains(*word) {
                wrong.push(format!("`{command}` has no option `{word}`"));
            }
            options.insert((*word).to_owned());
        }
    }
    Mention { command: Some(command), options }
}
