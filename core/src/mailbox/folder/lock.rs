//! The advisory lock of a base directory.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// It is held for one renaming; whoever holds it longer is stopped or dead.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// The outcome of asking for the lock.
pub(super) enum Lock {
    /// Held until dropped.
    Held(#[allow(dead_code, reason = "closing the handle gives the lock back")] File),
    /// The file system has no such lock.
    Unsupported,
    /// Somebody else did not give it back in time.
    Busy,
}

/// Excludes all other holders, in this process and in others.
pub(super) fn take(base: &Path) -> Lock {
    let Ok(file) = open(base) else { return Lock::Unsupported };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt(&file) {
            Attempt::Won => return Lock::Held(file),
            Attempt::Impossible => return Lock::Unsupported,
            Attempt::Taken if Instant::now() >= deadline => return Lock::Busy,
            Attempt::Taken => std::thread::sleep(PAUSE),
        }
    }
}

enum Attempt {
    Won,
    Taken,
    Impossible,
}

/// The directory itself is locked, so that the mailbox holds no file of ours that a sync service would
/// carry around.
#[cfg(unix)]
fn open(base: &Path) -> std::io::Result<File> {
    File::open(base)
}

#[cfg(unix)]
fn attempt(file: &File) -> Attempt {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Attempt::Won,
        Err(Errno::WOULDBLOCK | Errno::INTR) => Attempt::Taken,
        Err(_) => Attempt::Impossible,
    }
}

/// Elsewhere directories cannot be locked: a hidden file stands for them.
#[cfg(not(unix))]
fn open(base: &Path) -> std::io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(base.join(".interocitor-lock"))
}

#[cfg(not(unix))]
fn attempt(file: &File) -> Attempt {
    match file.try_lock() {
        Ok(()) => Attempt::Won,
        Err(std::fs::TryLockError::WouldBlock) => Attempt::Taken,
        Err(std::fs::TryLockError::Error(_)) => Attempt::Impossible,
    }
}
