//! The judgement of images, by digest, and of the tags that point to them.

use xtask::domain::amounts::bytes_for_people;
use xtask::domain::digest::Digest;

use crate::domain::publication::acts::Rule;
use crate::domain::publication::image_tag::Pushed;
use crate::domain::publication::plan::Judgement;

/// Judges images by digest: either they are there, or missing parts are pushed (again).
pub fn judge_pushed(pushed: &Pushed) -> Judgement {
    let Pushed { index, bytes, parts, missing } = pushed;
    if missing.is_empty() {
        return Judgement::same(index.short());
    }
    let changes = missing.iter().map(|part| format!("push {part}")).collect();
    if missing.len() == *parts {
        return Judgement::absent(format!("push {} ({})", index.short(), bytes_for_people(*bytes)), changes);
    }
    // Registries may delete untagged images.
    Judgement::absent(format!("push {} again: it is missing {}", index.short(), missing.join(", ")), changes)
}

/// Judges a tag.
pub fn judge_tag(rule: Rule, ours: Digest, there: Option<Digest>) -> Judgement {
    let to = vec![format!("to {ours}")];
    match there {
        None => Judgement::absent(format!("to {}", ours.short()), to),
        Some(there) if there == ours => Judgement::same(ours.short()),
        Some(there) if rule == Rule::WriteOnce => {
            let why =
                format!("it is published with other images and must never change: published {there}, ours {ours}");
            Judgement::refused(vec![why])
        }
        Some(there) => {
            Judgement::different(format!("{} -> {}", there.short(), ours.short()), vec![format!("{there} -> {ours}")])
        }
    }
}
