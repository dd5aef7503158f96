//! The one thread that writes: group commit.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Error;
use super::failure::{Blame, Failure};
use super::inbox::Inbox;
use super::job::{Asked, Baton, Job, Weight};
use super::schema;
use super::session::Session;

/// The handle on the writer.
pub(super) struct Writer {
    inbox: Arc<Inbox>,
    /// Taken by whoever waits for the end.
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    /// Starts the thread; it owns the connection.
    pub(super) fn start(
        connection: Connection,
        path: PathBuf,
        inbox: Inbox,
        checkpoint_pages: usize,
    ) -> Result<Self, Error> {
        let inbox = Arc::new(inbox);
        let served = Arc::clone(&inbox);
        let thread = thread::Builder::new()
            .name("relay-store".to_owned())
            .spawn(move || serve(connection, &path, &served, checkpoint_pages))
            .map_err(|error| Error::Unavailable(format!("cannot start the writer's thread: {error}")))?;
        Ok(Self {
            inbox,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Runs `work` in a transaction and returns its value once that is durable.
    pub(super) async fn run<T, F>(&self, weight: Weight, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Session<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let job = Asked {
            weight,
            work,
            value: None,
            caller,
        };
        self.inbox.push(Box::new(job)).await?;
        match answer.await {
            Ok((answer, baton)) => {
                drop(baton);
                answer
            }
            Err(_) => Err(Error::Unavailable("the writer has ended".to_owned())),
        }
    }

    /// Ends the thread once all that is queued is written.
    pub(super) async fn close(&self) {
        self.inbox.close();
        let thread = Arc::clone(&self.thread);
        if tokio::task::spawn_blocking(move || join(&thread)).await.is_err() {
            tracing::warn!("the store's writer was not waited for");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inbox.close();
        join(&self.thread);
    }
}

fn join(thread: &Mutex<Option<JoinHandle<()>>>) {
    let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the store's writer panicked");
    }
}

/// Abandons the inbox when the thread ends, also by a panic: no caller waits for nobody.
struct Served<'a>(&'a Inbox);

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn serve(mut connection: Connection, path: &Path, inbox: &Inbox, checkpoint_pages: usize) {
    let _served = Served(inbox);
    while let Ended::Broken(error) = serve_on(&connection, path, inbox, checkpoint_pages) {
        tracing::error!(%error, "the store's connection broke, opening it again");
        // Closed before another is opened, so that nothing it holds in memory is trusted.
        drop(connection);
        let Some(opened) = reopen(path, inbox) else { return };
        connection = opened;
    }
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log stays until the next start");
    }
}

/// Opens the database anew, refusing what is asked meanwhile; `None` once the inbox is closed.
fn reopen(path: &Path, inbox: &Inbox) -> Option<Connection> {
    loop {
        let error = match schema::open_writer(path) {
            Ok(connection) => return Some(connection),
            Err(error) => error,
        };
        let mut batch = Vec::new();
        if !inbox.take(&mut batch) {
            return None;
        }
        Baton::start(&mut batch, Err(error));
    }
}

/// Why the writer stopped using a connection.
enum Ended {
    Closed,
    Broken(Error),
}

fn serve_on(connection: &Connection, path: &Path, inbox: &Inbox, checkpoint_pages: usize) -> Ended {
    let mut session = match Session::new(connection, path, checkpoint_pages) {
        Ok(session) => session,
        Err(error) => return Ended::Broken(Failure::from(error).into()),
    };
    let mut batch = Vec::new();
    while inbox.take(&mut batch) {
        if let Err(error) = write(&mut session, &mut batch) {
            return Ended::Broken(error);
        }
        // After the answers: nobody waits for it.
        if let Err(error) = session.checkpoint() {
            tracing::warn!(%error, "the write-ahead log was not copied into the database");
        }
    }
    Ended::Closed
}

/// Writes a batch and answers it. An error means that the connection must not be used again.
fn write(session: &mut Session<'_>, batch: &mut Vec<Box<dyn Job>>) -> Result<(), Error> {
    let Err(failure) = commit(session, batch) else {
        Baton::start(batch, Ok(()));
        return Ok(());
    };
    session.roll_back();
    match failure.blame() {
        Blame::Job if batch.len() > 1 => write_one_by_one(session, batch),
        Blame::Job | Blame::Space => {
            Baton::start(batch, Err(failure.into()));
            Ok(())
        }
        Blame::Connection => {
            let error = Error::from(failure);
            Baton::start(batch, Err(error.clone()));
            Err(error)
        }
    }
}

/// One job spoilt the transaction: finds it by giving each its own. That way jobs pay for
/// no savepoint as long as all goes well.
fn write_one_by_one(session: &mut Session<'_>, batch: &mut Vec<Box<dyn Job>>) -> Result<(), Error> {
    let mut broken = Ok(());
    for job in batch.drain(..) {
        match &broken {
            Ok(()) => broken = write(session, &mut vec![job]),
            Err(error) => job.answer(Err(Error::clone(error)), None),
        }
    }
    broken
}

fn commit(session: &mut Session<'_>, batch: &mut [Box<dyn Job>]) -> Result<(), Failure> {
    session.begin()?;
    for job in batch {
        job.run(session)?;
    }
    Ok(session.commit()?)
}
