//! The engine of Interocitor.
#![forbid(unsafe_code)]

pub mod clock;
pub mod error;
pub mod events;
pub mod host;
pub mod mailbox;
pub mod value;

mod local;
mod merge;
mod row;
mod store;
mod wire;
