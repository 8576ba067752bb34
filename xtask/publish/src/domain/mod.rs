//! Publication as values: what the front door never needs. As pure as the front door's own domain, on which it builds.
//!
//! * [`publication`]: the acts that publish a release, their order and rules, and the record they leave
//! * [`cache`]: the binary cache: keys, signatures, narinfos, and what can be wrong with a path
//! * [`checks`]: what proves a release before users get it
//! * [`rebuilt`]: what building a release again gave, compared with what was published
//! * [`serving`]: the headers with which an object is served
//! * [`sshsig`]: signatures as OpenSSH makes and checks them; [`allowed_signers`]: its lists of those who may
//! * [`dsse`]: signed statements, as in-toto\'s programs make and check them
//! * [`limits`]: how much is read of what others may have put in a bucket
//! * [`live_manifest`]: the text of the live root manifest, and where it leads
//! * [`reports`]: the pages that are shown: preconditions, and how far a release is

pub mod allowed_signers;
pub mod cache;
pub mod checks;
pub mod dsse;
pub mod limits;
pub mod live_manifest;
pub mod publication;
pub mod rebuilt;
pub mod reports;
pub mod serving;
pub mod sshsig;
