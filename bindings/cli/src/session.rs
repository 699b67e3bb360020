//! A run with a store: opened by the options, connected by what it remembers, closed at the end.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use interocitor_core::{
    Config, Connection, Error, Event, Interocitor, MeshConfig, Passphrase, Schema, Status, StoreLocation,
    credentials::{CredentialStore, Credentials},
};
use zeroize::Zeroizing;

use crate::{
    args::Options,
    credentials::{FileCredentials, passphrase_in},
    failure::{Failure, Outcome},
    mailbox, places,
    progress::Listener,
    replicas,
    reply::Reply,
    settings::Settings,
    text,
};

/// Name of the app, for peers.
const APP: &str = "interocitor";

/// The mesh's folder where nobody said otherwise.
const REMOTE_PATH: &str = "/Mesh";

/// An open store.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) db: Interocitor,
    pub(crate) store: PathBuf,
    /// As the options of this run have it.
    pub(crate) settings: Settings,
    /// As the file beside the store has it.
    remembered: Settings,
    credentials: Arc<FileCredentials>,
    passphrase: Option<Passphrase>,
}

impl Session {
    /// Opens the store. Nothing is remembered and nothing sent yet.
    pub(crate) async fn open(options: &Options) -> Outcome<Self> {
        Self::open_with(options, None).await
    }

    /// As [`open`](Self::open), with a passphrase that the options do not name.
    pub(crate) async fn open_with(options: &Options, given: Option<Passphrase>) -> Outcome<Self> {
        let store = places::store(options.store.as_deref())?;
        let remembered = Settings::load(&store)?;
        let mut settings = merged(options, &remembered)?;
        let passphrase = match given {
            Some(given) => {
                settings.encrypted = true;
                Some(given)
            }
            None => options.passphrase_file.as_deref().map(read_passphrase).transpose()?,
        };
        let credentials = Arc::new(FileCredentials::of(&store));

        let mut config = Config::new(APP, StoreLocation::File(store.clone()));
        config.remote_path = Some(remote_path(&settings).to_owned());
        config.passphrase.clone_from(&passphrase);
        config.encrypted = settings.encrypted;
        config.credentials = Some(Arc::<FileCredentials>::clone(&credentials));
        config.device_id.clone_from(&options.device_id);
        config.device_name.clone_from(&settings.device_name);
        config.replicas = replicas::open(&settings.replicas)?;
        config.device_type = Some("desktop".into());
        config.schema = options.schema.as_deref().map(read_schema).transpose()?;
        // One-shot verbs say themselves when to exchange.
        config.auto_sync = false;
        let db = Interocitor::open(config).await?;
        Ok(Self { db, store, settings, remembered, credentials, passphrase })
    }

    /// Remembers what the options of a local verb said about the mesh, for the first sync to come.
    pub(crate) async fn remember(&mut self) -> Outcome<()> {
        if self.settings != self.remembered {
            self.settings.save(&self.store)?;
            self.remembered = self.settings.clone();
        }
        self.remember_passphrase().await
    }

    /// The engine saves a passphrase once a mailbox has proven it. Until then one that was given is kept
    /// where none is saved: else the first sync would found a mesh with another.
    async fn remember_passphrase(&self) -> Outcome<()> {
        let Some(passphrase) = &self.passphrase else { return Ok(()) };
        let saved = self.credentials.load(APP).await?.unwrap_or_default();
        if saved.passphrase.is_some() || saved.mesh_id.is_some() {
            return Ok(());
        }
        let given =
            Credentials { passphrase: Some(passphrase.clone()), device_id: self.db.device_id(), ..saved };
        Ok(self.credentials.save(APP, &given).await?)
    }

    /// Remembers a passphrase where none is saved; tells whether it is the one that is saved now.
    pub(crate) async fn remember_first(&mut self) -> Outcome<bool> {
        self.remember().await?;
        let saved = self.credentials.load(APP).await?.and_then(|saved| saved.passphrase);
        Ok(saved == self.passphrase)
    }

    /// Gives the engine the mailbox, if there is one, and remembers nothing.
    pub(crate) async fn attach_to_look(&self) -> Outcome<()> {
        if let Some(uri) = &self.settings.mailbox {
            self.db.set_remote_storage(Some(mailbox::open(uri)?)).await;
        }
        Ok(())
    }

