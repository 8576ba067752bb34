//! The publisher against real servers: the embedded one, Garage and docker-registry, and a proxy that harms requests.
//!
//! Every test has its own servers, ports and directories, so that tests run in parallel and leave nothing behind.

mod adoption;
mod cache;
mod canaries;
mod check;
mod child;
mod doctor;
mod edge;
mod encodings;
mod endings;
mod etags;
mod far;
mod followed;
mod formats;
mod fuzz;
mod gerrit;
mod git;
mod headers;
mod histories;
mod hostile;
mod images;
mod installers;
mod keys;
mod layout;
mod listing;
mod lock;
mod narinfos;
mod plans;
mod provenance;
mod proxy;
mod publication;
mod real;
mod rebuild;
mod registry;
mod rehearse;
mod release;
mod repo;
mod resources;
mod rollback;
mod root_manifest;
mod rotation;
mod scripted;
mod season;
mod servers;
mod signature;
mod signed_tag;
mod silence;
mod staging;
mod status;
mod store;
mod surroundings;
mod tampering;
mod train;
mod transfer;
mod untidy;
mod up;
mod verify;
mod wire;
mod without;
mod world;

/// The program under test.
pub const TOOL: &str = env!("CARGO_BIN_EXE_xtask-publish");
