//! Opening: the store, who we are in it, and its schema.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, atomic::AtomicBool},
};

use super::{
    Inner, Interocitor, Remote, at_rest,
    connection::Facts,
    driver::Driver,
    file_worker::FileWorker,
    lease::Lease,
    replicas::Replicas,
    secrets::{Secrets, credential_name},
};
use crate::{
    bodies::Bodies,
    config::{Config, Publish, StoreLocation},
    error::{Error, Result},
    events::{ConnectionStatus, Event, EventHub},
    files::{self, Files},
    host::{Host, ids, run_blocking},
    images::Shown,
    merge::Strategies,
    replica, schema,
    store::{Durability, FileStore, MemoryStore, Store, Tx, meta::keys},
    sync::{Context, Settings, progress::Progress},
    value::Name,
    wire::layout::is_usable_device_id,
};

impl Interocitor {
    /// Opens the local database, making it where it is missing. Ready for local work at once; the
    /// network is not touched.
    ///
    /// # Errors
    ///
    /// `STORE_OPEN`, `STORE_NEWER`, `STORE_CORRUPT`, `STORE_LOCKED`, `INVALID_ARGUMENT` for an unusable device id or
    /// schema, `MESH_CREDENTIAL_MISMATCH` where the saved credential is of another mesh than the store.
    pub async fn open(config: Config) -> Result<Self> {
        if let Some(id) = config.device_id.as_deref().filter(|id| !is_usable_device_id(id)) {
            return Err(Error::invalid(
                "device id",
                format!("{id:?} may hold letters, digits, '-', '_' and '.' only"),
            ));
        }
        replica::check(&config.replicas)?;
        let saved = match &config.credentials {
            Some(credentials) => credentials.load(&credential_name(&config)).await?,
            None => None,
        };
        let at_rest::Prepared { form, lock } = at_rest::prepare(&config).await?;
        let (host, location) = (Arc::clone(&config.host), config.store.clone());
        let durability = if config.full_durability { Durability::Power } else { Durability::Process };
        let (wanted, app_schema) = (config.device_id.clone(), config.schema.clone());
        let opening = Arc::clone(&host);
        let (store, identity) = run_blocking(&*opening, move || {
            let store: Arc<dyn Store> = match &location {
                StoreLocation::File(path) => Arc::new(FileStore::open(path, durability, form.clone())?),
                StoreLocation::Memory => Arc::new(MemoryStore::new()?),
            };
            #[cfg(feature = "simulation")]
            let store: Arc<dyn Store> = Arc::new(crate::store::CrashingStore::new(store, Arc::clone(&host)));
            let path = store.path().cloned();
            let identity = store.write_with(Durability::Power, |tx| {
                identify(tx, &*host, path.as_deref(), wanted.as_deref())
            })?;
            if let Some(app_schema) = &app_schema {
                store.write_with(Durability::Process, |tx| schema::apply(tx, app_schema))?;
            }
            Ok((store, identity))
        })
        .await?;
        drop(lock);
        let inner = Arc::new(assemble(config, store, &identity));
        let files = Arc::clone(&inner);
        let cleaned = inner.ctx.blocking(move |_| {
            files.files.clean();
            files.shown.clean(&*files.config.host);
            Ok(())
        });
        cleaned.await?;
        inner.adopt_saved(saved.clone(), &identity)?;
        let local_key = inner.find_local_key(saved.as_ref()).await?;
        // Nobody else has the handle yet.
        let _ = inner.local_key.set(local_key);
        Ok(Self { inner })
    }

