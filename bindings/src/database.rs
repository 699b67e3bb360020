//! The database handle.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use interocitor_core::{
    Compaction as CoreCompaction, Config, Connection as CoreConnection, Interocitor as Core,
    WriteMark as CoreMark, host::TokioHost,
};
use zeroize::Zeroizing;

use crate::{
    Batch, CancelToken, Configuration, ConnectedStores, ConnectionState, Device, Diagnosis, EventListener,
    Failure, Mailbox, MeshConfiguration, Pairing, PairingOptions, PairingPayload, QuarantinedItem,
    RecoveryKit, Status, StatusWatch, Subscription, SupersededKey, Table,
    configuration::duration,
    runtime::{in_place, on_runtime, until_cancelled},
    status::whole,
};

/// A local database and, once connected, a member of a mesh.
#[derive(Debug)]
pub struct Interocitor {
    db: Core,
    /// Tells this handle from all others of the process.
    number: u64,
}

static HANDLES: AtomicU64 = AtomicU64::new(0);

/// How a connect ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Connection {
    Online,
    Offline { stage: String, code: String, reason: String },
}

impl From<CoreConnection> for Connection {
    fn from(connection: CoreConnection) -> Self {
        match connection {
            CoreConnection::Online => Connection::Online,
            CoreConnection::Offline { stage, error } => Connection::Offline {
                stage: stage.to_owned(),
                code: error.code().as_str().to_owned(),
                reason: error.to_string(),
            },
            _ => Connection::Offline {
                stage: "connect".to_owned(),
                code: "OFFLINE".to_owned(),
                reason: "the mailbox cannot be used now".to_owned(),
            },
        }
    }
}

/// Everything that was written to a store up to a moment.
#[derive(Debug)]
pub struct WriteMark(CoreMark);

/// How a compaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained in the interface")]
pub enum Compaction {
    Written { epoch: i64, rows: i64, covered: i64, deleted: i64 },
    Overtaken,
}

impl From<CoreCompaction> for Compaction {
    fn from(compaction: CoreCompaction) -> Self {
        match compaction {
            CoreCompaction::Written { epoch, rows, covered, deleted } => Compaction::Written {
                epoch: whole(epoch),
                rows: whole(rows),
                covered: whole(covered),
                deleted: whole(deleted),
            },
            // `Compaction` may grow; what is no snapshot changed nothing.
            _ => Compaction::Overtaken,
        }
    }
}

/// Moves a store that cannot be opened out of the way, and returns where it is now.
///
/// # Errors
///
/// `STORE_OPEN` where the file cannot be renamed.
pub async fn set_aside_store(path: String) -> Result<String, Failure> {
    on_runtime(async move {
        let moved = interocitor_core::set_aside_store(&PathBuf::from(path), &TokioHost)?;
        Ok(moved.display().to_string())
    })
    .await
}

#[expect(clippy::missing_errors_doc, reason = "explained in the interface")]
impl Interocitor {
    /// Opens the local database.
    pub async fn open(configuration: Configuration) -> Result<Self, Failure> {
        let config = Config::try_from(configuration)?;
        let db = on_runtime(async move { Ok(Core::open(config).await?) }).await?;
        Ok(Self { db, number: HANDLES.fetch_add(1, Ordering::Relaxed) })
    }

    /// Name of the app, as configured.
    pub fn app_name(&self) -> String {
        self.db.app_name().to_owned()
    }

    /// Id of this device in its mesh.
    pub fn device_id(&self) -> String {
        self.db.device_id()
    }

    /// Sets which mesh to take part in.
    pub fn configure_mesh(&self, mesh: MeshConfiguration) -> Result<(), Failure> {
        Ok(self.db.configure_mesh(mesh.into())?)
    }

