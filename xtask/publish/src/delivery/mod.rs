//! A release on its way to an environment: planned, agreed to, and carried out.

pub mod agreement;
pub mod carry_out;
pub mod download;
pub mod failures;
pub mod gate;
pub mod outlook;
pub mod preflight;
pub mod publish;
pub mod purge;
pub mod train;
pub mod trees;
