//! Puts another configuration in force while the relay runs: what it declares, the certificates,
//! the egress proxy and the master keys. What cannot be used leaves the old one in force.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use super::certificates;
use crate::clock::Clock;
use crate::config::{Config, Declared, Outbound, Server, StoreSettings};
use crate::deliver::send::Sender;
use crate::http::tls::Tls;
use crate::manage::Manager;
use crate::model::audit::{By, Deed};
use crate::model::id::TenantId;
use crate::store::Store;
use crate::store::seal::MasterKey;
use crate::store::sqlite::SqliteStore;

/// What a configuration reaches besides what the manager has.
pub(super) struct Reload {
    /// What the configuration declares, and the configuration itself.
    pub(super) manager: Arc<Manager>,
    /// The store, if it is one that is sealed.
    pub(super) sqlite: Option<Arc<SqliteStore>>,
    /// What the listeners show, if they speak TLS.
    pub(super) tls: Option<Arc<Tls>>,
    /// Rings when the files of the certificate may have changed.
    pub(super) certificates_changed: Arc<Notify>,
    /// What goes through the proxy, if there is one.
    pub(super) sender: Arc<Sender>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
}

impl Reload {
    /// Puts the sources, endpoints, certificates, proxy and master keys of `new` in force, and names
    /// the sections of it that differ otherwise and are only read at the start.
    ///
    /// # Errors
    /// What cannot be used of it; then nothing has changed.
    pub(super) async fn configure(&self, new: Config) -> anyhow::Result<Vec<&'static str>> {
        let mut config = self.manager.lock().await;
        let merged = Config {
            sources: new.sources.clone(),
            endpoints: new.endpoints.clone(),
            rules: new.rules.clone(),
            event_types: new.event_types.clone(),
            alerts: new.alerts.clone(),
            plans: new.plans.clone(),
            quota: new.quota.clone(),
            store: StoreSettings {
                master_keys: new.store.master_keys.clone(),
                ..config.store.clone()
            },
            outbound: Outbound {
                proxy: new.outbound.proxy.clone(),
                ..config.outbound.clone()
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
        let prepared = self.manager.prepare(&merged).await?;
        self.note(&merged).await?;
        if merged.store.master_keys != config.store.master_keys {
            self.seal(&merged.store).await?;
        }
        if let Some((tls, identity)) = self.tls.as_ref().zip(identity) {
            certificates::show(tls, identity);
            self.certificates_changed.notify_one();
        }
        if merged.outbound.proxy != config.outbound.proxy {
            self.sender.set_proxy(merged.outbound.proxy.clone());
        }
        self.manager.put_in_force(prepared).await;
        *config = merged;
        Ok(read_at_start(&config, &new))
    }

    /// Notes that a configuration is about to be put in force, and what it declares.
    async fn note(&self, config: &Config) -> anyhow::Result<()> {
        let declared = [
            ("sources", names(&config.sources, |source| &source.name)),
            ("endpoints", names(&config.endpoints, |endpoint| &endpoint.name)),
            ("rules", names(&config.rules, |rule| &rule.name)),
            ("event_types", names(&config.event_types, |kind| &kind.name)),
            ("alerts", names(&config.alerts, |alert| &alert.name)),
        ];
        let declared = declared.map(|(section, names)| (section.to_owned(), names));
        let now = self.clock.now();
        let deed = Deed {
            after: Some(declared.into_iter().collect()),
            ..Deed::new(TenantId::DEFAULT, now, By::OPERATOR, "configuration.reloaded")
        };
        self.store.note(deed).await?;
        Ok(())
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
}

/// The names of what a configuration declares of a kind.
fn names<T>(declared: &[Declared<T>], name: impl Fn(&T) -> &String) -> Value {
    declared.iter().map(|one| name(&one.item).as_str()).collect()
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
        ("mail", old.mail == new.mail),
        ("queue", old.queue == new.queue),
        ("plugins", old.plugins == new.plugins),
        ("media", old.media == new.media),
        ("judge", old.judge == new.judge),
        ("log", old.log == new.log),
        ("telemetry", old.telemetry == new.telemetry),
    ]
    .into_iter()
    .filter_map(|(name, is_same)| (!is_same).then_some(name))
    .collect()
}
