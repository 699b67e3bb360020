//! Images laid out in the clear, for views that take a URL. Each goes when it is revoked or dropped, all of a handle when
//! it shuts down, and what a crash left behind when the store is opened next.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::kind;
use crate::{
    bodies::failed,
    error::{Error, Result},
    files::FileContent,
    host::{Host, ids},
};

/// What the name of the folder adds to that of the store.
const ENDING: &str = ".shown";

/// What stands in the path of a URL as it is.
const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where whether its process lives cannot be told, a folder is given up after this time.
const ABANDONED: Duration = Duration::from_hours(24);

/// Tells this process from former ones with the same number.
static PROCESS: OnceLock<String> = OnceLock::new();

/// The images that one handle shows.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Beside the store; nothing for one in memory.
    beside: Option<PathBuf>,
    /// Made with the first image.
    folder: Mutex<Option<Folder>>,
}

#[derive(Debug)]
enum Folder {
    Own(PathBuf),
    Temporary(tempfile::TempDir),
    Closed,
}

impl Shown {
    pub(crate) fn of(store: Option<&Path>) -> Self {
        let beside = store.map(|store| {
            let mut folder = store.as_os_str().to_owned();
            folder.push(ENDING);
            folder.into()
        });
        Self { beside, folder: Mutex::default() }
    }

    fn folder(&self, host: &dyn Host) -> Result<PathBuf> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        match &*folder {
            Some(Folder::Own(path)) => return Ok(path.clone()),
            Some(Folder::Temporary(made)) => return Ok(made.path().to_owned()),
            Some(Folder::Closed) => return Err(Error::ShutDown),
            None => {}
        }
        let Some(beside) = &self.beside else {
            let made = tempfile::tempdir().map_err(|error| failed(&std::env::temp_dir(), &error))?;
            let path = made.path().to_owned();
            *folder = Some(Folder::Temporary(made));
            return Ok(path);
        };
        let path = beside.join(format!("{}-{}-{}", std::process::id(), process(host), ids::uuid_v4(host)));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(&path).map_err(|error| failed(&path, &error))?;
        *folder = Some(Folder::Own(path.clone()));
        Ok(path)
    }

    /// Lays an image out.
    pub(crate) async fn show(&self, content: FileContent, host: &dyn Host) -> Result<ImageUrl> {
        let content_type = kind::type_of(content.info().content_type.as_deref(), &content.info().path);
        let path = self.folder(host)?.join(format!("{}.{}", ids::uuid_v4(host), kind::ending(&content_type)));
        let url = format!("file://{}", percent_encode(path.as_os_str().as_encoded_bytes(), IN_PATHS));
        // Revoked too where the caller goes away before the file is whole.
        let shown = ImageUrl { url, content_type, file: Arc::new(Laid(path)) };
        content.save_to(shown.path()).await?;
        Ok(shown)
    }

    /// Removes all of them; none is shown any more.
    pub(crate) fn close(&self) {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Folder::Own(path)) = folder.replace(Folder::Closed) {
            let _ = fs::remove_dir_all(path);
        }
    }

    /// Removes what processes that are gone left behind.
    pub(crate) fn clean(&self, host: &dyn Host) {
        let Some(beside) = &self.beside else { return };
        let Ok(entries) = fs::read_dir(beside) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let mut parts = name.to_str().unwrap_or_default().splitn(3, '-');
            let (number, token) = (parts.next().and_then(|number| number.parse().ok()), parts.next());
            let is_ours = number == Some(std::process::id());
            let is_gone = match number {
                _ if is_ours => token != Some(process(host)),
                Some(number) => !lives(number) || is_old(&entry),
                None => true,
            };
            if is_gone {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.close();
    }
}

fn process(host: &dyn Host) -> &'static str {
    PROCESS.get_or_init(|| ids::uuid_v4(host).replace('-', ""))
}

/// Whether a process may be alive.
#[cfg(unix)]
fn lives(number: u32) -> bool {
    let Some(pid) = i32::try_from(number).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

#[cfg(not(unix))]
fn lives(_: u32) -> bool {
    true
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|facts| facts.modified());
    changed.is_ok_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age > ABANDONED))
}

/// A file in the clear; gone when it is dropped.
#[derive(Debug)]
struct Laid(PathBuf);

impl Drop for Laid {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// An image that lies in the clear in a temporary file, readable by its owner only, until this and its clones are
/// dropped or one is [revoked](Self::revoke), or the database shuts down.
#[derive(Clone)]
pub struct ImageUrl {
    url: String,
    content_type: String,
    file: Arc<Laid>,
}

impl ImageUrl {
    /// As a URL, `file:///…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// As a path.
    pub fn path(&self) -> &Path {
        &self.file.0
    }

    /// The media type of the image.
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// Removes the file now, whoever else shows it.
    ///
    /// # Errors
    ///
    /// `STORE_OPEN` where the file is there and cannot be removed.
    pub fn revoke(self) -> Result<()> {
        match fs::remove_file(&self.file.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&self.file.0, &error)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ImageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageUrl").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}
