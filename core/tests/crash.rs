//! Processes that are killed while they write and sync: what was acknowledged is there, and nothing is half there.
//!
//! A process of this binary tells each write before it makes it and again when the call has returned, and is
//! killed (`SIGKILL`) at a moment drawn by the seed. Afterwards its store must hold exactly what was
//! acknowledged, with or without the one call that was under way, whole. `CRASH_KILLS` and `CRASH_SEED` change
//! how often and which.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "crash/life.rs"]
mod life;
#[path = "crash/process.rs"]
mod process;
#[path = "crash/scan.rs"]
mod scan;
#[path = "crash/steps.rs"]
mod steps;
#[path = "crash/torn.rs"]
mod torn;
#[path = "crash/uploads.rs"]
mod uploads;
#[path = "crash/world.rs"]
mod world;

use world::{Tally, World};

const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

/// Kills in one mesh; then another one is founded.
const KILLS_A_WORLD: u64 = 25;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect(variable))
}

fn kills() -> u64 {
    number("CRASH_KILLS", 200)
}

fn seed() -> u64 {
    number("CRASH_SEED", 1)
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let mut tally = Tally::default();
    let mut left = kills();
    for seed in seed().. {
        let kills = left.min(KILLS_A_WORLD);
        World::new(seed).outlive(kills, &mut tally);
        left -= kills;
        if left == 0 {
            break;
        }
    }
    println!("{tally}");
    tally.check(kills());
}

#[test]
fn a_killed_write_leaves_no_half_file() {
    let kills = kills() / 2;
    let leftovers = torn::outlive(seed(), kills);
    println!("{kills} kills, {leftovers} temporary files left");
}

#[test]
fn a_killed_upload_leaves_no_wrong_byte_and_nothing_else() {
    uploads::outlive(seed(), kills() / 4);
}

/// A process of [`nothing_acknowledged_is_lost_by_a_kill`].
#[test]
#[ignore = "started, and killed, by the tests of this file"]
fn life_of_a_writer() {
    life::live(process::order());
}

/// A process of [`a_killed_write_leaves_no_half_file`].
#[test]
#[ignore = "started, and killed, by the tests of this file"]
fn life_of_a_mailbox() {
    torn::live(&process::order());
}

/// A process of [`a_killed_upload_leaves_no_wrong_byte_and_nothing_else`].
#[test]
#[ignore = "started, and killed, by the tests of this file"]
fn life_of_an_uploader() {
    uploads::live(&process::order());
}
