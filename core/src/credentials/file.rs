//! Credentials in a file under a master passphrase, for servers and CI.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use interocitor_crypto::{
    Key, OpenError, open, seal,
    stretch::{Cost, SALT_BYTES, stretch},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{CredentialStore, Credentials, off_thread};
use crate::error::{Error, Result};

/// The version of the file that is written and understood.
const VERSION: u64 = 1;

/// Credentials in one file, encrypted under a master passphrase.
///
/// The passphrase is stretched by Argon2id at the cost of RFC 9106's second recommendation (64 MiB, 3 passes,
/// 4 lanes), with a random salt; the content is AES-256-GCM. The file is readable by its owner only and always
/// replaced as a whole; `FILE.lock` beside it keeps processes from overwriting each other's work. A short master
/// passphrase can be guessed by who has the file: let a generator make it.
pub struct FileCredentials(Arc<Vault>);

struct Vault {
    path: PathBuf,
    master: Zeroizing<String>,
    /// The key that a head of the file gave: stretching takes its time on purpose.
    stretched: Mutex<Option<(Head, Key)>>,
}

/// What the file says in the clear: enough to make the key, and to tell a wrong passphrase from damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    v: u64,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    /// The fingerprint of the key, which gives nothing of it away.
    check: String,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(flatten)]
    head: Head,
    /// The envelope, as text.
    sealed: String,
}

/// What is in the envelope: records by name.
type Records = BTreeMap<String, Box<RawValue>>;

impl FileCredentials {
    /// The file at `path`, which is made by the first save; its folder must be there. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for an empty master passphrase.
    pub fn new(path: impl AsRef<Path>, master_passphrase: Zeroizing<String>) -> Result<Self> {
        if master_passphrase.is_empty() {
            return Err(Error::invalid("master passphrase", "it is empty"));
        }
        let path = path.as_ref().to_owned();
        Ok(Self(Arc::new(Vault { path, master: master_passphrase, stretched: Mutex::new(None) })))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Vault) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let vault = Arc::clone(&self.0);
        off_thread(move || work(&vault)).await
    }
}

impl fmt::Debug for FileCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCredentials").field("path", &self.0.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialStore for FileCredentials {
    async fn load(&self, name: &str) -> Result<Option<Credentials>> {
        let name = name.to_owned();
        self.run(move |vault| {
            let Some((_, _, records)) = vault.read()? else { return Ok(None) };
            let Some(record) = records.get(&name) else { return Ok(None) };
            Credentials::from_json(record.get()).map(Some).map_err(|_| vault.damaged())
        })
        .await
    }

    async fn save(&self, name: &str, credentials: &Credentials) -> Result<()> {
        let (name, text) = (name.to_owned(), credentials.to_json());
        self.run(move |vault| {
            let record = RawValue::from_string((*text).clone()).map_err(|_| vault.damaged())?;
            vault.change(|records| {
                records.insert(name, record);
                true
            })
        })
        .await
    }

    async fn clear(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.run(move |vault| vault.change(|records| records.remove(&name).is_some())).await
    }
}

