//! Pairing, as an app uses it.

use std::sync::Arc;

use super::{Inner, Interocitor, lifecycle::MeshConfig};
use crate::{
    error::{Error, Result},
    mailbox::StorageAdapter,
    pairing::{Handshake, Intent, PairingOptions, PairingPayload, envelope::Credential},
};

/// One pairing with another device. Dropping it ends it.
///
/// ```no_run
/// # use interocitor_core::{Interocitor, Result, pairing::{PairingOptions, QrCode}};
/// # async fn show(db: Interocitor) -> Result<()> {
/// let pairing = db.pair_share(PairingOptions::default()).await?;
/// println!("{}", QrCode::new(&pairing.payload().encode())?.to_blocks(true));
/// let code = pairing.code().await?; // the other device is there
/// println!("Does the other device show {code}?");
/// pairing.complete().await?; // yes: only now the passphrase leaves this device
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pairing {
    inner: Arc<Inner>,
    handshake: Handshake,
}

/// What came of a pairing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Paired {
    /// The mesh's folder in the mailbox, now the same on both devices.
    pub remote_path: String,
    /// Whether this device received the credential, and did not give it.
    pub received: bool,
    /// How to reach the mailbox from now on, as the other device says, for apps that agreed on something of that
    /// kind. The engine never follows it.
    pub connection_config: Option<String>,
}

impl Interocitor {
    /// Begins to share this device's mesh with another device, which is to scan the
    /// [`payload`](Pairing::payload).
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where there is no mailbox or no mesh to share yet; `PAIRING_TIMEOUT` and those of the
    /// mailbox.
    pub async fn pair_share(&self, options: PairingOptions) -> Result<Pairing> {
        self.begin(Intent::Share, &options).await
    }

