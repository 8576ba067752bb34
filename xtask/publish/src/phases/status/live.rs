//! A quick look at a release in an environment, as users see it: within seconds, and without large downloads.
//!
//! Signatures are checked, sizes compared and small files read, which does not replace `verify`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use xtask::cli::Invocation;
use xtask::domain::build::record::Record;
use xtask::domain::digest::Digest;
use xtask::domain::environment::{self, Access, GitTarget, Storage};
use xtask::domain::format::Misread;
use xtask::domain::layout::{
    self, Docs, LOCK, Layout, MANIFEST, MANUAL_INDEX, RECORD, SUMS, SUMS_SIGNATURE, WITHDRAWN, WITHDRAWN_COPY,
};
use xtask::domain::release::Release;
use xtask::domain::release::tagging::TagRecord;
use xtask::domain::version::Version;
use xtask::tools::files;
use xtask::tools::git::Git;
use xtask::tools::remote::Remote;

use super::super::environments;
use super::local::LocalRecord;
use crate::acts::git::review;
use crate::domain::cache::keys::known;
use crate::domain::cache::signing::PublicKey;
use crate::domain::limits;
use crate::domain::publication::bucket::Bucket;
use crate::domain::publication::receipt::StoredReceipt;
use crate::domain::publication::signature::proof;
use crate::domain::publication::withdrawn;
use crate::domain::reports::standing::{Directory, Leads, Live, Lock, Pointer, Reviewed, Unread};
use crate::site::Site;
use crate::site::published::{Unclear, published_in_any_case};
use crate::tools::http::{Headers, Http};
use crate::tools::lock;
use crate::tools::root_manifest;
use crate::tools::source::Readable;
use crate::tools::transfer;

/// Time limit for a git remote.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Time limit for an environment, whose key may come from a host that is down.
const LONGEST: Duration = Duration::from_secs(45);

/// Makes a query that no cache has seen; `number` distinguishes the queries of one run.
fn fresh_query(number: u32) -> String {
    format!("nocache={}-{}-{number}", time::OffsetDateTime::now_utc().unix_timestamp_nanos(), std::process::id())
}

/// Whether the answer came from a cache.
fn was_kept(headers: &Headers) -> bool {
    let aged = headers.get("age").is_some_and(|age| age.trim() != "0");
    let hit = |name: &&str| headers.get(name).is_some_and(|value| value.to_ascii_uppercase().contains("HIT"));
    aged || ["x-cache", "x-cache-status", "cf-cache-status"].iter().any(hit)
}

/// The release to look for.
pub struct Look<'a> {
    pub invocation: &'a Invocation,
    pub git: &'a Git,
    pub release: &'a Release,
    pub tag: Option<&'a TagRecord>,
    pub built: Option<&'a LocalRecord>,
}

/// The buckets to look at.
struct Sources {
    docs: Readable,
    install: Readable,
    releases: Readable,
    /// The environment, unless it is looked at by its public addresses. Keeps the embedded server running.
    world: Option<Site>,
}

/// What an environment says about other versions.
#[derive(Default)]
struct Others {
    withdrawn: BTreeSet<Version>,
    /// Versions whose upload was begun and not finished; empty at a public address, which cannot be listed.
    begun: BTreeSet<Version>,
    unread: Vec<Unread>,
}

