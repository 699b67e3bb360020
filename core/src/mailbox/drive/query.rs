//! Queries of `files.list`.

use super::item::FOLDER_TYPE;

/// What of a folder is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    Everything,
    Files,
    Folders,
    Named(&'a str),
}

/// What is wanted of the children of some folders, one at least.
pub(super) fn children(folders: &[String], wanted: Wanted<'_>) -> String {
    let parents: Vec<_> = folders.iter().map(|id| format!("{} in parents", quoted(id))).collect();
    let parents = parents.join(" or ");
    let parents = if folders.len() > 1 { format!("({parents})") } else { parents };
    let also = match wanted {
        Wanted::Everything => String::new(),
        Wanted::Files => format!(" and mimeType != {}", quoted(FOLDER_TYPE)),
        Wanted::Folders => format!(" and mimeType = {}", quoted(FOLDER_TYPE)),
        Wanted::Named(name) => format!(" and name = {}", quoted(name)),
    };
    format!("{parents} and trashed = false{also}")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_quotes() {
        let one = ["a".to_owned()];
        assert_eq!(
            children(&one, Wanted::Named(r"it's \' or trashed")),
            r"'a' in parents and trashed = false and name = 'it\'s \\\' or trashed'"
        );
        let two = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            children(&two, Wanted::Folders),
            "('a' in parents or 'b' in parents) and trashed = false and mimeType = 'application/vnd.google-apps.folder'"
        );
    }
}
