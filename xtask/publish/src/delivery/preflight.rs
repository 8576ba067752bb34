//! The preconditions of an environment for publishing to it: server, git remote, logins, signing key.
//!
//! Each check is independent and adds its own lines to a list, so that `doctor` can run all of them, and [`check_plan`]
//! those that a plan needs. Nothing is written.

use anyhow::{Context, Error, Result, anyhow};
use futures_util::future::join_all;
use time::OffsetDateTime;
use xtask::domain::environment::image_target::ImageTarget;
use xtask::domain::environment::{CacheKey, GitTarget, Storage};
use xtask::domain::layout::PROBE;
use xtask::domain::release::MAIN;
use xtask::tools::git::Git;
use xtask::tools::remote::Remote;

use super::outlook::reason;
use super::train::PlannedTrain;
use crate::acts::delivery::Delivery;
use crate::domain::cache::signing::SecretKey;
use crate::domain::publication::acts::Push;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::plan::PlanKind;
use crate::domain::reports::checkup::Checkup;
use crate::site::{Destination, Site, Stores};
use crate::tools::server_info::{self, ServerInfo};
use crate::tools::signing_key;
use crate::tools::wire::cannot_be_asked;

/// Largest difference of the clocks, in seconds. S3 rejects signatures beyond 15 minutes, some servers earlier.
const SKEW: i64 = 300;
/// The git hook that Gerrit requires.
pub const HOOK: &str = "commit-msg";

/// Runs all checks that write nothing, and returns whether the server can be used, so that its buckets can be tried.
pub async fn preflight(git: &Git, site: &Site, checkup: &mut Checkup) -> bool {
    let usable = check_server(site, checkup).await;
    check_remote(git, site, checkup);
    check_hook(git, site, checkup);
    check_logins(site, &site.environment.images.targets, checkup).await;
    check_signing_key(site, checkup);
    usable
}

/// Turns an error into its message, as a remedy.
pub fn message_of<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

/// Checks that the S3 server answers, has the region in `releng.toml`, and agrees about the time. Returns whether it
/// can be used.
async fn check_server(site: &Site, checkup: &mut Checkup) -> bool {
    let (endpoint, region) = match &site.environment.storage {
        Storage::Embedded { directory } => {
            checkup.note("endpoint", format!("none: this tool serves {directory} itself"));
            return true;
        }
        Storage::S3 { endpoint, region, .. } => (endpoint, region),
    };
    let says = match server_info::ask(endpoint).await {
        Ok(says) => says,
        Err(error) => {
            let remedy = format!("{endpoint} does not answer ({error:#}): check the network and the address");
            checkup.add("endpoint", Err(remedy));
            return false;
        }
    };
    checkup.add("endpoint", Ok(format!("{endpoint} answers")));
    match &says.region {
        Some(theirs) if theirs == region => checkup.add("region", Ok(theirs.clone())),
        Some(theirs) => checkup.add("region", Err(wrong_region(&site.name, region, theirs))),
        None => checkup.note(
            "region",
            format!("{region}; the server does not name its region, so only reading shows whether this is right"),
        ),
    }
    check_clock(&says, checkup);
    says.region.is_none_or(|theirs| theirs == *region)
}

fn wrong_region(environment: &str, ours: &str, theirs: &str) -> String {
    format!(
        "the server's region is `{theirs}`, and it rejects signatures for `{ours}`: set `region = \"{theirs}\"` in \
         `[environments.{environment}.storage.s3]` of releng.toml"
    )
}

fn check_clock(says: &ServerInfo, checkup: &mut Checkup) {
    let Some(theirs) = says.time else { return checkup.note("clock", "the server does not give its time") };
    let skew = (OffsetDateTime::now_utc() - theirs).whole_seconds().abs();
    let remedy = || {
        format!("this machine's clock is {skew} s off the server's: correct it, because signatures contain the time")
    };
    let close = format!("within {} s of the server's", skew.max(1));
    checkup.add("clock", if skew <= SKEW { Ok(close) } else { Err(remedy()) });
}

