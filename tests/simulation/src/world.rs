//! The world of one run: virtual time, what happens at which device, and the one thread that runs it all.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::rng::Rng;

/// When a run begins, ms since the epoch.
pub const BEGIN_MS: u64 = 1_800_000_000_000;

/// Polls after which a task counts as running in circles.
const PATIENCE: u32 = 2_000_000;

/// What unwinds from a crash point.
#[derive(Debug)]
struct Crash;

/// What all parts of a run share.
pub struct World {
    state: Mutex<State>,
}

struct State {
    now_ms: u64,
    /// Decides which task runs next.
    schedule: Rng,
    timers: BTreeMap<(u64, u64), Waker>,
    timer_count: u64,
    spawned: Vec<(usize, BoxFuture<'static, ()>)>,
    /// By device: crash points left until the next crash.
    armed: BTreeMap<usize, u64>,
    /// A device whose process ended during the poll under way.
    crashed: Option<usize>,
    trace: VecDeque<String>,
    /// Lines of the trace that are kept.
    kept: usize,
    digest: Sha256,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now_ms", &self.now_ms()).finish_non_exhaustive()
    }
}

impl World {
    /// A world whose course `seed` decides; `kept` lines of its trace can be told afterwards.
    pub fn new(seed: u64, kept: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                now_ms: BEGIN_MS,
                schedule: Rng::new(seed, "schedule"),
                timers: BTreeMap::new(),
                timer_count: 0,
                spawned: Vec::new(),
                armed: BTreeMap::new(),
                crashed: None,
                trace: VecDeque::new(),
                kept,
                digest: Sha256::new(),
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Virtual time, ms since the epoch.
    pub fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    /// Time passes and nobody notices: every machine sleeps.
    pub fn leap(&self, ms: u64) {
        self.state().now_ms += ms;
    }

    /// Notes what happened.
    pub fn trace(&self, line: fmt::Arguments<'_>) {
        let mut state = self.state();
        let line = format!("{:>12} {line}", state.now_ms - BEGIN_MS);
        state.digest.update(line.as_bytes());
        if state.trace.len() >= state.kept {
            state.trace.pop_front();
        }
        state.trace.push_back(line);
    }

    /// The last lines of the trace.
    pub fn last_lines(&self) -> Vec<String> {
        self.state().trace.iter().cloned().collect()
    }

    /// The digest of everything that was noted.
    pub fn log_hash(&self) -> String {
        hex::encode(self.state().digest.clone().finalize())
    }

    /// The device will crash at its `points`-th crash point from now.
    pub fn arm(&self, device: usize, points: u64) {
        self.state().armed.insert(device, points);
    }

    /// No crash is planned any more.
    pub fn disarm_all(&self) {
        self.state().armed.clear();
    }

    /// Passes a crash point; true where this is the one.
    pub fn is_due(&self, device: usize) -> bool {
        let mut state = self.state();
        let Some(left) = state.armed.get_mut(&device) else { return false };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return false;
        }
        state.armed.remove(&device);
        state.crashed = Some(device);
        true
    }

    /// Ends the process of a device here and now, inside a poll.
    pub fn unwind() -> ! {
        resume_unwind(Box::new(Crash))
    }

    /// Completes after `duration` of virtual time.
    pub fn sleep(self: &Arc<Self>, duration: Duration) -> BoxFuture<'static, ()> {
        let world = Arc::clone(self);
        let due = world.now_ms() + u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4);
        let mut key = None;
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = world.state();
            if state.now_ms >= due {
                return Poll::Ready(());
            }
            let key = *key.get_or_insert_with(|| {
                state.timer_count += 1;
                (due, state.timer_count)
            });
            state.timers.insert(key, context.waker().clone());
            Poll::Pending
        }))
    }

    /// Adds a background task of a device.
    pub fn spawn(&self, device: usize, task: BoxFuture<'static, ()>) {
        self.state().spawned.push((device, task));
    }
}

/// Lets others run.
pub async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Task {
    device: usize,
    work: Pin<Box<dyn Future<Output = ()>>>,
    is_ready: Arc<Flag>,
}

