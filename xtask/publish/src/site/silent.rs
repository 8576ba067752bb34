//! The servers of an environment that did not answer in this run.

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::Result;

use crate::domain::publication::acts::Act;
use crate::domain::publication::servers::Backend;
use crate::tools::wire::{CannotAsk, cannot_be_asked};

/// Registries and git remotes that did not answer. They are not asked again in the same run.
///
/// Buckets are asked again: requests to them have their own attempts, and without them nothing goes on.
#[derive(Default)]
pub struct Silent(Mutex<BTreeSet<Backend>>);

impl Silent {
    /// Whether an act's server did not answer before.
    pub fn knows(&self, act: &Act) -> bool {
        self.0.lock().expect("nothing panics with it").contains(&act.backend())
    }

    /// Asks an act's server, unless it has not answered before.
    ///
    /// # Errors
    /// As for `ask`; or the server did not answer before.
    pub async fn ask<T>(&self, act: &Act, ask: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        let backend = act.backend();
        if self.knows(act) {
            return Err(CannotAsk(format!("{backend} did not answer before")).into());
        }
        let asked = ask().await;
        if let Err(error) = &asked
            && backend != Backend::Buckets
            && cannot_be_asked(error)
        {
            self.0.lock().expect("nothing panics with it").insert(backend);
        }
        asked
    }
}
