//! What a Lix release is, as values: no process, no file, no clock, no network. The floors above observe the world, pass
//! it in as values, and act on the results.
//!
//! # What a release is
//!
//! For a VERSION such as `2.93.1`, of the MAJOR `2.93`:
//!
//! 1. in git, a release commit that sets one flag, an annotated tag VERSION on it, and a merge commit that brings the
//!    tag to the branch without the flag;
//! 2. release notes: a section of `rl-MAJOR.md`, by a commit that removes the fragments it was rendered from;
//! 3. in the cache bucket, the builds for each system with their derivations: complete, signed closures;
//! 4. in the releases bucket, the version directory `lix/lix-VERSION/`: the source and a binary tarball for each system,
//!    with a `.sha256` beside each and `SHA256SUMS` over all, container images as tarballs for the Linux systems, the
//!    manual, packed and to read in place, `manifest.nix` with the store path of each system, a bill of materials of
//!    each, the record `release.json`, which lists everything else to the byte, and what it was made of as a statement of provenance; beside these, signed
//!    by the key of the environment, `SHA256SUMS.sig` and `lix-VERSION.intoto.jsonl`, with `VERIFY.md` for users;
//! 5. in each registry, one container image of several architectures, by digest and under the tag VERSION;
//! 6. in the install bucket, `lix/lix-VERSION/lix-installer-SYSTEM`: built elsewhere, published separately;
//! 7. in the releases bucket, the receipt `receipts/lix-VERSION.json`: written last, it says that the rest is there.
//!
//! All of this is written once and stays. What users follow are pointers, and these move:
//!
//! * to the newest stable release: `manifest.nix` at the root of the releases bucket (`nix upgrade-nix`), the docs
//!   `stable`, the image tag `latest`, and the installers at the top of the install bucket;
//! * to the newest release of a MAJOR: the docs `manual/lix/MAJOR/` and the image tag MAJOR.
//!
//! A maintenance release never moves a pointer back. A pre-release moves none of the first group, unless nothing stable
//! was ever published. A tree that is not an official release has one place to go: the docs `nightly`.
//!
//! Until a release is published, it is the directory `release/` in the tree that it was built from, and `release.json`
//! in it is the record that publishing checks every byte against.
//!
//! # How loud the tool is
//!
//! `prepare`, `tag`, `build` and `finish --dry-run` are silent: they change only this clone, and can be repeated.
//! `finish --push`, `upload`, `train`, `installer` and `rollback` write where others read, so they show
//! what they would do and ask first; once a tag is public, it stays. Mirrors, distributions and users see a pointer
//! minutes after it has moved. The blog post and the toot are drafted, and a person posts them.
//!
//! # The nouns, in reading order
//!
//! The vocabulary of everything else:
//!
//! * [`version`]: VERSION and MAJOR (`Series`), and their order; [`date`]: a day, as release notes write it
//! * [`system`]: what a release is built for; [`profile`]: which of the flake's jobs are built; [`extent`]: how much is
//!   built or published
//! * [`product`]: what is released, and what its artifacts are called
//! * [`oid`]: names of git objects; [`digest`]: SHA-256, and [`nix_hash`], how Nix spells it; [`store_path`]: paths in
//!   the Nix store
//!
//! A release in the making:
//!
//! * [`release`]: a release and every name that it implies; its tag, its flag, its announcement
//! * [`notes`]: from fragments to release notes
//! * [`build`]: from jobs to the record of what was built
//! * [`layout`]: where every part of a release is; [`format`]: how older and newer records are read
//! * [`environment`]: where a release is published: `releng.toml`
//! * [`adoption`]: this tool in a tree
//!
//! What the manager is told:
//!
//! * [`problem`]: what prevents a phase, all of it at once
//! * [`shown`]: text that others wrote, made safe to show; [`amounts`]: `1 path`, `2 paths`; `a, b, and c`

pub mod adoption;
pub mod amounts;
pub mod build;
pub mod date;
pub mod digest;
pub mod environment;
pub mod extent;
pub mod format;
pub mod layout;
pub mod nix_hash;
pub mod notes;
pub mod oid;
pub mod problem;
pub mod product;
pub mod profile;
pub mod release;
pub mod shown;
pub mod store_path;
pub mod system;
pub mod version;
