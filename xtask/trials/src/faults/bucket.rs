//! Buckets in memory, asked as S3 and as a public address. A copy of their contents costs nothing, so that every run
//! starts from the same, and so that an answer of an hour ago can be given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use md5::{Digest, Md5};

use super::backend::Backend;
use super::http::{Answer, Request};

/// Most keys in one page of a listing: few, so that listings have several pages.
const PAGE: usize = 40;
/// The headers that an object keeps.
const KEPT: [&str; 5] =
    ["content-type", "cache-control", "content-encoding", "content-disposition", "x-amz-meta-sha256"];

#[derive(Debug, PartialEq, Eq)]
pub struct Object {
    pub body: Vec<u8>,
    pub headers: Vec<(String, String)>,
}

/// Every object, by bucket and key.
pub type Objects = BTreeMap<(String, String), Arc<Object>>;

/// The contents of all buckets now, and when the run began.
#[derive(Debug, Default)]
pub struct Buckets(Mutex<(Objects, Objects)>);

impl Buckets {
    /// Puts contents in place of all others.
    pub fn reset(&self, objects: &Objects) {
        *self.contents() = (objects.clone(), objects.clone());
    }

    pub fn objects(&self) -> Objects {
        self.contents().0.clone()
    }

    /// The contents when the run began.
    pub fn earlier(&self) -> Objects {
        self.contents().1.clone()
    }

    /// Changes the contents, as someone else who writes there.
    pub fn change(&self, change: impl FnOnce(&mut Objects)) {
        change(&mut self.contents().0);
    }

    fn contents(&self) -> MutexGuard<'_, (Objects, Objects)> {
        self.0.lock().expect("nothing panics with it")
    }
}

/// The buckets as S3.
pub struct S3(pub Arc<Buckets>);

impl Backend for S3 {
    fn answer(&self, request: &Request) -> Answer {
        s3(&mut self.0.contents().0, request)
    }

    fn an_hour_ago(&self, request: &Request) -> Option<Answer> {
        request.only_reads().then(|| s3(&mut self.0.contents().1, request))
    }

    fn error(&self, status: u16, code: &str) -> Answer {
        refusal(status, code)
    }
}

/// The buckets as users read them, below `/BUCKET/`.
pub struct Public(pub Arc<Buckets>);

impl Backend for Public {
    fn answer(&self, request: &Request) -> Answer {
        public(&self.0.contents().0, request)
    }

    fn an_hour_ago(&self, request: &Request) -> Option<Answer> {
        Some(public(&self.0.contents().1, request))
    }

    fn error(&self, status: u16, code: &str) -> Answer {
        Answer::new(status, &[("content-type", "text/plain")], code)
    }
}

fn public(objects: &Objects, request: &Request) -> Answer {
    match objects.get(&place(request)) {
        Some(object) => content(object, request.method == "HEAD"),
        None => Answer::new(404, &[("content-type", "text/plain")], "it is not here"),
    }
}

fn place(request: &Request) -> (String, String) {
    let path = request.path();
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    (bucket.to_owned(), key.to_owned())
}

fn s3(objects: &mut Objects, request: &Request) -> Answer {
    let (bucket, key) = place(request);
    let is_of_a_bucket = key.is_empty();
    match request.method.as_str() {
        "GET" if is_of_a_bucket && request.parameter("uploads").is_some() => xml(
            200,
            &format!(
                "<ListMultipartUploadsResult><Bucket>{bucket}</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
            ),
        ),
        "GET" if is_of_a_bucket => listing(objects, &bucket, request),
        "HEAD" if is_of_a_bucket => Answer::new(200, &[], ""),
        "GET" | "HEAD" => match objects.get(&(bucket, key)) {
            Some(object) => content(object, request.method == "HEAD"),
            None => refusal(404, "NoSuchKey"),
        },
        "PUT" if request.query().is_empty() || request.query().starts_with("x-id=") => {
            let keep = |name: &&str| Some(((**name).to_owned(), request.headers.get(name)?.to_owned()));
            let object = Object { body: request.body.clone(), headers: KEPT.iter().filter_map(keep).collect() };
            let etag = etag(&object.body);
            objects.insert((bucket, key), Arc::new(object));
            Answer::new(200, &[("etag", &etag)], "")
        }
        "DELETE" if request.query().is_empty() || request.query().starts_with("x-id=") => {
            objects.remove(&(bucket, key));
            Answer::new(204, &[], "")
        }
        _ => refusal(501, "NotImplemented"),
    }
}

