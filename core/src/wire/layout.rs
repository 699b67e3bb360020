//! Where things lie in a mailbox, and what file names say.

use crate::clock::Clock;

/// Separates clock and id in the name of a change file.
const CHANGE_MARK: &str = "-chg_";

/// The paths of one mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    root: String,
}

impl Layout {
    /// The mesh under `root`, the configured remote path. A trailing slash is dropped: the JavaScript
    /// client would otherwise double it.
    pub(crate) fn new(root: &str) -> Self {
        let root = root.trim_end_matches('/');
        let slash = if root.starts_with('/') || root.is_empty() { "" } else { "/" };
        Self { root: format!("{slash}{root}") }
    }

    pub(crate) fn root(&self) -> &str {
        if self.root.is_empty() { "/" } else { &self.root }
    }

    pub(crate) fn pointer(&self) -> String {
        format!("{}/manifest.json", self.root)
    }

    pub(crate) fn manifest(&self, file: &str) -> String {
        format!("{}/{file}", self.root)
    }

    pub(crate) fn changes(&self) -> String {
        format!("{}/changes", self.root)
    }

    pub(crate) fn change(&self, name: &str) -> String {
        format!("{}/changes/{name}", self.root)
    }

    pub(crate) fn head(&self) -> String {
        format!("{}/changes/head.json", self.root)
    }

    pub(crate) fn mainline(&self) -> String {
        format!("{}/mainline", self.root)
    }

    pub(crate) fn devices(&self) -> String {
        format!("{}/devices", self.root)
    }

    pub(crate) fn device(&self, device_id: &str) -> String {
        format!("{}/devices/{device_id}.json", self.root)
    }

    pub(crate) fn files(&self) -> String {
        format!("{}/files", self.root)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/files/{name}", self.root)
    }

    /// The snapshot that a manifest names. The path there is absolute under the writer's own root;
    /// its last part is what counts, so that a folder mounted elsewhere can be followed too.
    pub(crate) fn snapshot(&self, snapshot_path: &str) -> Option<String> {
        let (_, name) = snapshot_path.rsplit_once("/mainline/")?;
        is_plain_name(name).then(|| format!("{}/mainline/{name}", self.root))
    }

    /// The folders of a mesh, parents first.
    pub(crate) fn folders(&self) -> [String; 4] {
        [self.root().to_owned(), self.devices(), self.mainline(), self.changes()]
    }
}

/// Whether a name is one path segment that cannot lead elsewhere.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

/// Whether a file of `changes/` claims to be a change. Files of another ending are still on their way, under a name
/// that a file-sync service gave them.
pub(crate) fn is_change_name(name: &str) -> bool {
    name != "head.json" && name.strip_suffix(".json").is_some_and(|stem| stem.contains(CHANGE_MARK))
}

/// The name of the file that a file-sync service made a copy of, when two machines stored it at once. Names of
/// changes have no blanks of ours.
pub(crate) fn original_of_copy(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".json")?;
    let original = if let Some((original, _)) = stem.split_once(".sync-conflict-") {
        original
    } else if let Some((original, _)) = stem.split_once(" (").filter(|_| stem.ends_with(')')) {
        original
    } else {
        let (original, number) = stem.rsplit_once(' ')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(original)?
    };
    Some(format!("{original}.json"))
}

/// The clock in the name of a change file, `None` if it cannot be parsed.
pub(crate) fn clock_of_change(name: &str) -> Option<Clock> {
    let (clock, _) = name.rsplit_once(CHANGE_MARK)?;
    clock.parse().ok()
}

/// The name of a change file.
pub(crate) fn change_name(clock: &str, id: &str) -> String {
    format!("{clock}-{id}.json")
}

/// Whether a device id can stand in file names, URLs, WebDAV hrefs and Drive queries, and leaves the
/// names of change files readable.
pub(crate) fn is_usable_device_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=128).contains(&id.len())
        && id.bytes().all(allowed)
        && !id.contains(CHANGE_MARK)
        && !id.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let layout = Layout::new("/My App/");
        assert_eq!(layout.pointer(), "/My App/manifest.json");
        assert_eq!(Layout::new("Mesh").changes(), "/Mesh/changes");
        assert_eq!(Layout::new("").root(), "/");
        assert_eq!(Layout::new("/").device("d"), "/devices/d.json");
        assert_eq!(
            layout.snapshot("/Other/mainline/snapshot-1-x.json").unwrap(),
            "/My App/mainline/snapshot-1-x.json"
        );
        assert_eq!(layout.snapshot("/Other/mainline/../manifest.json"), None);
        assert_eq!(layout.snapshot("nowhere.json"), None);
    }

    /// The vector of protocol.md 5.
    #[test]
    fn change_names() {
        let node = "01900000-0000-7000-8000-00000000000a";
        let name =
            change_name(&format!("001711785600000-0000-{node}"), "chg_01900000-0000-7000-8000-0000000000c1");
        assert_eq!(
            name,
            "001711785600000-0000-01900000-0000-7000-8000-00000000000a-chg_01900000-0000-7000-8000-0000000000c1.json"
        );
        assert_eq!(name.len(), 103);
        assert_eq!(clock_of_change(&name).unwrap().node.as_str(), Some(node));
        assert_eq!(clock_of_change("1-0-a-chg_b-chg_c.json").unwrap().node.as_str(), Some("a-chg_b"));
        assert!(is_change_name(&name) && !is_change_name("head.json") && !is_change_name("notes.txt"));
        assert_eq!(clock_of_change("x-chg_1.json"), None);
    }

    #[test]
    fn copies_of_file_sync_services() {
        let copies = [
            "1-0-a-chg_b (Jo's conflicted copy 2026-01-02).json",
            "1-0-a-chg_b (conflicted copy 2026-01-02 030405).json",
            "1-0-a-chg_b (1).json",
            "1-0-a-chg_b 2.json",
            "1-0-a-chg_b.sync-conflict-20260102-030405-ABCDEFG.json",
        ];
        for copy in copies {
            assert_eq!(original_of_copy(copy).as_deref(), Some("1-0-a-chg_b.json"), "{copy}");
        }
        for name in
            ["1-0-a-chg_b.json", "1-0-a-chg_b 2", "1-0-a-chg_b (x.json", "head.json", "a b.json", " .json"]
        {
            assert_eq!(original_of_copy(name), None, "{name}");
        }
        for half in ["1-0-a-chg_b.json.tmp", "~syncthing~1-0-a-chg_b.json.tmp", "1-0-a-chg_b.json.part"] {
            assert!(!is_change_name(half), "{half}");
        }
    }

    #[test]
    fn device_ids() {
        assert!(
            is_usable_device_id("01900000-0000-7000-8000-00000000000a") && is_usable_device_id("dev_late.a")
        );
        for id in ["", "a/b", "a b", "a-chg_b", "\u{e9}", ".hidden", "it's", &"x".repeat(129)] {
            assert!(!is_usable_device_id(id), "{id}");
        }
    }
}