async fn others(Sources { releases, world, .. }: &Sources, name: &str, keys: &[PublicKey]) -> Result<Others> {
    if let (Readable::Store(store), Some(site)) = (releases, world) {
        let (published, unclear) = published_in_any_case(store, site).await?;
        let here = format!("s3://{}/", store.bucket());
        let unread = unclear.map(|Unclear { why, is_damaged }| Unread { why: why.replace(&here, ""), is_damaged });
        return Ok(Others {
            withdrawn: published.withdrawn,
            begun: published.begun,
            unread: unread.into_iter().collect(),
        });
    }
    let (text, copy) = (releases.get(WITHDRAWN).await?, releases.get(WITHDRAWN_COPY).await?);
    let Some(text) = text else {
        let Some(copy) = copy else { return Ok(Others::default()) };
        let why = Misread::Wrong("is missing, although a rollback wrote it".to_owned());
        let unread = vec![Unread::new(WITHDRAWN, why)];
        return Ok(Others { withdrawn: withdrawn::salvage(&copy), unread, ..Others::default() });
    };
    Ok(match withdrawn::parse(&text) {
        Ok(withdrawn) => {
            let proven = copy.is_some_and(|copy| withdrawn::proven(&copy, name, keys).as_ref() == Ok(&withdrawn));
            let why = Misread::Wrong("is not proven by its signed copy".to_owned());
            let unread = if proven || keys.is_empty() { Vec::new() } else { vec![Unread::new(WITHDRAWN, why)] };
            Others { withdrawn, unread, ..Others::default() }
        }
        Err(why) => {
            let unread = vec![Unread::new(WITHDRAWN, why)];
            Others { withdrawn: withdrawn::salvage(&text), unread, ..Others::default() }
        }
    })
}

/// Reads the lock in the docs bucket.
async fn lock(docs: &Readable, unread: &mut Vec<Unread>) -> Result<Option<Lock>> {
    let Some(text) = docs.get(LOCK).await? else { return Ok(None) };
    match lock::seen(&text) {
        Ok(lock::Seen { owner, until, counts }) => Ok(Some(Lock { owner, until, counts })),
        Err(why) => {
            unread.push(Unread::new(LOCK, Misread::Wrong(why)));
            Ok(None)
        }
    }
}

