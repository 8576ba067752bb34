//! Trains: one or more releases on their way to an environment, and their plans.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use xtask::domain::extent::Extent;
use xtask::domain::version::Version;
use xtask::tools::git::Git;

use crate::acts::delivery::Delivery;
use crate::acts::git::GitSide;
use crate::acts::{Prospect, look};
use crate::delivery::gate::Earlier;
use crate::delivery::purge;
use crate::domain::cache::signing::SecretKey;
use crate::domain::publication::acts::{self, Act, Rule, Subject};
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::{Waivers, judge};
use crate::domain::publication::plan::{Plan, PlanKind, Planned, Plans, Status};
use crate::domain::publication::pointers::Published;
use crate::domain::publication::receipt::Gate;
use crate::site::built::Built;
use crate::site::published::{Unclear, published, published_in_any_case};
use crate::site::{Destination, Environments, Site, Stores};

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
                Some(GitSide::find(git, &environment.git, release, tag)?)
            }
            _ => None,
        };
        if wanted.target == Extent::Manual {
            destination.takes_manual_alone(&built.subject).await?;
        }
        let waivers = wanted.waivers.clone();
        Ok(Delivery { site, read: &destination.read, git, built, acts, git_side, gate, waivers })
    }

    /// Prepares acts, other than those of git, on a release that is already published.
    pub fn of_published(
        destination: &'a Destination,
        git: &'a Git,
        built: Built,
        acts: Vec<Act>,
        waivers: Waivers,
    ) -> Delivery<'a> {
        let (site, read) = (&destination.site, &destination.read);
        Delivery { site, read, git, built, acts, git_side: None, gate: Gate::Open, waivers }
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

    async fn plan(&self, published: &Published) -> Result<Plan> {
        let mut acts = Vec::new();
        let mut addresses = BTreeSet::new();
        for act in &self.acts {
            let (planned, prospect) = self.judge(act, published).await?;
            if planned.is_to_do() {
                addresses.extend(purge::addresses(self, &prospect));
            }
            acts.push(planned);
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

    /// Looks at one act and judges it.
    ///
    /// # Errors
    /// The target cannot be looked at.
    async fn judge(&self, act: &Act, published: &Published) -> Result<(Planned, Prospect<'_>)> {
        let prospect =
            look(self, act).await.with_context(|| format!("cannot look at {}", act.title(&self.built.subject)))?;
        Ok((judge(act, &self.built.subject, prospect.seen(), published, &self.waivers), prospect))
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
        Ok(Train { deliveries, beside: None })
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
            published_in_any_case(stores.of(Bucket::Releases), &self.site().product).await? == *found,
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
        Ok(Published { arriving, ..published(self.first().read.of(Bucket::Releases), &self.site().product).await? })
    }

    /// Looks at every act and judges it.
    ///
    /// # Errors
    /// A target cannot be looked at.
    pub async fn plan(&self) -> Result<PlannedTrain<'_>> {
        let (published, mut deliveries) = (self.published().await?, Vec::new());
        for delivery in &self.deliveries {
            deliveries.push((delivery, delivery.plan(&published).await?));
        }
        Ok(PlannedTrain { train: self, deliveries })
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

/// Makes a train of the builds in some trees, and hands it to `then`. The environment's own directories are relative to
/// the first tree.
///
/// # Errors
/// A release differs from its build or its tag, must not go to this environment, or the environment cannot be reached.
pub async fn with_train<T>(
    environments: &Environments,
    trees: &[Git],
    wanted: &Wanted,
    then: impl AsyncFnOnce(&Train<'_>) -> Result<T>,
) -> Result<T> {
    let first = trees.first().context("no tree to release")?.root();
    // Before anything is read, so that a typo costs no time.
    environments.named(&wanted.environment)?;
    let mut built = Vec::new();
    for git in trees {
        built.push(Built::open(git, &environments.product, wanted.target, wanted.check_git).await?);
    }
    let buckets = [Bucket::Docs, Bucket::Releases, Bucket::Cache];
    let destination = Destination::open(environments, first, &wanted.environment, &buckets).await?;
    let mut there = Vec::new();
    for built in &built {
        there.push(destination.has(built).await?);
    }
    let all_there = there.iter().all(|there| *there);
    let earlier = if all_there {
        Earlier::None
    } else {
        destination.earlier(environments, first, wanted.target, wanted.skip_staging.as_deref()).await?
    };
    let mut deliveries = Vec::new();
    for ((git, built), there) in trees.iter().zip(built).zip(there) {
        let gate = if there { Gate::Open } else { earlier.gate(&built.record.version).await? };
        deliveries.push(Delivery::new(&destination, gate, git, built, wanted).await?);
    }
    then(&Train::new(deliveries)?).await
}

/// A train with a plan for each release.
#[derive(Clone)]
pub struct PlannedTrain<'a> {
    pub train: &'a Train<'a>,
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
            Status::Absent | Status::Same | Status::Different | Status::Stays(_) | Status::Refused(_) => None,
        };
        self.acts().filter_map(why).collect()
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
