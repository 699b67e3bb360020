//! The command line as its users meet it: the real binary, its output, its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;
mod demo;
mod doctor;
mod failures;
mod fixtures;
mod mesh;
mod pair;
mod processes;
mod rows;
mod watch;
mod webdav;
