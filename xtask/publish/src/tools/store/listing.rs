//! Listings of a bucket: page after page, until the server says that this is the last one. A partial listing is never
//! taken for a complete one: a page that is cut off, repeats or contradicts itself is an error.

use std::collections::HashSet;

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;

use super::bucket::{Listed, Listing, Store, unquoted};
use super::client::Attempted;

/// Most bytes of keys in a listing: those of some million objects.
const MOST_KEYS: usize = 256 << 20;
/// Most pages without entries in a row. S3 allows such pages, but a listing has to end.
const EMPTY_PAGES: u32 = 100;

impl Store {
    /// Lists every object whose key starts with `prefix`, with a request for each 1,000 objects.
    pub async fn list(&self, prefix: &str) -> Result<Listing> {
        Ok(self.pages(prefix, None).await?.listing)
    }

    /// Lists the directories that start with `prefix`, without their final slash, with a request for each 1,000
    /// directories, whatever they contain.
    pub async fn directories(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.pages(prefix, Some("/")).await?.directories)
    }

    async fn pages(&self, prefix: &str, delimiter: Option<&str>) -> Result<Pages> {
        let name = self.name(prefix);
        let mut pages = Pages::new(prefix);
        loop {
            let page = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_delimiter(delimiter.map(str::to_owned))
                .set_continuation_token(pages.token.clone())
                .send()
                .await
                .attempted(|| format!("cannot list {name}"))?;
            let page = self.seen(page);
            let is_last = pages
                .take(page)
                .with_context(|| format!("the listing of {name} is incomplete or inconsistent, so it is not used"))?;
            if is_last {
                return Ok(pages);
            }
        }
    }
}

/// The contents of the pages so far.
struct Pages {
    prefix: String,
    listing: Listing,
    directories: Vec<String>,
    /// Greatest key or directory of the pages so far, after which later pages continue.
    greatest: Option<String>,
    /// Token to ask for the next page with.
    token: Option<String>,
    tokens: HashSet<String>,
    /// Number of pages without entries since the last one that had some.
    empty: u32,
    /// Total length of keys, directories and tokens in bytes.
    bytes: usize,
}

impl Pages {
    fn new(prefix: &str) -> Pages {
        Pages {
            prefix: prefix.to_owned(),
            listing: Listing::new(),
            directories: Vec::new(),
            greatest: None,
            token: None,
            tokens: HashSet::new(),
            empty: 0,
            bytes: 0,
        }
    }

    /// Takes a page, and returns whether it was the last one.
    fn take(&mut self, page: ListObjectsV2Output) -> Result<bool> {
        let entries = page.contents().len() + page.common_prefixes().len();
        // More entries than announced are fine: some servers count objects and not directories.
        if let Some(count) = page.key_count() {
            ensure!(entries as i64 >= i64::from(count), "a page announces {count} entries, but has {entries}");
        }
        let (is_truncated, token) = (page.is_truncated(), page.next_continuation_token().map(str::to_owned));
        let mut greatest = self.greatest.clone();
        for object in page.contents.unwrap_or_default() {
            let key = object.key.context("an object has no key")?;
            self.check_place(&key)?;
            let size = object.size.with_context(|| format!("{key} has no size"))?;
            let size = u64::try_from(size).map_err(|_| anyhow!("{key} has the size {size}"))?;
            self.bytes += key.len();
            greatest = greatest.max(Some(key.clone()));
            let etag = object.e_tag.map(unquoted).filter(|etag| !etag.is_empty());
            let twice = self.listing.insert(key, Listed { size, etag });
            ensure!(twice.is_none(), "an object is listed twice");
        }
        for directory in page.common_prefixes.unwrap_or_default() {
            let directory = directory.prefix.context("a directory has no name")?;
            self.check_place(&directory)?;
            let name = directory
                .strip_suffix('/')
                .with_context(|| format!("the directory {directory} does not end with /"))?;
            self.bytes += name.len();
            self.directories.push(name.to_owned());
            greatest = greatest.max(Some(directory));
        }
        self.bytes += token.as_ref().map_or(0, String::len);
        ensure!(self.bytes <= MOST_KEYS, "it has more than {} MB of keys", MOST_KEYS >> 20);
        self.greatest = greatest;
        let is_last = match (is_truncated, &token) {
            (Some(true), _) => false,
            // A token with a page that is marked as the last one means nothing. Without a mark, a token means more
            // pages.
            (Some(false), _) | (None, None) => true,
            (None, Some(token)) => token.is_empty(),
        };
        if is_last {
            return Ok(true);
        }
        let token = token.filter(|token| !token.is_empty()).with_context(|| {
            format!(
                "after {} entries, the server says that there are more, but gives no token to ask for them",
                self.listing.len() + self.directories.len()
            )
        })?;
        self.empty = if entries == 0 { self.empty + 1 } else { 0 };
        ensure!(
            self.empty < EMPTY_PAGES,
            "{EMPTY_PAGES} pages in a row have no entries, but the server says that there are more"
        );
        ensure!(self.tokens.insert(token.clone()), "the server repeats a token, so the listing would never end");
        self.token = Some(token);
        Ok(false)
    }

    /// Checks that an entry is below the prefix, and after everything on earlier pages.
    fn check_place(&self, name: &str) -> Result<()> {
        ensure!(name.starts_with(&self.prefix), "{name} is listed, but does not start with {}", self.prefix);
        if let Some(greatest) = &self.greatest {
            ensure!(
                name > greatest.as_str(),
                "a page goes back: it has {name}, but earlier pages went up to {greatest}"
            );
        }
        Ok(())
    }
}
