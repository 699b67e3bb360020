//! Why sealing or opening an envelope fails.

/// Why a plaintext cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Longer than AES-GCM allows under one initialisation vector (64 GiB less 32 bytes), or than this
    /// machine can address.
    #[error("the data is too long for one encrypted envelope")]
    TooLong,
}

/// Why an envelope cannot be opened. Contains nothing of the envelope or the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes are not an envelope at all: plain text, another file, or one cut short.
    #[error("not an encrypted envelope: {reason}")]
    NotAnEnvelope {
        /// What is wrong with the bytes.
        reason: &'static str,
    },
    /// An envelope of a version this client does not know.
    #[error("encrypted envelope of unsupported version {version}")]
    UnsupportedVersion {
        /// The version the envelope declares.
        version: u64,
    },
    /// The key is not the one it was sealed with, or the envelope was altered: AES-GCM cannot tell
    /// which.
    #[error("wrong key, or the encrypted data is damaged")]
    WrongKeyOrCorrupt,
    /// Only [`EnvelopeOpener`](crate::EnvelopeOpener): possibly a good envelope, but written so that it cannot be read in
    /// bounded memory. Read it whole with [`open`](crate::open).
    #[error("the envelope cannot be streamed: {reason}")]
    NotStreamable {
        /// What is unusual about it.
        reason: &'static str,
    },
}
