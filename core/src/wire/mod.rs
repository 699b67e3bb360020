//! The wire: names and JSON shapes of what lies in a mailbox.
//!
//! Everything here is pure: bytes in, values out, and back. Reading is tolerant of unknown fields
//! and strict about what decides (mesh, kind, clocks, names); a fault names its reason and the file
//! goes to quarantine. Unknown fields of manifests and device records are carried over.

pub(crate) mod change;
pub(crate) mod coverage;
pub(crate) mod device;
pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod record;
pub(crate) mod snapshot;
mod stream;

use crate::value::scan::ScanError;

/// Marks what this client wrote; see `covered names` in the design of compaction.
pub(crate) const CLIENT: &str = "native/1";

/// Why a file could not be read. Never holds content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// The text is not the JSON it should be.
    #[error("not valid JSON ({0})")]
    Json(#[from] ScanError),
    /// A field is missing or of another type.
    #[error("{0}")]
    Shape(&'static str),
    /// A clock cannot be parsed.
    #[error("a malformed clock")]
    Clock,
    /// The payload is of another mesh.
    #[error("it belongs to another mesh")]
    ForeignMesh,
    /// A kind or operation this version does not know.
    #[error("written by a newer version ({0})")]
    Newer(&'static str),
    /// The file's name and content disagree.
    #[error("its name and its content disagree")]
    Renamed,
    /// The manifest's content hash is another one.
    #[error("the content hash does not match")]
    ContentHash,
    /// The bytes could not be read.
    #[error("reading it failed: {0}")]
    Read(String),
}

impl From<crate::clock::MalformedClock> for WireError {
    fn from(_: crate::clock::MalformedClock) -> Self {
        WireError::Clock
    }
}

/// Milliseconds since the epoch as `YYYY-MM-DDTHH:mm:ss.sssZ`, as JavaScript's `toISOString` writes it.
pub(crate) fn iso_time(ms: u64) -> String {
    // Civil date from days since the epoch: H. Hinnant, "chrono-compatible low-level date algorithms".
    let days = i64::try_from(ms / 86_400_000).unwrap_or(i64::MAX / 2);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (ms / 1000 % 86_400, ms % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Reads what [`iso_time`] writes, with or without milliseconds; `None` for anything else.
pub(crate) fn parse_iso_time(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, wanted)| bytes.get(*at) != Some(wanted)) || bytes.last() != Some(&b'Z') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let millis = match bytes.len() {
        20 => 0,
        24 => number(20, 23)?,
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    u64::try_from(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times() {
        assert_eq!(iso_time(1_767_323_045_678), "2026-01-02T03:04:05.678Z");
        assert_eq!(iso_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_time(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(parse_iso_time("2026-01-02T03:04:05Z"), Some(1_767_323_045_000));
        for text in [
            "",
            "2026-01-02",
            "2026-01-02T03:04:05.678",
            "2026-13-02T03:04:05.678Z",
            "20\u{e9}6-01-02T03:04:05.678Z",
        ] {
            assert_eq!(parse_iso_time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn time_round_trip(ms in 0..253_402_300_799_999u64) {
            prop_assert_eq!(parse_iso_time(&iso_time(ms)), Some(ms));
        }
    }
}
