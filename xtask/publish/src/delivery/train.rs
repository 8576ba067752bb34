//! Trains: one or more releases on their way to an environment, and their plans.

use std::collections::BTreeSet;

use anyhow::{Result, anyhow, ensure};
use xtask::domain::extent::Extent;
use xtask::domain::version::Version;
use xtask::tools::git::Git;
use xtask::tools::term;

use crate::acts::delivery::Delivery;
use crate::acts::git::GitSide;
use crate::delivery::{gate, outlook};
use crate::domain::cache::signing::SecretKey;
use crate::domain::checks::proof::Proof;
use crate::domain::publication::acts::{self, Act, Rule, Subject};
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::Waivers;
use crate::domain::publication::plan::{Plan, Planned, Plans, Status};
use crate::domain::publication::pointers::Published;
use crate::domain::publication::receipt::Gate;
use crate::domain::publication::servers::{self, LeftOut};
use crate::site::built::Built;
use crate::site::published::{Unclear, published, published_in_any_case};
use crate::site::silent::Silent;
use crate::site::{Destination, Site, Stores};

/// What is asked for when builds are published.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name of the environment.
    pub environment: String,
    pub target: Extent,
    pub waivers: Waivers,
    /// Whether to insist on the commit that was built.
    pub check_git: bool,
    /// Why the environment that is required first is skipped, if it is.
    pub skip_staging: Option<String>,
    /// Why checks that are required are skipped, if they are.
    pub skip_checks: Option<String>,
    /// Names of targets that are left out.
    pub without: Vec<String>,
}

impl<'a> Delivery<'a> {
    /// Prepares what `upload` publishes of a build.
    ///
    /// # Errors
    /// The release must not go to this environment, or its git remote does not exist.
    pub async fn new(
        destination: &'a Destination,
        gate: Gate,
        git: &'a Git,
        built: Built,
        wanted: &Wanted,
    ) -> Result<Delivery<'a>> {
        let (site, environment) = (&destination.site, &destination.site.environment);
        ensure!(
            wanted.target == Extent::Manual || built.record.profile.is_among(&environment.profiles),
            "release/ was built with profile {}, but {} accepts only {}: build it with another `--profile`",
            built.record.profile,
            site.name,
            environment.profiles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        let acts = acts::acts(built.subject.series(), wanted.target, environment).map_err(|why| anyhow!(why))?;
        let wants_git = acts.iter().any(|act| act.push().is_some());
        let git_side = match (&built.subject, &built.tag) {
            (Subject::Official(release), Some(tag)) if wants_git => {
                gate::require_signed(git, &site.signers, tag)?;
                Some(GitSide::find(git, &environment.git, release, tag)?)
            }
            _ => None,
        };
        if wanted.target == Extent::Manual {
            destination.takes_manual_alone(&built.subject).await?;
        }
        let left_out = outlook::left_out(&wanted.without, &acts, site).await?;
        let proof = match wanted.target {
            // It is not a release.
            Extent::Manual => Proof::default(),
            Extent::All => gate::proof(git, environment, wanted.skip_checks.as_deref(), &site.name)?,
        };
        let waivers = wanted.waivers.clone();
        Ok(Delivery { site, read: &destination.read, git, built, acts, git_side, gate, proof, waivers, left_out })
    }

