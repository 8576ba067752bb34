//! Fuzz targets for the pure readers of the domain. `xtask_test_support::fuzz` makes the texts.
//!
//! What every reader promises: it never panics; what it accepts is written back and read alike; names that it accepts
//! stay inside of the directory that they are for; and its messages have nothing that is hidden.

use std::collections::BTreeMap;
use std::sync::Arc;

use xtask_domain::build::builders::{self, Line};
use xtask_domain::build::description;
use xtask_domain::build::flake_lock;
use xtask_domain::build::image::{Config as ImageConfig, Index, OciManifest};
use xtask_domain::build::jobs::{Jobs, Row};
use xtask_domain::build::manifest;
use xtask_domain::build::nix_fault::Fault;
use xtask_domain::build::provenance::statement;
use xtask_domain::build::record::Record;
use xtask_domain::build::sbom::Sbom;
use xtask_domain::digest::Digest;
use xtask_domain::environment::Config;
use xtask_domain::environment::refusal::Refusal;
use xtask_domain::layout::Layout;
use xtask_domain::notes;
use xtask_domain::notes::authors::{Authors, Faulty};
use xtask_domain::notes::fragment::source::text_of;
use xtask_domain::notes::fragment::{Fragment, Invalid};
use xtask_domain::notes::reference::{List, Reference, pasted};
use xtask_domain::problem::Problem;
use xtask_domain::product::Product;
use xtask_domain::release::Release;
use xtask_domain::release::version_file::VersionFile;
use xtask_domain::version::Version;
use xtask_test_support::fuzz::{Promise, check, check_message, check_same, target, text};

fn fuzz(name: &str, promise: impl Fn(&[u8]) -> Promise) {
    target(env!("CARGO_MANIFEST_DIR"), name, promise);
}

/// Checks that a path is below the directory that it is relative to.
fn check_inside(path: &str) -> Promise {
    let is_inside = path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\0', '\\', '\n']);
    if is_inside { Ok(()) } else { Err(format!("{path:?} leads out of its directory")) }
}

#[test]
fn fragments() {
    let product = Product::built_in();
    fuzz("fragment", |bytes| match Fragment::parse(&product, "rl-next/one.md", bytes) {
        Ok(fragment) => {
            let one_line = !fragment.synopsis.value.contains(['\n', '\r']);
            check_same("the synopsis is on one line", &one_line, &true)?;
            // What is not text in a file is not text in what is made of it.
            check(notes::render(&[fragment], None, &product.links), |notes| {
                text_of(notes.as_bytes()).map(drop).map_err(|fault| format!("rendered: {}", fault.what))
            })
        }
        Err(Invalid { faults, .. }) => check_message(&Problem::in_file("rl-next/one.md", faults).to_string()),
    });
}

#[test]
fn author_lists() {
    let product = Product::built_in();
    fuzz("authors", |bytes| match Authors::parse(&text(bytes)) {
        Ok(authors) => {
            let shown = authors.link("jade", &product.links).unwrap_or_default();
            let guess = authors.guess("Jade & puck").unwrap_or_default();
            text_of((shown + &guess).as_bytes()).map(drop).map_err(|fault| format!("shown: {}", fault.what))
        }
        Err(Faulty { faults, .. }) => check_message(&Problem::in_file("authors", faults).to_string()),
    });
}

#[test]
fn versions() {
    let product = Arc::new(Product::built_in());
    fuzz("version", |bytes| {
        check(text(bytes).parse::<Version>(), |version| {
            check_same("as written", &version.to_string(), &text(bytes).into_owned())?;
            for other in [version.next_patch(), version.base()] {
                check_same("another version", &other.to_string().parse(), &Ok(other))?;
            }
            check_message(&xtask_domain::release::on_the_way_to(version.series()).to_string())?;
            let layout = Layout::new(&product, &version);
            let paths = [layout.version_directory(), layout.source(), layout.receipt(), layout.installer_record()];
            paths.iter().try_for_each(|path| check_inside(path))?;
            check(Release::new(&product, version, "Bici Bici"), |release| check_inside(&release.tag()))
        })
    });
}

#[test]
fn version_files() {
    fuzz("version-file", |bytes| {
        let text = text(bytes);
        check(VersionFile::parse(&text), |file| {
            check_same("unchanged", &file.text(), &text.as_ref())?;
            let version = "2.99.0-rc1".parse().expect("a version");
            let edited = file.with(&version, "A \"name\"\n").with_official(true);
            check_same("edited", &VersionFile::parse(edited.text()), &Ok(edited.clone()))?;
            check_same("the version", &edited.version, &version)?;
            let back = edited.with(&file.version, file.name.as_deref().unwrap_or_default());
            check_same("edited back", &(back.version, back.name), &(file.version, file.name))
        })
    });
}

#[test]
fn configurations() {
    fuzz("config", |bytes| {
        check(Config::parse(&text(bytes)), |config| {
            for name in config.environments.keys() {
                check_inside(&xtask_domain::layout::journal(name))?;
                let _ = (config.before(name), config.is_stage(name));
            }
            check(config.environment("another\u{1b}"), |_| Ok(()))
        })
    });
}

