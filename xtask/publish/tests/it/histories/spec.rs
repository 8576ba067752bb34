//! What has to be true for users, whatever happened: spelled a second time, without the code that decides.

use std::collections::{BTreeMap, BTreeSet};

use xtask::domain::version::Version;

use super::environment::{Pointer, World};

/// Where every pointer leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    pointers: BTreeMap<Pointer, Version>,
}

/// The order of the newest stable release: a pre-release only where there is nothing else.
fn rank(version: &Version) -> (bool, &Version) {
    (!version.is_pre_release(), version)
}

impl Users {
    pub fn of(world: &World) -> Users {
        Users { pointers: world.pointers.clone() }
    }

    /// Whether a pointer belongs to one of these versions, which have just been published completely.
    pub fn settled_by(&self, pointer: Pointer, versions: &[Version], world: &World) -> bool {
        should_lead_to(pointer, world).is_some_and(|should| versions.contains(should))
    }
}

/// The complete versions: those with a receipt, those of the old tool, and the one that users have from the root manifest.
fn complete(world: &World) -> BTreeSet<&Version> {
    let live = world.pointers.get(&Pointer::RootManifest);
    world.receipts.iter().chain(&world.of_old_tool).chain(live).collect()
}

/// The version that a pointer should lead to.
fn should_lead_to(pointer: Pointer, world: &World) -> Option<&Version> {
    let complete = complete(world).into_iter();
    match pointer.series() {
        None => complete.filter(|version| !world.withdrawn.contains(*version)).max_by_key(|version| rank(version)),
        Some(series) => complete.filter(|version| version.series() == series).max(),
    }
}

/// Whether an upload was begun that the pointer would lead to if it were finished. Some pointers may lead there already, and
/// the others wait.
fn is_contested(pointer: Pointer, world: &World) -> bool {
    let Some(should) = should_lead_to(pointer, world) else { return true };
    world.parts.keys().filter(|version| !world.receipts.contains(*version)).any(|begun| match pointer.series() {
        None => rank(begun) > rank(should) && !world.withdrawn.contains(begun),
        Some(series) => begun.series() == series && begun > should,
    })
}

/// Checks what a command did.
pub fn check(
    world: &World,
    before: &Users,
    after: &Users,
    rolled_back_to: Option<&Version>,
    disturbed: &BTreeSet<Pointer>,
) -> Result<(), String> {
    for (pointer, to) in &after.pointers {
        let from = before.pointers.get(pointer);
        if from == Some(to) {
            continue;
        }
        // The docs of a series are changed in place with the other contents.
        if !matches!(pointer, Pointer::SeriesDocs(_)) && !world.is_whole(to) {
            return Err(format!("{pointer:?} moved to {to}, which is not whole"));
        }
        match rolled_back_to {
            Some(target) if pointer.is_of_newest() => {
                if to != target {
                    return Err(format!("{pointer:?} was rolled back to {to}, not to {target}"));
                }
            }
            Some(_) => return Err(format!("a rollback moved {pointer:?}")),
            None => {
                let back = from.filter(|from| match pointer.series() {
                    // A rollback that was killed has withdrawn it, and the next release completes the way back.
                    None => rank(from) > rank(to) && !world.withdrawn.contains(*from),
                    Some(_) => *from > to,
                });
                if let Some(from) = back {
                    return Err(format!("{pointer:?} went back from {from} to {to}, without a rollback"));
                }
                if pointer.is_of_newest() && world.withdrawn.contains(to) {
                    return Err(format!("{pointer:?} moved to {to}, which was withdrawn"));
                }
            }
        }
    }
    if before.pointers.keys().any(|pointer| !after.pointers.contains_key(pointer)) {
        return Err("a pointer is gone".to_owned());
    }
    for version in &world.receipts {
        if !world.is_whole(version) {
            return Err(format!("{version} has a receipt and is not whole"));
        }
    }
    // Installers come later, and not for every release.
    let settled = |pointer: &Pointer| *pointer != Pointer::Installer && !disturbed.contains(pointer);
    for (pointer, there) in after.pointers.iter().filter(|(pointer, _)| settled(pointer)) {
        if is_contested(*pointer, world) {
            continue;
        }
        if pointer.is_of_newest() && world.withdrawn.contains(there) {
            return Err(format!("{pointer:?} leads to {there}, which was withdrawn"));
        }
        let should = should_lead_to(*pointer, world);
        if should != Some(there) {
            return Err(format!("{pointer:?} leads to {there}, and should lead to {should:?}"));
        }
    }
    Ok(())
}