    /// Prepares acts, other than those of git, on a release that is already published.
    pub fn of_published(
        destination: &'a Destination,
        git: &'a Git,
        built: Built,
        acts: Vec<Act>,
        waivers: Waivers,
        left_out: Vec<LeftOut>,
    ) -> Delivery<'a> {
        let (site, read) = (&destination.site, &destination.read);
        Delivery {
            site,
            read,
            git,
            built,
            acts,
            git_side: None,
            gate: Gate::Open,
            proof: Proof::default(),
            waivers,
            left_out,
        }
    }

    /// Version of the release; `None` for a nightly.
    pub fn version(&self) -> Option<&Version> {
        match &self.built.subject {
            Subject::Official(release) => Some(release.version()),
            Subject::Nightly { .. } => None,
        }
    }

    /// Checks that two releases can be published together: every target that can be replaced belongs to only one of
    /// them, except pointers, which have a rule.
    ///
    /// # Errors
    /// The two have the same version, or go to the same branch.
    fn keeps_apart_from(&self, other: &Delivery) -> Result<()> {
        let version = &self.built.record.version;
        let (here, there) = (self.git.root(), other.git.root());
        ensure!(other.built.record.version != *version, "{here} and {there} both have {version}");
        let owned = |delivery: &Delivery| -> BTreeSet<String> {
            let acts = delivery.acts.iter().filter(|act| act.rule() == Rule::Movable && act.follows().is_none());
            acts.map(|act| act.title(&delivery.built.subject)).collect()
        };
        match owned(self).intersection(&owned(other)).next() {
            Some(title) => Err(anyhow!("{here} and {there} both have {title}: publish them one after the other")),
            None => Ok(()),
        }
    }
}

/// What is published, before and after a rollback.
struct Beside {
    /// What was published when it was planned.
    found: (Published, Option<Unclear>),
    /// What is published when it is done. It is not read back, because a bucket may still give the old answer for a
    /// moment.
    after: Published,
}

/// Releases that are published together: all contents, then all of git, then the pointers. Usually there is one.
pub struct Train<'a> {
    /// One or more deliveries to the same environment.
    pub deliveries: Vec<Delivery<'a>>,
    /// Set for a rollback; otherwise what is published is read again for each wave.
    beside: Option<Beside>,
    pub silent: Silent,
}

impl<'a> Train<'a> {
    /// Makes a train.
    ///
    /// # Errors
    /// There are no releases, or two of them would write to the same target.
    pub fn new(deliveries: Vec<Delivery<'a>>) -> Result<Train<'a>> {
        ensure!(!deliveries.is_empty(), "there is nothing to publish");
        for (position, delivery) in deliveries.iter().enumerate() {
            for other in &deliveries[..position] {
                delivery.keeps_apart_from(other)?;
            }
        }
        Ok(Train { deliveries, beside: None, silent: Silent::default() })
    }

    /// Makes the train judge pointers by what will be published `after` it; `found` is what that was derived from.
    pub fn beside(self, found: (Published, Option<Unclear>), after: Published) -> Train<'a> {
        Train { beside: Some(Beside { found, after }), ..self }
    }

    /// Makes sure that nothing was published between the plan of a rollback and the lock.
    ///
    /// # Errors
    /// Another manager has published, or the environment cannot be looked at.
    pub async fn check_unchanged(&self, stores: &Stores) -> Result<()> {
        let Some(Beside { found, .. }) = &self.beside else { return Ok(()) };
        ensure!(
            published_in_any_case(stores.of(Bucket::Releases), self.site()).await? == *found,
            "another manager published to {} since the plan was made: run the same command again, and read its plan",
            self.site().name
        );
        Ok(())
    }

