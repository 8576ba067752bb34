//! What the tool does. One file for each command decides its order and asks for consent.
//!
//! Every phase observes, decides (a pure function that returns a value), shows that value, and acts, in this order. A
//! dry run is the first three.

pub mod adopt;
pub mod announce;
pub mod bench;
pub mod build;
pub mod ci;
pub mod crash;
pub mod faults;
pub mod finish;
pub mod notes;
pub mod prepare;
pub mod publish;
pub mod tag;
