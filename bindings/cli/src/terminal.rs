//! What the terminal can show.

use std::io::IsTerminal as _;

/// How far a cell reaches on a terminal; elsewhere nothing is cut.
const CELL: usize = 48;

/// Whether colours are welcome on standard output.
pub(crate) fn has_colours() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !no_color && !is_dumb()
}

/// Whether a line on standard error can be rewritten.
pub(crate) fn can_rewrite() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// Whether people see standard output as it is printed.
pub(crate) fn is_shown() -> bool {
    std::io::stdout().is_terminal() && !is_dumb()
}

/// The widest cell of a table.
pub(crate) fn widest_cell() -> usize {
    if std::io::stdout().is_terminal() { CELL } else { usize::MAX }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Paints, or does not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    /// For standard output.
    pub(crate) fn new() -> Self {
        Self(has_colours())
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
