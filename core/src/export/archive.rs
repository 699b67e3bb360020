//! The encrypted form: a line that says how the key is made, and one envelope over a tar.

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use interocitor_crypto::{
    Decryptor, EnvelopeOpener, Key, OpenError, Passphrase,
    digest::sha256_hex,
    stretch::{Cost, SALT_BYTES, stretch},
};

use super::{Course, failed, invalid, line::check_version};
use crate::{
    bodies::{Bodies, Part},
    error::{Error, Result},
    host::Host,
    wire::record::Record,
};

/// What the first line calls itself.
const FORMAT: &str = "interocitor-archive";

/// Labels of what is derived from the secret. The first one goes on with the digest of the first line, so that nothing of
/// it can be changed unnoticed.
const KEY_LABEL: &str = "interocitor/native/archive/v1/";
const CHECK_LABEL: &str = "interocitor/native/archive-check/v1/";

/// The longest first line, in bytes.
const MAX_LINE: usize = 4096;

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// How the text in front of a folder's files shows what it is not.
const WHAT: &str = "the archive";

/// What an archive is encrypted under.
#[derive(Debug, Clone)]
pub(crate) enum Secret {
    /// A text that a person chose.
    Passphrase(Passphrase),
    /// The key of a mesh.
    Mesh { key: Key, mesh_id: Option<String> },
}

/// The first line of a new archive, without its end, and the key of what follows.
pub(super) fn new_head(secret: &Secret, host: &dyn Host) -> Result<(Vec<u8>, Key)> {
    let mut salt = [0; SALT_BYTES];
    host.random(&mut salt);
    let mut record = Record::default();
    record.set_text("format", FORMAT);
    record.set_integer("version", super::line::VERSION);
    let base = match secret {
        Secret::Passphrase(passphrase) => {
            if passphrase.expose().is_empty() {
                return Err(Error::invalid("passphrase", "it is empty"));
            }
            let cost = Cost::default();
            record.set_text("key", "passphrase");
            record.set_text("kdf", "argon2id");
            record.set_integer("memory", cost.memory.into());
            record.set_integer("passes", cost.passes.into());
            record.set_integer("lanes", cost.lanes.into());
            stretched(passphrase, &salt, cost)?
        }
        Secret::Mesh { key, mesh_id } => {
            record.set_text("key", "mesh");
            if let Some(mesh_id) = mesh_id {
                record.set_text("meshId", mesh_id);
            }
            key.clone()
        }
    };
    let salt = STANDARD.encode(salt);
    record.set_text("salt", &salt);
    record.set_text("check", &check_of(&base, &salt));
    let line = record.compact();
    let key = base.derive(&format!("{KEY_LABEL}{}", sha256_hex(&line)));
    Ok((line, key))
}

fn stretched(passphrase: &Passphrase, salt: &[u8; SALT_BYTES], cost: Cost) -> Result<Key> {
    stretch(passphrase.expose(), salt, cost).map_err(|error| invalid(WHAT, error.to_string()))
}

