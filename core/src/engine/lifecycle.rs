//! Connecting and disconnecting, by hand.

use std::sync::{Arc, atomic::Ordering};

use interocitor_crypto::Passphrase;

use super::{Inner, Interocitor, connection::Activity, secrets::Secrets};
use crate::{
    error::{Error, Result},
    events::Event,
    mailbox::StorageAdapter,
    store::meta::keys,
    sync::{
        Codec, Foretaste, Link, bootstrap,
        connect::{self, Connected, Terms},
        flush, manifest,
        progress::Phase,
        pull,
    },
    wire::layout::Layout,
};

/// Which mesh a device is to take part in.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// The mesh's folder in the mailbox.
    pub remote_path: String,
    /// Its passphrase, where it is known.
    pub passphrase: Option<Passphrase>,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// How a connect ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Connection {
    /// Connected, and up to date at that moment.
    Online,
    /// The mailbox cannot be used now. Local work goes on; a handle that syncs by itself tries again.
    Offline {
        /// Where it stopped: `authenticate`, `manifest`, `key`, `join`, `pull`.
        stage: &'static str,
        /// Why.
        error: Error,
    },
}

impl Connection {
    /// Whether the database is connected.
    pub fn is_online(&self) -> bool {
        matches!(self, Connection::Online)
    }
}

impl Interocitor {
    /// Sets which mesh to take part in, from the next [`connect`](Self::connect) on.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` while connected, `PASSPHRASE_WRONG` for a text that cannot be a passphrase.
    pub fn configure_mesh(&self, mesh: MeshConfig) -> Result<()> {
        self.inner.check_open()?;
        if self.inner.remote().link.is_some() {
            return Err(Error::invalid("mesh", "disconnect first"));
        }
        let had_passphrase = mesh.passphrase.is_some();
        let next = Secrets { encrypted: mesh.encrypted, passphrase: mesh.passphrase, ..Secrets::default() };
        next.resolve()?;
        *self.inner.secrets() = next;
        self.inner.remote().path = Some(mesh.remote_path);
        self.inner.ctx.emit(&Event::MeshConfigured {
            device_id: self.device_id(),
            encrypted: mesh.encrypted,
            had_passphrase,
        });
        Ok(())
    }

    /// Sets the mailbox, or takes it away. A connection to the former one ends.
    pub async fn set_remote_storage(&self, adapter: Option<Arc<dyn StorageAdapter>>) {
        let reason = if adapter.is_some() { "switch-adapter" } else { "detach" };
        self.inner.tear_down(reason).await;
        self.inner.remote().adapter = adapter;
    }

    /// Connects to the mailbox: founds the mesh where the mailbox is certainly empty, else takes part
    /// in the one that is there, pulls, and publishes what waits.
    ///
    /// # Errors
    ///
    /// What only the app or the user can mend, before anything is written or changed:
    /// `PASSPHRASE_REQUIRED`, `PASSPHRASE_WRONG`, `MESH_ENCRYPTION_MISMATCH`, `MESH_CREDENTIAL_MISMATCH`,
    /// `SCHEMA_MISMATCH`, `WRITER_MISMATCH`, `MANIFEST_INVALID`, `MANIFEST_HASH`, `REMOTE_MISSING`;
    /// `INVALID_ARGUMENT` without remote path or mailbox; and those of the store. A mailbox that cannot
    /// be reached is no error but [`Connection::Offline`].
    pub async fn connect(&self) -> Result<Connection> {
        self.inner.connect(true).await
    }

    /// Takes part in a mesh that exists, as a pairing or an invitation describes it. Never founds one.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); `REMOTE_MISSING` where there is no mesh.
    pub async fn join(&self, mesh: MeshConfig) -> Result<Connection> {
        self.configure_mesh(mesh)?;
        self.inner.connect(false).await
    }

