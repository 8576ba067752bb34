//! Which machine builds for which system: this one, and the builders that Nix delegates to.
//!
//! Reads Nix's list of builders in the format of `/etc/nix/machines`. What a builder says of itself is
//! [`super::builder_answer`]'s.

use std::collections::{BTreeMap, BTreeSet};

/// One line of Nix's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Builder(Builder),
    /// The path of another list.
    File(String),
}

/// A machine that Nix delegates builds to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builder {
    pub uri: String,
    /// Systems that it builds for; if empty, the system of the machine that asks.
    pub systems: BTreeSet<String>,
    /// Path of the SSH key to log in with; if empty, SSH's own choice.
    pub key: String,
    /// Features that it is listed with.
    pub features: BTreeSet<String>,
    /// Its public host key in base64; if empty, SSH's own list decides.
    pub host_key: String,
    /// Its line in the list, to be given to Nix again.
    pub line: String,
    /// Whether it takes only builds that require one of its features.
    special: bool,
}

impl Builder {
    /// Whether Nix calls it this.
    pub fn is(&self, machine: &str) -> bool {
        let bare = |uri: &'_ str| -> String {
            let uri = uri.split('?').next().unwrap_or(uri);
            uri.strip_prefix("ssh://").unwrap_or(uri).trim_end_matches('/').to_owned()
        };
        bare(&self.uri) == bare(machine)
    }
}

/// Reads a list of builders: one per line, or separated by `;`.
pub fn parse(text: &str) -> Vec<Line> {
    let lines = text.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let given = |field: Option<&&str>| field.copied().filter(|field| *field != "-").unwrap_or_default().to_owned();
    let line = |line: &str| {
        if let Some(path) = line.strip_prefix('@') {
            return Line::File(path.trim().to_owned());
        }
        // URI, systems, SSH key, jobs, speed, features, mandatory features, host key
        let fields: Vec<&str> = line.split_whitespace().collect();
        let set = |at: usize| -> BTreeSet<String> {
            given(fields.get(at)).split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        Line::Builder(Builder {
            uri: given(fields.first()),
            systems: set(1),
            key: given(fields.get(2)),
            features: &set(5) | &set(6),
            host_key: given(fields.get(7)),
            line: line.to_owned(),
            special: !set(6).is_empty(),
        })
    };
    lines.map(line).collect()
}

/// All machines that build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machines {
    /// The systems that this machine builds for: its own first.
    pub here: Vec<String>,
    /// Number of builds that run here at once, if that is known; with 0, this machine builds nothing.
    pub jobs: Option<u64>,
    pub builders: Vec<Builder>,
}

impl Machines {
    /// Returns the first machine that builds for a system, for messages.
    pub fn who(&self, system: &str) -> Option<String> {
        // Nix runs its own builders on any machine.
        if system == "builtin" || (self.jobs != Some(0) && self.here.iter().any(|here| here == system)) {
            return Some("here".to_owned());
        }
        let takes = |builder: &&Builder| {
            let own = builder.systems.is_empty() && self.here.first().is_some_and(|here| here == system);
            !builder.special && (own || builder.systems.contains(system))
        };
        self.builders.iter().find(takes).map(|builder| format!("by {}", builder.uri))
    }
}

