//! What is in force, and every way to change it: one set of calls for the management API, the
//! configuration file and whatever else wants to change a source, an endpoint, a rule or an
//! event type.
//!
//! A change is checked whole, kept in the store, and then put in force as a new directory that
//! is swapped in at once; what is under way ends on the old one. What the configuration file
//! declares is read here and changed there.

mod assemble;
mod bind;
pub mod audit;
mod change;
mod entry;
mod follow;
mod forget;
mod installed;
mod paths;
mod plan;
mod plugins;
mod components;
mod tags;
mod rollout;
mod schema;
mod secrets;
mod shelf;
mod tenants;
mod usage;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Mutex, MutexGuard};

pub use assemble::Unusable;
pub use change::{Handle, Left, Refused, Write};
pub use entry::{Entry, Origin};
pub use installed::{Own, User};
pub use plan::{Planned, Step, Wanted};
pub use plugins::{PluginRefused, Provenance, Usable, Versioned};
pub use rollout::{UnderWay, WantedRollout};
pub use schema::{definition, patch};
pub use secrets::overlap;
pub use usage::Limit;

pub use crate::config::reader::Fault;

use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::send::Sender;
use crate::directory::{Directories, Directory};
use crate::model::id::TenantId;
use crate::model::resource::{Kind, Resource};
use crate::plugins::Plugins;
use crate::queue::{Queue, Terms};
use crate::quota::Quotas;
use crate::store::{self, Store, Usage};
use assemble::{MADE_AT_ONCE, Workshop};
use installed::Installed;
use plugins::Uploading;
use shelf::Shelf;

/// See the module.
pub struct Manager {
    workshop: Workshop,
    directories: Arc<Directories>,
    queue: Arc<Queue>,
    quotas: Arc<Quotas>,
    /// Bytes of files that each tenant may have kept.
    media_bytes_max: u64,
    /// The configuration whose rules definitions are read by. Locked while anything changes, so
    /// that of two changes the later one wins.
    config: Mutex<Config>,
    shelf: RwLock<Arc<Shelf>>,
    uploading: Uploading,
}

/// What a manager is made of.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub plugins: Plugins,
    pub sender: Arc<Sender>,
    pub clock: Arc<dyn Clock>,
    pub directories: Arc<Directories>,
    pub queue: Arc<Queue>,
    pub quotas: Arc<Quotas>,
}

/// What tenants whose events are limited have used.
type Usages = HashMap<TenantId, Usage>;

/// Something checked and made, not yet in force.
pub struct Prepared {
    shelf: Shelf,
    directory: Directory,
    /// Asked for first: while something is put in force nothing may fail.
    usage: Usages,
}

impl Manager {
    /// Puts in force what the configuration declares and what the store holds.
    ///
    /// # Errors
    /// What of the configuration cannot be used. What of the store cannot be used is logged, and
    /// its deliveries wait.
    pub async fn start(parts: Parts, config: Config) -> anyhow::Result<Self> {
        let manager = Self {
            workshop: Workshop::new(parts.store, parts.plugins, parts.sender, parts.clock),
            directories: parts.directories,
            queue: parts.queue,
            quotas: parts.quotas,
            media_bytes_max: config.media.tenant_bytes_max,
            config: Mutex::new(config),
            shelf: RwLock::default(),
            uploading: Uploading::default(),
        };
        let config = manager.lock().await;
        manager.workshop.install(manager.uploaded().await?);
        let prepared = manager.prepare(&config).await?;
        manager.put_in_force(prepared).await;
        drop(config);
        Ok(manager)
    }

    /// The plugins that the store keeps. If they cannot be read, those that use them rest.
    async fn uploaded(&self) -> Result<Installed, store::Error> {
        match self.workshop.store.uploaded().await {
            Ok(uploaded) => Ok(Installed::of(uploaded)),
            Err(store::Error::Corrupt(problem)) => {
                tracing::error!(problem, "uploaded plugins cannot be read");
                Ok(Installed::default())
            }
            Err(error) => Err(error),
        }
    }