/// Checks that the git remote exists and lets us start a push. Its hooks and rules only apply to a real push.
fn check_remote(git: &Git, site: &Site, checkup: &mut Checkup) {
    let target = &site.environment.git;
    let pushable = Remote::find(git, target).and_then(|remote| {
        remote.refs(&["refs/heads/*"])?;
        let head = git.head()?.commit;
        let reference = match target {
            GitTarget::Gerrit { .. } => target.onto_branch(MAIN),
            GitTarget::Directory { .. } | GitTarget::Plain { .. } => "refs/heads/release-doctor".to_owned(),
        };
        remote.try_push(&[format!("{head}:{reference}")])?;
        Ok(format!("{} can be reached; only a push shows whether it accepts pushes", remote.shown()))
    });
    checkup.add("git remote", message_of(pushable));
}

/// Checks that commits get the `Change-Id` that Gerrit requires.
fn check_hook(git: &Git, site: &Site, checkup: &mut Checkup) {
    let GitTarget::Gerrit { url, .. } = &site.environment.git else { return };
    let host = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', ':']).next().unwrap_or_default());
    let host = if host.is_empty() { "GERRIT" } else { host.rsplit('@').next().unwrap_or(host) };
    let found = message_of(git.has_hook(HOOK)).and_then(|there| {
        if there {
            Ok("installed".to_owned())
        } else {
            Err(format!(
                "Gerrit requires the Change-Id that its hook adds, and the hook is not installed or not \
                 executable:\n`hook=$(git rev-parse --git-path hooks/{HOOK})`\n\
             `curl --location --output \"$hook\" https://{host}/tools/hooks/{HOOK} && chmod +x \"$hook\"`"
            ))
        }
    });
    checkup.add("commit-msg hook", found);
}

/// Checks that each of these registries accepts our login. Only a push shows whether the login may push.
async fn check_logins(site: &Site, targets: &[ImageTarget], checkup: &mut Checkup) {
    if !site.environment.images.login {
        return checkup.note("images", "releng.toml says that no login is needed");
    }
    let asking = targets.iter().map(|target| async move {
        let what = match target {
            ImageTarget::Registry { .. } => "accepts our login",
            ImageTarget::Directory { .. } => "is a directory, which needs no login",
        };
        message_of(site.images(target).check_login().await.map(|()| format!("{target} {what}")))
    });
    for known in join_all(asking).await {
        checkup.add("images", known);
    }
}

/// Checks that the signing key is available, and is the one that users trust. Makes no key.
fn check_signing_key(site: &Site, checkup: &mut Checkup) {
    match &site.environment.cache {
        CacheKey::Made { key_file, .. } => match site.cache_keys().map(|keys| keys.own) {
            Ok(Some(key)) => checkup.add("signing key", Ok(format!("{key_file}, public half {key}"))),
            Ok(None) => checkup.note("signing key", format!("{key_file} does not exist yet: `upload` makes it")),
            Err(why) => checkup.add("signing key", Err(why)),
        },
        CacheKey::Held { key_file, .. } => {
            let found = signing_key::find(key_file, site.tree());
            if let Ok(path) = &found
                && signing_key::is_encrypted(path)
            {
                let remedy = || format!("{path} is encrypted: install age (or rage)");
                checkup
                    .add("age", signing_key::decryptor().map(|name| format!("{name} opens {path}")).ok_or_else(remedy));
                if signing_key::decryptor().is_none() {
                    return;
                }
            }
            let opened = found.and_then(|path| {
                let key = site.open_signing_key().context("the binary cache cannot be signed")?;
                Ok(format!("{path}, public half {}", key.public()))
            });
            checkup.add("signing key", message_of(opened));
        }
    }
}