#[test]
fn evaluation_rows() {
    let product = Product::built_in();
    fuzz("rows", |bytes| {
        let text = text(bytes);
        let lines: Vec<&str> = text.lines().collect();
        let read = |row: &Row| match &row.result {
            Ok(derivation) => check_inside(derivation.base_name()),
            Err(_) => Ok(()),
        };
        for line in lines {
            check(Row::parse(line), |row| read(&row))?;
        }
        check(Row::parse_list(&text), |rows| {
            rows.iter().try_for_each(read)?;
            check(Jobs::decide(&product, rows), |jobs| {
                check_inside(&Layout::new(&product, &jobs.version).version_directory())
            })
        })
    });
}

#[test]
fn nix_messages_and_builders() {
    fuzz("builders", |bytes| {
        let text = text(bytes);
        check_message(&Fault::new(&text, "nix (Nix) 2.18").to_string().chars().take(1 << 10).collect::<String>())?;
        for line in builders::parse(&text) {
            if let Line::File(path) = line {
                check_same("a path", &path.contains('\n'), &false)?;
            }
        }
        Ok(())
    });
}

#[test]
fn records() {
    fuzz("record", |bytes| {
        let text = text(bytes);
        check(Record::parse(&text), |record| {
            check_same("written back", &Record::parse(&record.to_json()), &Ok(record))
        })?;
        check(Record::parse_published(&text), |record| {
            record.files.keys().try_for_each(|path| check_inside(path))?;
            check_inside(&record.version)?;
            let digest = Digest::new([0; 32]);
            check_same("a line for each", &record.sums([("release.json", digest)]).lines().count(), &(sums(&record)))?;
            let stated =
                statement(&record, digest).map(|text| serde_json::from_str::<serde_json::Value>(&text).is_ok());
            check_same("a statement if it has materials", &stated, &record.materials.as_ref().map(|_| true))?;
            let _ = (manifest::render(&record.manifest()), record.drvs(), record.committed_on());
            check(record.compare(&BTreeMap::new(), &BTreeMap::new()), |()| Ok(()))?;
            check_same("written back", &Record::parse_published(&record.to_json()), &Ok(record))
        })
    });
}

#[test]
fn lock_files_of_flakes() {
    fuzz("flake-lock", |bytes| {
        check(flake_lock::inputs(&text(bytes)), |inputs| {
            let froms = || inputs.values().filter_map(|input| input.from.as_deref());
            inputs.keys().map(String::as_str).chain(froms()).try_for_each(check_message)?;
            let json = serde_json::to_string(&inputs).map_err(|why| why.to_string())?;
            check_same("written back", &serde_json::from_str(&json).ok(), &Some(inputs))
        })
    });
}

/// Number of lines of `SHA256SUMS`: each file that is not a page of the manual, and the record.
fn sums(record: &Record) -> usize {
    let others = record.files.keys().filter(|path| !path.starts_with("manual/") && *path != "release.json");
    others.count() + 1
}

#[test]
fn image_indexes() {
    fuzz("index", |bytes| {
        check(Index::parse(bytes), |index| {
            check_same("written back", &Index::parse(index.to_json().as_bytes()), &Ok(index))
        })?;
        check(OciManifest::parse(bytes), |manifest| {
            check_same("digits", &manifest.config.digest.to_string().len(), &64)
        })?;
        check(ImageConfig::parse(bytes), |config| check_message(&config.platform.to_string()))
    });
}

#[test]
fn refused_pushes() {
    fuzz("refusal", |bytes| {
        let text = text(bytes);
        check_message(&Refusal::read(&text, &text).map(|refusal| refusal.to_string()).unwrap_or_default())
    });
}

#[test]
fn references() {
    let product = Product::built_in();
    fuzz("references", |bytes| {
        let text = text(bytes);
        let _ = Reference::parse(&text);
        for list in [List::Cls, List::Issues, List::Prs] {
            check_message(&pasted::suggestion(&product, list, &text, false).unwrap_or_default())?;
        }
        Ok(())
    });
}

#[test]
fn bills_of_materials() {
    fuzz("sbom", |bytes| {
        check(Sbom::parse(&text(bytes)), |sbom| {
            check_same("it lists what it is of", &sbom.parts.contains_key(&sbom.root), &true)?;
            for part in sbom.parts.values() {
                let references = part.references.iter().all(|to| sbom.parts.contains_key(to));
                check_same("it lists what is referred to", &references, &true)?;
                let stated = part.description.licenses.iter().map(ToString::to_string).collect::<Vec<_>>().concat();
                check_message(&format!("{} {} {stated}", part.name, part.version))?;
            }
            Ok(())
        })
    });
}

#[test]
fn what_derivations_say_about_themselves() {
    fuzz("descriptions", |bytes| {
        check(description::parse(&text(bytes)), |descriptions| {
            for said in descriptions.values() {
                said.licenses.iter().try_for_each(|license| check_message(&license.to_string()))?;
                let is_plain = |page: &String| page.starts_with("http") && page.bytes().all(|b| b.is_ascii_graphic());
                check_same("addresses are plain", &said.homepages.iter().all(is_plain), &true)?;
            }
            Ok(())
        })
    });
}
