//! Puts changes in force while the relay runs: another configuration, another plugin.
//!
//! The directory is made anew and swapped whole. What is under way ends on the old one; what
//! cannot be used leaves the old one in force.

use std::sync::Arc;

use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use super::{assemble, certificates};
use crate::clock::Clock;
use crate::config::{Config, Server, StoreSettings};
use crate::deliver::send::Sender;
use crate::directory::{Directories, Directory};
use crate::http::tls::Tls;
use crate::model::id::EndpointId;
use crate::plugins::Plugins;
use crate::queue::{Queue, Terms};
use crate::store::Store;
use crate::store::seal::MasterKey;
use crate::store::sqlite::SqliteStore;

/// A directory, and the terms of each lane.
type Made = (Directory, Vec<(EndpointId, Terms)>);

/// What a directory is made from, and where it goes.
pub(super) struct Reload {
    /// The configuration in force. Locked while a directory is made, so that of two changes
    /// the later one wins.
    pub(super) config: Mutex<Config>,
    pub(super) store: Arc<dyn Store>,
    /// The store again, if it is one that is sealed.
    pub(super) sqlite: Option<Arc<SqliteStore>>,
    /// What the listeners show, if they speak TLS.
    pub(super) tls: Option<Arc<Tls>>,
    /// Rings when the files of the certificate may have changed.
    pub(super) certificates_changed: Arc<Notify>,
    pub(super) plugins: Plugins,
    pub(super) sender: Arc<Sender>,
    pub(super) directories: Arc<Directories>,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Reload {
    /// Puts the sources, endpoints, certificates and master keys of `new` in force, and names
    /// the sections of it that differ otherwise and are only read at the start.
    ///
    /// # Errors
    /// What cannot be used of it; then nothing has changed.
    pub(super) async fn configure(&self, new: Config) -> anyhow::Result<Vec<&'static str>> {
        let mut config = self.config.lock().await;
        let merged = Config {
            sources: new.sources.clone(),
            endpoints: new.endpoints.clone(),
            store: StoreSettings {
                master_keys: new.store.master_keys.clone(),
                ..config.store.clone()
            },
            server: Server {
                // Whether TLS is spoken at all is settled at the start.
                tls: match &config.server.tls {
                    Some(old) => Some(new.server.tls.clone().unwrap_or_else(|| old.clone())),
                    None => None,
                },
                ..config.server.clone()
            },
            ..config.clone()
        };
        let identity = certificates::read(merged.server.tls.as_ref())?;
        let made = self.make(&merged).await?;
        if merged.store.master_keys != config.store.master_keys {
            self.seal(&merged.store).await?;
        }
        if let Some((tls, identity)) = self.tls.as_ref().zip(identity) {
            certificates::show(tls, identity);
            self.certificates_changed.notify_one();
        }
        self.put_in_force(made);
        *config = merged;
        Ok(read_at_start(&config, &new))
    }

    /// Seals the store with another master key while it is in use.
    async fn seal(&self, settings: &StoreSettings) -> anyhow::Result<()> {
        let Some(store) = &self.sqlite else { return Ok(()) };
        store.seal_with(&master_keys(settings)).await?;
        tracing::info!(
            master_key = store.master_key(),
            "secrets in the store are sealed with another master key"
        );
        Ok(())
    }

    async fn make(&self, config: &Config) -> anyhow::Result<Made> {
        assemble::directory(
            config,
            self.store.as_ref(),
            &self.plugins,
            &self.sender,
            self.clock.now(),
        )
        .await
    }

    fn put_in_force(&self, (directory, terms): Made) {
        self.directories.replace(directory);
        self.queue.configure(terms);
    }

    /// Follows changes in the plugin folder until `stop`.
    pub(super) async fn follow_plugins(self: Arc<Self>, stop: CancellationToken) {
        let mut changed = self.plugins.changed();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = changed.changed() => if changed.is_err() { return },
            }
            let config = self.config.lock().await;
            match self.make(&config).await {
                Ok(made) => {
                    self.put_in_force(made);
                    tracing::info!("plugins reloaded");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "a changed plugin cannot be used; the old one stays in force"
                ),
            }
        }
    }
}

/// The master keys of a configuration; each was read before, when it was checked.
pub(super) fn master_keys(settings: &StoreSettings) -> Vec<Arc<MasterKey>> {
    let keys = settings.master_keys.iter();
    keys.filter_map(|key| MasterKey::parse(key).ok().map(Arc::new))
        .collect()
}

/// Sections in which the two differ and that take effect only at the next start.
fn read_at_start(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("server", old.server == new.server),
        ("store", old.store == new.store),
        ("outbound", old.outbound == new.outbound),
        ("queue", old.queue == new.queue),
        ("plugins", old.plugins == new.plugins),
        ("log", old.log == new.log),
    ]
    .into_iter()
    .filter_map(|(name, is_same)| (!is_same).then_some(name))
    .collect()
}
