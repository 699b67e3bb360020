//! The course of a pairing, the same for both devices: meet, then pass the credential.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use interocitor_crypto::agreement::{PrivateKey, PublicKey, short_code};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use super::{
    Capabilities, Intent, PairingOptions, PairingPayload, capabilities,
    envelope::{Credential, Fault, KEY_INFO, Seal},
    relay::{File, Relay},
};
use crate::{
    error::{Error, Result},
    events::Event,
    host::{Host, run_blocking, within},
    mailbox::StorageAdapter,
    sync::Context,
};

/// How long the files of a pairing that ended may take to be removed.
const GOODBYE: Duration = Duration::from_secs(10);

/// How long the receipt for a credential may take.
const RECEIPT: Duration = Duration::from_secs(30);

/// One pairing as one of its devices sees it.
pub(crate) struct Handshake {
    ctx: Arc<Context>,
    relay: Arc<Relay>,
    payload: PairingPayload,
    is_generator: bool,
    own: PrivateKey,
    capabilities: Capabilities,
    timeout: Duration,
    /// One step at a time.
    stage: tokio::sync::Mutex<Stage>,
    litter: Arc<Litter>,
    /// Set once the user has had enough.
    cancelled: watch::Sender<bool>,
    /// Its end, in whatever way, lets the guard clean up.
    _alive: oneshot::Sender<()>,
}

/// How far it is.
enum Stage {
    /// Nobody has answered. The code is good until then.
    Waiting {
        until_ms: u64,
    },
    Met(Box<Met>),
    /// Whatever came of it, it is over.
    Ended,
}

/// The other device is there.
struct Met {
    seal: Arc<Seal>,
    /// What the scanner wrote.
    hello: Vec<u8>,
    code: String,
    /// The user has so long to compare.
    until_ms: u64,
    /// What was sent, should the caller have given up while it was under way.
    sent: Option<Vec<u8>>,
}

/// Files to be removed in the end.
#[derive(Debug, Default)]
struct Litter(Mutex<Vec<File>>);

/// What the scanner writes first.
#[derive(Serialize, Deserialize)]
struct Hello {
    #[serde(rename = "pub")]
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capabilities: Option<capabilities::Wire>,
}

impl Handshake {
    /// Makes a code to be shown. The folder exists when this returns.
    pub(crate) async fn generate(
        ctx: Arc<Context>,
        adapter: Arc<dyn StorageAdapter>,
        intent: Intent,
        options: &PairingOptions,
    ) -> Result<Self> {
        let own = draw_key(&*ctx.host);
        let mut id = [0; 12];
        ctx.host.random(&mut id);
        let payload = PairingPayload {
            intent,
            handshake_id: hex(&id),
            generator_pub: own.public_key(),
            adapter_config: adapter.handshake_config(),
            capabilities: options.capabilities.clone(),
        };
        let handshake = Self::new(ctx, adapter, payload, own, true, options);
        // The credential is its giver's: if this device cannot take it, there must be no receipt.
        if handshake.sends() {
            handshake.litter.add(&[File::Credential]);
        }
        handshake.litter.add(&[File::Hello]);
        handshake.within_timeout("the mailbox", handshake.relay.prepare()).await?;
        handshake.ctx.emit(&Event::PairingWaiting { intent: intent.as_str() });
        Ok(handshake)
    }

    /// Takes part in the pairing of a code that was scanned. Nothing is written yet.
    pub(crate) async fn scan(
        ctx: Arc<Context>,
        adapter: Arc<dyn StorageAdapter>,
        payload: PairingPayload,
        options: &PairingOptions,
    ) -> Result<Self> {
        options.capabilities.check_with(&payload.capabilities)?;
        let own = draw_key(&*ctx.host);
        let handshake = Self::new(ctx, adapter, payload, own, false, options);
        handshake.within_timeout("the mailbox", handshake.relay.authenticate()).await?;
        Ok(handshake)
    }

    fn new(
        ctx: Arc<Context>,
        adapter: Arc<dyn StorageAdapter>,
        payload: PairingPayload,
        own: PrivateKey,
        is_generator: bool,
        options: &PairingOptions,
    ) -> Self {
        let host = Arc::clone(&ctx.host);
        let relay =
            Relay::new(adapter, Arc::clone(&host), &options.relay_base, &payload, options.poll_interval);
        let (relay, litter) = (Arc::new(relay), Arc::new(Litter::default()));
        let (alive, ended) = oneshot::channel::<()>();
        let guard = {
            let (relay, litter, host) = (Arc::clone(&relay), Arc::clone(&litter), Arc::clone(&host));
            async move {
                // It never sends: it is dropped.
                let _ = ended.await;
                litter.clear(&relay, &*host, GOODBYE).await;
            }
        };
        host.spawn(Box::pin(guard));
        let until_ms = deadline(&*host, options.timeout);
        Self {
            ctx,
            relay,
            payload,
            is_generator,
            own,
            capabilities: options.capabilities.clone(),
            timeout: options.timeout,
            stage: tokio::sync::Mutex::new(Stage::Waiting { until_ms }),
            litter,
            cancelled: watch::Sender::new(false),
            _alive: alive,
        }
    }

