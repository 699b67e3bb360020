//! What Drive tells of a file or folder.

use std::cmp::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use super::super::{FileEntry, path};

/// Drive's own name for the folder that everything of a user is in.
pub(super) const MY_DRIVE: &str = "root";
pub(super) const FOLDER_TYPE: &str = "application/vnd.google-apps.folder";
/// Documents, shortcuts and what else has no bytes.
const GOOGLE_TYPES: &str = "application/vnd.google-apps.";
/// The fields of an [`Item`], as an answer about one file has to be asked for them.
pub(super) const FIELDS: &str =
    "id,name,mimeType,size,createdTime,modifiedTime,headRevisionId,md5Checksum,parents,trashed";
/// A file was overwritten if it was modified so much later than it was created.
const OVERWRITTEN_MS: i64 = 2000;

/// A file or folder. What the server does not tell is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) mime_type: String,
    pub(super) parents: Vec<String>,
    pub(super) trashed: bool,
    size: Option<String>,
    created_time: String,
    modified_time: String,
    head_revision_id: Option<String>,
    md5_checksum: Option<String>,
}

/// A page of a listing. One without files says so, or it is none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) files: Vec<Item>,
    #[serde(default)]
    pub(super) next_page_token: Option<String>,
    #[serde(default)]
    pub(super) incomplete_search: bool,
}

impl Item {
    /// Whether it can be spoken of at all: other names are nobody's of ours, other ids would be no ids in an
    /// address or a query.
    pub(super) fn is_sound(&self) -> bool {
        let name = self.name.as_str();
        is_id(&self.id) && !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
    }

    pub(super) fn is_folder(&self) -> bool {
        self.mime_type == FOLDER_TYPE
    }

    pub(super) fn is_file(&self) -> bool {
        !self.mime_type.starts_with(GOOGLE_TYPES)
    }

    /// Which of several of one name is meant: the one that was overwritten last, since that is what is being
    /// read and written; otherwise, and of folders, the first, so that a latecomer changes nothing. All devices
    /// decide alike.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        let times = |item: &Self| {
            let created = item.created_ms().unwrap_or(i64::MAX);
            (created, time_ms(&item.modified_time).unwrap_or(created))
        };
        let ((created, modified), (others_created, others_modified)) = (times(self), times(other));
        let is_overwritten = |created: i64, modified: i64| {
            !self.is_folder() && modified.saturating_sub(created) > OVERWRITTEN_MS
        };
        let order = match (is_overwritten(created, modified), is_overwritten(others_created, others_modified))
        {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => others_modified.cmp(&modified),
            (false, false) => created.cmp(&others_created),
        };
        order.then_with(|| self.id.cmp(&other.id))
    }

    fn created_ms(&self) -> Option<i64> {
        time_ms(&self.created_time)
    }

    /// By the clock of this device. What does not tell its age is young.
    pub(super) fn is_older_than(&self, age_ms: i64) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.created_ms().is_some_and(|created| now.saturating_sub(created) > age_ms)
    }

    /// The content's version.
    pub(super) fn version(&self) -> String {
        let content = self.head_revision_id.as_ref().or(self.md5_checksum.as_ref());
        format!("{}:{}", self.id, content.unwrap_or(&self.modified_time))
    }

    pub(super) fn entry(&self, folder: &str) -> FileEntry {
        FileEntry {
            name: self.name.clone(),
            path: path::child(folder, &self.name),
            size: self.size.as_ref().and_then(|size| size.parse().ok()),
            modified_ms: time_ms(&self.modified_time),
            etag: Some(self.version()),
        }
    }
}

/// Whether a text can be an id: it goes into addresses and queries as it is.
pub(super) fn is_id(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Milliseconds since the epoch of a time in UTC as Drive writes it: `2026-01-02T03:04:05.678Z`.
fn time_ms(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let numbers = |text: &str, separator| {
        let mut parts = text.split(separator).map(|part| part.parse::<u32>().ok());
        let three = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(three)
    };
    let ((year, month, day), (hour, minute, second)) = (numbers(date, '-')?, numbers(time, ':')?);
    let is_sound = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_sound || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let millis: i64 = digits.parse().ok()?;
    // Years begin with March, so that the day that leap years add is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        i64::from(year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day) - 719_469;
    let seconds = days * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Some(seconds * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, created: &str, modified: &str) -> Item {
        let (created_time, modified_time) =
            (format!("2026-01-02T03:04:{created}Z"), format!("2026-01-02T03:04:{modified}Z"));
        Item { id: id.into(), created_time, modified_time, ..Item::default() }
    }

    #[test]
    fn reads_times() {
        let table = [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600_000)),
            ("2026-11-23T04:50:39.5Z", Some(1_795_409_439_500)),
            ("2026-11-23T04:50:39.123456Z", Some(1_795_409_439_123)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01", None),
            ("2026-01-01T00:00:00+01:00", None),
            ("4294967295-01-01T00:00:00Z", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(time_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn the_first_is_meant_unless_one_is_in_use() {
        let first = item("b", "05.000", "05.000");
        let second = item("a", "05.100", "05.100");
        let used = item("c", "06.000", "20.000");
        let used_later = item("d", "06.000", "21.000");
        let unknown = Item { id: "e".into(), ..Item::default() };
        let mut items = [&unknown, &second, &used, &first, &used_later];
        items.sort_by(|a, b| a.precedence(b));
        assert_eq!(items.map(|item| item.id.as_str()), ["d", "c", "b", "a", "e"]);
        let twin = Item { id: "z".into(), ..first.clone() };
        assert_eq!(first.precedence(&twin), Ordering::Less);
    }

    #[test]
    fn nothing_that_leaves_its_folder_or_a_query_is_sound() {
        let item = |id: &str, name: &str| Item { id: id.into(), name: name.into(), ..Item::default() };
        assert!(item("1aB_-", "x' or name != '").is_sound());
        for (id, name) in
            [("", "x"), ("a'b", "x"), ("../a", "x"), ("a", ".."), ("a", "b/c"), ("a", ""), ("a", "b\0")]
        {
            assert!(!item(id, name).is_sound(), "{id} {name}");
        }
        assert!(!is_id(&"x".repeat(201)));
    }
}