/// Tells a wrong secret at once, and gives nothing away that the tag would not.
fn check_of(base: &Key, salt: &str) -> String {
    let check = base.derive(&format!("{CHECK_LABEL}{salt}"));
    check.as_bytes()[..16].iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The key that the first line of an archive stands for.
fn key_of(line: &[u8], passphrase: Option<&Passphrase>, mesh: Option<&Key>) -> Result<Key> {
    let wrong = |reason: &str| invalid(WHAT, reason);
    let record = Record::parse(line).map_err(|_| wrong("this is no archive of Interocitor"))?;
    if record.text("format").as_deref() != Some(FORMAT) {
        return Err(wrong("this is no archive of Interocitor"));
    }
    check_version(record.integer("version"), WHAT)?;
    let salt = record.text("salt").ok_or_else(|| wrong("its first line is damaged"))?;
    let base = match record.text("key").as_deref() {
        Some("passphrase") => {
            let passphrase = passphrase.ok_or(Error::ArchivePassphrase {
                reason: "it is encrypted under a passphrase of its own: give that".into(),
            })?;
            let number = |name| record.integer(name).and_then(|number| u32::try_from(number).ok());
            let (Some("argon2id"), Some(memory), Some(passes), Some(lanes)) =
                (record.text("kdf").as_deref(), number("memory"), number("passes"), number("lanes"))
            else {
                return Err(wrong("its key is made in a way that this version does not know"));
            };
            let bytes: Option<[u8; SALT_BYTES]> =
                STANDARD.decode(&salt).ok().and_then(|bytes| bytes.try_into().ok());
            let bytes = bytes.ok_or_else(|| wrong("its first line is damaged"))?;
            stretched(passphrase, &bytes, Cost { memory, passes, lanes })?
        }
        Some("mesh") => match (passphrase, mesh) {
            (Some(passphrase), _) => passphrase.to_key().map_err(|_| Error::ArchivePassphrase {
                reason: "it is encrypted under the key of a mesh, and what was given is no passphrase of one"
                    .into(),
            })?,
            (None, Some(key)) => key.clone(),
            (None, None) => {
                let reason = "it is encrypted under the key of a mesh: give the passphrase of that";
                return Err(Error::ArchivePassphrase { reason: reason.into() });
            }
        },
        _ => return Err(wrong("its key is made in a way that this version does not know")),
    };
    if record.text("check").as_deref() != Some(&check_of(&base, &salt)) {
        return Err(Error::ArchivePassphrase { reason: "the passphrase is another one".into() });
    }
    Ok(base.derive(&format!("{KEY_LABEL}{}", sha256_hex(line))))
}

/// What an archive holds, proven and still encrypted; decrypted while it is read.
#[derive(Debug)]
pub(super) struct Opened {
    part: Part,
    decryptor: Decryptor,
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.part.read(buffer)?;
        self.decryptor.apply(&mut buffer[..count]).map_err(std::io::Error::other)?;
        Ok(count)
    }
}

/// Opens an archive: all of it is read and proven before anything of it is known. Blocks.
pub(super) fn open(
    path: &Path,
    (passphrase, mesh): (Option<&Passphrase>, Option<&Key>),
    bodies: &Bodies,
    host: &dyn Host,
    course: &Course,
) -> Result<Opened> {
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    let mut reader = BufReader::with_capacity(PIECE, file);
    let line = first_line(&mut reader, path)?;
    let key = key_of(&line, passphrase, mesh)?;
    let mut opener = EnvelopeOpener::new(&key);
    let mut part = bodies.part(host)?;
    let (mut piece, mut ciphertext) = (vec![0; PIECE], Vec::new());
    loop {
        let count = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(path, &error)),
        };
        ciphertext.clear();
        opener.update(&piece[..count], &mut ciphertext).map_err(|error| damaged(&error))?;
        part.write(&ciphertext)?;
        course.add(0, 0, 0)?;
    }
    let decryptor = opener.finish().map_err(|error| damaged(&error))?;
    part.rewind()?;
    Ok(Opened { part, decryptor })
}

fn damaged(error: &OpenError) -> Error {
    // The key was proven by the first line.
    let reason = match error {
        OpenError::WrongKeyOrCorrupt => "it was damaged or changed: nothing of it was taken".to_owned(),
        error => format!("it was damaged or cut short ({error}): nothing of it was taken"),
    };
    invalid(WHAT, reason)
}

fn first_line(reader: &mut BufReader<File>, path: &Path) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match reader.read(&mut byte) {
            Ok(0) => {
                return Err(invalid(WHAT, "this is no archive of Interocitor, or one that was cut short"));
            }
            Ok(_) if byte[0] == b'\n' => return Ok(line),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(path, &error)),
        }
        if line.len() > MAX_LINE {
            return Err(invalid(WHAT, "this is no archive of Interocitor"));
        }
    }
}

/// Appends the line to a new archive.
pub(super) fn write_head(out: &mut impl std::io::Write, line: &[u8]) -> std::io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}
