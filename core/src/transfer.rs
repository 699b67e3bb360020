//! What can be done about a durable file, where that stands, and how files lie in a mailbox.

use serde::Serialize;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TransferKind {
    /// The mailbox is to get the content.
    Upload,
    /// This device is to get the content.
    Download,
    /// The mailbox is to lose the file.
    Delete,
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TransferState {
    /// It waits for its turn, for the mailbox, or for the next try.
    Waiting,
    /// It is under way.
    Running,
    /// It waits for `resume_file`.
    Paused,
    /// Another try would end as the last one did. `resume_file` tries all the same.
    Failed,
}

/// How durable files lie in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileForm {
    /// Under the path of the app: the mailbox sees paths and, on WebDAV, media types, and a swap of two files is told
    /// only by whoever knows the digest.
    Plain,
    /// Under a hidden name, with digest, media type and path inside: a swap is always told.
    Hashed,
}

impl FileForm {
    pub(crate) fn text(self) -> &'static str {
        match self {
            FileForm::Plain => "plain",
            FileForm::Hashed => "hashed",
        }
    }

    pub(crate) fn of_text(text: &str) -> Option<Self> {
        [FileForm::Plain, FileForm::Hashed].into_iter().find(|form| form.text() == text)
    }

    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            FileForm::Plain => FileForm::Hashed,
            FileForm::Hashed => FileForm::Plain,
        }
    }
}
