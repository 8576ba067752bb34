//! Owns listings: page after page, until the server says that this was the last one. A part is never taken for the
//! whole: a page that breaks off, repeats or contradicts itself is an error.

use std::collections::HashSet;

use anyhow::{Context, Result, anyhow, ensure};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;

use super::client::Attempted;
use super::{Listed, Listing, Store, unquoted};

/// S3 allows pages without entries; a server that gives so many in a row never ends.
const EMPTY_PAGES: u32 = 100;

impl Store {
    /// Everything whose key starts with `prefix`: a request for each 1,000 objects.
    pub async fn list(&self, prefix: &str) -> Result<Listing> {
        Ok(self.pages(prefix, None).await?.listing)
    }

    /// The directories that start with `prefix`, without the slash at their ends: one request for each 1,000 of them,
    /// however much is in them.
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
            let is_last = pages.take(page).with_context(|| {
                format!("the listing of {name} is not complete or not sound, and nothing is decided by a part of it")
            })?;
            if is_last {
                return Ok(pages);
            }
        }
    }
}

/// What the pages so far had.
struct Pages {
    prefix: String,
    listing: Listing,
    directories: Vec<String>,
    /// The greatest key or directory of the pages so far: those to come go on behind it.
    greatest: Option<String>,
    /// What to ask for the next page with.
    token: Option<String>,
    tokens: HashSet<String>,
    /// Pages without entries since the last one with some.
    empty: u32,
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
        }
    }

    /// Takes a page; says whether it was the last one.
    fn take(&mut self, page: ListObjectsV2Output) -> Result<bool> {
        let entries = page.contents().len() + page.common_prefixes().len();
        // More than it says is nothing to worry about: some servers count objects and not directories.
        if let Some(count) = page.key_count() {
            ensure!(entries as i64 >= i64::from(count), "a page says that it has {count} entries, and has {entries}");
        }
        let (is_truncated, token) = (page.is_truncated(), page.next_continuation_token().map(str::to_owned));
        let mut greatest = self.greatest.clone();
        for object in page.contents.unwrap_or_default() {
            let key = object.key.context("an object has no key")?;
            self.check_place(&key)?;
            let size = object.size.with_context(|| format!("{key} has no size"))?;
            let size = u64::try_from(size).map_err(|_| anyhow!("{key} has the size {size}"))?;
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
                .with_context(|| format!("the directory {directory} has no / at its end"))?;
            self.directories.push(name.to_owned());
            greatest = greatest.max(Some(directory));
        }
        self.greatest = greatest;
        let is_last = match (is_truncated, &token) {
            (Some(true), _) => false,
            // Servers that give a token with the last page mean nothing by it; one that says nothing may mean more.
            (Some(false), _) | (None, None) => true,
            (None, Some(token)) => token.is_empty(),
        };
        if is_last {
            return Ok(true);
        }
        let token = token.filter(|token| !token.is_empty()).with_context(|| {
            format!(
                "after {} entries the server says that there are more, and gives no token to ask for them with",
                self.listing.len() + self.directories.len()
            )
        })?;
        self.empty = if entries == 0 { self.empty + 1 } else { 0 };
        ensure!(
            self.empty < EMPTY_PAGES,
            "{EMPTY_PAGES} pages in a row have no entries, and the server says that there are more"
        );
        ensure!(self.tokens.insert(token.clone()), "the server gives the same token again, so that it never ends");
        self.token = Some(token);
        Ok(false)
    }

    /// An entry is below the prefix, and behind everything on the pages before.
    fn check_place(&self, name: &str) -> Result<()> {
        ensure!(name.starts_with(&self.prefix), "{name} is listed, which does not start with {}", self.prefix);
        if let Some(greatest) = &self.greatest {
            ensure!(
                name > greatest.as_str(),
                "a page goes back: it has {name}, and the pages before it came to {greatest}"
            );
        }
        Ok(())
    }
}