    /// As [`open`](Self::open), and runs `on_init` on the database before it is handed out, to seed or
    /// migrate rows. Where it fails, the database is shut down and the error returned.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and that of `on_init`.
    pub async fn open_with(config: Config, on_init: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<Self> {
        let db = Self::open(config).await?;
        if let Err(error) = on_init(&db).await {
            db.shutdown().await?;
            return Err(error);
        }
        Ok(db)
    }
}

fn assemble(config: Config, store: Arc<dyn Store>, identity: &Identity) -> Inner {
    let settings = Settings {
        server_id: config.server_id.clone(),
        managed: config.server_managed,
        schema_version: config.schema.as_ref().and_then(schema::Schema::version),
        schema_policy: config.schema_policy,
        join_policy: config.join_existing_mesh_policy,
        full_rows: config.publish == Publish::FullRows,
        device_name: config.device_name.clone(),
        device_type: config.device_type.clone(),
        stage_timeout: config.connect_stage_timeout,
        replicas: config.replicas.iter().map(|replica| replica.name.clone()).collect(),
    };
    let strategies = match &config.schema {
        Some(schema) => schema.strategies(config.merge.clone()),
        None => Strategies { database: config.merge.clone(), ..Strategies::default() },
    };
    let events = EventHub::default();
    let bodies = Bodies::of(store.path().map(PathBuf::as_path));
    let ctx = Context {
        host: Arc::clone(&config.host),
        store,
        bodies,
        progress: Progress::new(events.pulse().clone()),
        events,
        settings,
        strategies,
        device: Name::from(identity.device_id.as_str()),
        install: identity.install_id.clone(),
    };
    let secrets =
        Secrets { encrypted: config.encrypted, passphrase: config.passphrase.clone(), ..Secrets::default() };
    let remote = Remote {
        path: config.remote_path.clone(),
        adapter: None,
        link: None,
        facts: Facts::default(),
        status: ConnectionStatus::Offline,
        problem: None,
    };
    let ctx = Arc::new(ctx);
    let of_files = files::Settings {
        form: config.file_form,
        max_bytes: config.max_file_bytes,
        cache_bytes: config.file_cache_bytes,
        is_durable: config.full_durability,
    };
    Inner {
        lease: Lease::new(&*config.host),
        files: Files::new(&ctx, of_files),
        shown: Shown::of(ctx.store.path().map(PathBuf::as_path)),
        file_worker: FileWorker::default(),
        file_gate: tokio::sync::RwLock::default(),
        replicas: Replicas::new(&config.replicas),
        ctx,
        config,
        secrets: Mutex::new(secrets),
        local_key: OnceLock::new(),
        remote: Mutex::new(remote),
        exchange: tokio::sync::Mutex::new(()),
        driver: Driver::default(),
        interrupt: tokio::sync::watch::Sender::new(()),
        is_suspended: AtomicBool::new(false),
        is_shut_down: AtomicBool::new(false),
    }
}

impl Inner {
    /// Takes the saved credential into use, unless the app gave another passphrase.
    fn adopt_saved(&self, saved: Option<crate::credentials::Credentials>, identity: &Identity) -> Result<()> {
        let Some(saved) = saved else { return Ok(()) };
        let mesh_id = self.ctx.read(|tx| tx.meta(keys::MESH_ID))?;
        let is_of_a_mesh = saved.passphrase.is_some() || (saved.mesh_id.is_some() && saved.sealed.is_none());
        if !is_of_a_mesh {
            // The key of the store, or what biometrics open: nothing to take into use.
            return Ok(());
        }
        let conflict = || Event::CredentialsConflict {
            stored_device_id: saved.device_id.clone(),
            active_device_id: identity.device_id.clone(),
        };
        if self.config.passphrase.is_some() && self.config.passphrase != saved.passphrase {
            if saved.passphrase.is_some() {
                self.ctx.events.emit_at_first(conflict());
            }
            return Ok(());
        }
        if let (Some(stored), Some(active)) = (&saved.mesh_id, &mesh_id)
            && stored != active
        {
            return Err(Error::MeshCredentialMismatch { stored: stored.clone(), active: active.clone() });
        }
        let changed = saved.device_id != identity.device_id;
        if changed {
            self.ctx.events.emit_at_first(conflict());
        }
        let had_passphrase = saved.passphrase.is_some();
        let mut secrets = self.secrets();
        if secrets.passphrase.is_none() {
            secrets.passphrase = saved.passphrase;
        }
        secrets.anchor = saved.mesh_id;
        drop(secrets);
        self.ctx.events.emit_at_first(Event::CredentialsRestored {
            source: "silent-store",
            device_id_changed: changed,
            had_passphrase,
        });
        Ok(())
    }
}

/// Who this copy of the store is.
struct Identity {
    device_id: String,
    install_id: String,
}

/// Reads or makes the device id. Beside the file lies its install id, which backups should leave out:
/// where the two differ, this is a copy of the store, and it becomes a device of its own before its
/// first write, so that no clock is ever issued twice.
fn identify(tx: &Tx<'_>, host: &dyn Host, path: Option<&Path>, wanted: Option<&str>) -> Result<Identity> {
    let marker = path.map(|path| {
        let mut marker = path.as_os_str().to_owned();
        marker.push(".install");
        PathBuf::from(marker)
    });
    let beside = marker.as_ref().and_then(|marker| std::fs::read_to_string(marker).ok());
    let known = (tx.meta(keys::DEVICE_ID)?, tx.meta(keys::INSTALL_ID)?);
    if let (Some(device_id), Some(install_id)) = &known {
        let is_at_home = marker.is_none() || beside.as_deref() == Some(install_id);
        if is_at_home && wanted.is_none_or(|wanted| wanted == device_id) {
            return Ok(Identity { device_id: device_id.clone(), install_id: install_id.clone() });
        }
    }
    let identity = Identity {
        device_id: wanted.map_or_else(|| ids::uuid_v7(host), str::to_owned),
        install_id: ids::uuid_v4(host),
    };
    if let Some(marker) = &marker {
        write_marker(marker, &identity.install_id).map_err(|error| Error::StoreOpen {
            path: marker.display().to_string(),
            reason: error.to_string(),
        })?;
    }
    // Should the device id be fixed by the app, the clock at least moves past everything in the copy.
    let mut engine = tx.engine()?;
    engine.clock.tick(host.now_ms());
    tx.set_engine(&engine)?;
    tx.set_meta(keys::DEVICE_ID, &identity.device_id)?;
    tx.set_meta(keys::INSTALL_ID, &identity.install_id)?;
    // What the other copy promised and numbered is its own; what waits here waits there as well.
    for key in [
        keys::ENTRY_SEQ,
        keys::STREAM,
        keys::OBSERVED,
        keys::DEVICE_RECORD,
        keys::DEVICE_RECORD_MS,
        keys::FOUNDING,
    ] {
        tx.clear_meta(key)?;
    }
    tx.disown_outbox()?;
    Ok(identity)
}

/// Durable before the store says so too: after a crash in between, a new identity is made.
fn write_marker(path: &Path, install_id: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(install_id.as_bytes())?;
    file.sync_all()
}

/// Moves a store that cannot be opened out of the way, with its write-ahead log, and returns where it
/// is now. The next open starts empty and can join the mesh again.
///
/// # Errors
///
/// `STORE_OPEN` where the file cannot be renamed.
pub fn set_aside_store(path: &Path, host: &dyn Host) -> Result<PathBuf> {
    crate::store::set_aside(path, &ids::uuid_v7(host))
}
