//! The interface as Swift and Kotlin use it, with their side played in Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod background;
mod compaction;
mod credentials;
mod doctor;
mod events;
mod export;
mod files;
mod images;
mod log;
mod mailbox;
mod merging;
mod pairing;
mod quarantine;
mod queries;
mod recovery;
mod remotes;
mod replicas;
mod rows;
mod shutdown;
mod status;
mod store;
mod support;
