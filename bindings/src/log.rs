//! Log lines for a sink written in Swift or Kotlin.

use std::{
    fmt::{self, Write},
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
        mpsc::{self, SyncSender},
    },
    thread,
};

use tracing::{
    Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

use crate::Failure;

/// Lines that wait for a slow sink.
const QUEUE: usize = 1024;

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    fn of(level: Level) -> Self {
        match level {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            _ => LogLevel::Trace,
        }
    }
}

/// One log line.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct LogRecord {
    pub level: LogLevel,
    pub target: String,
    pub message: String,
}

/// Takes log lines.
#[uniffi::trait_interface]
pub trait LogSink: Send + Sync {
    /// Called on a thread of its own.
    fn log(&self, record: LogRecord) -> Result<(), Failure>;
}

static QUEUED: Mutex<Option<SyncSender<LogRecord>>> = Mutex::new(None);
/// The least important level that is wanted, and zero for none.
static WANTED: AtomicU8 = AtomicU8::new(0);
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Sends log lines of at least this level to the sink, or nowhere.
pub fn set_log_sink(sink: Option<Arc<dyn LogSink>>, level: LogLevel) {
    static INSTALL: Once = Once::new();
    // Where the process has a subscriber already, that one gets the lines.
    INSTALL.call_once(|| {
        let _ = tracing::subscriber::set_global_default(Forward);
    });
    let sender = sink.and_then(|sink| {
        let (sender, lines) = mpsc::sync_channel(QUEUE);
        let drain = move || {
            for record in lines {
                // A sink that fails has nowhere to say so.
                let _ = sink.log(record);
            }
        };
        thread::Builder::new().name("interocitor-log".into()).spawn(drain).ok().map(|_| sender)
    });
    let wanted = if sender.is_some() { level as u8 + 1 } else { 0 };
    WANTED.store(wanted, Ordering::Release);
    *QUEUED.lock().unwrap_or_else(PoisonError::into_inner) = sender;
}

/// Forwards lines. The engine has no spans.
struct Forward;

impl Subscriber for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The wanted level changes.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Lines of libraries may hold addresses with secrets: only our own pass.
        metadata.target().starts_with("interocitor")
            && (LogLevel::of(*metadata.level()) as u8) < WANTED.load(Ordering::Acquire)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let record = LogRecord {
            level: LogLevel::of(*metadata.level()),
            target: metadata.target().to_owned(),
            message: text.message + &text.fields,
        };
        let queued = QUEUED.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = queued.as_ref() else { return };
        let left_out = LEFT_OUT.swap(0, Ordering::AcqRel);
        if left_out > 0 {
            let record = LogRecord {
                level: LogLevel::Warn,
                target: "interocitor".to_owned(),
                message: format!("{left_out} log lines were left out: the sink is too slow"),
            };
            if sender.try_send(record).is_err() {
                LEFT_OUT.fetch_add(left_out, Ordering::AcqRel);
            }
        }
        if sender.try_send(record).is_err() {
            LEFT_OUT.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Message and fields of a line.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
