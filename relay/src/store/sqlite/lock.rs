//! Sees to it that one process at a time writes to a database.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::{Error, beside};

/// Locks the database at `path` by the file beside it, for as long as the file is held.
pub(super) fn take(path: &Path) -> Result<File, Error> {
    let lock = beside(path, ".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock)
        .map_err(|error| Error::Unavailable(format!("cannot open {}: {error}", lock.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Unavailable(format!(
            "{} is in use by another relay; stop that one, or give this one a data folder of its own",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Error::Unavailable(format!(
            "cannot lock {}: {error}",
            lock.display()
        ))),
    }
}
