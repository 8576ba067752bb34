//! The one rule of pointers: the names that users follow, and when they move.
//!
//! Root `manifest.nix`, docs `stable`, the image tag `latest` and the installers at the bucket's root follow the newest
//! stable release; the image tag MAJOR and the docs of a MAJOR follow the newest release of that MAJOR. Where they
//! belong depends only on what is published in an environment, so the order of publishing does not matter, and a
//! maintenance release never moves users to an older version.

use std::collections::BTreeSet;

use xtask::domain::version::{Series, Version};

/// What is published in one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Versions that are completely published: they have a receipt, or an earlier tool published them, or the root
    /// manifest leads to them.
    pub versions: BTreeSet<Version>,
    /// Versions whose upload was begun and not finished. No pointer moves to them, or past them.
    pub begun: BTreeSet<Version>,
    /// Versions that a rollback withdrew: they stay published, but are not offered as the newest stable release.
    pub withdrawn: BTreeSet<Version>,
    /// Why it is unclear which versions were withdrawn, and what to do; no pointer moves then.
    pub unclear: Option<String>,
    /// Versions in this publication, the one that is judged among them.
    pub arriving: BTreeSet<Version>,
}

impl Published {
    /// The versions that a pointer may lead to.
    pub fn all(&self) -> impl Iterator<Item = &Version> {
        self.versions.union(&self.arriving)
    }
}

impl FromIterator<Version> for Published {
    fn from_iter<I: IntoIterator<Item = Version>>(versions: I) -> Published {
        Published { versions: versions.into_iter().collect(), ..Published::default() }
    }
}

/// What a group of pointers follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// The newest stable release or, if there is none yet, the newest pre-release.
    NewestStable,
    /// The newest release of a series.
    Series(Series),
}

/// What publishing a version means for a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The pointer moves to the version, for this reason.
    Moves(String),
    /// The pointer stays where it is, for this reason.
    Stays(String),
    /// The pointer should move to the version, but not before the upload of this one, which is newer, is finished.
    Waits(Version),
}

/// Returns the version that a pointer should lead to; `None` if no published version qualifies.
pub fn target(follows: Follows, published: &Published) -> Option<&Version> {
    match follows {
        Follows::NewestStable => {
            let offered = published.all().filter(|version| !published.withdrawn.contains(version));
            offered.max_by_key(|version| (!version.is_pre_release(), *version))
        }
        Follows::Series(series) => published.all().filter(|version| version.series() == series).max(),
    }
}

/// Returns the versions that are withdrawn after a rollback to `to`: newer stable versions that users may have, and
/// those that were withdrawn before. A version whose upload was only begun is not withdrawn: it may be the fix.
pub fn withdrawn_by_rollback(to: &Version, published: &Published) -> BTreeSet<Version> {
    let newer = |version: &&Version| !version.is_pre_release() && *version > to;
    published.versions.union(&published.withdrawn).filter(newer).cloned().collect()
}

/// Decides whether a pointer moves when `version` is added to what is published.
pub fn judge(follows: Follows, version: &Version, published: &Published) -> Verdict {
    let mut with_it = published.clone();
    with_it.versions.insert(version.clone());
    if follows == Follows::NewestStable && published.withdrawn.contains(version) {
        return Verdict::Stays(format!(
            "{version} was withdrawn by a rollback; `rollback --to {version}` brings it back"
        ));
    }
    match target(follows, &with_it) {
        Some(target) if target == version => match begun_beyond(follows, version, &with_it) {
            Some(begun) => Verdict::Waits(begun),
            None => Verdict::Moves(match follows {
                Follows::NewestStable if version.is_pre_release() => "no stable release is published here".to_owned(),
                Follows::NewestStable => "the newest stable release here".to_owned(),
                Follows::Series(series) => format!("the newest release of {series} here"),
            }),
        },
        Some(target) if version.is_pre_release() && !target.is_pre_release() && follows == Follows::NewestStable => {
            Verdict::Stays(format!("{version} is a pre-release, and {target} is stable"))
        }
        Some(target) if published.versions.contains(target) => {
            Verdict::Stays(format!("{target} is newer, and is published here"))
        }
        Some(target) => Verdict::Stays(format!("{target} is newer, and is published with it")),
        None => Verdict::Stays(format!("nothing of {} is published here", version.series())),
    }
}