    fn first(&self) -> &Delivery<'a> {
        &self.deliveries[0]
    }

    /// The environment of all deliveries.
    pub fn site(&self) -> &'a Site {
        self.first().site
    }

    /// Reads what is published there now, and adds the versions of this train.
    ///
    /// # Errors
    /// The environment cannot be looked at.
    pub async fn published(&self) -> Result<Published> {
        if let Some(Beside { after, .. }) = &self.beside {
            return Ok(after.clone());
        }
        let arriving = self.deliveries.iter().filter_map(Delivery::version).cloned().collect();
        Ok(Published { arriving, ..published(self.first().read.of(Bucket::Releases), self.site()).await? })
    }

    /// Looks at every act and judges it.
    ///
    /// # Errors
    /// A target cannot be looked at.
    pub async fn plan(&self) -> Result<PlannedTrain<'_>> {
        let (published, mut deliveries) = (self.published().await?, Vec::new());
        for delivery in &self.deliveries {
            deliveries.push((delivery, delivery.plan(&published, &self.silent).await?));
        }
        // A plan that is refused for it says so itself.
        if let Some(why) =
            published.unclear.as_ref().filter(|_| deliveries.iter().all(|(_, plan)| plan.refusals().is_empty()))
        {
            term::warn(why);
        }
        let is_first = published.versions.is_empty() && published.begun.is_empty();
        Ok(PlannedTrain { train: self, is_first, deliveries })
    }

    /// Lists the buckets that the acts write to.
    pub fn written(&self) -> Vec<Bucket> {
        let acts = self.deliveries.iter().flat_map(|delivery| &delivery.acts);
        // The lock is in the docs bucket.
        let mut buckets: Vec<Bucket> = acts.filter_map(Act::bucket).chain([Bucket::Docs]).collect();
        buckets.sort();
        buckets.dedup();
        buckets
    }

    /// Returns an act's title, with the version if there are several releases.
    pub fn title(&self, delivery: &Delivery, planned: &Planned) -> String {
        match self.deliveries.len() {
            1 => planned.title.clone(),
            _ => format!("{}  {}", delivery.built.record.version, planned.title),
        }
    }
}

/// A train with a plan for each release.
#[derive(Clone)]
pub struct PlannedTrain<'a> {
    pub train: &'a Train<'a>,
    /// Whether no release was published there yet.
    pub is_first: bool,
    pub deliveries: Vec<(&'a Delivery<'a>, Plan)>,
}

impl<'a> PlannedTrain<'a> {
    /// The plans as one value, which is shown and agreed to.
    pub fn plans(&self) -> Plans<'_> {
        Plans(self.deliveries.iter().map(|(_, plan)| plan).collect())
    }

    /// Every act with its delivery, in the order of the plans.
    pub fn acts(&self) -> impl Iterator<Item = (&'a Delivery<'a>, &Planned)> {
        self.deliveries.iter().flat_map(|(delivery, plan)| plan.acts.iter().map(|planned| (*delivery, planned)))
    }

    /// The acts that wait for something outside, with the reasons.
    pub fn waiting(&self) -> Vec<String> {
        let why = |(delivery, planned): (&Delivery, &Planned)| match &planned.status {
            Status::Waiting(why) => Some(format!("{}: {why}", self.train.title(delivery, planned))),
            Status::Absent
            | Status::Same
            | Status::Different
            | Status::Stays(_)
            | Status::Refused(_)
            | Status::Unseen(_)
            | Status::Unreachable(_)
            | Status::LeftOut => None,
        };
        self.acts().filter_map(why).collect()
    }

    /// The acts whose targets could not be looked at, with the reasons, but not those that need one of these.
    pub fn not_seen(&self) -> Vec<String> {
        let (mut acts, mut lines) = (Vec::new(), Vec::new());
        for (delivery, planned) in self.acts() {
            let (Status::Unseen(why) | Status::Unreachable(why)) = &planned.status else { continue };
            if !acts.iter().any(|other| planned.act.needs(other)) {
                acts.push(planned.act.clone());
                lines.push(format!("{}: {why}", self.train.title(delivery, planned)));
            }
        }
        lines
    }

    /// Whether something has to be made or allowed before everything can be looked at.
    pub fn is_incomplete(&self) -> bool {
        self.acts().any(|(_, planned)| matches!(planned.status, Status::Unseen(_)))
    }

    /// Names of the targets that are left out.
    pub fn left_out(&self) -> String {
        let targets = self.train.deliveries.iter().flat_map(Delivery::missing);
        let targets: Vec<String> = targets.map(|missing| missing.target).collect();
        servers::names(targets.iter().map(String::as_str))
    }

    /// Opens the signing key, if the plan has something to sign.
    ///
    /// # Errors
    /// As for [`Site::open_signing_key`].
    pub fn signing_key(&self) -> Result<Option<SecretKey>> {
        let needed = self.acts().any(|(_, planned)| planned.act.is_signed() && planned.is_to_do());
        needed.then(|| self.train.site().open_signing_key()).transpose()
    }
}
