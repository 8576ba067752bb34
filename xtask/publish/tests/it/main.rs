//! The store, against servers that run for real: the embedded one, Garage and docker-registry, and a proxy that does harm.
//!
//! Every test has its own servers, ports and directories, so they run in parallel and leave nothing behind.

mod proxy;
mod servers;
mod store;
mod transfer;
mod world;
