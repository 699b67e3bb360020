//! The command line as its users meet it: the real binary, its output, its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod cloudflare;
mod common;
mod demo;
mod doctor;
mod drive;
mod export;
mod failures;
mod files;
mod fixtures;
mod mesh;
mod pair;
mod processes;
mod replicas;
mod rows;
mod s3;
mod watch;
mod webdav;
