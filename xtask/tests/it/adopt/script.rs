//! The script `xtask/adopt`: run from different directories, for trees with odd names.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use camino::Utf8Path;

use super::{host, tool};
use crate::TOOL;
use crate::repo::{Ran, make_executable};

#[test]
fn the_script_runs_it_from_anywhere() {
    let (tool, host) = (tool(), host());
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/adopt"), tool.root.join("xtask/adopt")).expect("a copy");
    tool.commit_all("the script");
    // Stands in for cargo: prints its arguments, and runs the program.
    let bin = host.beside("bin");
    fs::create_dir(&bin).expect("a directory");
    let wanted = "run --quiet --locked --manifest-path $CARGO_MANIFEST_DIR/Cargo.toml --package xtask -- adopt ";
    let cargo = format!(
        "#!/bin/sh\nexport CARGO_MANIFEST_DIR=\"${{5%/Cargo.toml}}\"\ncase \"$*\" in \"{wanted}\"*) ;; *) echo \"$*\" >&2; exit 9 ;; esac\n\
         shift 8\nexec '{}' \"$@\"\n",
        TOOL
    );
    fs::write(bin.join("cargo"), cargo).expect("written");
    make_executable(&bin.join("cargo"));
    symlink(tool.root.join("xtask"), host.beside("a link")).expect("a link");
    let scripts = [tool.root.join("xtask/adopt"), host.beside("a link/adopt")];
    let run = |script: &Utf8Path, args: &[&str]| {
        let mut command = Command::new(script);
        let path = format!("{bin}:{}", std::env::var("PATH").expect("a PATH"));
        command.args(args).current_dir(host.scratch.path()).env("CDPATH", "/").env("PATH", path);
        Ran::from(command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("it runs"))
    };
    let copies = ["a tree", "-tree", "$(touch x) 'ä\"", "--yes"];
    for name in copies {
        let mut copy = Command::new("cp");
        copy.args(["-R", "--", host.root.as_str(), host.beside(name).as_str()]);
        assert!(copy.status().is_ok_and(|status| status.success()), "{name}");
    }
    let [here, linked] = &scripts;
    // Directory, arguments, exit code and output.
    let cases: [(&Utf8Path, &[&str], i32, &str); 9] = [
        (here, &["--yes", "a tree"], 0, "done: "),
        (linked, &["--yes", "a tree"], 0, "nothing to do in "),
        (linked, &["--yes", "--", "-tree"], 0, "done: "),
        (here, &["--check", "--", "-tree"], 0, "nothing to do in "),
        (here, &["--yes", copies[2]], 0, "done: "),
        (here, &["--yes", "--", "--yes"], 0, "done: "),
        (here, &["--yes", "bin"], 1, "is not in a git work tree"),
        (here, &["-tree"], 2, "unexpected argument '-t'"),
        (here, &["--check", "nowhere"], 1, "nowhere is not a directory"),
    ];
    for (script, args, code, said) in cases {
        let ran = run(script, args);
        assert!(ran.code == Some(code) && ran.stderr.contains(said), "{args:?}: {ran:?}");
    }
    assert!(!host.beside("x").exists() && host.beside("-tree/xtask/adopt").exists());
}
