//! Pages about an environment and a release: [`checkup`] for `doctor`, [`standing`] for `status`.

pub mod checkup;
pub mod standing;
