//! The checks that prove a release before users get it: what each asks of what was built, and the report they leave.
//!
//! * [`report`]: the outcomes of checks, and `checks.json`; [`proof`]: whether they allow a publication
//! * [`entry`]: entries of archives, and where they may lead; [`traces`]: paths of the builder in what was built
//! * [`tarball`]: a binary tarball; [`docker`]: a container image as a docker-archive
//! * [`page`]: links and anchors of a page; [`manual`]: whether they lead somewhere
//! * [`growth`]: a release compared with the one before

pub mod docker;
pub mod entry;
pub mod growth;
pub mod manual;
pub mod page;
pub mod proof;
pub mod report;
pub mod tarball;
pub mod traces;