    /// Gives the engine the mailbox.
    pub(crate) async fn attach(&mut self) -> Outcome<()> {
        let Some(uri) = &self.settings.mailbox else {
            return Err(Failure::invalid(
                "this store knows no mailbox: give --mailbox folder:/path once, it is remembered",
            ));
        };
        self.db.set_remote_storage(Some(mailbox::open(uri)?)).await;
        self.settings.remote_path.get_or_insert_with(|| REMOTE_PATH.to_owned());
        if self.remembered.mailbox.is_none() {
            // The first address is kept whatever comes of it; whether the mesh is encrypted is not known yet.
            let first = Settings { encrypted: self.remembered.encrypted, ..self.settings.clone() };
            first.save(&self.store)?;
            self.remembered = first;
        }
        Ok(())
    }

    /// Connects once, which exchanges everything, and remembers with what.
    pub(crate) async fn connect(&mut self) -> Outcome<Result<(), Error>> {
        match self.db.connect().await? {
            Connection::Online => {
                self.remember().await?;
                Ok(Ok(()))
            }
            Connection::Offline { error, .. } => {
                self.remember_passphrase().await?;
                Ok(Err(error))
            }
            _ => Err(Failure::new("OFFLINE", "the mailbox cannot be used now")),
        }
    }

    /// Takes part in the mesh that a pairing has configured. It is remembered once the mailbox has proven it, and
    /// also where the mailbox cannot tell now, which is returned.
    pub(crate) async fn join(&mut self, remote_path: &str) -> Outcome<Option<Error>> {
        let passphrase = self.db.get_passphrase();
        self.settings.remote_path = Some(remote_path.to_owned());
        self.settings.encrypted = passphrase.is_some();
        let mesh = MeshConfig {
            remote_path: remote_path.to_owned(),
            encrypted: passphrase.is_some(),
            passphrase: passphrase.clone(),
        };
        let problem = match self.db.join(mesh).await {
            Ok(Connection::Online) => None,
            Ok(Connection::Offline { error, .. }) | Err(error @ Error::RemoteMissing { .. }) => Some(error),
            Ok(_) => return Err(Failure::new("OFFLINE", "the mailbox cannot be used now")),
            Err(error) => return Err(error.into()),
        };
        if problem.is_some() && passphrase.is_some() {
            let given = Credentials { passphrase, device_id: self.db.device_id(), ..Credentials::default() };
            self.credentials.save(APP, &given).await?;
        }
        self.settings.save(&self.store)?;
        self.remembered = self.settings.clone();
        Ok(problem)
    }

    /// As [`connect`](Self::connect), for verbs that cannot wait for a mailbox.
    pub(crate) async fn go_online(&mut self) -> Outcome<()> {
        self.connect().await?.map_err(|error| Failure::from(error).at(&self.mailbox()))
    }

    /// The address of the mailbox, without its password.
    pub(crate) fn mailbox(&self) -> String {
        mailbox::redacted(self.settings.mailbox.as_deref().unwrap_or_default())
    }

    /// Connects and counts what came and went.
    pub(crate) async fn exchange(&mut self, listener: &Listener) -> Outcome<Exchange> {
        self.attach().await?;
        let mut events = self.db.events();
        let listener = listener.clone();
        let counting = tokio::spawn(async move {
            let mut seen = Seen::default();
            while let Some(event) = events.next().await {
                listener.note(&event);
                if seen.note(&event) {
                    break;
                }
            }
            seen
        });
        self.go_online().await?;
        let mut status = self.db.status().await?;
        if status.pending.count > 0 || status.pending.files > 0 {
            // Files wait, another process wrote meanwhile, or the flush left something behind.
            self.db.sync().await?;
            status = self.db.status().await?;
        }
        // Its event ends the counting.
        self.db.disconnect().await;
        let seen = counting.await.unwrap_or_default();
        if status.pending.failed_files > 0 {
            let waiting = self.db.file_transfers().await?;
            let problem =
                waiting.into_iter().find_map(|file| file.transfer.and_then(|transfer| transfer.problem));
            if let Some(problem) = problem {
                return Err(Failure::new(problem.code, problem.error));
            }
        }
        if let Some(problem) = status.pending.problems.first() {
            let (code, reason) = problem.split_once(": ").unwrap_or(("LIMIT", problem));
            return Err(Failure::new(code.to_owned(), reason));
        }
        Ok(Exchange { seen, status, credentials: self.credentials.path().to_owned() })
    }

    /// Lets go of the store.
    pub(crate) async fn close(self) {
        // What was written is on disk already; the log is tidied by a later run.
        let _ = self.db.shutdown().await;
    }
}

/// What a connect did.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) seen: Seen,
    pub(crate) status: Status,
    /// Where the passphrase lies.
    pub(crate) credentials: PathBuf,
}

