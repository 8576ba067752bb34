//! Releases on their way to an environment, alone or together, and what they would do there.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, ensure};
use xtask::cli::{Invocation, PlanArgs};
use xtask::domain::version::Version;
use xtask::phases::build;
use xtask::tools::git::Git;

use crate::acts::delivery::Delivery;
use crate::acts::git::GitSide;
use crate::acts::{Prospect, look};
use crate::delivery::gate::Earlier;
use crate::delivery::purge;
use crate::domain::cache::signing::SecretKey;
use crate::domain::publication::acts::{self, Act, Rule, Subject, Target};
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::judgement::{Waivers, judge};
use crate::domain::publication::plan::{Plan, PlanKind, Planned, Plans, Status};
use crate::domain::publication::pointers::Published;
use crate::domain::publication::receipt::Gate;
use crate::site::built::Built;
use crate::site::published::{Unclear, published, published_in_any_case};
use crate::site::{Destination, Site, Stores};

impl<'a> Delivery<'a> {
    /// What `upload` publishes of what was built.
    ///
    /// # Errors
    /// The release may not go to this environment, or there is no git remote for it.
    pub async fn new(
        destination: &'a Destination,
        gate: Gate,
        git: &'a Git,
        built: Built,
        args: &PlanArgs,
    ) -> Result<Delivery<'a>> {
        let (site, environment) = (&destination.site, &destination.site.environment);
        ensure!(
            args.target == build::Target::Manual
                || environment.profiles.iter().any(|profile| profile.to_string() == built.record.profile),
            "release/ was built with profile {}, and {} takes only {}: build it with another `--profile`",
            built.record.profile,
            site.name,
            environment.profiles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        let target = match args.target {
            build::Target::All => Target::All,
            build::Target::Manual => Target::Manual,
        };
        let acts = acts::acts(built.subject.series(), target, environment).map_err(|why| anyhow!(why))?;
        let wants_git = acts.iter().any(|act| act.push().is_some());
        let git_side = match (&built.subject, &built.tag) {
            (Subject::Official(release), Some(tag)) if wants_git => {
                Some(GitSide::find(git, &environment.git, release, tag)?)
            }
            _ => None,
        };
        if target == Target::Manual {
            destination.takes_manual_alone(&built.subject).await?;
        }
        let waivers = Waivers {
            shrink: args.allow_shrink,
            drop_systems: args.drop_system.clone(),
            force_push_tag: args.force_push_tag,
            unreadable_manifest: false,
        };
        Ok(Delivery { site, read: &destination.read, git, built, acts, git_side, gate, waivers })
    }

    /// Something else than what was built here: acts on what is published already, none of them git's.
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

    /// `None` for a tree that is no official release.
    fn version(&self) -> Option<&Version> {
        match &self.built.subject {
            Subject::Official(release) => Some(release.version()),
            Subject::Nightly { .. } => None,
        }
    }

    /// Whether the two may be published together: pointers have their rule, and what has none may belong to one only.
    ///
    /// # Errors
    /// They are of one version, or go to one branch.
    fn keeps_apart_from(&self, other: &Delivery) -> Result<()> {
        let version = &self.built.record.version;
        let (here, there) = (self.git.root(), other.git.root());
        ensure!(other.built.record.version != *version, "{here} and {there} both hold {version}");
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
    /// It cannot be looked at.
    async fn judge(&self, act: &Act, published: &Published) -> Result<(Planned, Prospect<'_>)> {
        let prospect =
            look(self, act).await.with_context(|| format!("cannot look at {}", act.title(&self.built.subject)))?;
        Ok((judge(act, &self.built.subject, prospect.seen(), published, &self.waivers), prospect))
    }
}

/// What is published beside a train that changes nothing but pointers.
struct Beside {
    /// When it was planned.
    found: (Published, Option<Unclear>),
    /// When it is done. It is not read back: a bucket may answer for a moment as it did before.
    after: Published,
}

/// Releases that are published together: contents of all, then git of all, then pointers. Usually it is one.
pub struct Train<'a> {
    /// At least one, all of them to the same environment.
    pub deliveries: Vec<Delivery<'a>>,
    /// For a rollback; otherwise what is published is looked at again for each wave.
    beside: Option<Beside>,
}

impl<'a> Train<'a> {
    /// Puts releases together.
    ///
    /// # Errors
    /// There are none, or two of them would write the same.
    pub fn new(deliveries: Vec<Delivery<'a>>) -> Result<Train<'a>> {
        ensure!(!deliveries.is_empty(), "there is nothing to publish");
        for (position, delivery) in deliveries.iter().enumerate() {
            for other in &deliveries[..position] {
                delivery.keeps_apart_from(other)?;
            }
        }
        Ok(Train { deliveries, beside: None })
    }

    /// The same, with pointers judged beside what is published when this is done, which follows from what was found.
    pub fn beside(self, found: (Published, Option<Unclear>), after: Published) -> Train<'a> {
        Train { beside: Some(Beside { found, after }), ..self }
    }

