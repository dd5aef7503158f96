//! A copy of the database, taken while a relay writes to it, and put back.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::failure::Failure;
use super::{Error, beside, lock, schema};

/// Pages copied between two looks at whether others want the disk: 8 MiB.
const STEP_PAGES: i32 = 1024;
const STEP_PAUSE: Duration = Duration::from_millis(1);

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub bytes: u64,
    pub events: u64,
    /// The version of its schema.
    pub schema: i64,
    /// The ids of the master keys that it is sealed with: one, but while it was being sealed with
    /// another. Empty: nothing is sealed in it.
    pub master_keys: Vec<String>,
}

/// Copies the database at `path` to a new file, as it is at one moment, whether a relay has it open
/// or not. The copy is checked, synced, and readable by its owner alone.
///
/// # Errors
/// There is a file at `to`, the database cannot be read, or the copy cannot be written; then none
/// is left.
pub fn back_up(path: &Path, to: &Path) -> Result<Copied, Error> {
    refuse_existing(to)?;
    must_exist(path)?;
    copied(path, to)
}

/// Puts a copy in the place of a database that is not there, in a folder that is made if need be.
///
/// # Errors
/// There is a database at `path`, a relay has it open, `from` is no sound database of a relay that
/// this one can read, or it cannot be written; then nothing is left.
pub fn restore(from: &Path, path: &Path) -> Result<Copied, Error> {
    must_exist(from)?;
    // On a new machine the folder is not there yet either.
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    let _lock = lock::take(path)?;
    // A log left behind would be taken for that of the restored database.
    for suffix in ["", "-wal", "-shm"] {
        refuse_existing(&beside(path, suffix))?;
    }
    look(from)?;
    copied(from, path)
}

/// Copies under another name, looks whether the copy is sound, makes it durable and gives it its
/// name.
fn copied(from: &Path, to: &Path) -> Result<Copied, Error> {
    let partial = beside(to, ".partial");
    let remove = || {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            drop(fs::remove_file(beside(&partial, suffix)));
        }
    };
    remove();
    let made = schema::create(&partial).and_then(|()| {
        copy(from, &partial).map_err(Failure::from)?;
        let copied = look(&partial)?;
        let kept = File::open(&partial)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&partial, to));
        kept.map_err(|error| unwritable(to, &error))?;
        schema::sync_folder(to);
        Ok(copied)
    });
    if made.is_err() {
        remove();
    }
    made
}

/// Copies page by page what one read transaction sees: whatever is written meanwhile is left out,
/// and does not make it begin again.
fn copy(from: &Path, to: &Path) -> rusqlite::Result<()> {
    let source = schema::open_reader(from)?;
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut target = Connection::open(to)?;
    target.pragma_update(None, "synchronous", "off")?;
    Backup::new(&snapshot, &mut target)?.run_to_completion(STEP_PAGES, STEP_PAUSE, None)?;
    // One file, with no log beside it.
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    target.close().map_err(|(_, error)| error)
}

/// What a file holds, if it is a sound database of a relay that this one can read.
fn look(path: &Path) -> Result<Copied, Error> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(Failure::from)?;
    let schema = schema::version(&connection, path)?;
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(Failure::from)?;
    if verdict != "ok" {
        return Err(Error::Corrupt(format!("{}: {verdict}", path.display())));
    }
    let events: i64 = connection
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .map_err(Failure::from)?;
    let bytes = fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .len();
    Ok(Copied {
        bytes,
        events: u64::try_from(events).unwrap_or_default(),
        schema,
        master_keys: master_keys(&connection, schema).map_err(Failure::from)?,
    })
}

/// Before version 3 nothing was sealed.
fn master_keys(connection: &Connection, schema: i64) -> rusqlite::Result<Vec<String>> {
    if schema < 3 {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare("SELECT DISTINCT lower(hex(master)) FROM data_keys ORDER BY 1")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn must_exist(path: &Path) -> Result<(), Error> {
    fs::metadata(path)
        .map(drop)
        .map_err(|error| unreadable(path, &error))
}

fn refuse_existing(path: &Path) -> Result<(), Error> {
    if path.exists() {
        let path = path.display();
        return Err(Error::Unavailable(format!(
            "{path} is there already and would be lost; move it away, or choose another name"
        )));
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("cannot read {}: {error}", path.display()))
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("cannot write {}: {error}", path.display()))
}