    /// Asks to take part in the mesh of another device, which is to scan the [`payload`](Pairing::payload).
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` while connected and where there is no mailbox; `PAIRING_TIMEOUT` and those of the
    /// mailbox.
    pub async fn pair_join(&self, options: PairingOptions) -> Result<Pairing> {
        self.begin(Intent::Join, &options).await
    }

    /// Takes part in the pairing that another device offers, in the part that is left: it takes the mesh of a
    /// device that shares, and gives this one's to a device that wants to join. The mailbox of this handle is
    /// used, whatever the payload says of one.
    ///
    /// # Errors
    ///
    /// As [`pair_share`](Self::pair_share) or [`pair_join`](Self::pair_join); `PAIRING_REJECTED` where the other app
    /// requires what this one does not support.
    pub async fn pair_scan(&self, payload: PairingPayload, options: PairingOptions) -> Result<Pairing> {
        let inner = &self.inner;
        let adapter = inner.ready_to_pair(payload.intent() == Intent::Join)?;
        let scan = Handshake::scan(Arc::clone(&inner.ctx), adapter, payload, &options);
        let handshake = inner.while_open(scan).await?;
        Ok(Pairing { inner: Arc::clone(inner), handshake })
    }

    /// Everything that came at once, or nothing.
    fn take_over(&self, credential: Credential) -> Result<Paired> {
        self.configure_mesh(MeshConfig {
            remote_path: credential.remote_path.clone(),
            encrypted: credential.passphrase.is_some(),
            passphrase: credential.passphrase,
        })?;
        Ok(Paired {
            remote_path: credential.remote_path,
            received: true,
            connection_config: credential.connection_config,
        })
    }

    async fn begin(&self, intent: Intent, options: &PairingOptions) -> Result<Pairing> {
        let inner = &self.inner;
        let adapter = inner.ready_to_pair(intent == Intent::Share)?;
        let generate = Handshake::generate(Arc::clone(&inner.ctx), adapter, intent, options);
        let handshake = inner.while_open(generate).await?;
        Ok(Pairing { inner: Arc::clone(inner), handshake })
    }
}

impl Pairing {
    /// What the other device is to scan, or what this one has scanned.
    pub fn payload(&self) -> &PairingPayload {
        self.handshake.payload()
    }

    /// Whether this device gives the credential; else it gets it.
    pub fn sends(&self) -> bool {
        self.handshake.sends()
    }

    /// Waits until the other device is there, and gives the code that both devices show then, `1234 5678 9012`.
    /// People compare them: if they differ, another device has taken the place of theirs.
    ///
    /// # Errors
    ///
    /// `PAIRING_TIMEOUT`, `PAIRING_REJECTED` where another device was quicker, `USER_CANCELLED` after
    /// [`cancel`](Self::cancel), `SHUT_DOWN`, `SUSPENDED`, and those of the mailbox. Only after `SUSPENDED` it can
    /// go on.
    pub async fn code(&self) -> Result<String> {
        self.inner.while_open(self.handshake.meet()).await
    }

    /// Gives the credential to the other device, or takes it from there: the codes were compared. What was taken
    /// is used from the next [`connect`](crate::Interocitor::connect) on, which proves it against the mesh and
    /// saves it; before that nothing is saved, and after a failure nothing has changed. What was given is there
    /// when this returns.
    ///
    /// May be called without [`code`](Self::code) where nobody is there to compare.
    ///
    /// # Errors
    ///
    /// As [`code`](Self::code); `INVALID_ARGUMENT` where the database was connected meanwhile, or has lost its
    /// credential.
    pub async fn complete(&self) -> Result<Paired> {
        let inner = &self.inner;
        if !self.sends() {
            inner.check_unconnected()?;
            let db = Interocitor { inner: Arc::clone(inner) };
            return inner.while_open(self.handshake.take(|credential| db.take_over(credential))).await;
        }
        let credential = inner.own_credential()?;
        inner.while_open(self.handshake.give(&credential)).await?;
        Ok(Paired { remote_path: credential.remote_path, received: false, connection_config: None })
    }

    /// Ends it, for instance because the codes differ. Calls under way and later ones answer `USER_CANCELLED`
    /// or `PAIRING_REJECTED`. A credential that the other device has not taken yet is taken back.
    pub async fn cancel(&self) {
        self.handshake.cancel().await;
    }
}

impl Inner {
    /// The mailbox to meet in, if everything is there that this device needs for its part.
    fn ready_to_pair(&self, sends: bool) -> Result<Arc<dyn StorageAdapter>> {
        self.check_open()?;
        if sends {
            self.own_credential()?;
        } else {
            self.check_unconnected()?;
        }
        let adapter = self.remote().adapter.clone();
        adapter.ok_or(Error::invalid("mailbox", "none is set; call set_remote_storage first"))
    }

    fn check_unconnected(&self) -> Result<()> {
        match self.remote().link {
            Some(_) => Err(Error::invalid("pairing", "disconnect first: a connected database has its mesh")),
            None => Ok(()),
        }
    }

    /// What this device can give.
    fn own_credential(&self) -> Result<Credential> {
        let nothing = || Error::invalid("pairing", "this device has no mesh to share yet: connect first");
        let remote_path = self.remote().path.clone().ok_or_else(nothing)?;
        let secrets = self.secrets();
        let passphrase = match (secrets.encrypted, &secrets.passphrase) {
            (false, _) => None,
            (true, Some(passphrase)) => Some(passphrase.clone()),
            (true, None) => return Err(nothing()),
        };
        Ok(Credential { remote_path, passphrase, connection_config: None })
    }

    /// Runs work until the database is shut down or suspended.
    async fn while_open<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut interrupt = self.interrupt.subscribe();
        self.check_open()?;
        let closed = async {
            loop {
                // The sender lives as long as this value.
                let _ = interrupt.changed().await;
                if let Err(error) = self.check_open() {
                    return error;
                }
            }
        };
        tokio::select! {
            biased;
            outcome = work => outcome,
            error = closed => Err(error),
        }
    }
}
