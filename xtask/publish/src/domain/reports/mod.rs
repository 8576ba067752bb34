//! What is shown of an environment and of a release: [`checkup`] for `doctor`, [`standing`] for `status`.

pub mod checkup;
pub mod standing;
