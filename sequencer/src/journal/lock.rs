//! Locks against a second process on the same files.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// An exclusive lock on a file, held until dropped or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

/// Closing the file would release the lock, too, but not at once: a child process that is just being started shares the
/// open file until it runs its own program.
impl Drop for FileLock {
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked by the end of the process.
        self.file.unlock().ok();
    }
}

/// A data directory that belongs to this process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: FileLock,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{path} is in use by another process{}", holder(.pid))]
    Held {
        /// What is locked.
        path: PathBuf,
        /// The process that says that it holds it, if it could be read.
        pid: Option<u32>,
    },
    /// The lock's file cannot be made or locked.
    #[error("lock {path}: {source}")]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

fn holder(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

impl DataDir {
    /// Creates the directory if it isn't there and claims it for this process.
    pub fn lock(path: impl Into<PathBuf>) -> Result<Self, LockError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|source| LockError::Io { path: path.clone(), source })?;
        let lock = FileLock::take(&path.join("lock"))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FileLock {
    /// The lock is the kernel's, on the open file: a file left behind by a dead process locks nothing.
    pub(super) fn take(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid =
                    file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(LockError::Held { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // The pid is only for the message above, so that a full disk here stops nobody.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDir::lock(&path).unwrap();
        match DataDir::lock(&path) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        DataDir::lock(&path).unwrap();
    }
}
