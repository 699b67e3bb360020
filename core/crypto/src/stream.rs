//! The same envelope in bounded memory, for files that should not be in memory whole.
//!
//! Sealing writes the envelope while the plaintext comes in. Opening takes two passes, because GCM can
//! vouch for a text only after its last byte: first [`EnvelopeOpener`] takes the envelope and gives back
//! the bytes still encrypted, to be spooled; when the tag proves right, [`Decryptor`] decrypts the spool.
//! No unverified plaintext exists at any time.
//!
//! ```
//! use interocitor_crypto::{EnvelopeOpener, EnvelopeSealer, Key};
//!
//! let key = Key::from_bytes([7; 32]);
//! let mut envelope = Vec::new();
//! let mut sealer = EnvelopeSealer::new(&key, [1; 12]);
//! for piece in [&b"a large "[..], b"file"] {
//!     sealer.update(piece, &mut envelope)?; // write out and clear `envelope` as it grows
//! }
//! sealer.finish(&mut envelope);
//!
//! let mut spool = Vec::new();
//! let mut opener = EnvelopeOpener::new(&key);
//! for piece in envelope.chunks(10) {
//!     opener.update(piece, &mut spool)?; // append to a file instead
//! }
//! let mut decryptor = opener.finish()?;
//! for piece in spool.chunks_mut(5) {
//!     decryptor.apply(piece)?;
//! }
//! assert_eq!(spool, b"a large file");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decryptor;
mod head;
mod opener;
mod sealer;
#[cfg(test)]
mod tests;

pub use decryptor::Decryptor;
pub use opener::EnvelopeOpener;
pub use sealer::{EnvelopeSealer, sealed_len};
