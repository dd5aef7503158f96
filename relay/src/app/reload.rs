//! Puts changes in force while the relay runs: another configuration, another plugin.
//!
//! The directory is made anew and swapped whole. What is under way ends on the old one; what
//! cannot be used leaves the old one in force.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::assemble;
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::send::Sender;
use crate::directory::Directories;
use crate::plugins::Plugins;
use crate::queue::Queue;
use crate::store::Store;

/// What a directory is made from, and where it goes.
pub(super) struct Reload {
    /// The configuration in force. Locked while a directory is made, so that of two changes
    /// the later one wins.
    pub(super) config: Mutex<Config>,
    pub(super) store: Arc<dyn Store>,
    pub(super) plugins: Plugins,
    pub(super) sender: Arc<Sender>,
    pub(super) directories: Arc<Directories>,
    pub(super) queue: Arc<Queue>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Reload {
    /// Puts the sources and endpoints of `new` in force, and names the sections of it that
    /// differ but are only read at the start.
    ///
    /// # Errors
    /// What cannot be used of it; then nothing has changed.
    pub(super) async fn configure(&self, new: Config) -> anyhow::Result<Vec<&'static str>> {
        let mut config = self.config.lock().await;
        let merged = Config {
            sources: new.sources.clone(),
            endpoints: new.endpoints.clone(),
            ..config.clone()
        };
        self.put_in_force(&merged).await?;
        *config = merged;
        Ok(read_at_start(&config, &new))
    }

    async fn put_in_force(&self, config: &Config) -> anyhow::Result<()> {
        let (directory, terms) = assemble::directory(
            config,
            self.store.as_ref(),
            &self.plugins,
            &self.sender,
            self.clock.now(),
        )
        .await?;
        self.directories.replace(directory);
        self.queue.configure(terms);
        Ok(())
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
            match self.put_in_force(&config).await {
                Ok(()) => tracing::info!("plugins reloaded"),
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "a changed plugin cannot be used; the old one stays in force"
                ),
            }
        }
    }
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
