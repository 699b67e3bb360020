//! What a doctor can find wrong with a store and its mailbox, what it means and what to do.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something is not as it should be; data is safe.
    Warning,
    /// Data or sync is in danger.
    Error,
}

/// Kinds of trouble, each with a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// SQLite finds the store's file damaged.
    StoreDamaged,
    /// Only indexes of the store are damaged.
    IndexDamaged,
    /// Rows of a table cannot be read.
    RowDamaged,
    /// A waiting change cannot be read.
    OutboxDamaged,
    /// A waiting change was refused by the mailbox.
    OutboxStuck,
    /// A file of the mailbox is in quarantine.
    Quarantined,
    /// The device clock is ahead of the wall clock.
    ClockAhead,
    /// Rows here carry clocks from the future.
    RowsFromTheFuture,
    /// A copy of an earlier store lies beside this one.
    OldCopy,
    /// The mailbox was not looked at.
    MailboxNotChecked,
    /// The mailbox could not be read.
    MailboxUnreadable,
    /// The mailbox holds files, and no pointer to a mesh.
    PointerMissing,
    /// The pointer is no pointer.
    PointerUnreadable,
    /// The pointer names a manifest that is not there.
    ManifestMissing,
    /// The manifest is none of this protocol.
    ManifestInvalid,
    /// The manifest was changed after it was written.
    ManifestHash,
    /// The mailbox holds another mesh than the store belongs to.
    OtherMesh,
    /// The manifest in force names a snapshot that is not there.
    SnapshotMissing,
    /// The snapshot in force cannot be read.
    SnapshotUnreadable,
    /// No manifest in force names this snapshot.
    SnapshotOrphaned,
    /// A manifest of an earlier generation.
    ManifestSuperseded,
    /// A manifest of a later generation that was never put into force.
    ManifestAbandoned,
    /// The head stands behind the newest change, or cannot be read.
    HeadBehind,
    /// A change file cannot be read.
    ChangeUnreadable,
    /// A change file carries clocks from the future.
    ChangeFromTheFuture,
    /// A device record cannot be read.
    DeviceUnreadable,
    /// A file that no version of the protocol knows.
    UnknownFile,
    /// A temporary file that a writer left behind.
    Leftover,
}

impl Trouble {
    /// Every kind.
    pub const ALL: &[Trouble] = &[
        Trouble::StoreDamaged,
        Trouble::IndexDamaged,
        Trouble::RowDamaged,
        Trouble::OutboxDamaged,
        Trouble::OutboxStuck,
        Trouble::Quarantined,
        Trouble::ClockAhead,
        Trouble::RowsFromTheFuture,
        Trouble::OldCopy,
        Trouble::MailboxNotChecked,
        Trouble::MailboxUnreadable,
        Trouble::PointerMissing,
        Trouble::PointerUnreadable,
        Trouble::ManifestMissing,
        Trouble::ManifestInvalid,
        Trouble::ManifestHash,
        Trouble::OtherMesh,
        Trouble::SnapshotMissing,
        Trouble::SnapshotUnreadable,
        Trouble::SnapshotOrphaned,
        Trouble::ManifestSuperseded,
        Trouble::ManifestAbandoned,
        Trouble::HeadBehind,
        Trouble::ChangeUnreadable,
        Trouble::ChangeFromTheFuture,
        Trouble::DeviceUnreadable,
        Trouble::UnknownFile,
        Trouble::Leftover,
    ];

