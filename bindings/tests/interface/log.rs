//! Log lines for a sink of the app.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use interocitor_ffi::{Failure, LogLevel, LogRecord, LogSink, set_log_sink};

use crate::support::{PASSPHRASE, PATIENCE, broken, open, wait};

/// Collects lines; the first one takes its time.
struct Lines(Mutex<mpsc::Sender<LogRecord>>, AtomicBool);

impl LogSink for Lines {
    fn log(&self, record: LogRecord) -> Result<(), Failure> {
        while self.1.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.lock().unwrap().send(record);
        Err(broken())
    }
}

#[test]
fn a_log_sink_gets_lines_of_its_level_and_may_be_slow() {
    let (sender, lines) = mpsc::channel();
    let sink = Arc::new(Lines(Mutex::new(sender), AtomicBool::new(true)));
    set_log_sink(Some(Arc::clone(&sink) as _), LogLevel::Debug);
    let db = open(|_| {});
    for at in 0..3000 {
        wait(db.table("t".into()).put(format!("r{at}"), br#"{"v":"very private"}"#.to_vec())).unwrap();
        let _ = wait(db.connect(None));
    }
    sink.1.store(false, Ordering::SeqCst);
    let mut left_out = false;
    while !left_out {
        let _ = wait(db.connect(None));
        while let Ok(record) = lines.try_recv() {
            assert!(record.target.starts_with("interocitor"));
            assert!(!record.message.contains("very private") && !record.message.contains(PASSPHRASE));
            left_out |= record.message.contains("log lines were left out");
        }
        thread::sleep(Duration::from_millis(5));
    }
    set_log_sink(None, LogLevel::Error);
    let begin = Instant::now();
    while lines.recv_timeout(Duration::from_millis(200)).is_ok() && begin.elapsed() < PATIENCE {}
    let _ = wait(db.connect(None));
    assert!(lines.recv_timeout(Duration::from_millis(100)).is_err());
}
