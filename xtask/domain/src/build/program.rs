//! The programs that a release runs, and how new each has to be.

/// A program, by its name on `PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    pub name: &'static str,
    /// Oldest version that works: its first two numbers.
    oldest: (u64, u64),
    /// What an older version does not have.
    why: &'static str,
}

/// The programs that every release needs.
pub const PROGRAMS: [Program; 4] = [
    // Gerrit's `commit-msg` hook is run by `git hook run`.
    Program { name: "git", oldest: (2, 36), why: "`git hook run`" },
    // In older versions, flakes are elsewhere and `nix eval --apply` differs. Lix began at 2.90.
    Program { name: "nix", oldest: (2, 8), why: "flakes as they are today" },
    // An index has to keep its digest when it is copied.
    Program { name: "skopeo", oldest: (1, 6), why: "`copy --preserve-digests`" },
    // `rust-version` of `xtask-publish`, in its Cargo.toml.
    Program { name: "cargo", oldest: (1, 94), why: "the Rust of `xtask-publish`" },
];

impl Program {
    /// Judges the version that the program reports.
    ///
    /// # Errors
    /// It is too old; the message says what does not work then.
    pub fn judge(&self, says: &str) -> Result<String, String> {
        let Program { name, oldest: (major, minor), why } = self;
        let line = says.lines().next().unwrap_or_default().trim();
        match version(line) {
            Some(found) if found < self.oldest => Err(format!(
                "{line} is too old: {name} {major}.{minor} or newer is needed, for {why}; install a newer one"
            )),
            Some(_) => Ok(line.to_owned()),
            None => Ok(format!("{line} (version unknown)")),
        }
    }

    /// Returns what to do if the program is missing.
    pub fn missing(&self) -> String {
        format!("{} is not installed: install it, or run `xtask/bootstrap`", self.name)
    }
}

/// Parses the first two numbers of a version. Vendors put their own version in parentheses before Nix's.
pub(super) fn version(line: &str) -> Option<(u64, u64)> {
    let mut outside = String::new();
    let mut depth = 0_usize;
    for c in line.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(c),
            _ => {}
        }
    }
    let number = |text: &str| text.parse().ok();
    outside.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.').map(number);
        Some((numbers.next()??, numbers.next()??))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn too_old_is_too_old() {
        let [git, nix, skopeo, cargo] = PROGRAMS;
        let publishing = include_str!("../../../publish/Cargo.toml");
        assert!(publishing.contains(&format!("rust-version = \"{}.{}.", cargo.oldest.0, cargo.oldest.1)));
        let shown: Vec<String> = [
            (git, "git version 2.39.5 (Apple Git-154)"),
            (git, "git version 2.34.1"),
            (nix, "nix (Nix) 2.8.0"),
            (nix, "nix (Nix) 2.3.16"),
            (nix, "nix (Lix, like Nix) 2.93.1\nand more"),
            (nix, "nix (Determinate Nix 3.6.0) 2.29.0"),
            (skopeo, "skopeo version 1.4.1"),
            (skopeo, "skopeo version 1.14.0 commit: 5fa2ff6d"),
            (cargo, "cargo 1.95.0 (f2d3ce0bd 2026-03-21)"),
            (cargo, "cargo, homemade"),
        ]
        .iter()
        .map(|(program, says)| program.judge(says).unwrap_or_else(|remedy| format!("✗ {remedy}")))
        .collect();
        expect![[r#"
            git version 2.39.5 (Apple Git-154)
            ✗ git version 2.34.1 is too old: git 2.36 or newer is needed, for `git hook run`; install a newer one
            nix (Nix) 2.8.0
            ✗ nix (Nix) 2.3.16 is too old: nix 2.8 or newer is needed, for flakes as they are today; install a newer one
            nix (Lix, like Nix) 2.93.1
            nix (Determinate Nix 3.6.0) 2.29.0
            ✗ skopeo version 1.4.1 is too old: skopeo 1.6 or newer is needed, for `copy --preserve-digests`; install a newer one
            skopeo version 1.14.0 commit: 5fa2ff6d
            cargo 1.95.0 (f2d3ce0bd 2026-03-21)
            cargo, homemade (version unknown)"#]]
        .assert_eq(&shown.join("\n"));
    }
}
