//! The write-ahead log: copied into the database in two steps, so that no commit waits long.
//!
//! A log that has grown enough is copied by a thread of its own, which takes some ten
//! milliseconds while commits go on behind it. Then the writer copies the little that came
//! meanwhile: only when nothing is left does SQLite begin the log anew instead of letting it
//! grow.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Statement};

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
    copier: Option<JoinHandle<()>>,
}

impl<'c> Log<'c> {
    pub(super) fn new(connection: &'c Connection, path: &Path, pages_max: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            size: keep(connection, "PRAGMA wal_checkpoint(NOOP)")?,
            copy: keep(connection, COPY)?,
            pages_max: i64::try_from(pages_max).unwrap_or(i64::MAX),
            copier: None,
        })
    }

    /// Looks how far the log has grown, and does what there is to do about it.
    pub(super) fn tend(&mut self) -> rusqlite::Result<()> {
        if let Some(copier) = self.copier.take_if(|copier| copier.is_finished()) {
            join(copier);
            return self.copy.query_row([], |_| Ok(()));
        }
        if self.copier.is_some() || self.uncopied_pages()? < self.pages_max {
            return Ok(());
        }
        match start_copier(self.path.clone()) {
            Ok(copier) => {
                self.copier = Some(copier);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "no thread could be started to copy the write-ahead log");
                self.copy.query_row([], |_| Ok(()))
            }
        }
    }

    fn uncopied_pages(&mut self) -> rusqlite::Result<i64> {
        self.size
            .query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        if let Some(copier) = self.copier.take() {
            join(copier);
        }
    }
}

/// With a connection of its own each time: nothing is kept that a fault could spoil.
fn start_copier(path: PathBuf) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("relay-log".to_owned())
        .spawn(move || {
            let copied =
                schema::open_copier(&path).and_then(|connection| connection.query_row(COPY, [], |_| Ok(())));
            if let Err(error) = copied {
                tracing::warn!(%error, "the write-ahead log was not copied into the database");
            }
        })
}

fn join(copier: JoinHandle<()>) {
    if copier.join().is_err() {
        tracing::error!("the copier of the write-ahead log panicked");
    }
}
