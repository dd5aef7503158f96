//! After the connection that writes has broken: another one, on a log begun anew.
//!
//! After a failed sync a system may show what never got to the disk, and later syncs leave it
//! out (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So
//! nothing more is written behind what is in the log by then. What was committed is copied into
//! the database and synced there, the log is emptied, and a commit has to go through; only then
//! is anything acknowledged again.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::failure::Failure;
use super::inbox::Taken;
use super::job::{Asked, Baton, Job, Weight};
use super::session::Session;
use super::writer::Served;
use super::{Error, schema};

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
        let error = match open(served) {
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

fn open(served: &Served) -> Result<Connection, Error> {
    let connection = schema::open_writer(&served.path)?;
    Ok(begin_anew(&connection).map(|()| connection)?)
}

fn begin_anew(connection: &Connection) -> Result<(), Failure> {
    connection.busy_timeout(READ_MAX)?;
    let is_blocked: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_blocked {
        return Err(Failure::Busy("a read under way keeps the write-ahead log in use"));
    }
    connection.execute(PROVE, [])?;
    schema::wait_for_locks(connection)?;
    Ok(())
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
