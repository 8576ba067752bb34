//! How a delivery looks before it is carried out: each act is looked at and judged. A server that does not answer is
//! asked once in a run, and does not keep the rest from being planned.

use std::collections::BTreeSet;

use anyhow::{Error, Result, anyhow};
use futures_util::future::join_all;
use xtask::domain::shown::excerpt;

use super::purge;
use crate::acts::delivery::Delivery;
use crate::acts::look;
use crate::domain::publication::acts::Act;
use crate::domain::publication::judgement::judge;
use crate::domain::publication::plan::{Judgement, Plan, PlanKind, Planned, Status};
use crate::domain::publication::pointers::Published;
use crate::domain::publication::servers::{self, Backend, LeftOut};
use crate::site::Site;
use crate::site::silent::Silent;
use crate::tools::wire::cannot_be_asked;

impl Delivery<'_> {
    /// Looks at every act and judges it.
    ///
    /// # Errors
    /// The buckets cannot be asked.
    pub async fn plan(&self, published: &Published, silent: &Silent) -> Result<Plan> {
        let mut acts = Vec::new();
        let mut addresses = BTreeSet::new();
        for act in &self.acts {
            acts.push(self.plan_act(act, published, silent, &mut addresses).await?);
        }
        Ok(Plan {
            product: self.built.subject.product().name.clone(),
            environment: self.site.name.clone(),
            version: self.built.record.version.clone(),
            kind: PlanKind::of(&self.built.subject, &self.acts, published),
            record: self.built.record_digest,
            acts,
            purge: purge::planned(&self.site.environment, &addresses),
        })
    }

    /// Looks at one act and judges it. Adds the addresses to purge if it is carried out.
    ///
    /// # Errors
    /// The buckets cannot be asked.
    async fn plan_act(
        &self,
        act: &Act,
        published: &Published,
        silent: &Silent,
        addresses: &mut BTreeSet<String>,
    ) -> Result<Planned> {
        let subject = &self.built.subject;
        if self.leaves_out(act) {
            return Ok(Planned::new(act, subject, Judgement::new(Status::LeftOut, "", Vec::new())));
        }
        let is_known = silent.knows(act);
        let prospect = match silent.ask(act, async || look(self, act).await).await {
            Ok(prospect) => prospect,
            Err(error) if act.backend() == Backend::Buckets && cannot_be_asked(&error) => {
                return Err(error.context(format!("cannot look at {}", act.title(subject))));
            }
            Err(error) => return Ok(Planned::new(act, subject, unseen(act, &error, is_known))),
        };
        let planned = judge(act, subject, prospect.seen(), published, &self.waivers);
        if planned.is_to_do() {
            addresses.extend(purge::addresses(self, &prospect));
        }
        Ok(planned)
    }
}

/// Judges an act whose target could not be looked at. What to do about it was said before if `is_known`.
fn unseen(act: &Act, error: &Error, is_known: bool) -> Judgement {
    let remedy = match act.image_target() {
        Some(target) if !is_known => format!("; `--without {target}` publishes everything else"),
        Some(_) | None => String::new(),
    };
    let status = if cannot_be_asked(error) {
        Status::Unreachable(error.root_cause().to_string() + &remedy)
    } else {
        Status::Unseen(reason(error) + &remedy)
    };
    Judgement::new(status, "", Vec::new())
}

/// Finds what is left out, and asks each target once, so that the receipt can say why.
///
/// # Errors
/// A target does not exist, or others depend on it.
pub async fn left_out(names: &[String], acts: &[Act], site: &Site) -> Result<Vec<LeftOut>> {
    let targets = servers::left_out(names, acts, &site.name, &site.environment).map_err(|why| anyhow!(why))?;
    let asking = targets.into_iter().map(async |target| {
        let why = match site.images(&target).answers().await {
            Ok(()) => "the manager left it out".to_owned(),
            Err(error) => excerpt(&reason(&error)),
        };
        LeftOut { target, why }
    });
    Ok(join_all(asking).await)
}

/// Returns an error's message on one line: it may quote the output of a program.
pub fn reason(error: &Error) -> String {
    let text = format!("{error:#}");
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