/// Runs the tasks of all devices on this thread; which of them is next is decided by the seed.
pub struct Executor {
    world: Arc<World>,
    tasks: Vec<Task>,
    /// Devices that crashed and were not taken notice of yet.
    crashed: Vec<usize>,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor without tasks.
    pub fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), tasks: Vec::new(), crashed: Vec::new() }
    }

    /// Adds a task of a device.
    pub fn add(&mut self, device: usize, work: impl Future<Output = ()> + 'static) {
        let is_ready = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push(Task { device, work: Box::pin(work), is_ready });
    }

    /// Number of tasks of a device.
    pub fn count(&self, device: usize) -> usize {
        self.tasks.iter().filter(|task| task.device == device).count()
    }

    /// The process of a device ends: nothing of it is polled again.
    pub fn kill(&mut self, device: usize) {
        self.take_spawned();
        self.tasks.retain(|task| task.device != device);
        // What the tasks spawned while they were dropped belongs to the same process.
        self.world.state().spawned.retain(|(owner, _)| *owner != device);
        self.world.state().armed.remove(&device);
    }

    /// Devices that crashed since the last call. Their tasks are gone.
    pub fn crashes(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.crashed)
    }

    fn take_spawned(&mut self) {
        let spawned = std::mem::take(&mut self.world.state().spawned);
        for (device, task) in spawned {
            self.add(device, task);
        }
    }

    /// Polls one ready task; false where every task waits for time.
    pub fn step(&mut self) -> bool {
        self.take_spawned();
        let is_ready = |task: &Task| task.is_ready.0.load(Ordering::SeqCst);
        let ready = self.tasks.iter().filter(|task| is_ready(task)).count();
        if ready == 0 {
            return false;
        }
        let chosen = self.world.state().schedule.index(ready);
        let ready = self.tasks.iter().enumerate().filter(|(_, task)| is_ready(task));
        let Some(at) = ready.map(|(at, _)| at).nth(chosen) else { return false };
        let task = &mut self.tasks[at];
        task.is_ready.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&task.is_ready));
        let polled = catch_unwind(AssertUnwindSafe(|| {
            task.work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        }));
        let device = task.device;
        match polled {
            Ok(true) => drop(self.tasks.remove(at)),
            Ok(false) => {}
            Err(panic) if panic.is::<Crash>() => {}
            Err(panic) => resume_unwind(panic),
        }
        let crashed = self.world.state().crashed.take();
        if let Some(crashed) = crashed {
            debug_assert_eq!(crashed, device, "a device crashes by its own doing");
            self.world.trace(format_args!("d{crashed} CRASH"));
            self.kill(crashed);
            self.crashed.push(crashed);
        }
        true
    }

    /// Runs until nothing is ready, then moves the clock to the next timer, up to `for_ms` from now.
    ///
    /// # Panics
    ///
    /// Where tasks run in circles.
    pub fn run_for(&mut self, for_ms: u64) {
        let end = self.world.now_ms() + for_ms;
        loop {
            let mut polls = 0;
            while self.step() {
                polls += 1;
                assert!(polls < PATIENCE, "tasks run in circles");
            }
            let mut state = self.world.state();
            match state.timers.first_key_value().map(|(key, _)| *key) {
                Some(key) if key.0 <= end => {
                    state.now_ms = state.now_ms.max(key.0);
                    if let Some(waker) = state.timers.remove(&key) {
                        waker.wake();
                    }
                }
                _ => {
                    state.now_ms = end;
                    return;
                }
            }
        }
    }

    /// Runs one task to its end, whatever time it takes, beside the others; `None` where the device
    /// crashed meanwhile.
    ///
    /// # Panics
    ///
    /// Where it never ends.
    pub fn complete<T: 'static>(
        &mut self,
        device: usize,
        task: impl Future<Output = T> + 'static,
    ) -> Option<T> {
        let outcome = Rc::new(RefCell::new(None));
        let slot = Rc::downgrade(&outcome);
        self.add(device, async move {
            let value = task.await;
            if let Some(slot) = slot.upgrade() {
                *slot.borrow_mut() = Some(value);
            }
        });
        for _ in 0..100_000 {
            while outcome.borrow().is_none() && !self.crashed.contains(&device) && self.step() {}
            if let Some(value) = outcome.borrow_mut().take() {
                return Some(value);
            }
            if self.crashed.contains(&device) {
                return None;
            }
            self.run_for(500);
        }
        panic!("a task never ended");
    }
}
