//! The mailbox folder as it lies on the disk.

use std::{fs, io, path::Path};

use crate::text;

/// A file with its content.
pub(super) struct File {
    /// Path below the folder.
    pub(super) name: String,
    content: Vec<u8>,
}

impl File {
    pub(super) fn size(&self) -> usize {
        self.content.len()
    }

    /// The first characters, on one line.
    pub(super) fn start(&self, most: usize) -> String {
        let start = String::from_utf8_lossy(&self.content[..self.content.len().min(4 * most)]);
        let words: Vec<&str> = start.split_whitespace().collect();
        text::cut(&text::shown(&words.join(" ")), most)
    }
}

/// All files below a folder, by name. Hidden ones belong to nobody's mesh.
pub(super) fn read(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                files.push(File { name, content: fs::read(&path)? });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The first file that shows one of the phrases.
pub(super) fn find<'a>(files: &'a [File], phrases: &[&'static str]) -> Option<(&'a File, &'static str)> {
    files.iter().find_map(|file| {
        let is_inside =
            |phrase: &&&str| file.content.windows(phrase.len()).any(|window| window == phrase.as_bytes());
        phrases.iter().find(is_inside).map(|phrase| (file, *phrase))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_searched() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("changes")).unwrap();
        fs::write(folder.path().join("changes/x.json"), "{\n  \"ct\": \"secret milk\"}").unwrap();
        fs::write(folder.path().join(".lock"), "secret").unwrap();
        let files = read(folder.path()).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!((files[0].name.as_str(), files[0].size()), ("changes/x.json", 24));
        assert_eq!(files[0].start(12), "{ \"ct\": \"se…");
        assert_eq!(find(&files, &["bread", "milk"]).map(|(_, phrase)| phrase), Some("milk"));
        assert!(find(&files, &["bread"]).is_none());
    }
}
