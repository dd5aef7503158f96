//! After the connection that writes has broken: another one, on a log begun anew.
//!
//! After a failed sync a system may show what never got to the disk, and later syncs leave it
//! out (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So
//! nothing more is written behind what is in the log by then. What was committed is copied into
//! the database and synced there, the log is emptied, and a commit has to go through; only then
//! is anything acknowledged again.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::failure::Failure;
use super::inbox::Taken;
use super::job::{Asked, Baton, Job, Weight};
use super::session::Session;
use super::writer::Served;
use super::{Error, beside, schema};

const LOG_HEADER_BYTES: i64 = 32;
const FRAME_HEADER_BYTES: i64 = 24;
/// The header of the index, twice.
const INDEX_HEADERS_BYTES: usize = 96;

/// How long to wait before it is tried again, at first and in the end.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long to wait for a read under way, which keeps the log from being emptied; senders are
/// not answered meanwhile.
const READ_MAX: Duration = Duration::from_millis(250);

/// Opens the database anew, refusing what is asked until that has worked; `None` once the inbox
/// is closed.
///
/// The broken connection is closed last. What its last transaction wrote may stand whole in the
/// log although its sync failed and its callers were refused. As long as a connection is open,
/// the index in shared memory says where the log ends: before that. Without it, SQLite would
/// read the log to find out, and take the transaction for committed.
pub(super) fn reopen(broken: Connection, served: &Served) -> Option<Connection> {
    let mut pause = PAUSE_MIN;
    loop {
        let error = match open(&served.path) {
            Ok(connection) => {
                drop(broken);
                served.health.recover();
                return Some(connection);
            }
            Err(error) => error,
        };
        served.health.fall_ill(&error);
        if !refuse(served, pause, &error) {
            return None;
        }
        pause = PAUSE_MAX.min(2 * pause);
    }
}

/// A connection on a log begun anew. The broken one is to be open until then.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let connection = schema::open_writer(path)?;
    Ok(begin_anew(&connection, path).map(|()| connection)?)
}

fn begin_anew(connection: &Connection, path: &Path) -> Result<(), Failure> {
    connection.busy_timeout(READ_MAX)?;
    have_log_read_again(connection, path)?;
    let is_blocked: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_blocked {
        let what = "a read under way keeps the write-ahead log in use".to_owned();
        return Err(Failure::Unavailable(what));
    }
    connection.execute(PROVE, [])?;
    schema::wait_for_locks(connection)?;
    Ok(())
}

/// Has SQLite forget which part of the log it has copied into the database.
///
/// It counts pages as copied before they are synced, if a read keeps it from copying them all:
/// the sync comes with the last part. If that sync fails, the pages before are lost, too, and
/// SQLite would not copy them again. So its index of the log is made invalid, upon which it reads
/// the log from the start; what follows the last commit is cut off before, so that it is not
/// taken for one. The formats: <https://www.sqlite.org/walformat.html>.
fn have_log_read_again(connection: &Connection, path: &Path) -> Result<(), Failure> {
    let frames: i64 = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
    let page_bytes: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let committed = match frames {
        0 => 0,
        frames => LOG_HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes),
    };
    let committed = u64::try_from(committed).unwrap_or_default();
    let cut = || -> io::Result<()> {
        let log = OpenOptions::new().write(true).open(beside(path, "-wal"))?;
        if log.metadata()?.len() > committed {
            log.set_len(committed)?;
        }
        let mut index = OpenOptions::new().write(true).open(beside(path, "-shm"))?;
        index.write_all(&[0; INDEX_HEADERS_BYTES])
    };
    cut().map_err(|error| Failure::Unavailable(format!("the write-ahead log cannot be read again: {error}")))
}

/// Refuses what is asked for a while; false once the inbox is closed and empty.
fn refuse(served: &Served, span: Duration, error: &Error) -> bool {
    let until = Instant::now() + span;
    let mut batch = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        match served.inbox.take(&mut batch, left) {
            Taken::Batch => Baton::start(&mut batch, Err(error.clone())),
            Taken::Nothing => return true,
            Taken::Closed => return false,
        }
    }
}

/// A write that changes something, so that it gets to the disk, and means nothing.
const PROVE: &str = "INSERT INTO marks (name, value) VALUES ('proved', 1)
                     ON CONFLICT (name) DO UPDATE SET value = value + 1";

/// A write that nobody asked for, to find out whether writes go through again.
pub(super) fn proof() -> Box<dyn Job> {
    Box::new(Asked {
        weight: Weight::SMALL,
        work: |session: &mut Session<'_>| Ok(session.connection().execute(PROVE, []).map(drop)?),
        value: None,
        // Nobody waits for the answer.
        caller: tokio::sync::oneshot::channel().0,
    })
}
