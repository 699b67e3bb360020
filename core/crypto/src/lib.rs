//! Keys, passphrases and encrypted envelopes of an Interocitor mesh.
//!
//! A mesh has one 256-bit [`Key`]. People see it as a base58 [`Passphrase`] or as a URL fragment
//! ([`fragment_url`]); everything a mailbox stores is an AES-256-GCM [`envelope`] under it, written
//! in one piece ([`seal`], [`open`]) or in bounded memory ([`stream`]). Two devices that meet agree on a
//! key of their own ([`agreement`]) and pass a secret under it ([`parcel`]).
//!
//! Nothing here draws randomness: the caller passes key bytes and initialisation vectors, so a
//! simulation can replay a run byte for byte. An initialisation vector must never be used twice
//! under one key; outside a simulation take 12 fresh bytes of the operating system's generator.
//!
//! No function panics, whatever it is given, and no error or `Debug` text contains key material.
#![forbid(unsafe_code)]

pub mod agreement;
mod base58;
mod base64_text;
pub mod base64url;
mod ciphertext;
pub mod digest;
pub mod envelope;
mod error;
pub mod fragment;
mod gcm;
mod hkdf;
pub mod key;
pub mod parcel;
pub mod passphrase;
pub mod stream;
pub mod stretch;
mod veil;

pub use envelope::{open, seal};
pub use error::{OpenError, SealError};
pub use fragment::{FragmentError, fragment_url, key_from_fragment};
pub use key::Key;
pub use passphrase::{Passphrase, PassphraseError};
pub use stream::{Decryptor, EnvelopeOpener, EnvelopeSealer, sealed_len};
pub use veil::Veil;

/// The only version of the envelope.
pub const VERSION: u64 = 1;