fn content(object: &Object, is_head: bool) -> Answer {
    let (etag, length) = (etag(&object.body), object.body.len().to_string());
    let mut answer = Answer::new(200, &[("etag", &etag), ("content-length", &length)], "");
    answer.headers.0.extend(object.headers.iter().cloned());
    if !is_head {
        answer.body.clone_from(&object.body);
    }
    answer
}

/// The MD5, as most servers have it.
fn etag(body: &[u8]) -> String {
    let digest: String = Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digest}\"")
}

fn listing(objects: &Objects, bucket: &str, request: &Request) -> Answer {
    let prefix = request.parameter("prefix").unwrap_or_default();
    let delimiter = request.parameter("delimiter").filter(|delimiter| !delimiter.is_empty());
    let after = request.parameter("continuation-token").unwrap_or_default();
    let most = request.parameter("max-keys").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let (mut entries, mut seen, mut more) = (Vec::new(), BTreeSet::new(), None);
    let mut last = String::new();
    for ((_, key), object) in objects.range((bucket.to_owned(), prefix.clone())..) {
        let is_here = objects.contains_key(&(bucket.to_owned(), key.clone()));
        if !key.starts_with(&prefix) || !is_here {
            break;
        }
        let rest = &key[prefix.len()..];
        let directory = delimiter.as_ref().and_then(|delimiter| rest.find(delimiter.as_str()));
        let name = directory.map_or(key.clone(), |end| format!("{prefix}{}", &rest[..=end]));
        if name <= after || !seen.insert(name.clone()) {
            continue;
        }
        if entries.len() == most {
            more = Some(last);
            break;
        }
        entries.push(match directory {
            Some(_) => format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(&name)),
            None => format!(
                "<Contents><Key>{}</Key><ETag>{}</ETag><Size>{}</Size></Contents>",
                escaped(key),
                escaped(&etag(&object.body)),
                object.body.len()
            ),
        });
        last = name;
    }
    let token = more
        .as_deref()
        .map_or_else(String::new, |more| format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(more)));
    xml(
        200,
        &format!(
            "<ListBucketResult><Name>{bucket}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{}</IsTruncated>{token}{}</ListBucketResult>",
            escaped(&prefix),
            entries.len(),
            more.is_some(),
            entries.concat()
        ),
    )
}

fn refusal(status: u16, code: &str) -> Answer {
    xml(status, &format!("<Error><Code>{code}</Code><Message>as the trial wants it</Message></Error>"))
}

fn xml(status: u16, text: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
    Answer::new(status, &[("content-type", "application/xml")], text)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    #[test]
    fn a_listing_has_pages_and_directories() {
        let mut objects = Objects::new();
        let object = || Arc::new(Object { body: Vec::new(), headers: Vec::new() });
        for number in 0..PAGE + 2 {
            objects.insert(("b".to_owned(), format!("d/{number:03}")), object());
        }
        objects.insert(("b".to_owned(), "d/e/f".to_owned()), object());
        objects.insert(("c".to_owned(), "d/z".to_owned()), object());
        let mut ask = |query: &str| {
            let target = format!("/b?{query}");
            let request = Request { method: "GET".to_owned(), target, headers: Headers::default(), body: Vec::new() };
            String::from_utf8(s3(&mut objects, &request).body).expect("text")
        };
        let first = ask("list-type=2&prefix=d/&delimiter=/");
        assert_eq!(first.matches("<Key>").count(), PAGE);
        assert!(first.contains("<NextContinuationToken>d/039</NextContinuationToken>"), "{first}");
        let second = ask("list-type=2&prefix=d/&delimiter=/&continuation-token=d/039");
        assert_eq!(second.matches("<Key>").count(), 2, "{second}");
        assert!(second.contains("<Prefix>d/e/</Prefix>") && second.contains("<IsTruncated>false<"), "{second}");
    }
}