    pub(crate) fn payload(&self) -> &PairingPayload {
        &self.payload
    }

    /// Whether this device gives the credential.
    pub(crate) fn sends(&self) -> bool {
        self.is_generator == (self.payload.intent == Intent::Share)
    }

    /// Waits for the other device; gives the code that both show.
    pub(crate) async fn meet(&self) -> Result<String> {
        self.step(async |stage| {
            self.ensure_met(stage).await?;
            match stage {
                Stage::Met(met) => Ok(met.code.clone()),
                _ => Err(used_up()),
            }
        })
        .await
    }

    /// Gives the credential. The other device has it when this returns.
    pub(crate) async fn give(&self, credential: &Credential) -> Result<()> {
        self.step(async |stage| {
            self.ensure_met(stage).await?;
            let Stage::Met(met) = stage else { return Err(used_up()) };
            self.send(met, credential).await?;
            self.finish(stage).await;
            Ok(())
        })
        .await
    }

    /// Waits for the credential and hands it to `accept`, before the other device learns that it was taken.
    pub(crate) async fn take<T: Send>(
        &self,
        accept: impl FnOnce(Credential) -> Result<T> + Send,
    ) -> Result<T> {
        self.step(async |stage| {
            self.ensure_met(stage).await?;
            let Stage::Met(met) = stage else { return Err(used_up()) };
            let accepted = accept(self.receive(met).await?)?;
            self.finish(stage).await;
            Ok(accepted)
        })
        .await
    }

    /// The credential is where it belongs.
    async fn finish(&self, stage: &mut Stage) {
        *stage = Stage::Ended;
        self.ctx.emit(&Event::PairingReceived { intent: self.payload.intent.as_str() });
        // Who gave it waits for its file to go: that is the receipt.
        self.litter.add(&[File::Credential, File::Hello]);
        self.litter.clear(&self.relay, &*self.ctx.host, RECEIPT).await;
    }

    /// Ends it. Whoever waits learns of it, and the files are gone when this returns, if they can be removed.
    pub(crate) async fn cancel(&self) {
        self.cancelled.send_replace(true);
        let mut stage = self.stage.lock().await;
        *stage = Stage::Ended;
        self.litter.clear(&self.relay, &*self.ctx.host, GOODBYE).await;
    }

    /// Runs a step of it until the user has had enough. A failure ends it, unless it was only interrupted.
    async fn step<T>(&self, work: impl AsyncFnOnce(&mut Stage) -> Result<T>) -> Result<T> {
        let mut cancelled = self.cancelled.subscribe();
        let mut stage = self.stage.lock().await;
        let outcome = tokio::select! {
            biased;
            _ = cancelled.wait_for(|is_cancelled| *is_cancelled) => Err(Error::UserCancelled),
            outcome = work(&mut stage) => outcome,
        };
        if outcome.is_err() && !matches!(*stage, Stage::Ended) {
            *stage = Stage::Ended;
            self.litter.clear(&self.relay, &*self.ctx.host, GOODBYE).await;
        }
        outcome
    }

    async fn ensure_met(&self, stage: &mut Stage) -> Result<()> {
        let Stage::Waiting { until_ms } = *stage else { return Ok(()) };
        let left = self.left(until_ms)?;
        let (hello, theirs, scanner_pub, scanner_capabilities) = if self.is_generator {
            let (hello, key, capabilities) =
                self.limited(left, "the other device", self.await_hello()).await?;
            (hello, key, key, capabilities)
        } else {
            let hello = self.limited(left, "the mailbox", self.say_hello()).await?;
            (hello, self.payload.generator_pub, self.own.public_key(), self.capabilities.clone())
        };
        let key = self.own.agree(&theirs, KEY_INFO);
        let seal = Seal::new(key, &self.payload, &scanner_pub, &scanner_capabilities);
        let generator_pub = self.payload.generator_pub;
        let code =
            run_blocking(&*self.ctx.host, move || Ok(short_code(&generator_pub, &scanner_pub))).await?;
        let until_ms = deadline(&*self.ctx.host, self.timeout);
        *stage = Stage::Met(Box::new(Met { seal: Arc::new(seal), hello, code, until_ms, sent: None }));
        self.ctx.emit(&Event::PairingScanned { intent: self.payload.intent.as_str() });
        Ok(())
    }

    /// The generator's part: waits for the scanner's key.
    async fn await_hello(&self) -> Result<(Vec<u8>, PublicKey, Capabilities)> {
        let mut patience = Patience::default();
        self.relay
            .wait(File::Hello, |found| {
                let Some(file) = found else { return Ok(None) };
                let hello = serde_json::from_slice::<Hello>(file).ok();
                let said = hello.and_then(|hello| {
                    let key = PublicKey::from_text(&hello.key)?;
                    Some((key, Capabilities::received(hello.capabilities)?))
                });
                match said {
                    Some((key, capabilities)) => {
                        self.capabilities.check_with(&capabilities)?;
                        Ok(Some((file.to_vec(), key, capabilities)))
                    }
                    None if patience.is_over(file) => Err(Error::rejected(
                        "what the other device wrote cannot be read; start again with a new code",
                    )),
                    None => Ok(None),
                }
            })
            .await
    }

