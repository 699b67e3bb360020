//! The process that will be killed: it writes and syncs until then, and tells what it does.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use interocitor_core::{
    Connection, Event, Events, Interocitor, Result, StoreLocation,
    host::{Host, Job, TokioHost},
    mailbox::FolderMailbox,
};
use serde::{Deserialize, Serialize};

use crate::{
    PASSPHRASE,
    common::{open_at, sim::Rng},
    process::tell,
    steps::{Kind, Step},
};

/// Change files younger than this are not deleted: long enough for the tests to look at each of them.
const GRACE: Duration = Duration::from_secs(3);

/// A process that nobody kills ends by itself.
const LONGEST: Duration = Duration::from_mins(1);

/// What a process does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Phase {
    Open,
    Connect,
    Write,
    /// A write of many rows.
    Batch,
    Flush,
    Pull,
    /// The part of an exchange that pulls, by whomever it was asked for.
    Merge,
    /// The part of a pull that takes in a snapshot.
    Adopt,
    Compact,
    Close,
}

pub(crate) const PHASES: [Phase; 10] = [
    Phase::Open,
    Phase::Connect,
    Phase::Write,
    Phase::Batch,
    Phase::Flush,
    Phase::Pull,
    Phase::Merge,
    Phase::Adopt,
    Phase::Compact,
    Phase::Close,
];

/// How a process lives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) store: PathBuf,
    pub(crate) mailbox: PathBuf,
    /// Decides what it does.
    pub(crate) seed: u64,
    /// Writes the table `w<writer>`, in which nobody else sets these columns.
    pub(crate) writer: usize,
    pub(crate) first_step: u64,
    /// What it does most.
    pub(crate) focus: Phase,
    pub(crate) batch_window_ms: u64,
    /// Whether the engine's own task syncs; otherwise one call after the other.
    pub(crate) auto_sync: bool,
    /// By how much its wall clock is behind, in ms: a clock may go back from one process to the next.
    pub(crate) behind_ms: u64,
}

/// A wall clock that moves every two seconds only, so that nothing but what was stored keeps two processes from
/// giving out the same clock.
#[derive(Debug)]
struct SlowClock {
    behind_ms: u64,
}

impl Host for SlowClock {
    fn now_ms(&self) -> u64 {
        (TokioHost.now_ms() - self.behind_ms) / 2000 * 2000
    }

    fn random(&self, buffer: &mut [u8]) {
        TokioHost.random(buffer);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        TokioHost.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        TokioHost.spawn(task);
    }

    fn blocking(&self, job: Job) -> BoxFuture<'static, ()> {
        TokioHost.blocking(job)
    }
}

/// What a process tells, a line each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Line {
    Begin(Phase),
    End(Phase),
    /// The end of [`Phase::Merge`], with the number of changed rows.
    Merged(u64),
    /// The call is about to be made.
    Try(Step),
    /// The call has returned: acknowledged.
    Done(u64),
    /// Something went wrong that must not.
    Failed(String),
}

async fn telling<T>(phase: Phase, work: impl Future<Output = T>) -> T {
    tell(&Line::Begin(phase));
    let outcome = work.await;
    tell(&Line::End(phase));
    outcome
}

/// Lives until it is killed.
#[tokio::main(worker_threads = 2)]
pub(crate) async fn live(life: Life) {
    let outcome = tokio::time::timeout(LONGEST, live_on(Arc::new(life))).await;
    tell(&Line::Failed(match outcome {
        Ok(Ok(never)) => match never {},
        Ok(Err(error)) => format!("{}: {error}", error.code().as_str()),
        Err(_) => "nobody killed it".into(),
    }));
}

async fn live_on(life: Arc<Life>) -> Result<std::convert::Infallible> {
    let mut rng = Rng(life.seed);
    let next_step = Arc::new(AtomicU64::new(life.first_step));
    loop {
        let db = telling(Phase::Open, open(&life)).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let writing = tokio::spawn(write_until(
            db.clone(),
            Rng(rng.next()),
            Arc::clone(&life),
            Arc::clone(&next_step),
            Arc::clone(&is_over),
        ));
        exchange(&db, &mut rng, &life).await?;
        is_over.store(true, Ordering::Release);
        writing.await.unwrap()?;
        telling(Phase::Close, db.shutdown()).await?;
    }
}

