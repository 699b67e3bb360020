//! Text for people: safe to print, aligned, short.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A text that cannot move the cursor, ring or hide anything, on one line: peers write what we print.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => out.push(' '),
            // Controls, and marks that reorder or hide what stands around them.
            '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

/// The text cut to `most` columns, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > most {
            break;
        }
        out.push(character);
    }
    out.push('…');
    out
}

/// Pads with spaces on the right.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

/// Lines of aligned cells. Cells wider than `most` columns are cut; nothing stands behind the last.
pub(crate) fn aligned(rows: &[Vec<String>], most: usize) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| cut(&shown(cell), most)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// `1 row`, `2 rows`, `0 rows`.
pub(crate) fn count(number: u64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {one}{s}", grouped(number))
}

/// With commas between the thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How long ago a moment was, both in milliseconds since the epoch.
pub(crate) fn ago(then_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(then_ms) / 1000;
    match seconds {
        _ if then_ms > now_ms.saturating_add(1000) => "in the future".into(),
        0..5 => "just now".into(),
        5..120 => format!("{seconds} seconds ago"),
        120..7200 => format!("{} minutes ago", seconds / 60),
        7200..172_800 => format!("{} hours ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_peer_reaches_the_terminal_raw() {
        assert_eq!(shown("a\u{1b}[2Jb\u{9b}c\u{202e}d\ne"), "a\\u001b[2Jb\\u009bc\\u202ed e");
        assert_eq!(shown("grüße 🏳"), "grüße 🏳");
    }

    #[test]
    fn cells_stand_under_each_other() {
        let rows = [
            vec!["id".into(), "title".into(), String::new()],
            vec!["日本".into(), "x".repeat(9), "y".into()],
        ];
        assert_eq!(aligned(&rows, 6), "id    title\n日本  xxxxx…  y\n");
        assert_eq!(aligned(&[], 6), "");
    }

    #[test]
    fn numbers_and_times() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!((count(1, "row"), count(0, "row")), ("1 row".into(), "0 rows".into()));
        assert_eq!(ago(1000, 500_000), "8 minutes ago");
        assert_eq!(ago(500_000, 1000), "in the future");
    }
}
