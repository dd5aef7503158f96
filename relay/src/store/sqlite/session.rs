//! The writer's connection with what it keeps prepared.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{CachedStatement, Connection, PrepFlags, Statement};

use super::failure::Failure;
use super::log::Log;
use super::{accept, record, usage};
use crate::model::id::TenantId;

/// A connection that writes, for as long as it is sound.
pub(super) struct Session<'c> {
    connection: &'c Connection,
    begin: Statement<'c>,
    commit: Statement<'c>,
    log: Log<'c>,
    pub(super) accept: accept::Statements<'c>,
    pub(super) record: record::Statements<'c>,
    /// The event that pruning looked at last, so that it does not look again and again at
    /// old events that have to stay; 0 to begin anew.
    pub(super) pruned_to: i64,
    /// The tenants whose events are counted.
    pub(super) metered: HashSet<TenantId>,
}

impl<'c> Session<'c> {
    /// Prepares what the hot path needs.
    pub(super) fn new(
        connection: &'c Connection,
        path: &Path,
        checkpoint_pages: usize,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: keep(connection, "BEGIN IMMEDIATE")?,
            commit: keep(connection, "COMMIT")?,
            log: Log::new(connection, path, checkpoint_pages)?,
            accept: accept::Statements::new(connection)?,
            record: record::Statements::new(connection)?,
            pruned_to: 0,
            metered: usage::metered(connection)?,
            connection,
        })
    }

    /// A statement off the hot path.
    pub(super) fn statement(&self, sql: &str) -> rusqlite::Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql)
    }

    /// The connection, for reading what this transaction sees.
    pub(super) const fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Opens a transaction.
    pub(super) fn begin(&mut self) -> rusqlite::Result<()> {
        self.begin.execute([]).map(drop)
    }

    /// Makes it durable: returns after the sync.
    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.commit.execute([]).map(drop)
    }

    /// Undoes what SQLite has not undone itself.
    pub(super) fn roll_back(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction was not rolled back");
        }
        // What was undone, by whomever, may have been what is in here.
        match usage::metered(self.connection) {
            Ok(metered) => self.metered = metered,
            Err(error) => tracing::error!(%error, "which tenants are counted cannot be read"),
        }
    }

    /// Has the write-ahead log copied into the database once it has grown enough.
    pub(super) fn checkpoint(&mut self) -> Result<(), Failure> {
        self.log.tend()
    }
}

/// Prepares a statement for the life of the connection.
pub(super) fn keep<'c>(connection: &'c Connection, sql: &str) -> rusqlite::Result<Statement<'c>> {
    connection.prepare_with_flags(sql, PrepFlags::SQLITE_PREPARE_PERSISTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use crate::store::sqlite::schema;

    #[test]
    fn who_is_counted_is_read_again_where_sqlite_rolled_back_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.db");
        let mut connection = schema::open_writer(&path).unwrap();
        schema::migrate(&mut connection, &path).unwrap();
        let mut session = Session::new(&connection, &path, 100).unwrap();
        session.begin().unwrap();
        usage::meter(&mut session, &[TenantId::DEFAULT], Timestamp::from_millis(0)).unwrap();
        assert!(session.metered.contains(&TenantId::DEFAULT));
        let twice = "INSERT OR ROLLBACK INTO marks (name, value) VALUES ('checkpoint', 1)";
        assert!(connection.execute_batch(twice).is_err());
        assert!(connection.is_autocommit(), "nothing is left to roll back");
        session.roll_back();
        assert!(session.metered.is_empty());
    }
}