/// Finds, while nothing is public yet, everything that would stop the plan halfway. Server, region and clock have been
/// proven right by looking. Returns the signing key, if the plan needs it.
///
/// # Errors
/// Everything that would stop the plan is listed.
pub async fn check_plan(planned: &PlannedTrain<'_>) -> Result<Option<SecretKey>> {
    let mut checkup = check_pushes(planned).await;
    let key = planned.signing_key().inspect_err(|error| checkup.add("binary cache", Err(format!("{error:#}"))));
    let name = &planned.train.site().name;
    checkup.into_result().with_context(|| format!("{name} is not ready, and nothing was published"))?;
    key
}

/// As [`check_plan`], without the signing key: what would stop the plan as far as it could be made.
pub async fn problems(planned: &PlannedTrain<'_>) -> Vec<String> {
    lines(check_pushes(planned).await)
}

fn lines(checkup: Checkup) -> Vec<String> {
    checkup.into_result().err().map(|problems| problems.to_string()).into_iter().collect()
}

/// Checks logins and pushes. A server that cannot be asked now does not stop what does not need it.
async fn check_pushes(planned: &PlannedTrain<'_>) -> Checkup {
    let (train, site) = (planned.train, planned.train.site());
    let mut checkup = Checkup::default();
    // A rollback must also work without a login: it moves what it can.
    let is_rollback = planned.deliveries.iter().any(|(_, plan)| plan.kind == PlanKind::Rollback);
    if !is_rollback && site.environment.images.login {
        let mut targets: Vec<&ImageTarget> = Vec::new();
        for (_, planned) in planned.acts().filter(|(_, planned)| planned.is_to_do()) {
            targets.extend(planned.act.image_target().filter(|target| !targets.contains(target)));
        }
        let asking = targets.iter().map(async |target| site.images(target).check_login().await);
        for checked in join_all(asking).await {
            check("images", checked, &mut checkup);
        }
    }
    for (delivery, planned) in planned.acts() {
        if let Some(push) = planned.act.push().filter(|_| planned.is_to_do()) {
            check(&train.title(delivery, planned), try_push(delivery, push), &mut checkup);
        }
    }
    checkup
}

fn check(what: &str, checked: Result<()>, checkup: &mut Checkup) {
    match checked {
        Err(error) if !cannot_be_asked(&error) => checkup.add(what, Err(format!("{error:#}"))),
        Ok(()) | Err(_) => {}
    }
}

/// Adds to an error that stopped the first look everything else that has to be made or allowed.
pub async fn inventory(git: &Git, destination: &Destination, error: Error) -> Error {
    let Destination { site, read } = destination;
    let mut checkup = Checkup::default();
    for bucket in [Bucket::Docs, Bucket::Cache] {
        let name = bucket.among(&site.environment.buckets);
        check(&format!("bucket {name}"), read.of(bucket).head(PROBE).await.map(drop), &mut checkup);
    }
    check_remote(git, site, &mut checkup);
    check_hook(git, site, &mut checkup);
    check_logins(site, &site.environment.images.targets, &mut checkup).await;
    match lines(checkup).as_slice() {
        [] => error,
        more => anyhow!("{}\n{}", reason(&error), more.join("\n"))
            .context(format!("{} is not ready, and nothing was published", site.name)),
    }
}

/// Checks that our key may write to the buckets, before a first publication sends anything: removing an object that does
/// not exist needs a permission, and changes nothing.
///
/// # Errors
/// Every bucket that we may not write to is listed.
pub async fn may_write(site: &Site, stores: &Stores, buckets: &[Bucket]) -> Result<()> {
    let mut checkup = Checkup::default();
    let trying = buckets.iter().map(async |bucket| stores.of(*bucket).delete(PROBE).await);
    for (bucket, tried) in buckets.iter().zip(join_all(trying).await) {
        check(&format!("bucket {}", bucket.among(&site.environment.buckets)), tried, &mut checkup);
    }
    checkup.into_result().with_context(|| format!("{} is not ready, and nothing was published", site.name))
}

fn try_push(delivery: &Delivery, push: Push) -> Result<()> {
    let side = delivery.git_side()?;
    side.remote.try_push(&[side.refspec(push, delivery.waivers.force_push_tag)])
}