    /// Code, severity, meaning, advice, and whether the doctor can mend it.
    #[rustfmt::skip]
    fn about(self) -> (&'static str, Severity, &'static str, &'static str, bool) {
        use Severity::{Error, Info, Warning};
        match self {
            Trouble::StoreDamaged => ("STORE_DAMAGED", Error, "the store's file is damaged: rows may be lost or wrong", "restore a backup, or move the store aside and join the mesh again", false),
            Trouble::IndexDamaged => ("INDEX_DAMAGED", Warning, "an index of the store does not fit its rows: queries may miss some", "let the doctor build it anew", true),
            Trouble::RowDamaged => ("ROW_DAMAGED", Error, "rows of this table cannot be read", "restore a backup, or move the store aside and join the mesh again", false),
            Trouble::OutboxDamaged => ("OUTBOX_DAMAGED", Error, "a change that waits cannot be read, so it is never published; its rows are here", "write those rows once more", false),
            Trouble::OutboxStuck => ("OUTBOX_STUCK", Warning, "the mailbox did not take a change that waits", "see the reason; it is tried again with every sync", false),
            Trouble::Quarantined => ("QUARANTINED", Warning, "a file of the mailbox could not be read when it was last tried", "nothing: it is tried again by itself; the device that wrote it may have to be updated", false),
            Trouble::ClockAhead => ("CLOCK_AHEAD", Warning, "what is written here is stamped later than it is: the clock of this device, or of a peer, was or is ahead", "set the clock right; stamps fall back into step as time passes", false),
            Trouble::RowsFromTheFuture => ("ROWS_FROM_THE_FUTURE", Warning, "a device wrote these rows with its clock ahead: they win over other devices' edits until then", "set that device's clock right; to win now, edit the rows here", false),
            Trouble::OldCopy => ("OLD_COPY", Info, "a copy of an earlier store, kept when it was moved aside or joined another mesh", "delete it when it is not needed any more", false),
            Trouble::MailboxNotChecked => ("MAILBOX_NOT_CHECKED", Info, "the mailbox was not looked at", "give what is missing, and look again", false),
            Trouble::MailboxUnreadable => ("MAILBOX_UNREADABLE", Error, "the mailbox cannot be read now", "see the reason, and look again", false),
            Trouble::PointerMissing => ("POINTER_MISSING", Error, "the mailbox holds files of a mesh, and no manifest.json that leads to them", "restore the file from a backup, or rebuild the remote from a device that has all rows", false),
            Trouble::PointerUnreadable => ("POINTER_UNREADABLE", Error, "manifest.json is damaged: no device can sync", "restore it from a backup, or wait until a cloud folder has settled", false),
            Trouble::ManifestMissing => ("MANIFEST_MISSING", Error, "manifest.json names a manifest that is not there: no device can sync", "restore it from a backup, or wait until a cloud folder has settled", false),
            Trouble::ManifestInvalid => ("MANIFEST_INVALID", Error, "the manifest is damaged, or of a newer version", "update this app, or restore the file from a backup", false),
            Trouble::ManifestHash => ("MANIFEST_HASH", Error, "the manifest was changed after it was written: no device trusts it", "restore it from a backup", false),
            Trouble::OtherMesh => ("OTHER_MESH", Error, "the mailbox holds another mesh than this store belongs to", "check mailbox and remote path", false),
            Trouble::SnapshotMissing => ("SNAPSHOT_MISSING", Error, "the snapshot in force is not there: a new device misses what it held", "compact from a device that has all rows", false),
            Trouble::SnapshotUnreadable => ("SNAPSHOT_UNREADABLE", Error, "the snapshot in force cannot be read: a new device misses what it holds", "compact from a device that has all rows", false),
            Trouble::SnapshotOrphaned => ("SNAPSHOT_ORPHANED", Info, "no manifest in force names this snapshot: it only takes space", "let the doctor delete it; it does so when a day has passed", true),
            Trouble::ManifestSuperseded => ("MANIFEST_SUPERSEDED", Info, "a manifest of an earlier generation: it only takes space", "let the doctor delete it; it does so when a day has passed", true),
            Trouble::ManifestAbandoned => ("MANIFEST_ABANDONED", Info, "a compaction began and did not put its manifest into force", "nothing: the next compaction passes over it", false),
            Trouble::HeadBehind => ("HEAD_BEHIND", Warning, "changes/head.json is older than the newest change: beta.10 clients do not read what is newer", "let the doctor move it", true),
            Trouble::ChangeUnreadable => ("CHANGE_UNREADABLE", Warning, "a change cannot be read: what it says is missing here", "see the reason; the device that wrote it has the rows and can write them again", false),
            Trouble::ChangeFromTheFuture => ("CHANGE_FROM_THE_FUTURE", Warning, "a device published this with its clock ahead", "set that device's clock right", false),
            Trouble::DeviceUnreadable => ("DEVICE_UNREADABLE", Warning, "a device record cannot be read", "that device writes it anew within a day; a device that is gone can be deleted there", false),
            Trouble::UnknownFile => ("UNKNOWN_FILE", Info, "no version of the protocol knows this file: it is left alone", "delete it if it is not yours; sync conflicts of a cloud folder look like this", false),
            Trouble::Leftover => ("LEFTOVER", Info, "a temporary file that a killed writer left behind", "let the doctor delete it; it does so when an hour has passed", true),
        }
    }

    /// The stable code.
    pub fn code(self) -> &'static str {
        self.about().0
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        self.about().1
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        self.about().2
    }

    /// What to do.
    pub fn advice(self) -> &'static str {
        self.about().3
    }

    /// Whether the doctor can mend it.
    pub fn is_mendable(self) -> bool {
        self.about().4
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of trouble.
    pub trouble: Trouble,
    /// Where: a file of the mailbox, a table, a file beside the store.
    pub place: String,
    /// What exactly. Never holds values, keys or passphrases.
    pub detail: String,
    /// Whether it was mended.
    pub is_mended: bool,
}

impl Finding {
    pub(crate) fn new(trouble: Trouble, place: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { trouble, place: place.into(), detail: detail.into(), is_mended: false }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Finding", 8)?;
        out.serialize_field("code", self.trouble.code())?;
        out.serialize_field("severity", &self.trouble.severity())?;
        out.serialize_field("place", &self.place)?;
        out.serialize_field("detail", &self.detail)?;
        out.serialize_field("meaning", self.trouble.meaning())?;
        out.serialize_field("advice", self.trouble.advice())?;
        out.serialize_field("mendable", &self.trouble.is_mendable())?;
        out.serialize_field("mended", &self.is_mended)?;
        out.end()
    }
}

/// What a doctor found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Diagnosis {
    /// Everything, the worst first.
    pub findings: Vec<Finding>,
    /// Rows of the store that were read, deleted ones included.
    pub rows_checked: u64,
    /// Files of the mailbox that were read.
    pub files_checked: u64,
}

impl Diagnosis {
    /// The worst that is left.
    pub fn worst(&self) -> Option<Severity> {
        self.findings
            .iter()
            .filter(|finding| !finding.is_mended)
            .map(|finding| finding.trouble.severity())
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_differ_and_say_what_to_do() {
        let mut codes = std::collections::BTreeSet::new();
        for trouble in Trouble::ALL {
            assert!(codes.insert(trouble.code()), "{trouble:?}");
            assert!(!trouble.meaning().is_empty() && !trouble.advice().is_empty());
            assert_eq!(trouble.is_mendable(), trouble.advice().starts_with("let the doctor"), "{trouble:?}");
        }
    }
}
