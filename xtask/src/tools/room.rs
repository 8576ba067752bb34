//! Room on the disk. Not every program says that it was missing when it fails, so it is looked for then.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

/// Fewest bytes that count as room.
const ENOUGH: usize = 1 << 20;

/// Where programs write, besides the directory for temporary files.
static PLACES: Mutex<BTreeSet<Utf8PathBuf>> = Mutex::new(BTreeSet::new());

/// Notes that programs write in a directory.
pub fn is_needed_in(dir: &Utf8Path) {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
}

/// Returns a line for the error of a program that failed, if a place where it may have written is full.
pub fn missing() -> Option<String> {
    let temporary = Utf8PathBuf::from_path_buf(std::env::temp_dir()).ok();
    let places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut all = temporary.iter().chain(places.iter());
    all.find_map(|place| Some(format!("there is no room in {place}: {}", why_full(place)?)))
}

/// Tries it, because a quota or a limit may leave less than is free.
fn why_full(dir: &Utf8Path) -> Option<std::io::Error> {
    let written = tempfile::tempfile_in(dir).and_then(|mut file| file.write_all(&vec![0; ENOUGH]));
    let is_about_room =
        |kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
    written.err().filter(|error| is_about_room(error.kind()))
}
