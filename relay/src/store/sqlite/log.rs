//! The write-ahead log: copied into the database in two steps, so that no commit waits long.
//!
//! A log that has grown enough is copied by a thread of its own, which takes some ten
//! milliseconds while commits go on behind it. Then the writer copies the little that came
//! meanwhile: only when nothing is left does SQLite begin the log anew instead of letting it
//! grow.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ErrorCode, Statement};

use super::failure::Failure;
use super::schema;
use super::session::keep;

const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The log of the connection that writes.
pub(super) struct Log<'c> {
    path: PathBuf,
    size: Statement<'c>,
    copy: Statement<'c>,
    pages_max: i64,
    /// Copies what was in the log when it started.
    copier: Option<JoinHandle<rusqlite::Result<()>>>,
    /// Whether the last copy failed; said once.
    is_failing: bool,
}

impl<'c> Log<'c> {
    pub(super) fn new(connection: &'c Connection, path: &Path, pages_max: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            size: keep(connection, "PRAGMA wal_checkpoint(NOOP)")?,
            copy: keep(connection, COPY)?,
            pages_max: i64::try_from(pages_max).unwrap_or(i64::MAX),
            copier: None,
            is_failing: false,
        })
    }

    /// Looks how far the log has grown, and does what there is to do about it.
    ///
    /// # Errors
    /// If a write or a sync failed: it may have concerned frames of the log, too.
    pub(super) fn tend(&mut self) -> Result<(), Failure> {
        match self.try_tend() {
            Ok(Tended::Nothing) => {}
            Ok(Tended::Copied) => self.is_failing = false,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) => {
                return Err(error.into());
            }
            Err(error) if self.is_failing => {
                tracing::debug!(%error, "the write-ahead log was still not copied into the database");
            }
            Err(error) => {
                self.is_failing = true;
                tracing::warn!(%error, "the write-ahead log was not copied into the database; it grows until it is");
            }
        }
        Ok(())
    }

    fn try_tend(&mut self) -> rusqlite::Result<Tended> {
        if let Some(copier) = self.copier.take_if(|copier| copier.is_finished()) {
            let copied = join(copier);
            // Whatever became of that: the writer's own connection needs to open no file.
            self.copy.query_row([], |_| Ok(()))?;
            return copied.map(|()| Tended::Copied);
        }
        if self.copier.is_some() || self.uncopied_pages()? < self.pages_max {
            return Ok(Tended::Nothing);
        }
        match start_copier(self.path.clone()) {
            Ok(copier) => {
                self.copier = Some(copier);
                Ok(Tended::Nothing)
            }
            Err(error) => {
                tracing::debug!(%error, "no thread could be started to copy the write-ahead log");
                self.copy.query_row([], |_| Ok(Tended::Copied))
            }
        }
    }

    fn uncopied_pages(&mut self) -> rusqlite::Result<i64> {
        self.size
            .query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
    }
}

/// What there was to do.
enum Tended {
    Nothing,
    Copied,
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.copier.take().map(join) {
            tracing::debug!(%error, "the last copy of the write-ahead log failed");
        }
    }
}

/// With a connection of its own each time: nothing is kept that a fault could spoil.
fn start_copier(path: PathBuf) -> std::io::Result<JoinHandle<rusqlite::Result<()>>> {
    thread::Builder::new()
        .name("relay-log".to_owned())
        .spawn(move || schema::open_copier(&path)?.query_row(COPY, [], |_| Ok(())))
}

fn join(copier: JoinHandle<rusqlite::Result<()>>) -> rusqlite::Result<()> {
    copier.join().unwrap_or_else(|_| {
        tracing::error!("the copier of the write-ahead log panicked");
        Ok(())
    })
}
