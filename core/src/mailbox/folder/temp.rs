//! Temporary files: written beside their target, then given its name in one step.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::path::{TEMP_PREFIX, temp_name};

/// A temporary file older than this belongs to nobody any more.
const ABANDONED: Duration = Duration::from_hours(1);

/// A temporary file; it is removed when dropped before it got its final name.
#[derive(Debug)]
pub(super) struct TempFile {
    path: PathBuf,
    pub(super) file: File,
    placed: bool,
}

impl TempFile {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let path = folder.join(temp_name().map_err(Error::other)?);
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file, placed: false })
    }

    /// Takes the name of the target, whatever stood there.
    pub(super) fn replace(mut self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target)?;
        self.placed = true;
        Ok(())
    }

    /// Takes the name of the target unless it is taken: of several racers exactly one succeeds, the
    /// others get [`ErrorKind::AlreadyExists`]. What file systems know to do this differs.
    pub(super) fn place_new(mut self, target: &Path) -> Result<()> {
        let decided = |outcome: &Result<()>| match outcome {
            Ok(()) => true,
            Err(error) => matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound),
        };
        let mut outcome = self.by_link(target);
        if !decided(&outcome) {
            outcome = self.by_exclusive_rename(target);
        }
        if !decided(&outcome) {
            outcome = self.by_claim(target);
        }
        outcome
    }

    /// A second name, which cannot replace anything; the first one goes when `self` is dropped.
    fn by_link(&mut self, target: &Path) -> Result<()> {
        fs::hard_link(&self.path, target)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    fn by_exclusive_rename(&mut self, target: &Path) -> Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE)?;
        self.placed = true;
        Ok(())
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    #[allow(clippy::unused_self, reason = "the others need it")]
    fn by_exclusive_rename(&mut self, _: &Path) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    /// The last resort: an empty file claims the name, the body follows.
    fn by_claim(&mut self, target: &Path) -> Result<()> {
        File::options().write(true).create_new(true).open(target)?;
        let outcome = fs::rename(&self.path, target);
        match outcome {
            Ok(()) => self.placed = true,
            Err(_) => drop(fs::remove_file(target)),
        }
        outcome
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed now is swept later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the temporary files that a crash left in the folder. What fails is left to the next time.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMP_PREFIX)) {
            continue;
        }
        let modified = entry.metadata().and_then(|facts| facts.modified());
        let age = modified.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Barrier;

    use super::*;

    type Place = fn(&mut TempFile, &Path) -> Result<()>;

    #[test]
    fn every_way_to_place_a_new_file_lets_exactly_one_racer_win() {
        let ways: [(&str, Place); 3] = [
            ("link", TempFile::by_link),
            ("exclusive rename", TempFile::by_exclusive_rename),
            ("claim", TempFile::by_claim),
        ];
        for (way, place) in ways {
            for _ in 0..20 {
                let folder = tempfile::tempdir().unwrap();
                let target = folder.path().join("target");
                let barrier = Barrier::new(8);
                let race = |racer: u8| {
                    let mut temp = TempFile::create(folder.path()).unwrap();
                    temp.file.write_all(&[racer; 100]).unwrap();
                    barrier.wait();
                    place(&mut temp, &target)
                };
                let race = &race;
                let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
                    let racers: Vec<_> = (0..8).map(|racer| scope.spawn(move || race(racer))).collect();
                    racers.into_iter().map(|racer| racer.join().unwrap()).collect()
                });
                let winners: Vec<usize> = (0..8).filter(|&racer| outcomes[racer].is_ok()).collect();
                assert_eq!(winners.len(), 1, "{way}: {outcomes:?}");
                let winner = u8::try_from(winners[0]).unwrap();
                assert_eq!(fs::read(&target).unwrap(), [winner; 100], "{way}");
                let losers = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
                assert!(losers.map(Error::kind).all(|kind| kind == ErrorKind::AlreadyExists), "{way}");
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{way}: files left over");
            }
        }
    }

    #[test]
    fn sweeps_only_old_files_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let name = |suffix: &str| folder.path().join(format!("{TEMP_PREFIX}{suffix}"));
        let old = SystemTime::now() - Duration::from_hours(2);
        for path in [name("old"), name("new"), folder.path().join("other")] {
            let file = File::create(&path).unwrap();
            if path != name("new") {
                file.set_modified(old).unwrap();
            }
        }
        sweep(folder.path());
        assert!(!name("old").exists());
        assert!(name("new").exists() && folder.path().join("other").exists());
    }
}
