//! The interface as Swift and Kotlin use it, with their side played in Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod compaction;
mod credentials;
mod events;
mod log;
mod mailbox;
mod merging;
mod quarantine;
mod queries;
mod rows;
mod shutdown;
mod store;
mod support;