/// What the engine told meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rows: u64,
    pub(crate) changes: u64,
    pub(crate) has_founded: bool,
    pub(crate) has_new_passphrase: bool,
    /// Rows of another mesh that made way.
    left_rows: u64,
    skewed: Option<(String, u64)>,
    /// Replicas that could not be written to, with the last reason.
    replica_problems: BTreeMap<String, String>,
    /// The counts are not complete.
    pub(crate) has_lagged: bool,
}

impl Seen {
    /// Takes note of an event; tells whether it was the last of the connection.
    fn note(&mut self, event: &Event) -> bool {
        match event {
            Event::SyncComplete { entries_merged } => self.rows += entries_merged,
            Event::FlushStart { entry_count } => self.changes += entry_count,
            Event::TraceManifest { op: "bootstrap-create", .. } => self.has_founded = true,
            Event::EncryptionResolved { strategy: "generated", .. } => self.has_new_passphrase = true,
            Event::JoinExistingMesh { local_row_count, .. } => self.left_rows += local_row_count,
            Event::ClockSkew { device, ahead_ms } => self.skewed = Some((device.clone(), *ahead_ms)),
            Event::ReplicaError { replica, code, error, .. } => {
                self.replica_problems.insert(replica.clone(), format!("{code}: {error}"));
            }
            Event::Lagged => self.has_lagged = true,
            Event::TransportTeardown { .. } => return true,
            _ => {}
        }
        false
    }
}

impl Exchange {
    /// Adds what people should know, and programs find in the status.
    pub(crate) fn notes(&self, mut reply: Reply) -> Reply {
        if self.seen.left_rows > 0 {
            let rows = text::count(self.seen.left_rows, "row");
            reply = reply.note(format!(
                "note: this store belonged to another mesh; a copy with its {rows} is now the file .before-join-… beside it"
            ));
        }
        if let Some((device, ahead_ms)) = &self.seen.skewed {
            let minutes = ahead_ms / 60_000;
            reply = reply
                .note(format!("note: the clock of device {device} is {minutes} minutes ahead of this one"));
        }
        for (replica, problem) in &self.seen.replica_problems {
            reply =
                reply.note(format!("note: the replica {replica} lacks changes until a later run: {problem}"));
        }
        if let Some(warning) = quarantine_warning(self.status.quarantined) {
            reply = reply.note(warning);
        }
        reply
    }
}

/// The one line about what cannot be read or was put aside.
pub(crate) fn quarantine_warning(items: u64) -> Option<String> {
    let what = if items == 1 { "1 item is" } else { &format!("{items} items are") };
    (items > 0).then(|| format!("warning: {what} in quarantine; see: interocitor quarantine list"))
}

pub(crate) fn remote_path(settings: &Settings) -> &str {
    settings.remote_path.as_deref().unwrap_or(REMOTE_PATH)
}

/// What is remembered, with the options of this run on top.
fn merged(options: &Options, remembered: &Settings) -> Outcome<Settings> {
    let mut settings = remembered.clone();
    if let Some(uri) = &options.mailbox {
        settings.mailbox = Some(mailbox::normalised(uri)?);
        // Checked early: a wrong address should not be remembered.
        mailbox::open(uri)?;
    }
    if let Some(path) = &options.remote_path {
        settings.remote_path = Some(path.clone());
    }
    if let Some(name) = &options.device_name {
        settings.device_name = Some(name.clone());
    }
    replicas::merge(options, &mut settings.replicas)?;
    if options.plaintext {
        settings.encrypted = false;
    } else if options.passphrase_file.is_some() {
        settings.encrypted = true;
    }
    Ok(settings)
}

/// The passphrase in a file: the bare text, or a credentials file of another store.
fn read_passphrase(path: &std::path::Path) -> Outcome<Passphrase> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::file("the passphrase file", path, &error))?;
    let text = Zeroizing::new(text);
    let bare = text.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
    match bare {
        "" => Err(Failure::invalid(format!("the passphrase file {} is empty", path.display()))),
        json if json.starts_with('{') => passphrase_in(json).ok_or_else(|| {
            Failure::invalid(format!(
                "the passphrase file {} holds JSON without a passphrase",
                path.display()
            ))
        }),
        bare => Ok(Passphrase::from(bare)),
    }
}

fn read_schema(path: &std::path::Path) -> Outcome<Schema> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::file("the schema file", path, &error))?;
    Schema::from_json(&text).map_err(|error| Failure::from(error).at(&path.display().to_string()))
}