    /// Founds the mesh of this store anew in a mailbox that lost it, from the rows that are here, and
    /// connects. The answer to `REMOTE_MISSING` when the mailbox was emptied, not when the remote path is
    /// wrong; members that hold more publish it when they connect.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the mailbox holds a mesh, or where this store never belonged to one;
    /// `PASSPHRASE_REQUIRED`; those of [`connect`](Self::connect).
    pub async fn rebuild_remote(&self) -> Result<Connection> {
        self.inner.check_open()?;
        self.inner.tear_down("disconnect").await;
        let (layout, adapter) = self.inner.destination()?;
        let resolved = self.inner.secrets().resolve()?.ok_or(Error::PassphraseRequired)?;
        bootstrap::rebuild(&self.inner.ctx, &Link::new(adapter, layout, resolved.codec)).await?;
        self.inner.connect(false).await
    }

    /// Ends the connection. What was written stays and is published after the next connect.
    pub async fn disconnect(&self) {
        self.inner.tear_down("disconnect").await;
    }

    /// Reads what is new in the mailbox; gives the number of changed rows.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` where the database is not connected; those of mailbox and store.
    pub async fn pull(&self) -> Result<u64> {
        let inner = &self.inner;
        inner
            .exchange(async |link| {
                let (manifest, pulled) = pull::pull(&inner.ctx, link, Foretaste::default()).await?;
                connect::finish(&inner.ctx, link, &manifest).await?;
                Ok(pulled.rows)
            })
            .await
    }

    /// Publishes what waits in the outbox; gives the number of change files that the mailbox
    /// acknowledged.
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull); what could not be published waits.
    pub async fn flush(&self) -> Result<u64> {
        let inner = &self.inner;
        let files = inner
            .exchange(async |link| {
                manifest::expect(&inner.ctx, link, "flush").await?;
                Ok(flush::flush(&inner.ctx, link).await?.files)
            })
            .await?;
        inner.feed_replicas().await;
        Ok(files)
    }

    /// Moves the files that wait, then pulls, publishes and acknowledges. A file that fails is told by its state and by
    /// `file:error`, and keeps nothing else back but the rows of its batch.
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull).
    pub async fn sync(&self) -> Result<()> {
        let inner = &self.inner;
        if inner.remote().link.is_some() {
            inner.run_files(true).await?;
        }
        inner.exchange(async |link| connect::exchange(&inner.ctx, link, Foretaste::default()).await).await?;
        inner.feed_replicas().await;
        Ok(())
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    pub fn is_shut_down(&self) -> bool {
        self.inner.is_shut_down.load(Ordering::Acquire)
    }

    /// Ends everything and lets go of the store. Calls after it answer `SHUT_DOWN`.
    ///
    /// # Errors
    ///
    /// Those of the store; it is closed all the same.
    pub async fn shutdown(&self) -> Result<()> {
        if self.inner.is_shut_down.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.inner.tear_down("disconnect").await;
        self.inner.shown.close();
        self.inner.ctx.events.close();
        self.inner
            .ctx
            .blocking(|ctx| {
                let checkpointed = match ctx.store.checkpoint() {
                    Err(Error::Suspended) => Ok(()),
                    outcome => outcome,
                };
                ctx.store.close()?;
                checkpointed
            })
            .await
    }
}