    /// The configuration in force; nothing changes while it is held.
    pub async fn lock(&self) -> MutexGuard<'_, Config> {
        self.config.lock().await
    }

    /// Makes everything anew by the rules of a configuration: what it declares, and what the
    /// store holds. Of the latter, what cannot be used any more stays as it was.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub async fn prepare(&self, config: &Config) -> anyhow::Result<Prepared> {
        self.prepare_with(config, None).await
    }

    /// The same, with a resource that is not kept yet.
    async fn prepare_with(&self, config: &Config, new: Option<&Resource>) -> anyhow::Result<Prepared> {
        let mut living = self.workshop.store.living().await?;
        if let Some(new) = new {
            living.retain(|resource| resource.id != new.id);
            living.push(new.clone());
        }
        let mut shelf = self.tenants(config, &living).await?;
        let default = tenants::in_force(&shelf, TenantId::DEFAULT).context("there is no default tenant")?;
        for entry in self.workshop.declared(config, &default).await?.entries() {
            shelf.insert(Arc::clone(entry));
        }
        let declared: HashSet<_> = shelf
            .entries()
            .map(|entry| entry::called(&entry.resource))
            .collect();
        let before = self.shelf();
        let others = living
            .into_iter()
            .filter(|resource| resource.kind != Kind::Tenant);
        // What a deleted tenant had rests until it is restored.
        let others =
            others.filter_map(|resource| Some((tenants::in_force(&shelf, resource.tenant)?, resource)));
        let others: Vec<_> = others.collect();
        let (before, declared) = (&before, &declared);
        let entries = stream::iter(others).map(async move |(tenant, resource)| {
            let key = (resource.tenant, resource.kind, resource.id);
            match declared.contains(&entry::called(&resource)) {
                true => assemble::shadowed(resource),
                false => {
                    let before = before.get(key);
                    self.workshop.managed(config, resource, &tenant, before).await
                }
            }
        });
        let mut entries = pin!(entries.buffered(MADE_AT_ONCE));
        while let Some(entry) = entries.next().await {
            shelf.insert(Arc::new(entry));
        }
        let directory = assemble::directory(&shelf)?;
        let usage = self.quotas.count_for(directory.tenants()).await?;
        Ok(Prepared {
            shelf,
            directory,
            usage,
        })
    }

    /// Puts what was prepared in force.
    pub async fn put_in_force(&self, prepared: Prepared) {
        let Prepared {
            shelf,
            directory,
            usage,
        } = prepared;
        let targets = directory.targets();
        let terms: Vec<_> = targets
            .map(|target| (target.endpoint.id, Terms::of(&target.endpoint)))
            .collect();
        self.quotas.configure(directory.tenants(), &usage);
        self.swap(shelf, directory);
        self.queue.configure(terms);
        self.count_no_others().await;
        self.forget_rules().await;
    }

    /// Ends what is counted for limits that are not in force any more. Goes on until the next change
    /// where it fails: nobody is held to what is counted too much.
    async fn count_no_others(&self) {
        if let Err(error) = self.quotas.count_no_others().await {
            tracing::warn!(%error, "events of tenants that are not limited any more stay counted");
        }
    }

    /// Puts a shelf in force, but for the terms of its endpoints: those come second,
    /// since a delivery of a lane without a target would be put back.
    fn swap(&self, shelf: Shelf, directory: Directory) {
        *self.shelf.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shelf);
        self.directories.replace(directory);
    }

    /// Everything in force.
    fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those of a tenant and kind, newest first, from below an id.
    pub fn list(&self, tenant: TenantId, kind: Kind, below: Option<i64>) -> Vec<Arc<Entry>> {
        let shelf = self.shelf();
        let last = below.unwrap_or(i64::MAX);
        shelf.below(tenant, kind, last).rev().cloned().collect()
    }

    /// Those of a kind, of every tenant.
    pub fn of_kind(&self, kind: Kind) -> Vec<Arc<Entry>> {
        let shelf = self.shelf();
        let of_kind = shelf.entries().filter(|entry| entry.resource.kind == kind);
        of_kind.cloned().collect()
    }

    /// The one of that id or name; if two have the name, the one that the file declares.
    pub fn find(&self, tenant: TenantId, kind: Kind, id: Option<i64>, name: &str) -> Option<Arc<Entry>> {
        let shelf = self.shelf();
        let found = match id {
            Some(id) => shelf.get((tenant, kind, id)),
            None => shelf.named(tenant, kind, name),
        };
        found.cloned()
    }

    /// Follows changes in the plugin folder: makes everything anew on each.
    pub async fn follow_plugins(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        let mut changed = self.workshop.plugins.changed();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = changed.changed() => if changed.is_err() { return },
            }
            match self.renew().await {
                Ok(()) => tracing::info!("plugins reloaded"),
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "a changed plugin cannot be used; the old one stays in force"
                ),
            }
        }
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let config = self.lock().await;
        let prepared = self.prepare(&config).await?;
        self.put_in_force(prepared).await;
        Ok(())
    }
}
