//! The interface as Swift and Kotlin use it, with their side played in Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod background;
mod compaction;
mod credentials;
mod doctor;
#[cfg(feature = "drive")]
mod drive;
mod events;
mod export;
mod files;
mod images;
mod left_out;
mod log;
mod mailbox;
mod merging;
mod options;
mod pairing;
#[cfg(feature = "drive")]
mod platform;
mod quarantine;
mod queries;
mod recovery;
#[cfg(all(feature = "cloudflare", feature = "drive", feature = "s3", feature = "webdav"))]
mod remotes;
mod replicas;
mod rows;
mod shutdown;
mod status;
mod store;
mod support;
