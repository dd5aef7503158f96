//! The worker, as the relay has it: started, watched, started again.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::COMMAND;
use super::message::Terms;
use super::seat::{Away, Seat};
use super::session::{Ended, Session};
use crate::model::attempt::FaultKind;
use crate::plugins::Settings;
use crate::plugins::fault::Fault;
use crate::plugins::instance::Code;
use crate::plugins::visit::Grants;

/// How long a call waits for a worker.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// The first pause before a worker is started again; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A worker that lived for so long was well: the next pause is the first again.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// The process that runs plugins. Cheap to clone.
#[derive(Clone)]
pub(in crate::plugins) struct Worker(Arc<Shared>);

struct Shared {
    life: Arc<Life>,
    next_place: AtomicU64,
    keeper: AbortHandle,
}

/// What its keeper tells of it.
struct Life {
    session: watch::Sender<Option<Arc<Session>>>,
    /// 0: none runs.
    process: AtomicU32,
    deaths: AtomicU64,
}

/// How the worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its process id, while one runs.
    pub process: Option<u32>,
    /// How often one ended that should not have.
    pub deaths: u64,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Worker {
    /// Has `program` run plugins from now on.
    pub(in crate::plugins) fn start(program: &Path, settings: &Settings) -> Self {
        let terms = Terms {
            instances_max: settings.instances_max,
            memory_bytes_max: settings.memory_bytes_max,
            fuel: settings.fuel,
        };
        let life = Arc::new(Life {
            session: watch::Sender::new(None),
            process: AtomicU32::new(0),
            deaths: AtomicU64::new(0),
        });
        let keeper = tokio::spawn(keep(program.to_owned(), terms, life.clone())).abort_handle();
        Self(Arc::new(Shared {
            life,
            next_place: AtomicU64::new(1),
            keeper,
        }))
    }

    pub(in crate::plugins) fn status(&self) -> Status {
        let life = &self.0.life;
        let process = life.process.load(Ordering::Relaxed);
        Status {
            process: (process != 0).then_some(process),
            deaths: life.deaths.load(Ordering::Relaxed),
        }
    }

    /// A plugin at its place.
    pub(in crate::plugins) fn seat(
        &self,
        code: Arc<Code>,
        digest: blake3::Hash,
        grants: Arc<Grants>,
        may_wait: bool,
    ) -> Away {
        let place = self.0.next_place.fetch_add(1, Ordering::Relaxed);
        Away::new(Seat {
            place,
            code,
            digest: *digest.as_bytes(),
            grants,
            may_wait,
            worker: self.clone(),
        })
    }

    /// The worker's present life; waits for it to begin.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Fault> {
        let mut sessions = self.0.life.session.subscribe();
        match tokio::time::timeout(WAIT_MAX, sessions.wait_for(Option::is_some)).await {
            Ok(Ok(session)) => session.clone().ok_or_else(down),
            _ => Err(down()),
        }
    }

    /// Has a place forgotten.
    pub(super) fn forget(&self, place: u64) {
        if let Some(session) = &*self.0.life.session.borrow() {
            session.forget(place);
        }
    }
}

fn down() -> Fault {
    Fault::new(
        FaultKind::Unavailable,
        "the process that runs plugins is not there; it is started again".to_owned(),
    )
}

/// Keeps a worker running until it is aborted.
async fn keep(program: PathBuf, terms: Terms, life: Arc<Life>) {
    let mut pause = PAUSE_FIRST;
    loop {
        let started = Instant::now();
        let why = live(&program, terms, &life).await;
        life.session.send_replace(None);
        life.process.store(0, Ordering::Relaxed);
        life.deaths.fetch_add(1, Ordering::Relaxed);
        if started.elapsed() > WELL_AFTER {
            pause = PAUSE_FIRST;
        }
        tracing::error!(
            "the process that runs plugins ended and is started again: {why}; calls that it had under way count as faults"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One life of a worker; why it ended.
async fn live(program: &Path, terms: Terms, life: &Life) -> String {
    let (child, stream) = match spawn(program) {
        Ok(spawned) => spawned,
        Err(error) => return format!("it cannot be started: {error}"),
    };
    let mut child = child;
    life.process
        .store(child.id().unwrap_or_default(), Ordering::Relaxed);
    let begun = Session::begin(stream, terms).await;
    let why = match begun {
        Err(ended) => ended,
        Ok((session, running)) => {
            tracing::info!(process = child.id(), "plugins run in a process of their own");
            life.session.send_replace(Some(session.clone()));
            // The worker's end closes its socket, so that this ends either way.
            let ended = running.await;
            session.end();
            ended
        }
    };
    told(why, &mut child).await
}

/// Ends the process, if it has not ended, and says how it did.
async fn told(why: Ended, child: &mut Child) -> String {
    if !matches!(why, Ended::Stream) {
        child.start_kill().ok();
    }
    match tokio::time::timeout(WAIT_MAX, child.wait()).await {
        Ok(Ok(status)) => match why {
            Ended::Stream => status.to_string(),
            other => other.to_string(),
        },
        _ => {
            child.start_kill().ok();
            why.to_string()
        }
    }
}

fn spawn(program: &Path) -> std::io::Result<(Child, tokio::net::UnixStream)> {
    let (own, its) = UnixStream::pair()?;
    own.set_nonblocking(true)?;
    let child = Command::new(program)
        .arg(COMMAND)
        // It is given nothing that it does not need, secrets above all.
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "LD_LIBRARY_PATH"))
        .current_dir("/")
        // What a terminal sends to the relay is not for it: it ends when the relay does.
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(its)))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, tokio::net::UnixStream::from_std(own)?))
}
