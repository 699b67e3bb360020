//! One line on a terminal's standard error, rewritten while something takes longer than a second.

use std::{
    io::Write as _,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use interocitor_core::Event;

use crate::{terminal, text};

/// Quicker work shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two versions of the line.
const STEP: Duration = Duration::from_millis(120);
/// Turns while it waits.
const WHEEL: [char; 4] = ['|', '/', '-', '\\'];

/// The line. Dropping it clears it.
#[derive(Debug)]
pub(crate) struct Progress {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    label: String,
    rows: u64,
    has_ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the line what goes on.
#[derive(Debug, Clone)]
pub(crate) struct Listener(Arc<Shared>);

impl Progress {
    /// Starts waiting. Without a terminal nothing is ever shown.
    pub(crate) fn start(label: &str) -> Self {
        let shared = Arc::new(Shared::default());
        label.clone_into(&mut shared.state().label);
        let drawn = Arc::clone(&shared);
        let thread = terminal::can_rewrite().then(|| std::thread::spawn(move || draw(&drawn)));
        Self { shared, thread }
    }

    /// Something that can tell the line what goes on.
    pub(crate) fn listener(&self) -> Listener {
        Listener(Arc::clone(&self.shared))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shared.state().has_ended = true;
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to clear.
            let _ = thread.join();
        }
    }
}

impl Listener {
    /// Takes note of an event of the engine.
    pub(crate) fn note(&self, event: &Event) {
        let mut state = self.0.state();
        match event {
            Event::AuthRequired => state.label = "connecting to the mailbox".into(),
            Event::SyncStart => state.label = "reading changes".into(),
            Event::RehydrateStart { .. } => state.label = "restoring the snapshot".into(),
            Event::FlushStart { entry_count } => {
                state.label = format!("publishing {}", text::count(*entry_count, "change"));
                state.rows = 0;
            }
            Event::ExportProgress { rows, files, .. } => {
                state.label =
                    format!("exporting {} and {}", text::count(*rows, "row"), text::count(*files, "file"));
            }
            Event::ImportProgress { rows, files, .. } => {
                state.label =
                    format!("checking {} and {}", text::count(*rows, "row"), text::count(*files, "file"));
            }
            Event::ReplicaProgress { replica, files, files_total, .. } => {
                state.label = format!("copying to {replica}, {files} of {files_total} files");
            }
            Event::Change { row_ids, .. } | Event::Delete { row_ids, .. } => {
                state.rows += row_ids.len() as u64;
            }
            _ => {}
        }
    }
}

fn draw(shared: &Shared) {
    let started = Instant::now();
    let mut step = 0;
    let mut state = shared.state();
    loop {
        let wait = PATIENCE.saturating_sub(started.elapsed()).max(STEP);
        state = shared.ended.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        if state.has_ended {
            break;
        }
        if started.elapsed() < PATIENCE {
            continue;
        }
        let rows =
            if state.rows == 0 { String::new() } else { format!(", {}", text::count(state.rows, "row")) };
        let seconds = started.elapsed().as_secs();
        // A terminal that went away is no reason to stop working.
        let _ = write!(
            std::io::stderr(),
            "\r\u{1b}[2K{} {}{rows} ({seconds} s)",
            WHEEL[step % WHEEL.len()],
            state.label
        );
        step += 1;
    }
    if step > 0 {
        let _ = write!(std::io::stderr(), "\r\u{1b}[2K");
    }
}