async fn open(life: &Life) -> Interocitor {
    let db = open_at(StoreLocation::File(life.store.clone()), |config| {
        config.passphrase = Some(PASSPHRASE.into());
        config.batch_window = Duration::from_millis(life.batch_window_ms);
        config.auto_sync = life.auto_sync;
        config.host = Arc::new(SlowClock { behind_ms: life.behind_ms });
        config.flush_debounce = Duration::from_millis(3);
        config.poll_interval = Duration::from_millis(20);
    })
    .await;
    db.set_remote_storage(Some(Arc::new(FolderMailbox::new(&life.mailbox)))).await;
    tokio::spawn(tell_events(db.events()));
    db
}

/// Tells of what no call of this process begins or ends.
async fn tell_events(mut events: Events) {
    while let Some(event) = events.next().await {
        let line = match event {
            Event::SyncStart => Line::Begin(Phase::Merge),
            Event::SyncComplete { entries_merged } => Line::Merged(entries_merged),
            Event::RehydrateStart { .. } => Line::Begin(Phase::Adopt),
            Event::RehydrateComplete { .. } => Line::End(Phase::Adopt),
            _ => continue,
        };
        tell(&line);
    }
}

/// Connects, and calls what there is for a while.
async fn exchange(db: &Interocitor, rng: &mut Rng, life: &Life) -> Result<()> {
    let connection = telling(Phase::Connect, db.connect()).await?;
    if let Connection::Offline { error, .. } = connection {
        return Err(error);
    }
    let turns = match life.focus {
        Phase::Open | Phase::Connect | Phase::Close => rng.below(2),
        _ => 4 + rng.below(8),
    };
    for _ in 0..turns {
        if life.auto_sync || matches!(life.focus, Phase::Write | Phase::Batch) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let by_chance = [Phase::Flush, Phase::Flush, Phase::Pull, Phase::Pull, Phase::Compact][rng.below(5)];
        match if rng.chance(60) { life.focus } else { by_chance } {
            Phase::Flush => telling(Phase::Flush, db.flush()).await.map(drop)?,
            Phase::Pull => telling(Phase::Pull, db.pull()).await.map(drop)?,
            Phase::Compact => telling(Phase::Compact, db.compact(GRACE)).await.map(drop)?,
            _ => db.sync().await?,
        }
    }
    Ok(())
}

/// Writes, one step after the other.
async fn write_until(
    db: Interocitor,
    mut rng: Rng,
    life: Arc<Life>,
    next_step: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
) -> Result<()> {
    let large = if life.focus == Phase::Batch { 20 } else { 1 };
    while !is_over.load(Ordering::Acquire) {
        let step = Step::draw(&mut rng, next_step.fetch_add(1, Ordering::Relaxed), large);
        tell(&Line::Try(step.clone()));
        write(&db, life.writer, &step).await?;
        tell(&Line::Done(step.number));
        tokio::time::sleep(Duration::from_micros(rng.next() % 3_000)).await;
    }
    Ok(())
}

async fn write(db: &Interocitor, writer: usize, step: &Step) -> Result<()> {
    let table = format!("w{writer}");
    if step.is_batch {
        return db
            .batch(|batch| {
                let mut table = batch.table(table.as_str());
                step.writes.iter().try_for_each(|write| match write.kind {
                    Kind::Put => table.put(write.row.as_str(), &write.fields()),
                    Kind::Replace => table.replace(write.row.as_str(), &write.fields()),
                    Kind::Delete => table.delete(write.row.as_str()),
                })
            })
            .await;
    }
    let table = db.table(table.as_str());
    for write in &step.writes {
        match write.kind {
            Kind::Put => table.patch(write.row.as_str(), &write.fields()).await?,
            Kind::Replace => table.replace(write.row.as_str(), &write.fields()).await?,
            Kind::Delete => table.delete(write.row.as_str()).await?,
        }
    }
    Ok(())
}