    /// Sees to it that the plan of a rollback still follows from what is published: nobody else publishes while we hold the
    /// lock, but somebody may have before.
    ///
    /// # Errors
    /// It does not, or the environment cannot be looked at.
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

    /// Where all of them go.
    pub fn site(&self) -> &'a Site {
        self.first().site
    }

    /// What is published there now, and what arrives with this train.
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
    /// Something cannot be looked at.
    pub async fn plan(&self) -> Result<PlannedTrain<'_>> {
        let (published, mut deliveries) = (self.published().await?, Vec::new());
        for delivery in &self.deliveries {
            deliveries.push((delivery, delivery.plan(&published).await?));
        }
        Ok(PlannedTrain { train: self, deliveries })
    }

    /// The buckets that the acts write, each once.
    pub fn written(&self) -> Vec<Bucket> {
        let acts = self.deliveries.iter().flat_map(|delivery| &delivery.acts);
        // The lock lies with the documentation, whatever else is written.
        let mut buckets: Vec<Bucket> = acts.filter_map(Act::bucket).chain([Bucket::Docs]).collect();
        buckets.sort();
        buckets.dedup();
        buckets
    }

    /// What an act is called where several releases have one.
    pub fn title(&self, delivery: &Delivery, planned: &Planned) -> String {
        match self.deliveries.len() {
            1 => planned.title.clone(),
            _ => format!("{}  {}", delivery.built.record.version, planned.title),
        }
    }
}

/// What is to be published from some trees; the environment's own directories are relative to the first.
///
/// # Errors
/// A release is not as built or tagged, may not go to this environment, or the environment cannot be reached.
pub async fn with_train<T>(
    invocation: &Invocation,
    trees: &[Git],
    args: &PlanArgs,
    then: impl AsyncFnOnce(&Train<'_>) -> Result<T>,
) -> Result<T> {
    let first = trees.first().context("no tree to release")?.root();
    // Before anything is read: a slip of the keyboard costs no time.
    Site::known(invocation, &args.env)?;
    let mut built = Vec::new();
    for git in trees {
        built.push(Built::open(git, &invocation.product, args).await?);
    }
    let destination =
        Destination::open(invocation, first, &args.env, &[Bucket::Docs, Bucket::Releases, Bucket::Cache]).await?;
    let mut there = Vec::new();
    for built in &built {
        there.push(destination.has(built).await?);
    }
    let all_there = there.iter().all(|there| *there);
    let earlier = if all_there { Earlier::None } else { destination.earlier(invocation, first, args).await? };
    let mut deliveries = Vec::new();
    for ((git, built), there) in trees.iter().zip(built).zip(there) {
        let gate = if there { Gate::Open } else { earlier.gate(&built.record.version).await? };
        deliveries.push(Delivery::new(&destination, gate, git, built, args).await?);
    }
    then(&Train::new(deliveries)?).await
}

/// A train, and what it would do: each release with its plan.
#[derive(Clone)]
pub struct PlannedTrain<'a> {
    pub train: &'a Train<'a>,
    pub deliveries: Vec<(&'a Delivery<'a>, Plan)>,
}

impl<'a> PlannedTrain<'a> {
    /// As one value that is shown and agreed to.
    pub fn plans(&self) -> Plans<'_> {
        Plans(self.deliveries.iter().map(|(_, plan)| plan).collect())
    }

    /// Every act with its release, in the order of the plans.
    pub fn acts(&self) -> impl Iterator<Item = (&'a Delivery<'a>, &Planned)> {
        self.deliveries.iter().flat_map(|(delivery, plan)| plan.acts.iter().map(|planned| (*delivery, planned)))
    }

    /// What waits for something outside, and for what.
    pub fn waiting(&self) -> Vec<String> {
        let why = |(delivery, planned): (&Delivery, &Planned)| match &planned.status {
            Status::Waiting(why) => Some(format!("{}: {why}", self.train.title(delivery, planned))),
            Status::Absent | Status::Same | Status::Different | Status::Stays(_) | Status::Refused(_) => None,
        };
        self.acts().filter_map(why).collect()
    }

    /// What signs, if the plan has something to sign.
    ///
    /// # Errors
    /// As for [`Site::open_signing_key`].
    pub fn signing_key(&self) -> Result<Option<SecretKey>> {
        let needed = self.acts().any(|(_, planned)| planned.act.is_signed() && planned.is_to_do());
        needed.then(|| self.train.site().open_signing_key()).transpose()
    }
}
