//! One device's view of time, randomness and tasks.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use interocitor_core::host::{CrashPoint, Host, Job};

use crate::{rng::Rng, world::World};

/// A host whose wall clock is wrong, and jumps.
pub struct SimHost {
    world: Arc<World>,
    device: usize,
    skew_ms: AtomicI64,
    random: Mutex<Rng>,
}

impl fmt::Debug for SimHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimHost").field("device", &self.device).finish_non_exhaustive()
    }
}

impl SimHost {
    /// The host of a device.
    pub fn new(world: &Arc<World>, seed: u64, device: usize, skew_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            device,
            skew_ms: AtomicI64::new(skew_ms),
            random: Mutex::new(Rng::new(seed, &format!("host {device}"))),
        })
    }

    /// The wall clock jumps.
    pub fn set_skew(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::SeqCst);
    }
}

impl Host for SimHost {
    fn now_ms(&self) -> u64 {
        self.world.now_ms().saturating_add_signed(self.skew_ms.load(Ordering::SeqCst))
    }

    fn random(&self, buffer: &mut [u8]) {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill(buffer);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.world.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.world.spawn(self.device, task);
    }

    fn blocking(&self, job: Job) -> BoxFuture<'static, ()> {
        Box::pin(async move { job() })
    }

    fn crash_point(&self, at: CrashPoint) {
        if self.world.is_due(self.device) {
            self.world.trace(format_args!("d{} crashes at {at:?}", self.device));
            World::unwind();
        }
    }
}