impl Look<'_> {
    /// Looks at one environment.
    ///
    /// # Errors
    /// Says why the environment cannot be looked at.
    pub async fn at(&self, name: &str, environment: &environment::Environment) -> Result<Live, String> {
        if let Storage::Embedded { directory } = &environment.storage
            && !self.git.root().join(directory).exists()
        {
            // Opening the site would make the directory.
            return Ok(self.absent(environment).await);
        }
        let looking = async {
            let sources = self.sources(name, environment).await?;
            self.look(name, &sources, environment).await
        };
        match tokio::time::timeout(LONGEST, looking).await {
            Ok(looked) => looked.map_err(|error| error.root_cause().to_string()),
            Err(_) => Err(format!("no answer within {} s", LONGEST.as_secs())),
        }
    }

    async fn absent(&self, environment: &environment::Environment) -> Live {
        Live {
            directory: Directory::Absent,
            finished: false,
            missing: Vec::new(),
            withdrawn: false,
            pointers: Vec::new(),
            review: self.review(environment).await,
            installers: false,
            begun: Vec::new(),
            lock: None,
            unread: Vec::new(),
        }
    }

    async fn sources(&self, name: &str, environment: &environment::Environment) -> Result<Sources> {
        if let Some(public) = &environment.public {
            // Otherwise a cache might remember that a file does not exist yet.
            let query = fresh_query(0);
            let source = |address: &String| Readable::Public(Http::impatient(address).with_query(&query));
            return Ok(Sources {
                docs: source(&public.docs),
                install: source(&public.install),
                releases: source(&public.releases),
                world: None,
            });
        }
        let site = Site::open(&environments(self.invocation), self.git.root(), name).await?;
        let stores = site.connect(Access::Read, &[Bucket::Docs, Bucket::Install, Bucket::Releases]).await?;
        let store = |bucket| Readable::Store(Box::new(stores.of(bucket).clone()));
        Ok(Sources {
            docs: store(Bucket::Docs),
            install: store(Bucket::Install),
            releases: store(Bucket::Releases),
            world: Some(site),
        })
    }

    async fn look(&self, name: &str, sources: &Sources, environment: &environment::Environment) -> Result<Live> {
        let version = self.release.version();
        let layout = self.release.layout();
        let releases = &sources.releases;
        self.see_that_looking_changes_nothing(name, releases).await?;
        let keys = match &sources.world {
            Some(site) => site.trusted()?,
            None => known(&environment.cache).map_err(|why| anyhow!(why))?,
        };
        let record = releases.get(&format!("{}/{RECORD}", layout.version_directory())).await?;
        let digest = record.as_ref().map(|text| files::digest_of(text).sha256);
        let record = record.map(|text| Record::parse_published(&String::from_utf8_lossy(&text)));
        let directory = match (&record, digest) {
            (Some(Ok(record)), Some(digest)) => self.directory(releases, &layout, record, digest).await?,
            (Some(Err(why)), _) => Directory::Unread(Unread::new(RECORD, why.clone())),
            _ => self.unrecorded(releases, &layout).await?,
        };
        let Others { withdrawn, begun, mut unread } = others(sources, name, &keys).await?;
        if let Some(Err(why)) = self.proof(releases, &layout, digest, &keys).await? {
            unread.push(Unread::new(RECORD, Misread::Wrong(format!("is not proven: {why}"))));
        }
        let receipt = releases.get(&layout.receipt()).await?;
        let receipt = StoredReceipt::parse(receipt.as_deref(), name, &version.to_string(), &keys);
        if let StoredReceipt::Newer(why) = &receipt {
            unread.push(Unread::new("its receipt", Misread::Newer(why.clone())));
        }
        let lock = lock(&sources.docs, &mut unread).await?;
        let record = record.and_then(Result::ok);
        let expected = record.as_ref().or(self.built.map(|built| &built.record)).filter(|record| {
            // `release/` may have another version.
            record.version == version.to_string()
        });
        Ok(Live {
            directory,
            finished: digest.is_some_and(|digest| receipt.is_of(digest)) || matches!(receipt, StoredReceipt::Newer(_)),
            missing: digest.and_then(|digest| Some(receipt.of(digest)?.missing.clone())).unwrap_or_default(),
            withdrawn: withdrawn.contains(version),
            pointers: self.pointers(sources, expected).await?,
            review: self.review(environment).await,
            installers: sources.install.size(&layout.installer_record()).await?.is_some(),
            begun: begun.iter().filter(|begun| *begun != version).map(ToString::to_string).collect(),
            lock,
            unread,
        })
    }

    /// Whether the published record is signed; `None` if there is none, or no key is known.
    async fn proof(
        &self,
        releases: &Readable,
        layout: &Layout,
        record: Option<Digest>,
        keys: &[PublicKey],
    ) -> Result<Option<Result<(), String>>> {
        let Some(record) = record.filter(|_| !keys.is_empty()) else { return Ok(None) };
        let directory = layout.version_directory();
        let sums = releases.get(&format!("{directory}/{SUMS}")).await?;
        let signature = releases.get(&format!("{directory}/{SUMS_SIGNATURE}")).await?;
        let proof = proof(&layout.namespace(), sums.as_deref(), signature.as_deref(), record, keys);
        Ok(Some(proof.map(|_| ())))
    }

    /// Makes sure that a cache in front does not keep these answers for users. A cache that ignores queries would: it
    /// gives itself away by answering a new query from what it has kept.
    async fn see_that_looking_changes_nothing(&self, name: &str, releases: &Readable) -> Result<()> {
        let Readable::Public(http) = releases else { return Ok(()) };
        if self.was_published_from_here(name) {
            return Ok(());
        }
        http.page(MANIFEST, limits::POINTER).await?;
        let again = http.with_query(&fresh_query(1)).page(MANIFEST, limits::POINTER).await?;
        ensure!(
            !again.is_some_and(|page| was_kept(&page.headers)),
            "a cache in front of it ignores queries, and would remember that a file does not exist yet: use `verify`"
        );
        Ok(())
    }

    fn was_published_from_here(&self, name: &str) -> bool {
        let path = self.git.root().join(layout::RELEASE).join(layout::local_receipt(name));
        let receipt = files::read_text(&path).ok();
        let receipt = receipt.and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        receipt.is_some_and(|receipt| receipt["version"] == self.release.version().to_string().as_str())
    }

    /// Looks at a version directory without a record.
    async fn unrecorded(&self, releases: &Readable, layout: &Layout) -> Result<Directory> {
        let is_there = async |name| -> Result<bool> {
            Ok(releases.size(&format!("{}/{name}", layout.version_directory())).await?.is_some())
        };
        // This tool sends the sums first; the tool before it made none.
        Ok(match (is_there(SUMS).await?, is_there(MANIFEST).await?) {
            (true, _) => Directory::Begun,
            (false, true) => Directory::Unrecorded,
            (false, false) => Directory::Absent,
        })
    }

    /// Compares the size of every file except the manual's pages.
    async fn directory(
        &self,
        releases: &Readable,
        layout: &Layout,
        record: &Record,
        digest: Digest,
    ) -> Result<Directory> {
        let ours = self.built.filter(|built| built.record.version == record.version).map(|built| built.digest);
        if ours.is_some_and(|ours| ours != digest) {
            return Ok(Directory::Other { record: digest.to_string() });
        }
        let manual = format!("{}/", layout::MANUAL);
        let files: Vec<_> = record.files.iter().filter(|(path, _)| !path.starts_with(&manual)).collect();
        let asking = files.iter().map(|(path, facts)| {
            let (releases, path, size) = (releases.clone(), (*path).clone(), facts.size);
            let key = format!("{}/{path}", layout.version_directory());
            async move {
                // A file that cannot be checked counts as broken, and the others are still checked.
                let is_right = releases.size(&key).await.is_ok_and(|there| there == Some(size));
                Ok((!is_right).then_some(path))
            }
        });
        let mut broken: Vec<String> = transfer::all(asking).await?.into_iter().flatten().collect();
        broken.sort();
        Ok(Directory::Recorded { same_as_release: ours.is_some(), files: files.len(), broken })
    }

    /// Looks where the pointers lead. The live manual is recognised by the digest of its start page in the record.
    async fn pointers(&self, sources: &Sources, record: Option<&Record>) -> Result<Vec<Pointer>> {
        let version = self.release.version();
        let live = match sources.releases.get(MANIFEST).await? {
            Some(bytes) => Some(root_manifest::read(&bytes).await?),
            None => None,
        };
        let leads = match live {
            None => Leads::Nowhere,
            Some(live) if live.leads_to(self.release.product()).as_ref() == Some(version) => Leads::Here,
            Some(live) => Leads::To(live.shown(self.release.product())),
        };
        let mut pointers = vec![Pointer { what: "`nix upgrade-nix`".to_owned(), leads, rolls_back: true }];
        let Some(index) = record.and_then(|record| record.manual().remove(MANUAL_INDEX)) else { return Ok(pointers) };
        let series = self.release.series();
        for (what, docs) in [(format!("docs {series}"), Docs::Series(series)), ("docs stable".to_owned(), Docs::Stable)]
        {
            let page = sources.docs.get(&format!("{}/{MANUAL_INDEX}", self.release.layout().docs(docs))).await?;
            let leads = match page {
                None => Leads::Nowhere,
                Some(page) if files::digest_of(&page) == index => Leads::Here,
                Some(_) => Leads::Elsewhere,
            };
            pointers.push(Pointer { what, leads, rolls_back: docs == Docs::Stable });
        }
        Ok(pointers)
    }

    /// Looks at the release's commits, if the environment has Gerrit.
    async fn review(&self, environment: &environment::Environment) -> Option<Reviewed> {
        let (GitTarget::Gerrit { .. }, Some(tag)) = (&environment.git, self.tag) else { return None };
        let (branch, tag) = (self.release.release_branch(), tag.clone());
        let (root, target) = (self.git.root().to_owned(), environment.git.clone());
        // git blocks its thread, and must not delay the other environments.
        let asking = tokio::task::spawn_blocking(move || {
            let git = Git::open(&root)?;
            review(&Remote::find(&git, &target)?.impatient(PATIENCE), &branch, &tag)
        });
        let asked = asking.await.context("git was not run").flatten();
        Some(asked.map_or_else(|error| Reviewed::Unknown(format!("{error:#}")), Reviewed::from))
    }
}