impl Inner {
    /// Runs one step of sync that the app asked for, while connected, one at a time. It takes the lease, and
    /// where nothing runs in the background gives it up again.
    pub(super) async fn exchange<T>(&self, work: impl AsyncFnOnce(&Arc<Link>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        let outcome = self.exchange_as_holder(async |link| {
            self.take_lease(true)?;
            work(link).await
        });
        let outcome = outcome.await;
        if !self.driver.is_running() {
            self.give_up_lease();
        }
        outcome
    }

    /// Runs one step of sync while connected, one at a time, and keeps the status true.
    async fn exchange_as_holder<T>(&self, work: impl AsyncFnOnce(&Arc<Link>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        let _one = self.exchange.lock().await;
        let link =
            self.remote().link.clone().ok_or(Error::invalid("sync", "the database is not connected"))?;
        let _busy = Busy::new(self, Activity::Syncing);
        link.forget_listing();
        let outcome = self.interruptible(work(&link)).await;
        self.note_outcome(outcome.as_ref().err());
        self.replicas.stir();
        outcome
    }

    /// Runs work until it ends or is told to break off, which every step of sync survives.
    pub(super) async fn interruptible<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut interrupt = self.interrupt.subscribe();
        self.check_open()?;
        tokio::select! {
            biased;
            outcome = work => outcome,
            _ = interrupt.changed() => Err(Error::Cancelled),
            never = self.keep_lease() => match never {},
        }
    }

    /// One exchange of the background task. A full mailbox is no failure of it: what is there was read.
    pub(super) async fn exchange_in_background(&self, may_publish: bool) -> Result<Round> {
        let known = self.remote().problem.clone();
        let round = self
            .exchange_as_holder(async |link| {
                let (manifest, pulled) = pull::pull(&self.ctx, link, Foretaste::default()).await?;
                let published = async {
                    flush::flush(&self.ctx, link).await?;
                    connect::finish(&self.ctx, link, &manifest).await
                };
                let full = match if may_publish { published.await } else { Ok(()) } {
                    Err(error @ Error::QuotaFull(_)) => Some(error),
                    outcome => outcome.map(|()| None)?,
                };
                Ok(Round { rows: pulled.rows, full })
            })
            .await?;
        if !may_publish {
            self.remote().problem = known;
        } else if round.full.is_some() {
            self.note_outcome(round.full.as_ref());
        }
        Ok(round)
    }

    /// One step of the background task, which holds the lease.
    pub(super) async fn in_background<T>(
        &self,
        work: impl AsyncFnOnce(&Arc<Link>) -> Result<T>,
    ) -> Result<T> {
        self.exchange_as_holder(work).await
    }

    /// Publishes what waits, and nothing else; tells whether the mailbox has news that are worth a pull.
    pub(super) async fn publish_in_background(&self) -> Result<bool> {
        self.exchange_as_holder(async |link| Ok(flush::flush(&self.ctx, link).await?.has_news)).await
    }

    pub(super) async fn connect(self: &Arc<Self>, may_found: bool) -> Result<Connection> {
        self.check_open()?;
        if self.remote().link.is_some() {
            self.ctx.emit(&Event::ConnectNoop { reason: "already-connected" });
            if self.config.auto_sync {
                self.start(may_found);
            }
            return Ok(Connection::Online);
        }
        self.take_lease(true)?;
        let outcome = self.connect_once(may_found).await;
        if self.config.auto_sync && !matches!(&outcome, Err(error) if !error.is_retryable()) {
            self.start(may_found);
        }
        if !self.driver.is_running() {
            self.give_up_lease();
        }
        if matches!(&outcome, Ok(Connection::Online)) {
            self.feed_replicas().await;
        }
        outcome
    }

    /// Starts what works in the background.
    fn start(self: &Arc<Self>, may_found: bool) {
        self.driver.start(self, may_found);
        self.file_worker.start(self);
        self.file_worker.wake();
        self.replicas.start(self);
    }

    /// One try to connect.
    pub(super) async fn connect_once(&self, may_found: bool) -> Result<Connection> {
        let _one = self.exchange.lock().await;
        let _busy = Busy::new(self, Activity::Connecting);
        // Boxed: it would make every future that connects a large one.
        let outcome = self.interruptible(Box::pin(self.connect_steps(may_found))).await;
        match &outcome {
            Ok(Connection::Online) => self.note_outcome(None),
            Ok(Connection::Offline { stage, error }) => {
                self.note_outcome(Some(error));
                if let Some(on_stalled) = &self.config.on_connect_stalled {
                    on_stalled(stage);
                }
            }
            Err(error) => self.note_outcome(Some(error)),
        }
        outcome
    }

    async fn connect_steps(&self, may_found: bool) -> Result<Connection> {
        let (layout, adapter) = self.destination()?;
        adapter.introduce(&self.ctx.device_id());
        let link = |codec| Arc::new(Link::new(Arc::clone(&adapter), layout.clone(), codec));
        let resolved = self.secrets().resolve()?;
        let resolved = match resolved {
            Some(resolved) => resolved,
            None => match self.without_key(&link(Codec::Plain), may_found).await? {
                Some(offline) => return Ok(offline),
                None => self.secrets().resolve()?.ok_or(Error::PassphraseRequired)?,
            },
        };
        let strategy = if resolved.codec.is_sealed() { "passphrase" } else { "none" };
        self.ctx.emit(&Event::EncryptionResolved { strategy, encrypted: resolved.codec.is_sealed() });
        let terms = {
            let secrets = self.secrets();
            let (anchor, is_new_key) = (secrets.anchor.clone(), secrets.is_generated);
            Terms { may_found, anchor, is_new_key, must_prove: resolved.must_prove }
        };
        let link = link(resolved.codec);
        match connect::connect(&self.ctx, &link, &terms).await {
            Err(Error::PassphraseRequired) => {
                // Somebody else founded first: the key that was made fits nothing.
                self.forget_generated_key().await?;
                Err(Error::PassphraseRequired)
            }
            Err(error) => Err(error),
            Ok(Connected::Offline { stage, error }) => Ok(Connection::Offline { stage, error }),
            Ok(Connected::Online) => {
                let mesh_id = self.ctx.read(|tx| tx.meta(keys::MESH_ID))?;
                self.persist_credentials(mesh_id).await?;
                self.remote().link = Some(link);
                self.file_worker.wake();
                self.replicas.stir();
                Ok(Connection::Online)
            }
        }
    }

    /// Where to connect to.
    pub(super) fn destination(&self) -> Result<(Layout, Arc<dyn StorageAdapter>)> {
        let (path, adapter) = {
            let remote = self.remote();
            (remote.path.clone(), remote.adapter.clone())
        };
        let path =
            path.ok_or(Error::invalid("remote path", "none is configured; the database is local only"))?;
        let adapter =
            adapter.ok_or(Error::invalid("mailbox", "none is set; call set_remote_storage first"))?;
        Ok((Layout::new(&path), adapter))
    }

    /// Without a key: an existing mesh needs its passphrase; an empty mailbox may get a new one.
    async fn without_key(&self, link: &Link, may_found: bool) -> Result<Option<Connection>> {
        let probe = async {
            link.adapter.authenticate().await?;
            manifest::load(&self.ctx, link, "key").await
        };
        match probe.await {
            Ok(None) if may_found && self.ctx.read(|tx| tx.meta(keys::MESH_ID))?.is_none() => {
                self.generate_key().await?;
                Ok(None)
            }
            Ok(None) | Err(Error::MeshEncryptionMismatch { .. }) => Err(Error::PassphraseRequired),
            Ok(Some(_)) => {
                Err(Error::MeshEncryptionMismatch { mesh_encrypted: false, client_encrypted: true })
            }
            Err(error) if error.mailbox_kind().is_some() || error.is_retryable() => {
                Ok(Some(Connection::Offline { stage: "manifest", error }))
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the background task and the connection.
    async fn tear_down(&self, reason: &'static str) {
        self.driver.stop();
        self.file_worker.stop();
        self.replicas.stop();
        self.interrupt.send_replace(());
        let _one = self.exchange.lock().await;
        let _none = self.file_gate.write().await;
        self.files.stop_carried();
        self.give_up_lease();
        let was_connected = self.remote().link.take().is_some();
        self.change_facts(|_| {});
        if was_connected {
            self.ctx.emit(&Event::TransportTeardown { reason });
        }
    }
}

/// What an exchange of the background task brought.
pub(super) struct Round {
    /// Rows that changed here.
    pub(super) rows: u64,
    /// The mailbox took nothing more.
    pub(super) full: Option<Error>,
}

/// Something is under way; afterwards, also when it was given up, the status is true again.
struct Busy<'a>(&'a Inner);

impl<'a> Busy<'a> {
    fn new(inner: &'a Inner, activity: Activity) -> Self {
        inner.change_facts(|facts| facts.activity = Some(activity));
        if activity == Activity::Connecting {
            inner.ctx.progress.begin(Phase::Connecting, None, None);
        }
        Self(inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.ctx.progress.end();
        self.0.change_facts(|facts| facts.activity = None);
    }
}
