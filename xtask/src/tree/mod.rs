//! The tree that is released, below the phases that change it and above the programs that they change it with.
//!
//! It knows where a Lix tree keeps what a release needs, and what this tool keeps in `release/`. It does not decide
//! whether or what to release: a phase does, and asks for consent.
//!
//! * `version.json` and `releng.toml`: [`version_file`], [`config`]
//! * [`fragments`]: which files are fragments of release notes, in a directory and in a commit
//! * [`released`]: the fragments that earlier releases were made from, which only git still has
//! * [`commits`]: commits on top of a branch, made before any ref knows them, and landed in one step
//! * [`movement`]: branches, tags, HEAD and files, moved so that what was stopped halfway is completed
//! * [`signers`]: who may sign tags
//! * [`tag_record`]: `release/tag.json`, the tag that is being released
//! * [`release_dir`]: `release/`, replaced in one step; [`seal`]: the files in it that follow from its record

mod files;

pub mod commits;
pub mod fragments;
pub mod movement;
pub mod release_dir;
pub mod released;
pub mod seal;
pub mod signers;
pub mod tag_record;

pub use files::{config, version_file};