impl Vault {
    /// Reads the file; `None` where it is missing.
    fn read(&self) -> Result<Option<(Head, Key, Records)>> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable(&error)),
        };
        let content: Content = serde_json::from_slice(&text).map_err(|_| self.damaged())?;
        let head = content.head;
        if head.v != VERSION || head.kdf != "argon2id" {
            let reason = format!("{} was written by a newer version; update the app", self.path.display());
            return Err(Error::CredentialsUnavailable { reason });
        }
        let key = self.key(&head)?;
        let plain =
            Zeroizing::new(open(&key, content.sealed.as_bytes()).map_err(|_: OpenError| self.damaged())?);
        let records = serde_json::from_slice(&plain).map_err(|_| self.damaged())?;
        Ok(Some((head, key, records)))
    }

    /// Changes the records, where `change` says that it did, one process at a time.
    fn change(&self, change: impl FnOnce(&mut Records) -> bool) -> Result<()> {
        let lock = self.lock().map_err(|error| self.unusable(&error))?;
        let (head, key, mut records) = match self.read()? {
            Some(content) => content,
            None => {
                let (head, key) = self.begin()?;
                (head, key, Records::new())
            }
        };
        if change(&mut records) {
            let plain = Zeroizing::new(serde_json::to_vec(&records).map_err(|_| self.damaged())?);
            let sealed = seal(&key, random()?, &plain).map_err(|_| self.damaged())?;
            let sealed = String::from_utf8(sealed).map_err(|_| self.damaged())?;
            let text = serde_json::to_vec(&Content { head, sealed }).map_err(|_| self.damaged())?;
            self.write(&text).map_err(|error| self.unusable(&error))?;
        }
        drop(lock);
        Ok(())
    }

    /// A new file's head and key.
    fn begin(&self) -> Result<(Head, Key)> {
        let cost = Cost::default();
        let salt: [u8; SALT_BYTES] = random()?;
        let key = self.stretched(&salt, cost)?;
        let head = Head {
            v: VERSION,
            kdf: "argon2id".into(),
            memory_kib: cost.memory,
            passes: cost.passes,
            lanes: cost.lanes,
            salt: STANDARD.encode(salt),
            check: STANDARD.encode(key.fingerprint()),
        };
        self.keep(&head, &key);
        Ok((head, key))
    }

    /// The key of a file with this head.
    fn key(&self, head: &Head) -> Result<Key> {
        if let Some((known, key)) = &*self.stretched.lock().unwrap_or_else(PoisonError::into_inner)
            && known == head
        {
            return Ok(key.clone());
        }
        let salt = STANDARD.decode(&head.salt).ok().and_then(|salt| salt.try_into().ok());
        let salt: [u8; SALT_BYTES] = salt.ok_or_else(|| self.damaged())?;
        let cost = Cost { memory: head.memory_kib, passes: head.passes, lanes: head.lanes };
        let key = self.stretched(&salt, cost)?;
        if STANDARD.encode(key.fingerprint()) != head.check {
            return Err(Error::MasterPassphraseWrong { path: self.path.display().to_string() });
        }
        self.keep(head, &key);
        Ok(key)
    }

    fn stretched(&self, salt: &[u8; SALT_BYTES], cost: Cost) -> Result<Key> {
        stretch(&self.master, salt, cost).map_err(|_| self.damaged())
    }

    fn keep(&self, head: &Head, key: &Key) {
        let mut known = self.stretched.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((head.clone(), key.clone()));
    }

    /// The lock is a file of its own, since the other one is replaced by each change.
    fn lock(&self) -> io::Result<File> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.lock() {
            // Where files cannot be locked, one process is all there is.
            Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
            _ => Ok(file),
        }
    }

    /// Replaces the file: whole or not at all, and for its owner's eyes only from the first byte on.
    fn write(&self, text: &[u8]) -> io::Result<()> {
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".interocitor-").tempfile_in(folder)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    }

    fn unusable(&self, error: &io::Error) -> Error {
        Error::CredentialsUnavailable { reason: format!("{}: {error}", self.path.display()) }
    }

    fn damaged(&self) -> Error {
        Error::CredentialInvalidated { reason: format!("{} is damaged", self.path.display()) }
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::CredentialsUnavailable { reason: format!("no randomness: {error}") })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "correct horse battery staple";
    const PASSPHRASE: &str = "1thX6LZfHDZZKUs92febYZhYRcXddmzfzF2NvTkPNE";

    fn at(path: &Path, master: &str) -> FileCredentials {
        FileCredentials::new(path, master.to_owned().into()).unwrap()
    }

    fn some() -> Credentials {
        Credentials {
            passphrase: Some(PASSPHRASE.into()),
            device_id: "device-1".into(),
            ..Credentials::default()
        }
    }

    async fn code(store: &FileCredentials) -> &'static str {
        let error = store.load("a").await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains(MASTER) && !text.contains(PASSPHRASE), "{text}");
        error.code().as_str()
    }

    #[tokio::test]
    async fn only_the_master_passphrase_opens_it_and_a_wrong_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        at(&path, MASTER).save("a", &some()).await.unwrap();
        let before = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&before).into_owned();
        for secret in [PASSPHRASE, MASTER, "device-1"] {
            assert!(!text.contains(secret), "{text}");
        }
        let wrong = at(&path, "correct horse battery stapl");
        assert_eq!(code(&wrong).await, "MASTER_PASSPHRASE_WRONG");
        for outcome in [wrong.save("a", &Credentials::default()).await, wrong.clear("a").await] {
            assert_eq!(outcome.unwrap_err().code().as_str(), "MASTER_PASSPHRASE_WRONG");
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(at(&path, MASTER).load("a").await.unwrap(), Some(some()));
        assert!(FileCredentials::new(&path, String::new().into()).is_err());
    }

    #[tokio::test]
    async fn damage_is_told_apart_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        at(&path, MASTER).save("a", &some()).await.unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let change = |from: &str, to: &str| {
            assert!(whole.contains(from), "{whole}");
            whole.replace(from, to)
        };
        for (text, wanted) in [
            (String::new(), "CREDENTIAL_INVALIDATED"),
            (whole[..whole.len() / 2].to_owned(), "CREDENTIAL_INVALIDATED"),
            (change("\\\"ct\\\":\\\"", "\\\"ct\\\":\\\"AAAA"), "CREDENTIAL_INVALIDATED"),
            (change("\"salt\":\"", "\"salt\":\"A"), "CREDENTIAL_INVALIDATED"),
            (change("\"memoryKib\":65536", "\"memoryKib\":4294967295"), "CREDENTIAL_INVALIDATED"),
            (change("\"passes\":3", "\"passes\":4"), "MASTER_PASSPHRASE_WRONG"),
            (change("\"v\":1,\"kdf\"", "\"v\":2,\"kdf\""), "CREDENTIALS_UNAVAILABLE"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let store = at(&path, MASTER);
            assert_eq!(code(&store).await, wanted, "{text}");
            store.save("a", &some()).await.unwrap_err();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(at(&path, MASTER).load("a").await.unwrap(), Some(some()));
    }

    #[tokio::test]
    async fn a_folder_that_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let store = at(&folder.path().join("no/c"), MASTER);
        assert_eq!(store.load("a").await.unwrap(), None);
        let error = store.save("a", &some()).await.unwrap_err();
        assert_eq!(error.code().as_str(), "CREDENTIALS_UNAVAILABLE");
        assert!(error.to_string().contains("no/c"), "{error}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c");
        at(&path, MASTER).save("a", &some()).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
