//! Encrypted files, by SQLCipher: page by page, the log included, with a raw key of 32 bytes, so that opening costs
//! no key derivation. The salt that SQLCipher keeps in the first 16 bytes is derived from the key as well: with
//! a readable header there is no room for it in the file.

use std::{
    fmt::Write as _,
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use interocitor_crypto::Key;
use rusqlite::{Connection, OpenFlags};
use zeroize::Zeroizing;

use super::{cipher::Form, file::make_private, session::MOVED};
use crate::error::{Error, Result, from_sqlite};

/// How a file begins that SQLite can read without a key.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where a file says how many bytes of each page are kept for a cipher: none in a plain one.
const RESERVED_AT: usize = 20;

/// Label under which the salt is derived from the key. Changing it locks every store.
const SALT_INFO: &str = "interocitor/native/store-salt/v1";

/// Bytes left readable, as iOS needs them to see that a file is an SQLite database.
const HEADER: u32 = 32;

/// Key and shape of an encrypted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) key: Key,
    /// Whether the first 32 bytes, which hold nothing of the rows, are left readable.
    pub(crate) plaintext_header: bool,
}

impl Seal {
    /// Key and salt as SQLCipher takes them raw.
    fn spell(&self) -> Zeroizing<String> {
        let salt = self.key.derive(SALT_INFO);
        let mut text = Zeroizing::new(String::with_capacity(3 + 2 * (32 + 16)));
        text.push_str("x'");
        for byte in self.key.as_bytes().iter().chain(&salt.as_bytes()[..16]) {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\'');
        text
    }

    /// Gives the key for one database of a connection.
    pub(super) fn enter(&self, conn: &Connection, database: &str) -> Result<()> {
        let failed = |_| Error::StoreOpen {
            path: String::new(),
            // What SQLite says may quote the statement, and with it the key.
            reason: "SQLCipher did not take the key".into(),
        };
        conn.pragma_update(Some(database), "key", &**self.spell()).map_err(failed)?;
        self.shape(conn, database).map_err(failed)
    }

    fn shape(&self, conn: &Connection, database: &str) -> rusqlite::Result<()> {
        let header = if self.plaintext_header { HEADER } else { 0 };
        conn.pragma_update(Some(database), "cipher_plaintext_header_size", header)
    }
}

/// Writes a file anew in another form, while nobody else has it open. A crash anywhere leaves the file in the one
/// form or in the other.
pub(crate) fn convert(path: &Path, from: &Form, to: &Form) -> Result<()> {
    let place = path.display().to_string();
    let explain = |error: rusqlite::Error| from.explain(from_sqlite(&error, &place));
    let source = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(explain)?;
    if let Form::Sealed(seal) = from {
        seal.enter(&source, "main")?;
    }
    // Fails where others have it open; leaves no log behind, and nobody else gets in.
    source
        .execute_batch(
            "PRAGMA temp_store = MEMORY; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE;
             BEGIN EXCLUSIVE; COMMIT;",
        )
        .map_err(explain)?;
    let draft = beside(path);
    let _ = std::fs::remove_file(&draft);
    make_private(&draft);
    let outcome = copy(&source, &draft, to).map_err(explain).and_then(|()| {
        let failed =
            |error: std::io::Error| Error::StoreOpen { path: place.clone(), reason: error.to_string() };
        File::open(&draft).and_then(|file| file.sync_all()).map_err(failed)?;
        std::fs::rename(&draft, path).map_err(failed)?;
        sync_folder(path).map_err(failed)
    });
    if outcome.is_err() {
        let _ = std::fs::remove_file(&draft);
        return outcome;
    }
    // Whoever opened the former file meanwhile, and waits, must not write to it.
    let _ = source.execute_batch("PRAGMA journal_mode = MEMORY;");
    let _ = source.pragma_update(None, "user_version", MOVED);
    Ok(())
}

fn copy(source: &Connection, draft: &Path, to: &Form) -> rusqlite::Result<()> {
    let key = match to {
        Form::Plain => Zeroizing::new(String::new()),
        Form::Sealed(seal) => seal.spell(),
    };
    source.execute("ATTACH DATABASE ?1 AS draft KEY ?2", [&*draft.to_string_lossy(), &**key])?;
    if let Form::Sealed(seal) = to {
        seal.shape(source, "draft")?;
    }
    source.query_row("SELECT sqlcipher_export('draft')", [], |_| Ok(()))?;
    for pragma in ["application_id", "user_version"] {
        let value: i64 = source.pragma_query_value(Some("main"), pragma, |row| row.get(0))?;
        source.pragma_update(Some("draft"), pragma, value)?;
    }
    source.execute_batch("DETACH DATABASE draft")
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".converting");
    PathBuf::from(name)
}

/// Makes a rename durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// The form of a file as it lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// None, or an empty one.
    Nothing,
    /// Readable.
    Plain,
    /// Encrypted, or no database at all.
    Sealed {
        /// Whether its first bytes are left readable.
        plaintext_header: bool,
    },
}

/// Looks at the first bytes of a file.
pub(crate) fn look(path: &Path) -> Result<Found> {
    let failed = |error: std::io::Error| Error::StoreOpen {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let mut header = [0; RESERVED_AT + 1];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed(error)),
    };
    match file.read_exact(&mut header) {
        Ok(()) if !header.starts_with(MAGIC) => Ok(Found::Sealed { plaintext_header: false }),
        Ok(()) if header[RESERVED_AT] == 0 => Ok(Found::Plain),
        Ok(()) => Ok(Found::Sealed { plaintext_header: true }),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let is_empty = file.metadata().map_err(failed)?.len() == 0;
            Ok(if is_empty { Found::Nothing } else { Found::Plain })
        }
        // A folder, say: what opens it tells.
        Err(_) => Ok(Found::Plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, FileStore, Store, session::Session};

    #[test]
    fn who_opened_the_former_file_does_not_write_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        FileStore::open(&path, Durability::Process, Form::Plain).unwrap().close().unwrap();
        // Open, and not begun yet: as another process that waits for the lock.
        let late = Connection::open(&path).unwrap();
        let sealed = Form::Sealed(Seal { key: Key::from_bytes([7; 32]), plaintext_header: false });
        convert(&path, &Form::Plain, &sealed).unwrap();
        assert!(matches!(Session::new(late, "a.db".into(), &Form::Plain, true), Err(Error::StoreBusy)));
        FileStore::open(&path, Durability::Process, sealed).unwrap();
        assert_eq!(look(&path).unwrap(), Found::Sealed { plaintext_header: false });
    }

    #[test]
    fn a_seal_does_not_show_its_key() {
        let seal = Seal { key: Key::from_bytes([0x41; 32]), plaintext_header: true };
        assert!(!format!("{seal:?}").contains("65"));
        assert!(seal.spell().starts_with(&format!("x'{}", "41".repeat(32))));
    }
}