/// Returns the version that the pointer would lead to if every upload that was begun were finished, unless that is
/// `version`. Some of its pointers may have moved before its upload was interrupted, and they must not move back.
fn begun_beyond(follows: Follows, version: &Version, published: &Published) -> Option<Version> {
    let mut finished = published.clone();
    finished.versions.append(&mut finished.begun);
    target(follows, &finished).filter(|target| *target != version).cloned()
}

/// Whether pointers wait for an upload that was begun, because they would move to that version if it were finished.
pub fn holds_pointers_back(begun: &Version, published: &Published) -> bool {
    let with_it =
        Published { versions: published.versions.iter().chain([begun]).cloned().collect(), ..published.clone() };
    [Follows::NewestStable, Follows::Series(begun.series())]
        .iter()
        .any(|follows| target(*follows, &with_it) == Some(begun))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().expect(text)
    }

    #[test]
    fn the_policy_on_one_page() {
        let cases = [
            ("2.95.0", ""),
            ("2.95.0", "2.94.1"),
            ("2.94.2", "2.94.1"),
            ("2.93.4", "2.93.3 2.95.2"),
            ("2.95.2", "2.95.2 2.95.1"),
            ("2.96.0-rc1", "2.95.2"),
            ("2.96.0-rc2", "2.96.0-rc1"),
            ("2.96.0-rc1", "2.96.0"),
            ("2.95.3", "2.95.2 2.96.0-rc1"),
            ("2.90-beta.1", "2.90-beta.0"),
        ];
        let shown: Vec<String> = cases
            .iter()
            .map(|(releasing, published)| {
                let (releasing, published) = (
                    version(releasing),
                    published.split(' ').filter_map(|v| v.parse::<Version>().ok()).collect::<Published>(),
                );
                let show = |follows| match judge(follows, &releasing, &published) {
                    Verdict::Moves(why) => format!("moves ({why})"),
                    Verdict::Stays(why) => format!("stays ({why})"),
                    Verdict::Waits(begun) => format!("waits for {begun}"),
                };
                let series = show(Follows::Series(releasing.series()));
                format!(
                    "{releasing} beside {:?}\n  newest stable {}\n  series        {series}",
                    published.versions,
                    show(Follows::NewestStable)
                )
            })
            .collect();
        expect![[r#"
            2.95.0 beside {}
              newest stable moves (the newest stable release here)
              series        moves (the newest release of 2.95 here)
            2.95.0 beside {2.94.1}
              newest stable moves (the newest stable release here)
              series        moves (the newest release of 2.95 here)
            2.94.2 beside {2.94.1}
              newest stable moves (the newest stable release here)
              series        moves (the newest release of 2.94 here)
            2.93.4 beside {2.93.3, 2.95.2}
              newest stable stays (2.95.2 is newer, and is published here)
              series        moves (the newest release of 2.93 here)
            2.95.2 beside {2.95.1, 2.95.2}
              newest stable moves (the newest stable release here)
              series        moves (the newest release of 2.95 here)
            2.96.0-rc1 beside {2.95.2}
              newest stable stays (2.96.0-rc1 is a pre-release, and 2.95.2 is stable)
              series        moves (the newest release of 2.96 here)
            2.96.0-rc2 beside {2.96.0-rc1}
              newest stable moves (no stable release is published here)
              series        moves (the newest release of 2.96 here)
            2.96.0-rc1 beside {2.96.0}
              newest stable stays (2.96.0-rc1 is a pre-release, and 2.96.0 is stable)
              series        stays (2.96.0 is newer, and is published here)
            2.95.3 beside {2.95.2, 2.96.0-rc1}
              newest stable moves (the newest stable release here)
              series        moves (the newest release of 2.95 here)
            2.90-beta.1 beside {2.90-beta.0}
              newest stable moves (no stable release is published here)
              series        moves (the newest release of 2.90 here)"#]]
        .assert_eq(&shown.join("\n"));
    }

    #[test]
    fn a_rollback_is_not_undone_by_an_older_release() {
        let mut published: Published = ["2.94.2", "2.95.1", "2.95.2"].map(version).into_iter().collect();
        published.withdrawn = withdrawn_by_rollback(&version("2.95.1"), &published);
        assert_eq!(published.withdrawn, BTreeSet::from([version("2.95.2")]));
        assert_eq!(target(Follows::NewestStable, &published), Some(&version("2.95.1")));
        let moves = |text: &str| matches!(judge(Follows::NewestStable, &version(text), &published), Verdict::Moves(_));
        assert!(!moves("2.94.3") && !moves("2.95.2") && moves("2.95.3"));
        // The pointers of the series are not rolled back.
        assert_eq!(target(Follows::Series(version("2.95.0").series()), &published), Some(&version("2.95.2")));
    }

    #[test]
    fn what_was_only_begun_is_neither_followed_nor_passed_nor_withdrawn() {
        let mut published: Published = ["2.94.2", "2.95.1"].map(version).into_iter().collect();
        published.begun = BTreeSet::from([version("2.95.3"), version("2.96.0-rc1")]);
        assert_eq!(target(Follows::NewestStable, &published), Some(&version("2.95.1")));
        assert_eq!(withdrawn_by_rollback(&version("2.94.2"), &published), BTreeSet::from([version("2.95.1")]));
        let show = |text: &str| {
            let of = |follows| match judge(follows, &version(text), &published) {
                Verdict::Moves(why) => format!("moves ({why})"),
                Verdict::Stays(why) => format!("stays ({why})"),
                Verdict::Waits(begun) => format!("waits for {begun}"),
            };
            format!(
                "{text}\n  newest stable {}\n  series        {}\n",
                of(Follows::NewestStable),
                of(Follows::Series(version(text).series()))
            )
        };
        expect![[r#"
            2.94.3
              newest stable stays (2.95.1 is newer, and is published here)
              series        moves (the newest release of 2.94 here)
            2.95.2
              newest stable waits for 2.95.3
              series        waits for 2.95.3
            2.95.3
              newest stable moves (the newest stable release here)
              series        moves (the newest release of 2.95 here)
            2.95.4
              newest stable moves (the newest stable release here)
              series        moves (the newest release of 2.95 here)
        "#]]
        .assert_eq(&["2.94.3", "2.95.2", "2.95.3", "2.95.4"].map(show).concat());
    }

    #[test]
    fn a_rollback_to_something_newer_keeps_what_is_newer_still_withdrawn() {
        let mut published: Published = ["2.95.1", "2.95.2"].map(version).into_iter().collect();
        // 2.95.3 has lost its receipt, but is still known to be withdrawn.
        published.withdrawn = BTreeSet::from([version("2.95.2"), version("2.95.3")]);
        assert_eq!(withdrawn_by_rollback(&version("2.95.2"), &published), BTreeSet::from([version("2.95.3")]));
    }

    fn any_version() -> impl Strategy<Value = Version> {
        let suffix = prop_oneof![3 => Just(String::new()), 1 => (0..3u8).prop_map(|n| format!("-rc{n}"))];
        (90..94u8, 0..4u8, suffix).prop_map(|(minor, patch, suffix)| version(&format!("2.{minor}.{patch}{suffix}")))
    }

    proptest! {
        /// For any versions in any order, with repetitions, each pointer ends where the set says, and never moves to an
        /// older version on the way, except from a pre-release to the first stable release.
        #[test]
        fn order_does_not_matter_and_nothing_moves_back(order in prop::collection::vec(any_version(), 1..20)) {
            let mut published = Published::default();
            let mut newest: Option<Version> = None;
            let mut of_series = std::collections::BTreeMap::<Series, Version>::new();
            for version in &order {
                if let Verdict::Moves(_) = judge(Follows::NewestStable, version, &published) {
                    if let Some(from) = &newest {
                        let first_stable = from.is_pre_release() && !version.is_pre_release();
                        prop_assert!(first_stable || from <= version, "{from} to {version}");
                        prop_assert!(from.is_pre_release() || !version.is_pre_release());
                    }
                    newest = Some(version.clone());
                }
                if let Verdict::Moves(_) = judge(Follows::Series(version.series()), version, &published)
                    && let Some(from) = of_series.insert(version.series(), version.clone())
                {
                    prop_assert!(from <= *version, "{from} to {version}");
                }
                published.versions.insert(version.clone());
            }
            prop_assert_eq!(newest.as_ref(), target(Follows::NewestStable, &published));
            for (series, version) in &of_series {
                prop_assert_eq!(Some(version), target(Follows::Series(*series), &published));
            }
        }
    }
}
