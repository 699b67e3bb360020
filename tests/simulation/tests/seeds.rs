//! Runs seeds and says which promise was broken.
//!
//! `SIMULATION_SEEDS` sets how many (300 where it is not set), `SIMULATION_FROM` the first one;
//! `SIMULATION_SEED` runs that one alone and prints everything that happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]

use std::{
    fmt::Write as _,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use interocitor_simulation::{
    plan::{Outcome, Plan},
    regressions::REGRESSIONS,
    simulation::{Simulation, run},
};
use serde_json::Value;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

/// Runs a plan; a panic is a broken rule too.
fn judge(plan: &Plan) -> Result<Outcome, String> {
    match std::panic::catch_unwind(|| run(plan)) {
        Ok(outcome) => Ok(outcome),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
        }
    }
}

/// A report of a run that failed; nothing where it did not.
fn complaint(plan: &Plan) -> Option<String> {
    let (rule, lines) = match judge(plan) {
        Ok(Outcome { verdict, trace, history, .. }) => (verdict.err()?, [trace, history].concat()),
        Err(panic) => (format!("it panicked: {panic}"), Vec::new()),
    };
    let mut report = format!("seed {}, {:?}:\n", plan.seed, plan.peer);
    for line in lines {
        let _ = writeln!(report, "  {line}");
    }
    let _ = writeln!(report, "seed {} broke a rule: {rule}", plan.seed);
    Some(report)
}

/// Runs seeds on all cores; gives the reports in the order of the seeds.
fn complaints(seeds: &[u64]) -> Vec<String> {
    let (next, reports) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                    let Some(seed) = seeds.get(at) else { return };
                    if let Some(report) = complaint(&Plan::of(*seed)) {
                        reports.lock().unwrap().push((*seed, report));
                    }
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap();
    reports.sort();
    reports.into_iter().map(|(_, report)| report).collect()
}

#[test]
fn every_promise_is_kept() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let plan = Plan { trace: usize::MAX, ..Plan::of(seed) };
        match judge(&plan) {
            Ok(outcome) => {
                outcome.trace.iter().chain(&outcome.history).for_each(|line| println!("{line}"));
                assert_eq!(outcome.verdict, Ok(()), "seed {seed}, {:?}", plan.peer);
            }
            Err(panic) => panic!("seed {seed}: {panic}"),
        }
        return;
    }
    let (from, count) = (number("SIMULATION_FROM").unwrap_or(0), number("SIMULATION_SEEDS").unwrap_or(300));
    let seeds: Vec<u64> = (from..from + count).collect();
    let begin = Instant::now();
    let reports = complaints(&seeds);
    let seconds = begin.elapsed().as_secs_f64();
    println!("{} seeds in {seconds:.0} s", seeds.len());
    for report in &reports {
        println!("{report}");
    }
    let failed: Vec<&str> = reports.iter().filter_map(|report| report.split(',').next()).collect();
    assert!(reports.is_empty(), "{} of {} seeds failed: {failed:?}", reports.len(), seeds.len());
}

#[test]
fn what_was_mended_stays_mended() {
    let seeds: Vec<u64> = REGRESSIONS.iter().map(|(seed, _)| *seed).collect();
    let reports = complaints(&seeds);
    assert!(reports.is_empty(), "{}", reports.join("\n"));
}

#[test]
fn a_seed_decides_everything() {
    for seed in [3, 7, 15] {
        let hash = |seed| run(&Plan::of(seed)).log_hash;
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
        assert_ne!(hash(seed), hash(seed + 1));
    }
}

/// The oracle's own join is simple code; so is this one, in another language and by another hand.
#[test]
fn the_reference_reader_agrees() {
    for seed in [1, 2, 4, 5] {
        let mut simulation = Simulation::new(&Plan { peer: None, ..Plan::of(seed) });
        simulation.play().and_then(|()| simulation.finish()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (path, body) in simulation.remote.truth() {
            let path = folder.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, body).unwrap();
        }
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reference.py");
        let mut command = Command::new("python3");
        command.arg(reader).arg(folder.path().join("Mesh")).args(simulation.passphrase());
        let output = command.output().expect("python3 is needed for the reference reader");
        assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours: Value = serde_json::from_str(&simulation.dump(0).unwrap()).unwrap();
        for part in ["meshId", "epoch", "generation", "tables", "tombstones"] {
            assert_eq!(theirs[part], ours[part], "seed {seed}: {part}");
        }
    }
}
