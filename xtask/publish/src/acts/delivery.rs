//! A release on its way to an environment, with everything that its acts need. It is made in `delivery/train.rs`, on the
//! floor above, and defined here, because every act is looked at with it.

use anyhow::{Context, Result};
use xtask::tools::git::Git;

use super::git::GitSide;
use crate::domain::checks::proof::Proof;
use crate::domain::publication::acts::Act;
use crate::domain::publication::judgement::Waivers;
use crate::domain::publication::receipt::{Gate, Missing};
use crate::domain::publication::servers::LeftOut;
use crate::site::built::Built;
use crate::site::{Site, Stores};

/// A release on its way to an environment.
pub struct Delivery<'a> {
    pub site: &'a Site,
    pub read: &'a Stores,
    /// The repository that it is released from.
    pub git: &'a Git,
    pub built: Built,
    pub acts: Vec<Act>,
    /// Where its branch and tag are pushed, if they are.
    pub git_side: Option<GitSide<'a>>,
    pub gate: Gate,
    /// What is known of the release's checks.
    pub proof: Proof,
    pub waivers: Waivers,
    /// What is left out.
    pub left_out: Vec<LeftOut>,
}

impl<'a> Delivery<'a> {
    /// What is pushed, and where.
    ///
    /// # Errors
    /// The release is already published, or is not an official release.
    pub fn git_side(&self) -> Result<&GitSide<'a>> {
        self.git_side.as_ref().context("this release is not pushed anywhere")
    }

    /// Whether an act's target is left out.
    pub fn leaves_out(&self, act: &Act) -> bool {
        act.image_target().is_some_and(|target| self.left_out.iter().any(|left_out| left_out.target == *target))
    }

    /// What is left out, as the receipt has it.
    pub fn missing(&self) -> Vec<Missing> {
        let missing = |LeftOut { target, why }: &LeftOut| Missing { target: target.to_string(), why: why.clone() };
        self.left_out.iter().map(missing).collect()
    }
}
