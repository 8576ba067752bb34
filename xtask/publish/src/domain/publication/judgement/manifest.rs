//! The judgement of the root manifest, and of the systems that would get no more upgrades.

use xtask::domain::build::manifest::{Manifest, render};
use xtask::domain::layout::MANIFEST;
use xtask::domain::product::Product;
use xtask::domain::system::System;

use super::{Waivers, unexpected};
use crate::domain::live_manifest::{Live, shown};
use crate::domain::publication::plan::{Judgement, Status};

pub(super) fn judge(product: &Product, ours: &Manifest, live: Option<&Live>, waivers: &Waivers) -> Judgement {
    let to = render(ours);
    let Some(live) = live else {
        return Judgement::absent(format!("to {}", shown(product, ours)), vec![format!("to {to:?}")]);
    };
    if live.text == to {
        return Judgement::same(shown(product, ours));
    }
    let (lost, refusals) = match &live.says {
        Ok(before) => {
            let lost: Vec<&System> = before.keys().filter(|system| !ours.contains_key(*system)).collect();
            let refusals = unexpected(lost.iter().copied(), waivers, |system| {
                format!(
                    "{system} disappears, and its users get no more upgrades: if that is right, add \
                     `--drop-system {system}`"
                )
            });
            (lost, refusals)
        }
        Err(_) if waivers.unreadable_manifest => Default::default(),
        Err(why) => (Vec::new(), vec![unreadable(why)]),
    };
    let dropped: String = lost.iter().map(|system| format!(", without {system}")).collect();
    let summary = format!("{} -> {}{dropped}", live.shown(product), shown(product, ours));
    let status = if refusals.is_empty() { Status::Different } else { Status::Refused(refusals) };
    Judgement::new(status, summary, vec![format!("from {:?}", live.text), format!("to {to:?}")])
}

fn unreadable(why: &str) -> String {
    format!(
        "the live {MANIFEST} {why}, so it is unknown which systems would disappear from it: look at it, and replace it \
         with the `{MANIFEST}` from the version directory that users are on, or roll back"
    )
}
