//! A release on its way to an environment: its acts, and what is needed to look at them.

use anyhow::{Context, Result};
use xtask::tools::git::Git;

use super::git::GitSide;
use crate::domain::publication::acts::Act;
use crate::domain::publication::judgement::Waivers;
use crate::domain::publication::receipt::Gate;
use crate::site::built::Built;
use crate::site::{Site, Stores};

/// A release on its way to an environment.
pub struct Delivery<'a> {
    pub site: &'a Site,
    pub read: &'a Stores,
    /// The tree that it is released from.
    pub git: &'a Git,
    pub built: Built,
    pub acts: Vec<Act>,
    /// Where its branch and its tag go, if they do.
    pub git_side: Option<GitSide<'a>>,
    pub gate: Gate,
    pub waivers: Waivers,
    /// Whether what only the environment has is deleted from trees that move. A rollback deletes nothing.
    pub deletes: bool,
}

impl<'a> Delivery<'a> {
    /// What git publishes of it, and where.
    ///
    /// # Errors
    /// It is published already, or is not an official release.
    pub fn git_side(&self) -> Result<&GitSide<'a>> {
        self.git_side.as_ref().context("this release is not pushed anywhere")
    }
}
