//! Fuzz targets for the readers of what buckets and Nix say. `xtask_test_support::fuzz` makes the texts.
//!
//! The promises are those of the domain's targets: no panic; what is accepted is written back and read alike; names that
//! are accepted stay inside; and nothing hidden in messages.

use std::sync::{Arc, Mutex};

use xtask::domain::build::path_info::parse_path_infos;
use xtask::domain::layout::Layout;
use xtask::domain::product::Product;
use xtask::domain::shown::one_line;
use xtask_publish::domain::cache::narinfo::{NarInfo, keeping_signatures};
use xtask_publish::domain::cache::signing::{PublicKey, SecretKey, is_signature, key_of};
use xtask_publish::domain::dsse;
use xtask_publish::domain::live_manifest;
use xtask_publish::domain::publication::installer::InstallerRecord;
use xtask_publish::domain::publication::receipt::StoredReceipt;
use xtask_publish::domain::publication::withdrawn;
use xtask_publish::tools::{listing, lock};
use xtask_test_support::fuzz::{Promise, check, check_message, check_same, target, text};

use crate::scripted::{Answer, Scripted};

fn fuzz(name: &str, promise: impl Fn(&[u8]) -> Promise) {
    target(env!("CARGO_MANIFEST_DIR"), name, promise);
}

#[test]
fn narinfos() {
    fuzz("narinfo", |bytes| {
        let text = text(bytes);
        check(NarInfo::parse(&text), |narinfo| {
            let odd = narinfo.signature_fault().into_iter().chain(narinfo.nar_name_fault());
            odd.collect::<Vec<_>>().iter().try_for_each(|why| check_message(why))?;
            if narinfo.nar_name_fault().is_none() {
                let inside = narinfo.url.split('/').all(|part| !matches!(part, "" | "." | ".."));
                check_same(&narinfo.url, &(inside, narinfo.url.len() <= 1024), &(true, true))?;
            }
            check_message(&narinfo.info.fingerprint())?;
            // What is written with signatures of another narinfo is read alike.
            let kept = keeping_signatures(&text, &narinfo, &narinfo);
            check_same("written back", &NarInfo::parse(&kept), &Ok(narinfo))
        })
    });
}

#[test]
fn signed_statements() {
    let key: PublicKey = "test-1:ConZHCHTiL125PdUi2yCYfjINrkaoHgUkX5CH+bZzFs=".parse().expect("a key");
    fuzz("envelope", |bytes| {
        check(dsse::check(bytes, b"{\"_type\": 1}\n", [&key], std::slice::from_ref(&key)), |_| {
            let signed = include_bytes!("../corpus/envelope/signed.jsonl");
            check_same("nothing else is accepted", &text(bytes), &text(signed))
        })
    });
}

#[test]
fn what_nix_says_about_paths() {
    fuzz("path-info", |bytes| {
        check(parse_path_infos(&text(bytes)), |infos| {
            infos.iter().try_for_each(|info| check_message(&info.fingerprint()))
        })
    });
}

#[test]
fn receipts() {
    fuzz("receipt", |bytes| match StoredReceipt::parse(Some(bytes), "staging", "2.93.1", &[]) {
        StoredReceipt::Missing => Err("it is there".to_owned()),
        StoredReceipt::Unreadable(why) | StoredReceipt::Newer(why) => check_message(&why),
        StoredReceipt::Is(receipt) => {
            let json = serde_json::to_vec(&receipt).map_err(|error| error.to_string())?;
            let again = StoredReceipt::parse(Some(&json), "staging", "2.93.1", &[]);
            check_same("written back", &again, &StoredReceipt::Is(receipt))
        }
    });
}