    /// For calls that have nothing to do in the engine after its end, and would go well.
    fn check_open(&self) -> Result<(), Failure> {
        if self.db.is_shut_down() { Err(interocitor_core::Error::ShutDown.into()) } else { Ok(()) }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.db
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Runs a call of the engine on the runtime.
    pub(crate) async fn run<T: Send + 'static, F: Future<Output = Result<T, Failure>> + Send + 'static>(
        &self,
        work: impl FnOnce(Core) -> F,
    ) -> Result<T, Failure> {
        on_runtime(Box::pin(work(self.db.clone()))).await
    }

    /// The same, until the token is cancelled.
    pub(crate) async fn cancellable<
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    >(
        &self,
        cancel: Option<Arc<CancelToken>>,
        work: impl FnOnce(Core) -> F,
    ) -> Result<T, Failure> {
        // Boxed here already: exchanges are large, and moved from hand to hand on the way to the runtime.
        until_cancelled(cancel, Box::pin(work(self.db.clone()))).await
    }

    /// Sets the mailbox, or takes it away.
    pub async fn set_remote_storage(&self, mailbox: Option<Arc<Mailbox>>) -> Result<(), Failure> {
        self.check_open()?;
        let adapter = mailbox.map(|mailbox| mailbox.adapter());
        self.run(async move |db| {
            db.set_remote_storage(adapter).await;
            Ok(())
        })
        .await
    }

    /// Connects to the mailbox.
    pub async fn connect(&self, cancel: Option<Arc<CancelToken>>) -> Result<Connection, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.connect().await?.into())).await
    }

    /// Takes part in a mesh that exists.
    pub async fn join(
        &self,
        mesh: MeshConfiguration,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Connection, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.join(mesh.into()).await?.into())).await
    }

    /// Founds the mesh of this store anew.
    pub async fn rebuild_remote(&self, cancel: Option<Arc<CancelToken>>) -> Result<Connection, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.rebuild_remote().await?.into())).await
    }

    /// Ends the connection.
    pub async fn disconnect(&self) -> Result<(), Failure> {
        self.check_open()?;
        self.run(async move |db| {
            db.disconnect().await;
            Ok(())
        })
        .await
    }

    /// Reads what is new in the mailbox.
    pub async fn pull(&self, cancel: Option<Arc<CancelToken>>) -> Result<i64, Failure> {
        self.cancellable(cancel, async move |db| Ok(whole(db.pull().await?))).await
    }

    /// Publishes what waits.
    pub async fn flush(&self, cancel: Option<Arc<CancelToken>>) -> Result<i64, Failure> {
        self.cancellable(cancel, async move |db| Ok(whole(db.flush().await?))).await
    }

    /// Pulls, publishes and acknowledges.
    pub async fn sync(&self, cancel: Option<Arc<CancelToken>>) -> Result<(), Failure> {
        self.cancellable(cancel, async move |db| Ok(db.sync().await?)).await
    }

    /// Exchanges once, within the deadline.
    pub async fn sync_once(&self, deadline_ms: i64, cancel: Option<Arc<CancelToken>>) -> Result<(), Failure> {
        let deadline = duration("deadline_ms", deadline_ms)?;
        self.cancellable(cancel, async move |db| Ok(db.sync_once(deadline).await?)).await
    }

    /// Writes one snapshot of all rows.
    pub async fn compact(
        &self,
        grace_ms: i64,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Compaction, Failure> {
        let grace = duration("grace_ms", grace_ms)?;
        self.cancellable(cancel, async move |db| Ok(db.compact(grace).await?.into())).await
    }

    /// Marks everything that was written so far.
    pub async fn write_mark(&self) -> Result<Arc<WriteMark>, Failure> {
        in_place(async { Ok(Arc::new(WriteMark(self.db.write_mark()?))) }).await
    }

    /// Waits until the mailbox has confirmed everything up to the mark.
    pub async fn await_published(
        &self,
        mark: Arc<WriteMark>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<(), Failure> {
        self.cancellable(cancel, async move |db| Ok(db.await_published(&mark.0).await?)).await
    }

    /// Whether a device has merged everything up to the mark.
    pub async fn seen_by(
        &self,
        device_id: String,
        mark: Arc<WriteMark>,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<bool, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.seen_by(&device_id, &mark.0).await?)).await
    }

    /// Tells that the mailbox has news.
    pub fn poke(&self) {
        self.db.poke();
    }

    /// Tells whether the device has a network.
    pub fn set_network(&self, is_available: bool) {
        self.db.set_network(is_available);
    }

    /// Tells whether the user sees the app.
    pub fn set_foreground(&self, is_foreground: bool) {
        self.db.set_foreground(is_foreground);
    }

    /// Lets go of every file and lock.
    pub async fn suspend(&self) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.suspend().await?)).await
    }

    /// Takes the files up again.
    pub async fn resume(&self) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.resume().await?)).await
    }

    /// Ends everything.
    pub async fn shutdown(&self) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.shutdown().await?)).await
    }

    /// A table.
    pub fn table(&self, name: String) -> Arc<Table> {
        Arc::new(Table::new(self.db.clone(), name))
    }

    /// Names of all tables.
    pub async fn table_names(&self) -> Result<Vec<String>, Failure> {
        self.run(async move |db| Ok(db.table_names().await?.iter().map(ToString::to_string).collect())).await
    }

    /// A batch to be filled and committed.
    pub fn begin_batch(&self) -> Result<Arc<Batch>, Failure> {
        Ok(Arc::new(Batch::new(self.db.begin_batch()?, self.number)))
    }

    /// The whole store as one JSON object.
    pub async fn dump(&self) -> Result<String, Failure> {
        self.run(async move |db| Ok(db.dump().await?)).await
    }

    /// Subscribes a listener.
    pub fn subscribe(&self, listener: Arc<dyn EventListener>) -> Result<Arc<Subscription>, Failure> {
        self.check_open()?;
        Ok(Arc::new(Subscription::new(self.db.events(), listener)))
    }

    /// How things stand.
    pub async fn status(&self) -> Result<Status, Failure> {
        self.run(async move |db| Ok(db.status().await?.into())).await
    }

    /// How things stand, now and again whenever that has changed.
    pub fn watch_status(&self) -> Result<Arc<StatusWatch>, Failure> {
        Ok(Arc::new(StatusWatch::new(self.db.watch_status()?)))
    }

    /// Looks at everything, and mends what can be mended.
    pub async fn doctor(&self, mends: bool, cancel: Option<Arc<CancelToken>>) -> Result<Diagnosis, Failure> {
        self.cancellable(cancel, async move |db| Ok(db.doctor(mends).await?.into())).await
    }

    /// State of the connection.
    pub fn connection_state(&self) -> ConnectionState {
        self.db.connection_status().into()
    }

    /// The devices of the mesh.
    pub async fn devices(&self, cancel: Option<Arc<CancelToken>>) -> Result<Vec<Device>, Failure> {
        self.cancellable(cancel, async move |db| {
            Ok(db.devices().await?.into_iter().map(Device::from).collect())
        })
        .await
    }

    /// Retires a device that will not come back.
    pub async fn retire_device(
        &self,
        device_id: String,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<(), Failure> {
        self.cancellable(cancel, async move |db| Ok(db.retire_device(&device_id).await?)).await
    }

    /// What is in quarantine.
    pub async fn quarantined(&self) -> Result<Vec<QuarantinedItem>, Failure> {
        self.run(async move |db| Ok(db.quarantined().await?.into_iter().map(QuarantinedItem::from).collect()))
            .await
    }

    /// Takes something out of quarantine.
    pub async fn restore_quarantined(&self, name: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.restore_quarantined(&name).await?)).await
    }

    /// Lets something in quarantine go.
    pub async fn discard_quarantined(&self, name: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.discard_quarantined(&name).await?)).await
    }

    /// The mesh passphrase in use.
    pub fn get_passphrase(&self) -> Option<String> {
        self.db.get_passphrase().map(|passphrase| passphrase.expose().to_owned())
    }

    /// Uses another passphrase from the next connect on.
    pub fn set_passphrase(&self, passphrase: String) -> Result<(), Failure> {
        Ok(self.db.set_passphrase(passphrase)?)
    }

    /// The passphrases that others took the place of.
    pub async fn superseded_keys(&self) -> Result<Vec<SupersededKey>, Failure> {
        self.run(async move |db| Ok(db.superseded_keys().await?.into_iter().map(Into::into).collect())).await
    }

    /// Uses such a passphrase from the next connect on.
    pub async fn restore_superseded_key(&self, id: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.restore_superseded_key(&id).await?)).await
    }

    /// Forgets such a passphrase for good.
    pub async fn discard_superseded_key(&self, id: String) -> Result<bool, Failure> {
        self.run(async move |db| Ok(db.discard_superseded_key(&id).await?)).await
    }

    /// The passphrase in use with its mesh, as text.
    pub fn export_credentials(&self) -> Result<String, Failure> {
        self.check_open()?;
        Ok(self.db.export_credentials().to_string())
    }

    /// Takes over such a text.
    pub fn import_credentials(&self, json: String) -> Result<(), Failure> {
        Ok(self.db.import_credentials(&Zeroizing::new(json))?)
    }

    /// The key in use, for safekeeping.
    pub fn recovery_kit(&self) -> Result<Arc<RecoveryKit>, Failure> {
        Ok(Arc::new(RecoveryKit::new(self.db.recovery_kit()?)))
    }

    /// Uses the key of a recovery kit.
    pub fn recover(&self, text: String) -> Result<(), Failure> {
        Ok(self.db.recover(&Zeroizing::new(text))?)
    }

    /// Begins to share this device's mesh.
    pub async fn pair_share(
        &self,
        options: PairingOptions,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<Pairing>, Failure> {
        let options = options.try_into()?;
        self.cancellable(cancel, async move |db| Ok(Arc::new(Pairing::new(db.pair_share(options).await?))))
            .await
    }

    /// Asks to take part in the mesh of another device.
    pub async fn pair_join(
        &self,
        options: PairingOptions,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<Pairing>, Failure> {
        let options = options.try_into()?;
        self.cancellable(cancel, async move |db| Ok(Arc::new(Pairing::new(db.pair_join(options).await?))))
            .await
    }

    /// Takes part in the pairing that another device offers.
    pub async fn pair_scan(
        &self,
        payload: Arc<PairingPayload>,
        options: PairingOptions,
        cancel: Option<Arc<CancelToken>>,
    ) -> Result<Arc<Pairing>, Failure> {
        let (payload, options) = (payload.core(), options.try_into()?);
        self.cancellable(cancel, async move |db| {
            Ok(Arc::new(Pairing::new(db.pair_scan(payload, options).await?)))
        })
        .await
    }

    /// Whether there is a copy that biometrics open.
    pub async fn is_secured_with_biometrics(&self) -> Result<bool, Failure> {
        self.run(async move |db| Ok(db.is_secured_with_biometrics().await?)).await
    }

    /// Keeps a copy of the passphrase that only biometrics open.
    pub async fn secure_with_biometrics(&self, reason: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.secure_with_biometrics(&reason).await?)).await
    }

    /// Takes the passphrase from the copy that biometrics open.
    pub async fn restore_with_biometrics(&self, reason: String) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.restore_with_biometrics(&reason).await?)).await
    }

    /// Forgets the passphrase.
    pub async fn clear_credentials(&self) -> Result<(), Failure> {
        self.run(async move |db| Ok(db.clear_credentials().await?)).await
    }

    /// Credentials of sub-stores.
    pub fn connected_stores(&self) -> Arc<ConnectedStores> {
        Arc::new(ConnectedStores::new(self.db.connected_stores()))
    }
}
