//! What someone else does in the middle of a run: writes where it writes, deletes what it looked at, or takes its lock.

use std::sync::Arc;

use super::bucket::{Buckets, Object};

/// Something that is done once.
pub type Doing = Arc<dyn Fn() + Send + Sync>;

/// Bucket and key of the lock.
const LOCK: (&str, &str) = ("local-docs", "release.lock");
/// The owner of a lock that is not ours.
const SOMEBODY: &str = "Somebody Else";

/// Another program that writes a manual: it deletes some pages, writes others, and leaves the rest.
pub fn synchronise(buckets: &Arc<Buckets>, salt: usize) -> Doing {
    let is_page = |key: &str| key.starts_with("manual/lix/") && key.ends_with(".html");
    some_of_them(buckets, salt, true, move |bucket, key, _| bucket == "local-docs" && is_page(key))
}

/// Another tool, which brings users back to the release that they had before the run.
pub fn put_back(buckets: &Arc<Buckets>) -> Doing {
    let buckets = Arc::clone(buckets);
    Arc::new(move || {
        let manifest = ("local-releases".to_owned(), "manifest.nix".to_owned());
        let earlier = buckets.earlier().remove(&manifest);
        buckets.change(|objects| objects.extend(earlier.map(|object| (manifest, object))));
    })
}

/// Someone who deletes some of what was sent of 0.1.1.
pub fn lose(buckets: &Arc<Buckets>, salt: usize) -> Doing {
    some_of_them(buckets, salt, false, only_the_patch_needs)
}

/// Whether an object is sent before pointers move, and belongs to 0.1.1 alone.
pub fn only_the_patch_needs(bucket: &str, key: &str, object: &Object) -> bool {
    match bucket {
        "local-releases" => key.starts_with("lix/lix-0.1.1/"),
        // The name of its store path ends with the version.
        "local-cache" => key.ends_with(".narinfo") && String::from_utf8_lossy(&object.body).contains("-0.1.1\n"),
        _ => false,
    }
}

/// Deletes a third of some objects; another third has other content afterwards if it `writes`.
fn some_of_them(
    buckets: &Arc<Buckets>,
    salt: usize,
    writes: bool,
    is_one: impl Fn(&str, &str, &Object) -> bool + Send + Sync + 'static,
) -> Doing {
    let buckets = Arc::clone(buckets);
    Arc::new(move || {
        buckets.change(|objects| {
            let ones = objects.iter().filter(|((bucket, key), object)| is_one(bucket, key, object));
            let keys: Vec<_> = ones.map(|(key, _)| key.clone()).collect();
            for (number, key) in keys.into_iter().enumerate() {
                match (number + salt) % 3 {
                    0 => drop(objects.remove(&key)),
                    1 if writes => {
                        let object = Object { body: b"by hand".to_vec(), headers: Vec::new() };
                        objects.insert(key, Arc::new(object));
                    }
                    _ => {}
                }
            }
        });
    })
}

/// Someone who deletes the lock.
pub fn lose_lock(buckets: &Arc<Buckets>) -> Doing {
    let buckets = Arc::clone(buckets);
    Arc::new(move || buckets.change(|objects| drop(objects.remove(&(LOCK.0.to_owned(), LOCK.1.to_owned())))))
}

/// Someone who takes the lock, although it is held.
pub fn steal_lock(buckets: &Arc<Buckets>) -> Doing {
    let buckets = Arc::clone(buckets);
    Arc::new(move || {
        let body = serde_json::json!({
            "owner": { "name": SOMEBODY, "host": "elsewhere", "process": 1 },
            "expires": "2099-01-01T00:00:00Z",
        });
        let object = Object { body: body.to_string().into_bytes(), headers: Vec::new() };
        buckets.change(|objects| drop(objects.insert((LOCK.0.to_owned(), LOCK.1.to_owned()), Arc::new(object))));
    })
}

/// The one who took the lock gives it back.
pub fn give_back_lock(buckets: &Buckets) {
    let is_foreign = |lock: &Arc<Object>| String::from_utf8_lossy(&lock.body).contains(SOMEBODY);
    let key = (LOCK.0.to_owned(), LOCK.1.to_owned());
    buckets.change(|objects| {
        if objects.get(&key).is_some_and(is_foreign) {
            objects.remove(&key);
        }
    });
}