#[test]
fn withdrawn_versions() {
    fuzz("withdrawn", |bytes| {
        let kept = withdrawn::salvage(bytes);
        check(withdrawn::parse(bytes), |versions| {
            check_same("written back", &withdrawn::parse(&withdrawn::to_json(&versions)), &Ok(versions.clone()))?;
            // Unless the JSON has escapes, which nobody writes.
            check_same("kept", &(bytes.contains(&b'\\') || kept.is_superset(&versions)), &true)
        })
    });
}

#[test]
fn installer_records() {
    let layout = Layout::new(&Product::built_in(), "2.93.1");
    fuzz("installer", |bytes| {
        check(InstallerRecord::parse(&layout, &text(bytes)), |record| {
            for name in record.files.keys() {
                check_same(name, &name.contains(['/', '\0', '\n']), &false)?;
            }
            check_same("a system for each", &record.systems(&layout).len(), &record.files.len())?;
            check_same("written back", &InstallerRecord::parse(&layout, &record.to_json()), &Ok(record))
        })
    });
}

#[test]
fn root_manifests() {
    let product = Product::built_in();
    fuzz("manifest", |bytes| {
        let text = text(bytes);
        let of_json = live_manifest::of_json(&text);
        for read in [live_manifest::parse(&text), of_json] {
            check(read, |manifest| {
                check_message(&live_manifest::shown(&product, &manifest))?;
                let written = xtask::domain::build::manifest::render(&manifest);
                // Its values are not always store paths, so only what Nix reads as it stands is the same.
                let plain = manifest.values().all(|path| !path.contains(['"', '\\', '$', '\r']));
                check_same("written back", &(!plain || live_manifest::parse(&written) == Ok(manifest)), &true)
            })?;
        }
        Ok(())
    });
}

#[test]
fn locks_and_listings() {
    fuzz("lock", |bytes| check(lock::seen(bytes), |seen| check_message(&format!("{} {}", seen.owner, seen.until))));
    let ours = serde_json::json!({ "version": 1, "root": { "type": "directory", "entries": {} } });
    fuzz("listing", |bytes| {
        if listing::looks_wrong(bytes).is_some() {
            check_same("both see it", &listing::fault(&ours, bytes).is_some(), &true)?;
        }
        Ok(())
    });
}

#[test]
fn keys() {
    fuzz("keys", |bytes| {
        let text = text(bytes);
        check(text.parse::<PublicKey>(), |key| {
            check_same("written back", &key.to_string().parse(), &Ok(key.clone()))?;
            let _ = key.verifies("message", &text);
            check_message(&key.to_string())
        })?;
        check(text.parse::<SecretKey>(), |key| {
            check_same("signs", &key.public().verifies("message", &key.sign("message")), &true)
        })?;
        let _ = (is_signature(&text), key_of(&text));
        Ok(())
    });
}

/// Through the SDK, from a server on this machine: its parser reads the answers of others, too. A page is served once, and
/// whoever asks again, for the same or for the next page, is refused.
#[test]
fn s3_listings() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let page: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let served = Arc::clone(&page);
    let server = Scripted::start(move |_| match served.lock().expect("whole").take() {
        Some(page) => Answer::new(200, page),
        None => Answer::new(400, "<Error><Code>Stop</Code></Error>"),
    });
    let server = runtime.block_on(server).expect("a server");
    let store = server.store();
    fuzz("s3-listing", |bytes| {
        let serve = || *page.lock().expect("whole") = Some(bytes.to_vec());
        serve();
        let objects = runtime.block_on(store.list("lix/"));
        if objects.is_ok() {
            serve();
            check(runtime.block_on(store.directories("lix/")).map_err(shown), |directories| {
                check_same("below the prefix", &directories.iter().all(|name| name.starts_with("lix/")), &true)
            })?;
        }
        check(objects.map_err(shown), |objects| {
            check_same("below the prefix", &objects.keys().all(|key| key.starts_with("lix/")), &true)
        })
    });
}

/// An error as the terminal shows it.
fn shown(error: anyhow::Error) -> String {
    one_line(&format!("{error:#}"))
}
