//! What an export consists of: entries with names that lead nowhere else.

use std::collections::HashSet;

use super::invalid;
use crate::{error::Result, files::FilePath, value::Name};

/// What the export is, and its tables.
pub(super) const HEAD: &str = "export.json";
/// One line a durable file.
pub(super) const FILES: &str = "files.jsonl";
/// The digests of all other entries.
pub(super) const SUMS: &str = "SHA256SUMS";
/// In front of the names of tables.
const TABLES: &str = "tables/";
/// In front of the names of files.
pub(super) const FILE: &str = "files/";

/// The longest name of an entry, in bytes: what a tar header takes.
pub(super) const MAX_NAME: usize = 100;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Table,
    File,
    Files,
    Sums,
}

/// What a name stands for; anything else than the names of an export is refused.
pub(super) fn kind(name: &str) -> Result<Kind> {
    let is_plain = |rest: &str| {
        name.len() <= MAX_NAME
            && !name.chars().any(|character| character.is_control() || character == '\\')
            && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
    };
    match name {
        HEAD => Ok(Kind::Head),
        FILES => Ok(Kind::Files),
        SUMS => Ok(Kind::Sums),
        _ => match (name.strip_prefix(TABLES), name.strip_prefix(FILE)) {
            (Some(rest), _) if is_plain(rest) && !rest.contains('/') => Ok(Kind::Table),
            (_, Some(rest)) if is_plain(rest) => Ok(Kind::File),
            _ => Err(invalid(name, "its name is none that an export has")),
        },
    }
}

/// The entry of a table: a number that tells it from all others, and as much of its name as any system takes.
pub(super) fn of_table(number: usize, table: &Name) -> String {
    let readable: String = table
        .to_string_lossy()
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_'))
        .take(40)
        .collect::<String>()
        .to_ascii_lowercase();
    let dash = if readable.is_empty() { "" } else { "-" };
    format!("{TABLES}{number:04}{dash}{readable}.jsonl")
}

/// Gives every durable file an entry: its own path where every system takes that beside all others, else a number.
#[derive(Debug, Default)]
pub(super) struct FileNames {
    /// Paths and their folders in lower case, with a mark for folders.
    taken: HashSet<(String, bool)>,
    numbered: usize,
}

impl FileNames {
    pub(super) fn give(&mut self, path: &FilePath) -> String {
        let path = path.as_str();
        let lower = path.to_lowercase();
        let folders: Vec<String> = lower.match_indices('/').map(|(at, _)| lower[..at].to_owned()).collect();
        let clashes = self.taken.contains(&(lower.clone(), false))
            || self.taken.contains(&(lower.clone(), true))
            || folders.iter().any(|folder| self.taken.contains(&(folder.clone(), false)));
        if clashes || !is_portable(path) {
            self.numbered += 1;
            return format!("{FILE}~/{:06}", self.numbered);
        }
        self.taken.insert((lower, false));
        self.taken.extend(folders.into_iter().map(|folder| (folder, true)));
        format!("{FILE}{path}")
    }
}

/// Whether every file system takes a path as it is.
fn is_portable(path: &str) -> bool {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    let is_device = |stem: &str| {
        let stem = stem.to_ascii_lowercase();
        let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
        DEVICES.contains(&stem.as_str()) || numbered.is_some_and(|rest| rest.len() == 1)
    };
    FILE.len() + path.len() <= MAX_NAME
        && path.split('/').all(|part| {
            let is_plain = |byte: u8| {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'.' | b' ' | b'+' | b'(' | b')' | b',')
            };
            part.bytes().all(is_plain)
                && !part.starts_with([' ', '.', '-'])
                && !part.ends_with([' ', '.'])
                && !is_device(part.split('.').next().unwrap_or_default())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for (name, wanted) in [
            ("export.json", Kind::Head),
            ("tables/0001-todos.jsonl", Kind::Table),
            ("files/docs/a b.pdf", Kind::File),
            ("files/~/000001", Kind::File),
        ] {
            assert_eq!(kind(name).unwrap(), wanted, "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "../export.json",
            "files/../../x",
            "files/./a",
            "files//a",
            "files/",
            "files",
            "tables/",
            "tables/a/b",
            "tables/..",
            "files/a\\..\\b",
            "files/a\nb",
            "other",
            "EXPORT.JSON",
            &format!("files/{}", "x".repeat(100)),
        ] {
            let error = kind(name).unwrap_err();
            assert_eq!(error.code().as_str(), "EXPORT_INVALID", "{name:?}");
        }
    }

    #[test]
    fn files_keep_their_paths_where_every_system_takes_them() {
        let mut names = FileNames::default();
        let mut give = |path: &str| names.give(&FilePath::new(path).unwrap());
        assert_eq!(give("docs/May 1.pdf"), "files/docs/May 1.pdf");
        assert_eq!(give("docs/may 1.PDF"), "files/~/000001");
        assert_eq!(give("docs"), "files/~/000002");
        assert_eq!(give("docs/May 1.pdf/x"), "files/~/000003");
        assert_eq!(give("a/b"), "files/a/b");
        for (at, odd) in
            ["~/x", "caf\u{e9}", "con", "x/NUL.txt", "com1", ".hidden", "end.", "a:b", &"x".repeat(120)]
                .iter()
                .enumerate()
        {
            assert_eq!(give(odd), format!("files/~/{:06}", at + 4), "{odd}");
        }
    }

    #[test]
    fn tables_have_readable_entries() {
        assert_eq!(of_table(1, &"Todos/\u{e9}..".into()), "tables/0001-todos.jsonl");
        assert_eq!(of_table(12, &"\u{1f600}".into()), "tables/0012.jsonl");
    }
}
