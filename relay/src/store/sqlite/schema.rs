//! Opens connections and brings the schema up to date.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::failure::Failure;
use super::{Error, folder_of};

/// Marks a file as a relay's: `RLAY`.
const APPLICATION: i64 = 0x524c_4159;
/// Six events of a kilobyte to a page: in one run each about a microsecond per event cheaper
/// than 4096. 16384 was cheaper still by up to 0.7, but makes a lone event write twice as much.
const PAGE_BYTES: i64 = 8192;
/// How long a connection waits for a lock that SQLite holds for a moment.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Memory for pages, in KiB (SQLite reads a negative size as such): the writer mostly
/// appends, readers mostly read what the system's cache has.
const WRITER_CACHE: i64 = -8 * 1024;
const READER_CACHE: i64 = -2 * 1024;
/// The write-ahead log is cut back to this once a long read that made it grow is over.
const LOG_BYTES_KEPT: i64 = 64 << 20;
/// Different statements a connection keeps prepared.
const STATEMENTS_KEPT: usize = 64;

/// The steps from an empty file to today's schema; the version is their number.
const MIGRATIONS: &[&str] = &[
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0001_first.sql")),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0002_failing.sql"
    )),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0003_sealed.sql")),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0004_resources.sql"
    )),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0005_rules.sql")),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0006_jobs.sql")),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0007_inspectors.sql"
    )),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0008_monitoring.sql"
    )),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0009_tenants.sql"
    )),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0010_requests.sql"
    )),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0011_plugins.sql"
    )),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0012_expiry.sql")),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0013_paths.sql")),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0014_rollouts.sql"
    )),
    include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/migrations/0015_signatures.sql"
    )),
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/0016_media.sql")),
];

/// Opens the connection that writes, creating the file if there is none.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    create(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(Failure::from)?;
    set_up_writer(&connection).map_err(Failure::from)?;
    Ok(connection)
}

/// Creates the file so that only its owner reads it: it holds payloads.
/// SQLite gives the files beside it the same mode.
pub(super) fn create(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let is_new = !path.exists();
    match options.open(path) {
        Ok(_) => {
            if is_new {
                sync_folder(path);
            }
            Ok(())
        }
        Err(error) => Err(Error::Unavailable(format!(
            "cannot open {}: {error}",
            path.display()
        ))),
    }
}

/// Makes the name of a new file durable: SQLite does so for its log, not for the database. Like
/// SQLite, it leaves it at that if the system cannot.
pub(super) fn sync_folder(path: &Path) {
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    if let Err(error) = synced {
        tracing::debug!(%error, path = %path.display(), "the folder could not be synced");
    }
}

fn set_up_writer(connection: &Connection) -> rusqlite::Result<()> {
    // Before anything is written: a page size cannot be changed later.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    set_up(connection, WRITER_CACHE)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    // The writer does it between batches, when nobody waits for the answer.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |_| Ok(()))
}

/// Opens a connection that copies the write-ahead log into the database, as durably as the
/// writer would, and does nothing else.
pub(super) fn open_copier(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection, READER_CACHE)?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection, READER_CACHE)?;
    // Looks whether what a page says of itself can be: finds more of what has turned bad.
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Has the connection wait for locks as long as is usual.
pub(super) fn wait_for_locks(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)
}

fn set_up(connection: &Connection, cache: i64) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    wait_for_locks(connection)?;
    // A page that turns bad under a mapping would kill the process instead of failing a read.
    connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", cache)
}

/// Applies the steps that the file has not seen, each in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let found = found(connection, path)?;
    let known = MIGRATIONS.len() as i64;
    let Some(steps) = usize::try_from(found)
        .ok()
        .and_then(|done| MIGRATIONS.get(done..))
    else {
        return Err(Error::Schema { found, known });
    };
    for (step, version) in steps.iter().zip(found + 1..) {
        apply(connection, step, version).map_err(Failure::from)?;
    }
    Ok(())
}

/// The version of the schema of a relay's database that this relay knows.
///
/// # Errors
/// It is the database of another program or of a newer relay, or an empty file.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<i64, Error> {
    match found(connection, path)? {
        0 => Err(Error::Corrupt(format!(
            "{} is no database of a relay",
            path.display()
        ))),
        found if found > MIGRATIONS.len() as i64 => Err(Error::Schema {
            found,
            known: MIGRATIONS.len() as i64,
        }),
        found => Ok(found),
    }
}

/// The version of the schema that a file has; 0 for an empty one.
fn found(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let application = number(connection, "application_id")?;
    let found = number(connection, "user_version")?;
    if application != APPLICATION && (application != 0 || found != 0) {
        return Err(Error::Corrupt(format!(
            "{} is a database of another program (application id {application:#x}); choose another file",
            path.display()
        )));
    }
    Ok(found)
}

fn apply(connection: &mut Connection, step: &str, version: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

fn number(connection: &Connection, pragma: &str) -> Result<i64, Error> {
    Ok(connection
        .pragma_query_value(None, pragma, |row| row.get(0))
        .map_err(Failure::from)?)
}
