//! Pairing: a device takes part in a mesh by a code that it scans from the screen of another, or shows to it.
//!
//! The *generator* shows a [`PairingPayload`] as a QR code or a link, the *scanner* reads it. Its [`Intent`] says
//! which of the two has the credential. Both make a P-256 key pair for this one occasion; the generator's
//! public key is in the payload, the scanner's goes through two short-lived files in the mailbox, and so does
//! the credential, encrypted under the key that only these two can agree on. The mailbox learns nothing.
//!
//! Who holds the payload and can write to the mailbox can take the scanner's place. So both devices show a
//! code made of both public keys: people compare it before they let a credential go
//! ([`Pairing::code`](crate::Pairing::code), then [`Pairing::complete`](crate::Pairing::complete)).
//!
//! | file below `<relay base>/handshake/<id>/` | written by | content |
//! |---|---|---|
//! | `scanner-pub.json` | the scanner | its public key and its capabilities |
//! | `credentials.json` | who has the credential | remote path and passphrase, encrypted |

mod capabilities;
pub(crate) mod envelope;
mod handshake;
mod payload;
mod qr;
mod relay;

use std::time::Duration;

pub use capabilities::Capabilities;
pub(crate) use handshake::Handshake;
pub use payload::{Intent, PairingPayload};
pub use qr::QrCode;

/// How to pair. The defaults are those of the JavaScript client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairingOptions {
    /// The folder of the mailbox below which the devices meet; the same on both.
    pub relay_base: String,
    /// How long to wait for the other device, at each step.
    pub timeout: Duration,
    /// Time between two looks into the mailbox meanwhile.
    pub poll_interval: Duration,
    /// What this app can do in a pairing, and insists on; usually nothing.
    pub capabilities: Capabilities,
}

impl Default for PairingOptions {
    fn default() -> Self {
        Self {
            relay_base: "/Interocitor".into(),
            timeout: Duration::from_mins(2),
            poll_interval: Duration::from_secs(2),
            capabilities: Capabilities::default(),
        }
    }
}