    /// The scanner's part: writes its key, which only one device can.
    async fn say_hello(&self) -> Result<Vec<u8>> {
        let hello = Hello { key: self.own.public_key().to_text(), capabilities: self.capabilities.to_wire() };
        // Texts alone: this cannot fail.
        let hello = serde_json::to_vec(&hello).unwrap_or_default();
        if !self.relay.create(File::Hello, &hello).await? {
            return Err(Error::rejected(
                "another device has scanned this code already; start again with a new code",
            ));
        }
        self.litter.add(&[File::Hello]);
        Ok(hello)
    }

    async fn send(&self, met: &mut Met, credential: &Credential) -> Result<()> {
        let sealed = match &met.sent {
            Some(sealed) => sealed.clone(),
            None => {
                let left = self.left(met.until_ms)?;
                let sealed = met.seal.seal(&*self.ctx.host, credential)?;
                let is_same = self.limited(left, "the mailbox", self.relay.read(File::Hello)).await?;
                if is_same.as_ref() != Some(&met.hello) {
                    return Err(Error::rejected(
                        "another device answered meanwhile, or the mailbox was tampered with; nothing was sent",
                    ));
                }
                met.sent = Some(sealed.clone());
                sealed
            }
        };
        self.litter.add(&[File::Credential]);
        let is_ours =
            self.within_timeout("the mailbox", self.relay.create(File::Credential, &sealed)).await?;
        if !is_ours {
            return Err(Error::rejected(
                "something else lies where the credential belongs; start again with a new code",
            ));
        }
        self.ctx.emit(&Event::PairingSent { intent: self.payload.intent.as_str() });
        let taken = self.relay.wait(File::Credential, |found| Ok(found.is_none().then_some(())));
        self.within_timeout("the other device to take the credential", taken).await
    }

    async fn receive(&self, met: &Met) -> Result<Credential> {
        let mut patience = Patience::default();
        let seal = Arc::clone(&met.seal);
        let credential = self.relay.wait(File::Credential, move |found| {
            let Some(file) = found else { return Ok(None) };
            match seal.open(file) {
                Ok(credential) => Ok(Some(credential)),
                Err(Fault::Unreadable) if !patience.is_over(file) => Ok(None),
                Err(Fault::Unreadable) => {
                    Err(Error::rejected("what came is no credential; start again with a new code"))
                }
                Err(Fault::Refused(error)) => Err(error),
            }
        });
        self.within_timeout("the credential from the other device", credential).await
    }

    async fn within_timeout<T>(
        &self,
        waited_for: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.limited(self.timeout, waited_for, work).await
    }

    /// Completes with the work, or with `PAIRING_TIMEOUT`.
    async fn limited<T>(
        &self,
        limit: Duration,
        waited_for: &'static str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match within(&*self.ctx.host, limit, STAGE, work).await {
            Err(Error::RemoteTimeout { stage: STAGE }) => {
                Err(Error::PairingTimeout { waited_for, problem: self.relay.problem() })
            }
            outcome => outcome,
        }
    }

    /// The time that is left.
    fn left(&self, until_ms: u64) -> Result<Duration> {
        match until_ms.saturating_sub(self.ctx.host.now_ms()) {
            0 => Err(Error::PairingTimeout { waited_for: "this code, which has expired", problem: None }),
            // A clock that was set back does not make it longer.
            left => Ok(Duration::from_millis(left).min(self.timeout)),
        }
    }
}

/// Marks our own deadline among the timeouts.
const STAGE: &str = "pairing";

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake")
            .field("intent", &self.payload.intent)
            .field("is_generator", &self.is_generator)
            .finish_non_exhaustive()
    }
}

impl Litter {
    fn files(&self) -> MutexGuard<'_, Vec<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, files: &[File]) {
        let mut all = self.files();
        for file in files {
            if !all.contains(file) {
                all.push(*file);
            }
        }
    }

    /// Removes the files, once, and not for ever.
    async fn clear(&self, relay: &Relay, host: &dyn Host, limit: Duration) {
        let files = std::mem::take(&mut *self.files());
        let removing = async {
            relay.remove(&files).await;
            Ok(())
        };
        // What takes longer stays: nobody can read it.
        let _ = within(host, limit, STAGE, removing).await;
    }
}

/// A file that cannot be read may still be under way: the same content twice is final.
#[derive(Default)]
struct Patience(Option<Vec<u8>>);

impl Patience {
    fn is_over(&mut self, file: &[u8]) -> bool {
        if self.0.as_deref() == Some(file) {
            return true;
        }
        self.0 = Some(file.to_vec());
        false
    }
}

fn draw_key(host: &dyn Host) -> PrivateKey {
    loop {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        host.random(&mut *bytes);
        if let Some(key) = PrivateKey::from_bytes(&bytes) {
            return key;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn deadline(host: &dyn Host, timeout: Duration) -> u64 {
    host.now_ms().saturating_add(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))
}

fn used_up() -> Error {
    Error::rejected("this pairing is over; start a new one")
}
