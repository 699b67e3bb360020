//! Virtual time on one thread: a host whose clock moves only when every task waits.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::future::BoxFuture;
use interocitor_core::host::{Host, Job};

/// A small generator (`SplitMix64`): the seed decides everything.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The world of one run.
#[derive(Debug)]
pub(crate) struct World {
    state: Mutex<State>,
}

struct State {
    now_ms: u64,
    rng: Rng,
    timers: BTreeMap<(u64, u64), Waker>,
    timer_count: u64,
    spawned: Vec<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                now_ms: 1_800_000_000_000,
                rng: Rng(seed),
                timers: BTreeMap::new(),
                timer_count: 0,
                spawned: Vec::new(),
            }),
        })
    }

    pub(crate) fn below(&self, limit: usize) -> usize {
        self.state.lock().unwrap().rng.below(limit)
    }

    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.state.lock().unwrap().rng.chance(percent)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.state.lock().unwrap().now_ms
    }

    /// A device's view of the world, its wall clock off by `skew_ms`.
    pub(crate) fn host(self: &Arc<Self>, skew_ms: i64) -> Arc<SimHost> {
        Arc::new(SimHost { world: Arc::clone(self), skew_ms: Mutex::new(skew_ms) })
    }
}

/// One device's host.
#[derive(Debug)]
pub(crate) struct SimHost {
    world: Arc<World>,
    skew_ms: Mutex<i64>,
}

impl Host for SimHost {
    fn now_ms(&self) -> u64 {
        self.world.now_ms().saturating_add_signed(*self.skew_ms.lock().unwrap())
    }

    fn random(&self, buffer: &mut [u8]) {
        let mut state = self.world.state.lock().unwrap();
        for chunk in buffer.chunks_mut(8) {
            let bytes = state.rng.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let world = Arc::clone(&self.world);
        let due = world.now_ms() + u64::try_from(duration.as_millis()).unwrap();
        let mut key = None;
        Box::pin(std::future::poll_fn(move |context| {
            let mut state = world.state.lock().unwrap();
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

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.world.state.lock().unwrap().spawned.push(task);
    }

    fn blocking(&self, job: Job) -> BoxFuture<'static, ()> {
        Box::pin(async move { job() })
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs tasks on this thread, which of them is next decided by the seed.
pub(crate) struct Executor<'a> {
    world: Arc<World>,
    tasks: Vec<(Task<'a>, Arc<Flag>)>,
}

impl<'a> Executor<'a> {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), tasks: Vec::new() }
    }

    pub(crate) fn add(&mut self, task: impl Future<Output = ()> + 'a) {
        self.tasks.push((Box::pin(task), Arc::new(Flag(AtomicBool::new(true)))));
    }

    /// Polls one ready task; false where every task waits for time.
    fn step(&mut self) -> bool {
        for task in std::mem::take(&mut self.world.state.lock().unwrap().spawned) {
            self.tasks.push((task, Arc::new(Flag(AtomicBool::new(true)))));
        }
        let ready: Vec<usize> =
            (0..self.tasks.len()).filter(|at| self.tasks[*at].1.0.load(Ordering::SeqCst)).collect();
        if ready.is_empty() {
            return false;
        }
        let at = ready[self.world.below(ready.len())];
        let (task, flag) = &mut self.tasks[at];
        flag.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(flag));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            drop(self.tasks.remove(at));
        }
        true
    }

    /// Runs until nothing is ready, then moves the clock to the next timer, up to `for_ms` from now.
    pub(crate) fn run_for(&mut self, for_ms: u64) {
        let end = self.world.now_ms() + for_ms;
        loop {
            while self.step() {}
            let mut state = self.world.state.lock().unwrap();
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

    /// Runs one task to its end, whatever time it takes, beside the others.
    pub(crate) fn complete<T>(&mut self, task: impl Future<Output = T> + 'a) -> T
    where
        T: 'a,
    {
        let outcome = std::rc::Rc::new(std::cell::RefCell::new(None));
        let slot = std::rc::Rc::clone(&outcome);
        self.add(async move {
            let value = task.await;
            *slot.borrow_mut() = Some(value);
        });
        for _ in 0..100_000 {
            while outcome.borrow().is_none() && self.step() {}
            if let Some(value) = outcome.borrow_mut().take() {
                return value;
            }
            self.run_for(1000);
        }
        panic!("a task never ended");
    }
}
