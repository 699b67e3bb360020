//! What a verb answers, printed after the store is closed and the progress line is gone.

use std::io::Write as _;

use crate::{
    failure::{Failure, Outcome},
    text,
};

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// For standard output.
    pub(crate) text: String,
    /// Lines for standard error.
    pub(crate) notes: Vec<String>,
}

impl Reply {
    /// Nothing to say.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    /// A text; a line break is added where it has none at its end.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self { text, notes: Vec::new() }
    }

    /// With a line on standard error.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Prints all of it.
    pub(crate) fn print(&self) -> Outcome<()> {
        for note in &self.notes {
            eprintln!("{}", text::shown(note));
        }
        print(&self.text)
    }
}

/// Writes to standard output at once. A closed pipe is a quiet end, not a panic.
pub(crate) fn print(text: &str) -> Outcome<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::output(&error))
}
