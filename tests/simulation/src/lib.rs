//! Meshes of simulated devices that try to break the engine.
//!
//! A seed decides everything: what users do, when tasks run, how wrong clocks are, what the mailbox does to a
//! call, where a process ends. One thread, virtual time, no sleeping; the same seed gives the same log, byte for
//! byte. After the storms every mesh comes to rest, and the [`oracle`] compares what is there with what was
//! promised.
#![forbid(unsafe_code)]

pub mod device;
pub mod history;
pub mod host;
pub mod mailbox;
pub mod oracle;
pub mod peers;
pub mod plan;
pub mod reference;
pub mod regressions;
mod rest;
pub mod rng;
pub mod simulation;
pub mod weather;
pub mod wire;
pub mod world;
