//! Files that are written in every way, and what a power cut leaves of them.

use super::*;

struct Bench {
    _dir: tempfile::TempDir,
    place: Utf8PathBuf,
    disk: Disk,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = Utf8PathBuf::from_path_buf(dir.path().join("place")).expect("UTF-8");
        fs::create_dir(&place).expect("room");
        fs::write(place.join("old"), "0123").expect("room");
        let disk = Disk::new(&place, &place.with_file_name("kept")).expect("room");
        Bench { _dir: dir, place, disk }
    }

    fn note(&mut self, step: impl FnOnce(&dyn Fn(&str) -> Utf8PathBuf) -> Step) {
        self.disk.note(&step(&|name| self.place.join(name)), false);
    }

    fn write(&mut self, name: &str, content: &str) {
        self.note(|at| Step::Create(at(name)));
        fs::write(self.place.join(name), "").expect("room");
        self.note(|at| Step::Write(at(name)));
        fs::write(self.place.join(name), content).expect("room");
    }

    fn rename(&mut self, from: &str, to: &str) {
        self.note(|at| Step::Move { from: at(from), to: at(to), exchanges: false });
        fs::rename(self.place.join(from), self.place.join(to)).expect("room");
    }

    fn left(self, loss: Loss) -> Vec<String> {
        self.disk.lose(loss).expect("room");
        let mut left = Vec::new();
        walk(&self.place, &mut |path, file| {
            let name = path.strip_prefix(&self.place).expect("below");
            let content = if file.is_dir() { "/".into() } else { fs::read_to_string(path).expect("there") };
            left.push(format!("{name} {content}"));
        })
        .expect("readable");
        left.sort();
        left
    }
}

/// Replaces a file as one should, as far as `upto` says.
fn replaced(upto: usize) -> Bench {
    let mut bench = Bench::new();
    bench.write(".old.new", "abcd");
    if upto > 0 {
        bench.note(|at| Step::Sync(at(".old.new")));
    }
    bench.rename(".old.new", "old");
    if upto > 1 {
        bench.note(|at| Step::Sync(at("")));
    }
    bench
}

#[test]
fn a_file_that_is_replaced_is_the_old_or_the_new_one_only_if_it_was_synced_first() {
    let left = |upto, loss| replaced(upto).left(loss).join(", ");
    assert_eq!(Loss::ALL.map(|loss| left(0, loss)), ["old ", "old ab", "old 0123"]);
    assert_eq!(Loss::ALL.map(|loss| left(1, loss)), ["old abcd", "old abcd", "old 0123"]);
    assert_eq!(Loss::ALL.map(|loss| left(2, loss)), ["old abcd", "old abcd", "old abcd"]);
    assert_eq!(replaced(1).disk.at_risk().expect("readable").len(), 3);
    assert_eq!(replaced(2).disk.at_risk().expect("readable"), Vec::<String>::new());
}

#[test]
fn what_is_appended_and_not_synced_is_lost_and_the_rest_stays() {
    let appended = || {
        let mut bench = Bench::new();
        bench.note(|at| Step::Write(at("old")));
        fs::write(bench.place.join("old"), "01234567").expect("room");
        bench
    };
    assert_eq!(Loss::ALL.map(|loss| appended().left(loss).join(", ")), ["old 0123", "old 012345", "old 0123"]);
}

#[test]
fn names_come_back_through_directories_that_were_removed_moved_and_exchanged() {
    let mut bench = Bench::new();
    for name in ["a", "b"] {
        bench.note(|at| Step::MakeDir(at(name)));
        fs::create_dir(bench.place.join(name)).expect("room");
    }
    bench.write("a/one", "1");
    bench.note(|_| Step::SyncAll);
    bench.note(|at| Step::Move { from: at("a"), to: at("b"), exchanges: true });
    let beside = bench.place.join("c");
    for (from, to) in [("a", "c"), ("b", "a"), ("c", "b")] {
        fs::rename(bench.place.join(from), bench.place.join(to)).expect("room");
    }
    assert!(!beside.exists());
    bench.rename("b/one", "moved");
    // `a` was `b`, and is empty.
    bench.note(|at| Step::Remove(at("moved")));
    fs::remove_file(bench.place.join("moved")).expect("there");
    bench.note(|at| Step::RemoveDir(at("a")));
    fs::remove_dir(bench.place.join("a")).expect("empty");
    assert_eq!(bench.left(Loss::Names), ["a /", "a/one 1", "b /", "old 0123"]);
}