/// Checks that everything in a profile can be built. `wanted` has the system that each job is built on, by the job's
/// name; `smaller` is a profile that needs fewer systems, if there is one.
///
/// # Errors
/// The systems that have no builder, and what to do.
pub fn judge(wanted: &BTreeMap<String, String>, machines: &Machines, smaller: Option<&str>) -> Result<String, String> {
    let systems: BTreeSet<&String> = wanted.values().collect();
    let (mut able, mut missing) = (BTreeMap::<String, Vec<&str>>::new(), Vec::new());
    for system in systems {
        match machines.who(system) {
            Some(who) => able.entry(who).or_default().push(system),
            None => missing.push(system.as_str()),
        }
    }
    if missing.is_empty() {
        let shown = able.iter().map(|(who, systems)| format!("{} {who}", systems.join(", ")));
        return Ok(shown.collect::<Vec<_>>().join("; "));
    }
    // Only worth mentioning if a job is not named after its system.
    let odd = wanted.iter().filter(|(job, system)| missing.contains(&system.as_str()) && job != system);
    let odd: Vec<String> = odd.map(|(job, system)| format!(" (build.{job} is built on {system})")).collect();
    let idle = machines.jobs == Some(0) && machines.here.iter().any(|here| missing.contains(&here.as_str()));
    let list = missing.join(", ");
    let mut remedies = vec![
        "list a builder in /etc/nix/machines".to_owned(),
        format!("try `-- --builders 'ssh://HOST {}'`, here and with `build`", missing.join(",")),
    ];
    remedies.extend(idle.then(|| "let this machine build, too: its `max-jobs` is 0".to_owned()));
    remedies.extend(smaller.map(|profile| format!("for a trial, build with `--profile {profile}`")));
    let last = remedies.pop().unwrap_or_default();
    Err(format!("there is no builder for {list}{}: {}; or {last}", odd.concat(), remedies.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn machines(list: &str) -> Machines {
        let builder = |line| match line {
            Line::Builder(builder) => Some(builder),
            Line::File(_) => None,
        };
        Machines {
            here: ["x86_64-linux", "i686-linux"].map(str::to_owned).into(),
            jobs: None,
            builders: parse(list).into_iter().filter_map(builder).collect(),
        }
    }

    fn wanted(systems: &[&str]) -> BTreeMap<String, String> {
        systems.iter().map(|system| ((*system).to_owned(), (*system).to_owned())).collect()
    }

    const ALL: [&str; 3] = ["x86_64-linux", "aarch64-linux", "aarch64-darwin"];

    #[test]
    fn a_list_is_read_as_nix_reads_it() {
        let list = "# ours\n  @/etc/nix/more\nssh://mac aarch64-darwin,x86_64-darwin /key 4; ssh://near\n\n";
        let machine = |uri: &str, systems: &[&str]| {
            let systems = systems.iter().map(|system| (*system).to_owned()).collect();
            Builder { uri: uri.to_owned(), systems, ..Builder::default() }
        };
        let mac = "ssh://mac aarch64-darwin,x86_64-darwin /key 4";
        let expected = [
            Line::File("/etc/nix/more".to_owned()),
            Line::Builder(Builder {
                key: "/key".to_owned(),
                line: mac.to_owned(),
                ..machine("ssh://mac", &["aarch64-darwin", "x86_64-darwin"])
            }),
            Line::Builder(Builder { line: "ssh://near".to_owned(), ..machine("ssh://near", &[]) }),
        ];
        assert_eq!(parse(list), expected);
        let far = "ssh://far - - 1 1 kvm big a2V5";
        let [Line::Builder(builder)] = &parse(far)[..] else { panic!("one builder") };
        assert_eq!(builder.features.iter().map(String::as_str).collect::<Vec<_>>(), ["big", "kvm"]);
        assert!(builder.is("ssh://far?ssh-key=/key") && !builder.is("ssh-ng://far") && !builder.is("ssh://fa"));
        assert!(builder.special && builder.systems.is_empty() && builder.key.is_empty() && builder.line == far);
        assert_eq!(parse("ssh://x - - 1 1 - - a2V5").len(), 1);
    }

    #[test]
    fn every_system_has_a_builder_or_a_remedy() {
        let arm = "ssh://arm aarch64-linux; ssh://mac aarch64-darwin,x86_64-darwin";
        let cases = [
            judge(&wanted(&["x86_64-linux", "i686-linux", "builtin"]), &machines(""), None),
            judge(&wanted(&ALL), &machines(arm), None),
            judge(&wanted(&ALL), &machines(""), Some("x86_64-linux-only")),
            judge(&wanted(&ALL), &machines("ssh://mac aarch64-darwin; ssh://arm - - 1"), None),
            // Only for builds that ask for `kvm`, so not for ours.
            judge(&wanted(&ALL[1..2]), &machines("ssh://arm aarch64-linux - 1 1 kvm kvm"), None),
            judge(&wanted(&ALL[..1]), &Machines { jobs: Some(0), ..machines("") }, None),
            judge(&[("x".to_owned(), ALL[2].to_owned())].into(), &machines(""), None),
            judge(&wanted(&ALL[..1]), &Machines { jobs: Some(0), ..machines("ssh://near") }, None),
        ];
        let shown: Vec<String> = cases
            .into_iter()
            .map(|case| case.map_or_else(|remedy| format!("✗ {remedy}"), |good| format!("✓ {good}")))
            .collect();
        expect![[r#"
            ✓ builtin, i686-linux, x86_64-linux here
            ✓ aarch64-linux by ssh://arm; aarch64-darwin by ssh://mac; x86_64-linux here
            ✗ there is no builder for aarch64-darwin, aarch64-linux: list a builder in /etc/nix/machines; try `-- --builders 'ssh://HOST aarch64-darwin,aarch64-linux'`, here and with `build`; or for a trial, build with `--profile x86_64-linux-only`
            ✗ there is no builder for aarch64-linux: list a builder in /etc/nix/machines; or try `-- --builders 'ssh://HOST aarch64-linux'`, here and with `build`
            ✗ there is no builder for aarch64-linux: list a builder in /etc/nix/machines; or try `-- --builders 'ssh://HOST aarch64-linux'`, here and with `build`
            ✗ there is no builder for x86_64-linux: list a builder in /etc/nix/machines; try `-- --builders 'ssh://HOST x86_64-linux'`, here and with `build`; or let this machine build, too: its `max-jobs` is 0
            ✗ there is no builder for aarch64-darwin (build.x is built on aarch64-darwin): list a builder in /etc/nix/machines; or try `-- --builders 'ssh://HOST aarch64-darwin'`, here and with `build`
            ✓ x86_64-linux by ssh://near"#]]
        .assert_eq(&shown.join("\n"));
    }
}
