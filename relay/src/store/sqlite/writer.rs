//! The one thread that writes: group commit.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Error;
use super::commits::Commits;
use super::failure::{Blame, Failure};
use super::health::Health;
use super::inbox::{Inbox, Taken};
use super::job::{Asked, Baton, Job, Weight};
use super::reopen;
use super::session::Session;

/// How often a store that takes no writes is tried when nobody else does.
const PROVE_EVERY: Duration = Duration::from_secs(1);

/// What the thread serves.
pub(super) struct Served {
    pub(super) path: PathBuf,
    pub(super) inbox: Inbox,
    pub(super) health: Health,
    pub(super) checkpoint_pages: usize,
    /// What the transactions were like.
    pub(super) commits: Commits,
}

/// The handle on the writer.
pub(super) struct Writer {
    served: Arc<Served>,
    /// Taken by whoever waits for the end.
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    /// Starts the thread; it owns the connection.
    pub(super) fn start(connection: Connection, served: Served) -> Result<Self, Error> {
        let served = Arc::new(served);
        let serving = Arc::clone(&served);
        let thread = thread::Builder::new()
            .name("relay-store".to_owned())
            .spawn(move || serve(connection, &serving))
            .map_err(|error| Error::Unavailable(format!("cannot start the writer's thread: {error}")))?;
        Ok(Self {
            served,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Whether writes go through at present.
    pub(super) fn health(&self) -> Result<(), Error> {
        self.served.health.check()
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
        self.served.inbox.push(Box::new(job)).await?;
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
        self.served.inbox.close();
        let thread = Arc::clone(&self.thread);
        if tokio::task::spawn_blocking(move || join(&thread)).await.is_err() {
            tracing::warn!("the store's writer was not waited for");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.served.inbox.close();
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
struct Abandon<'a>(&'a Inbox);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn serve(mut connection: Connection, served: &Served) {
    let _abandon = Abandon(&served.inbox);
    while let Ended::Broken(error) = serve_on(&connection, served) {
        served.health.fall_ill(&error);
        let Some(opened) = reopen::reopen(connection, served) else {
            return;
        };
        connection = opened;
    }
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log stays until the next start");
    }
}

/// Why the writer stopped using a connection.
enum Ended {
    Closed,
    Broken(Error),
}

fn serve_on(connection: &Connection, served: &Served) -> Ended {
    let mut session = match Session::new(connection, &served.path, served.checkpoint_pages) {
        Ok(session) => session,
        Err(error) => return Ended::Broken(Failure::from(error).into()),
    };
    let mut batch = Vec::new();
    loop {
        let health = &served.health;
        let patience = if health.is_well() {
            Duration::MAX
        } else {
            PROVE_EVERY
        };
        match served.inbox.take(&mut batch, patience) {
            Taken::Batch => {}
            Taken::Nothing => batch.push(reopen::proof()),
            Taken::Closed => return Ended::Closed,
        }
        if let Err(error) = write(&mut session, &mut batch, served) {
            return Ended::Broken(error);
        }
        // After the answers: nobody waits for it.
        if let Err(failure) = session.checkpoint() {
            return Ended::Broken(failure.into());
        }
    }
}

/// Writes a batch and answers it. An error means that the connection must not be used again.
fn write(session: &mut Session<'_>, batch: &mut Vec<Box<dyn Job>>, served: &Served) -> Result<(), Error> {
    let health = &served.health;
    let Err(failure) = observed(session, batch, &served.commits) else {
        health.recover();
        Baton::start(batch, Ok(()));
        return Ok(());
    };
    session.roll_back();
    match failure.blame() {
        Blame::Job if batch.len() > 1 => write_one_by_one(session, batch, served),
        Blame::Job => {
            Baton::start(batch, Err(failure.into()));
            Ok(())
        }
        Blame::Space => {
            let error = Error::from(failure);
            health.fall_ill(&error);
            Baton::start(batch, Err(error));
            Ok(())
        }
        Blame::Connection => {
            let error = Error::from(failure);
            // Known before the answers: who is refused, and then asks for the relay's health, hears the same.
            health.fall_ill(&error);
            Baton::start(batch, Err(error.clone()));
            Err(error)
        }
    }
}

/// One job spoilt the transaction: finds it by giving each its own. That way jobs pay for
/// no savepoint as long as all goes well.
fn write_one_by_one(
    session: &mut Session<'_>,
    batch: &mut Vec<Box<dyn Job>>,
    served: &Served,
) -> Result<(), Error> {
    let mut broken = Ok(());
    for job in batch.drain(..) {
        match &broken {
            Ok(()) => broken = write(session, &mut vec![job], served),
            Err(error) => job.answer(Err(Error::clone(error)), None),
        }
    }
    broken
}

fn observed(session: &mut Session<'_>, batch: &mut [Box<dyn Job>], commits: &Commits) -> Result<(), Failure> {
    let watch = Instant::now();
    let committed = commit(session, batch);
    if committed.is_ok() {
        commits.seconds.observe(watch.elapsed().as_secs_f64());
        commits.calls.observe(batch.len() as f64);
    } else {
        commits.failures.inc();
    }
    committed
}

fn commit(session: &mut Session<'_>, batch: &mut [Box<dyn Job>]) -> Result<(), Failure> {
    session.begin()?;
    for job in batch {
        job.run(session)?;
    }
    Ok(session.commit()?)
}
