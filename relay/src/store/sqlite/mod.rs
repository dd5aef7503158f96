//! The embedded store: one SQLite file, one writer, a few readers.
//!
//! A call that writes becomes a job in the [`inbox`]; the [`writer`] thread takes what has
//! gathered, runs it in one transaction, syncs once and answers all. A call that reads
//! borrows a connection of the [`readers`]. `docs/architecture.md` has the reasons.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::seal::MasterKey;
use crate::model::id::{IdMaker, TenantId};
pub use backup::{Copied, back_up, restore};
pub use commits::Commits;
use health::Health;
use inbox::Inbox;
use job::Weight;
use readers::Readers;
use vault::{DataKey, Vault};
use writer::{Served, Writer};

mod accept;
mod audit;
mod backup;
mod checksum;
mod commits;
mod deliveries;
mod due;
mod events;
mod failure;
#[cfg(feature = "testing")]
pub mod fuzz;
mod health;
mod erase;
mod expiry;
mod inbox;
mod insight;
mod job;
mod jobs;
mod keys;
mod listing;
mod lock;
mod log;
#[cfg(test)]
mod measure;
#[cfg(test)]
mod measure_search;
mod media;
mod messages;
mod monitoring;
mod paths;
mod plan;
mod plugins;
mod prune;
mod readers;
mod record;
mod registry;
mod reopen;
mod replayed;
mod replies;
mod resources;
mod row;
mod rules;
mod schema;
mod sealing;
mod secrets;
mod session;
mod state;
mod tail;
mod usage;
#[cfg(test)]
mod tests;
mod vault;
mod walk;
mod writer;

/// How much the store takes on at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Events and records in one transaction: bounds how long an accept waits for others.
    pub batch_events_max: usize,
    /// Bytes in one transaction, at least one call whatever its size.
    pub batch_bytes_max: usize,
    /// Calls that wait for the writer; further ones wait for room.
    pub queue_max: usize,
    /// How long outcomes alone may wait for company, so that they share a sync.
    pub linger: Duration,
    /// So many of them wait no longer.
    pub linger_events: usize,
    /// Reading connections, each with a thread while it reads.
    pub readers: usize,
    /// Pages the write-ahead log may gain before they are copied into the database.
    pub checkpoint_pages: usize,
    /// What the store is sealed with: with the first; the others open what is sealed with an
    /// older one. Without any, the relay makes one of its own in a file beside the database.
    pub master_keys: Vec<Arc<MasterKey>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_events_max: 1024,
            batch_bytes_max: 8 << 20,
            queue_max: 4096,
            linger: Duration::from_millis(2),
            linger_events: 256,
            readers: 4,
            checkpoint_pages: 2048,
            master_keys: Vec::new(),
        }
    }
}

/// A store in one SQLite file.
pub struct SqliteStore {
    // Fields drop in this order: the writer ends and the readers go before the lock does.
    writer: Writer,
    readers: Readers,
    ids: Arc<IdMaker>,
    vault: Arc<Vault>,
    commits: Commits,
    /// What the bounds on rules took away.
    losses: Arc<rules::Losses>,
    _lock: File,
}

impl SqliteStore {
    /// Opens the file, creating it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// Another relay has it open, it is of another program or a newer relay, it is sealed
    /// with another master key, or it cannot be read or written.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, Error> {
        let lock = lock::take(path)?;
        let mut connection = schema::open_writer(path)?;
        tail::report(path, &connection);
        schema::migrate(&mut connection, path)?;
        let vault = Vault::open(&mut connection, path, &settings.master_keys)?;
        sealing::seal_what_is_clear(&mut connection, path, &vault)?;
        let ids = Arc::new(IdMaker::new(0));
        ids.start_after(registry::last_name(&connection)?.max(resources::last(&connection)?));
        ids.start_after(media::last(&connection)?);
        let commits = Commits::default();
        let readers = Readers::new(path.to_owned(), settings.readers);
        let served = Served {
            path: path.to_owned(),
            inbox: Inbox::new(&settings),
            health: Health::default(),
            checkpoint_pages: settings.checkpoint_pages,
            commits: commits.clone(),
        };
        let writer = Writer::start(connection, served)?;
        Ok(Self {
            writer,
            readers,
            ids,
            vault: Arc::new(vault),
            commits,
            losses: Arc::default(),
            _lock: lock,
        })
    }

    /// Seals the store with the first of these master keys, or the relay's own if there is
    /// none, while it runs. The keys before are not needed any more when it returns.
    ///
    /// # Errors
    /// It cannot be written; then the store stays sealed as it is.
    pub async fn seal_with(&self, given: &[Arc<MasterKey>]) -> Result<(), Error> {
        let master = self.vault.first_of(given)?;
        self.vault.expect(Arc::clone(&master));
        let (vault, with) = (Arc::clone(&self.vault), Arc::clone(&master));
        self.writer
            .run(Weight::SMALL, move |session| {
                vault.seal_keys(session.connection(), &with)?;
                Ok(())
            })
            .await?;
        self.vault.use_master(master);
        Ok(())
    }

    /// What its transactions were like.
    pub const fn commits(&self) -> &Commits {
        &self.commits
    }

    /// Which master key the store is sealed with: an id that says nothing of the key.
    pub fn master_key(&self) -> String {
        hex::encode(self.vault.master().id())
    }

    /// What a tenant's values are sealed with; made durable first, if it is new.
    async fn key(&self, tenant: TenantId) -> Result<Arc<DataKey>, Error> {
        if let Some(key) = self.vault.key(tenant) {
            return Ok(key);
        }
        let vault = Arc::clone(&self.vault);
        let made = self
            .writer
            .run(Weight::SMALL, move |session| {
                vault.make(session.connection(), tenant)
            })
            .await?;
        self.vault.keep(made);
        self.vault
            .key(tenant)
            .ok_or_else(|| Error::Unavailable("a data key was not kept".to_owned()))
    }

    /// Writes what is queued, copies the write-ahead log into the database and ends. Later
    /// calls fail as unavailable. Dropping the store does the same, but blocks.
    pub async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }
}

/// The path of a file that stands beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder that a file is in; a bare name is in the one that the relay runs in.
fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new("."))
}
