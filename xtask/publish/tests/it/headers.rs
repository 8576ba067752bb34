//! The headers of objects are part of what is published: checked and repaired, even if the content must not change.

use std::fs;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use camino::Utf8Path;
use expect_test::expect;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::release::Release;

/// Changes the metadata that the embedded server keeps beside an object.
pub fn set(release: &Release, bucket: &str, key: &str, attribute: &str, value: &str) {
    set_in(&release.object(""), bucket, key, attribute, value);
}

/// Changes them in the directory that the server keeps everything in.
pub fn set_in(directory: &Utf8Path, bucket: &str, key: &str, attribute: &str, value: &str) {
    let name = |part: &str| URL_SAFE_NO_PAD.encode(part);
    let file = format!(".bucket-{}.object-{}.metadata.json", name(bucket), name(key));
    let path = directory.join(file);
    let mut attributes: Value = serde_json::from_slice(&fs::read(&path).expect("attributes")).expect("JSON");
    attributes.as_object_mut().expect("an object").insert(attribute.to_owned(), value.into());
    fs::write(&path, attributes.to_string()).expect("written");
}

#[test]
fn headers_are_seen_and_repaired() {
    let release = Release::new("2.93.1");
    release.upload().ok();
    let set = |bucket: &str, key: &str, name: &str, value: &str| set(&release, bucket, key, name, value);
    set("local-releases", "lix/lix-2.93.1/lix-2.93.1.tar.gz", "content_type", "text/html");
    set("local-releases", "lix/lix-2.93.1/release.json", "cache_control", "no-store");
    set("local-docs", "manual/lix/stable/index.html", "content_disposition", "attachment");
    set("local-releases", "manifest.nix", "cache_control", "public, max-age=31536000");
    set("local-releases", "receipts/lix-2.93.1.json", "content_type", "application/octet-stream");
    // Another spelling of the same header is not a difference.
    set("local-docs", "manual/lix/stable/page-1.html", "content_type", "text/html;charset=UTF-8");
    // As an upload with compression leaves a page: readers see the same.
    let page = release.object("local-docs/manual/lix/2.93/page-2.html");
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&fs::read(&page).expect("a page")).expect("compressed");
    fs::write(&page, gzip.finish().expect("compressed")).expect("written");
    set("local-docs", "manual/lix/2.93/page-2.html", "content_encoding", "gzip");

    // Nix reads these however they are served; what stands between goes by the headers.
    let cache = release.object("local-cache");
    let first = |dir: &str, ending: &str| {
        let entries = cache.join(dir).read_dir_utf8().expect("a cache").map(|entry| entry.expect("an entry"));
        let mut all: Vec<String> = entries.map(|entry| entry.file_name().to_owned()).collect();
        all.sort();
        format!("{dir}{}", all.into_iter().find(|name| name.ends_with(ending)).expect("it was sent"))
    };
    let (narinfo, nar, listing) = (first("", ".narinfo"), first("nar/", ".nar.zst"), first("", ".ls"));
    set("local-cache", &narinfo, "cache_control", "public, max-age=31536000, immutable");
    set("local-cache", &nar, "content_type", "text/html");
    set("local-cache", &listing, "content_disposition", "attachment");
    set("local-cache", "nix-cache-info", "cache_control", "no-store");
    let nars = || fs::read_dir(cache.join("nar")).expect("NARs").count();
    let before = nars();

    let plan = release.release("plan", "local", &["--verbose"]).ok();
    for key in [narinfo.as_str(), &nar, &listing, "nix-cache-info"] {
        assert!(plan.lines().any(|line| line.contains("repair the headers of") && line.contains(key)), "{key}: {plan}");
    }
    let is_of_cache = |line: &str| line.contains("cache") || line.contains("/nix/store/");
    let shown = plan.lines().filter(|line| line.contains("repair") && !is_of_cache(line));
    let shown: Vec<&str> = shown.map(|line| &line[2..]).collect();
    let words = shown.join("\n");
    let is_digest = |word: &&str| word.trim_end_matches(':').len() == 64;
    let digests: Vec<&str> = words.split_whitespace().filter(is_digest).collect();
    let words =
        digests.iter().fold(words.clone(), |words, digest| words.replace(digest.trim_end_matches(':'), "DIGEST"));
    expect![[r#"
        ~ releases lix/lix-2.93.1/               repair the headers of 2, same 12 (23 kB)
            repair the headers of lix-2.93.1.tar.gz 21000 DIGEST: Content-Type text/html instead of application/gzip
            repair the headers of release.json 2809 DIGEST: Cache-Control no-store instead of public, max-age=31536000, immutable
        ~ docs manual/lix/2.93/                  repair the headers of 1, same 7 (26 B): the newest release of 2.93 here
            repair the headers of page-2.html 26 DIGEST: Content-Encoding gzip
        ~ releases manifest.nix                  repair its headers: the newest stable release here
            repair its headers: Cache-Control public, max-age=31536000 instead of public, max-age=60
        ~ docs manual/lix/stable/                repair the headers of 1, same 7 (26 B): the newest stable release here
            repair the headers of index.html 26 DIGEST: Content-Disposition attachment
        ~ releases receipts/lix-2.93.1.json      repair its headers
            repair its headers: Content-Type application/octet-stream instead of application/json"#]].assert_eq(&words);

    release.upload().ok();
    let plan = release.release("plan", "local", &["--json"]).ok();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    assert!(plan["acts"].as_array().expect("acts").iter().all(|act| act["status"] == "same"), "{plan:#}");
    assert!(fs::read_to_string(&page).expect("a page").starts_with("<p>"), "it is stored as it is");
    assert_eq!(nars(), before, "the same NARs, with other headers");
    release.release("verify", "local", &[]).ok();
}
