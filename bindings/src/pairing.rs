//! Pairing: the payload that travels by eye, the handshake, and codes to be drawn.

use std::{fmt, sync::Arc};

use interocitor_core::{
    Paired as CorePaired, Pairing as CorePairing,
    pairing::{
        Capabilities, Intent, PairingOptions as CoreOptions, PairingPayload as CorePayload,
        QrCode as CoreCode,
    },
};

use crate::{
    CancelToken, Failure,
    configuration::duration,
    runtime::{on_runtime, until_cancelled},
};

/// What the device that shows a payload wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum PairingIntent {
    Share,
    Join,
}

impl From<Intent> for PairingIntent {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Share => PairingIntent::Share,
            Intent::Join => PairingIntent::Join,
        }
    }
}

impl PairingIntent {
    /// As events name it.
    pub(crate) fn named(name: &str) -> Self {
        if name == Intent::Share.as_str() { PairingIntent::Share } else { PairingIntent::Join }
    }
}

/// How to pair.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct PairingOptions {
    pub relay_base: String,
    pub timeout_ms: i64,
    pub poll_interval_ms: i64,
    pub supported: Vec<String>,
    pub required: Vec<String>,
}

impl TryFrom<PairingOptions> for CoreOptions {
    type Error = Failure;

    fn try_from(given: PairingOptions) -> Result<Self, Failure> {
        let mut options = CoreOptions::default();
        options.relay_base = given.relay_base;
        options.timeout = duration("timeout_ms", given.timeout_ms)?;
        options.poll_interval = duration("poll_interval_ms", given.poll_interval_ms)?;
        options.capabilities = Capabilities::new(given.supported, given.required)?;
        Ok(options)
    }
}

/// What a QR code or a pair link holds.
#[derive(Debug)]
pub struct PairingPayload(CorePayload);

impl PairingPayload {
    /// Reads what was scanned.
    ///
    /// # Errors
    ///
    /// `PAIRING_REJECTED` for what is no pairing code.
    pub fn parse(scanned: String) -> Result<Self, Failure> {
        Ok(Self(CorePayload::parse(&scanned)?))
    }

    /// What the device that shows it wants.
    pub fn intent(&self) -> PairingIntent {
        self.0.intent().into()
    }

    /// How the other device says that the mailbox is reached.
    pub fn adapter_config(&self) -> Option<String> {
        self.0.adapter_config().map(ToOwned::to_owned)
    }

    /// The text for a QR code.
    pub fn encode(&self) -> String {
        self.0.encode()
    }

    /// A link with the payload.
    pub fn to_url(&self, base: String) -> String {
        self.0.to_url(&base)
    }

    pub(crate) fn core(&self) -> CorePayload {
        self.0.clone()
    }
}

/// What came of a pairing.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub struct Paired {
    pub remote_path: String,
    pub received: bool,
    pub connection_config: Option<String>,
}

impl fmt::Debug for Paired {
    /// What apps agreed on may be an address with a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paired")
            .field("remote_path", &self.remote_path)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl From<CorePaired> for Paired {
    fn from(paired: CorePaired) -> Self {
        Self {
            remote_path: paired.remote_path,
            received: paired.received,
            connection_config: paired.connection_config,
        }
    }
}

/// One pairing with another device.
#[derive(Debug)]
pub struct Pairing(Arc<CorePairing>);

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Pairing {
    pub(crate) fn new(pairing: CorePairing) -> Self {
        Self(Arc::new(pairing))
    }

    /// What the other device is to scan, or what this one has scanned.
    pub fn payload(&self) -> Arc<PairingPayload> {
        Arc::new(PairingPayload(self.0.payload().clone()))
    }

    /// Whether this device gives the credential.
    pub fn sends(&self) -> bool {
        self.0.sends()
    }

    /// Waits until the other device is there, and gives the code to compare.
    pub async fn code(&self, cancel: Option<Arc<CancelToken>>) -> Result<String, Failure> {
        let pairing = Arc::clone(&self.0);
        until_cancelled(cancel, async move { Ok(pairing.code().await?) }).await
    }

    /// Gives the credential, or takes it.
    pub async fn complete(&self, cancel: Option<Arc<CancelToken>>) -> Result<Paired, Failure> {
        let pairing = Arc::clone(&self.0);
        until_cancelled(cancel, async move { Ok(pairing.complete().await?.into()) }).await
    }

    /// Ends it.
    pub async fn cancel(&self) -> Result<(), Failure> {
        let pairing = Arc::clone(&self.0);
        on_runtime(async move {
            pairing.cancel().await;
            Ok(())
        })
        .await
    }
}

/// A QR code of a text.
#[derive(Debug)]
pub struct QrCode(CoreCode);

impl QrCode {
    /// The code of a text.
    ///
    /// # Errors
    ///
    /// `LIMIT` for more than a QR code can hold.
    pub fn new(text: String) -> Result<Self, Failure> {
        Ok(Self(CoreCode::new(&text)?))
    }

    /// Modules on a side, the quiet zone included.
    pub fn size(&self) -> u32 {
        u32::try_from(self.0.size()).unwrap_or(u32::MAX)
    }

    /// All modules, row by row: 1 is dark.
    pub fn modules(&self) -> Vec<u8> {
        let side = 0..self.0.size();
        side.clone()
            .flat_map(|row| side.clone().map(move |column| (column, row)))
            .map(|(column, row)| u8::from(self.0.is_dark(column, row)))
            .collect()
    }

    /// As an SVG picture.
    pub fn to_svg(&self) -> String {
        self.0.to_svg()
    }

    /// As a PNG picture.
    pub fn to_png(&self, scale: u32) -> Vec<u8> {
        self.0.to_png(scale)
    }
}
