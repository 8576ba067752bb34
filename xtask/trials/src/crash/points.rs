//! The points of a run, by kind: what is done, where, and to which sort of file.

use std::collections::BTreeMap;

/// Finds the first point of each kind.
pub fn first_of_each_kind(points: &[String]) -> BTreeMap<String, usize> {
    let mut first = BTreeMap::new();
    for (index, point) in points.iter().enumerate() {
        first.entry(kind(point)).or_insert(index + 1);
    }
    first
}

/// Finds the last point at which each kind of thing is at risk: as much as possible relies on it by then.
pub fn last_of_each_risk(at_risk: &[Vec<String>]) -> BTreeMap<String, usize> {
    let mut last = BTreeMap::new();
    for (index, at_risk) in at_risk.iter().enumerate() {
        last.extend(at_risk.iter().map(|what| (kind(what), index + 1)));
    }
    last
}

/// Returns the kind of a point, or of a thing at risk: one word, and a path. Deep down, only where it is counts.
pub fn kind(point: &str) -> String {
    let (what, path) = point.split_once(' ').unwrap_or((point, ""));
    let (dir, file) = path.rsplit_once('/').unwrap_or(("", path));
    let parts: Vec<&str> = path.split('/').collect();
    let place = match parts[..] {
        _ if what == "exec" => file.to_owned(),
        // Other programs' own.
        ["tmp" | "home", ..] => parts[0].to_owned(),
        ["env", "git" | "git.new", ..] => parts[..2].join("/"),
        [_, _, _, _, ..] => parts[..3].join("/"),
        _ => {
            let sort = file.rsplit_once('.').map_or("", |(_, extension)| extension);
            // A longer one is a name that was made up.
            format!("{dir} {}", if sort.len() > 8 { "" } else { sort })
        }
    };
    // A train has another tree.
    format!("{what} {}", place.replace("tree2", "tree"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_point_of_each_kind_is_found() {
        let points = [
            "write tree/.git/objects/ab/0123456789",
            "write tree/.git/objects/ab/9876543210",
            "exec /usr/bin/git",
            "write tree2/.git/objects/ab/1234567890",
            "write tree/release/tag.json",
            "write tree/release/.tag.json.new",
        ];
        let first = first_of_each_kind(&points.map(str::to_owned));
        assert_eq!(first.into_values().collect::<Vec<_>>(), [3, 1, 5, 6], "in the order of the kinds");
    }

    #[test]
    fn a_thing_is_lost_when_most_relies_on_it() {
        let at_risk = [vec!["content a/b.json"], vec!["content a/b.json", "name a/c"], vec!["name a/c"], vec![]];
        let at_risk = at_risk.map(|things| things.into_iter().map(str::to_owned).collect());
        assert_eq!(last_of_each_risk(&at_risk).into_values().collect::<Vec<_>>(), [2, 3]);
    }
}
