//! Runs plugins: WebAssembly components that filter and reshape events, and tell genuine
//! requests from forged ones.
//!
//! A plugin is a guest. It sees what it was granted, takes no more time, memory and output
//! than it may, and when it breaks, the break is data for the chain's owner to decide on.
//!
//! - [`Plugins::bind`] finds a plugin, compiles it once, checks its owner's configuration;
//!   [`Plugins::bind_uploaded`] does so with a version that a tenant has uploaded.
//! - [`Plugins::examine`] says whether a component can be used at all.
//! - [`Chain::run`] sends an event through the plugins of an endpoint or source.
//! - [`Bound::authenticate`] asks one plugin whether a request is genuine.
//! - [`fixtures`] are tests of a plugin as files, and how they are run.
//!
//! Inside: `manifest` reads a component without running it, `library` finds it and `compile`
//! compiles it, `fit` says whether a use gives what it needs,
//! `engine` and `ticker` are wasmtime's surroundings, `instance` is one running plugin,
//! `visit` is what it may see, `v0_1` speaks its language, `edits` and `changes` carry out
//! what it answers; `worker` runs all that is a plugin's own in a process without the relay's keys.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::model::id::{DeliveryId, TenantId};
use crate::model::plugin::{PluginUse, Version};
use crate::model::publisher::Publishers;
use crate::store::{Named, PluginState, Scope, Uploads};

mod bound;
mod cache;
mod chain;
mod changes;
pub mod compile;
mod doors;
mod edits;
mod engine;
mod fault;
mod file_identity;
mod finder;
mod fit;
pub mod fixtures;
#[cfg(feature = "testing")]
pub mod fuzz;
mod here;
mod instance;
mod job;
mod json;
mod keys;
mod library;
mod limits;
mod loader;
mod manifest;
mod offered;
mod payload;
mod pool;
pub mod rollout;
mod rooms;
mod schema;
mod seen;
pub mod services;
pub mod stock;
mod subject;
mod threads;
mod ticker;
mod turns;
mod v0_1;
mod visit;
mod weigh;
mod wasi;
mod watch_folder;
pub mod worker;

pub use bound::Bound;
pub use chain::{Chain, Chained, Ran};
pub use doors::{AuthRequest, Authenticated, Identity, Problem};
pub use fault::Fault;
pub use fit::BindError;
pub use manifest::{Hooks, Inspection, LoadError, Manifest, Need};
pub use offered::{Offered, Place};
pub use weigh::Weight;

use bound::Runner;
use compile::Compiler;
use engine::Runtime;
use fit::{fit, lacking_secrets};
use here::Here;
use library::{Library, Loaded};
use services::Services;
use visit::Grants;
use watch_folder::FolderWatch;
use worker::Worker;

/// Largest component, unless the settings say otherwise: one in Python carries all of Python, 18 MiB.
pub const COMPONENT_BYTES_MAX: usize = 24 << 20;
/// How long `setup` may run, whatever the limits of the use: less than changes of other things can wait,
/// and more than a machine stands still for, since a relay whose plugins are refused does not start.
const SETUP_TIME_MAX: Duration = Duration::from_secs(2);

/// Where plugins come from and what they may take altogether.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The operator's plugins, each a file `<name>.wasm`.
    pub folder: Option<PathBuf>,
    /// Whose plugins are taken, in the folder and of those that are uploaded.
    pub publishers: Publishers,
    /// Where compiled plugins are kept. Must belong to the relay alone.
    pub cache: PathBuf,
    /// Instances that may live at once, those that wait for their next call included.
    pub instances_max: u32,
    /// The most memory that any plugin's limits may grant it.
    pub memory_bytes_max: usize,
    /// Largest component that is loaded.
    pub component_bytes_max: usize,
    /// Who compiles what is not in the cache.
    pub compiler: Compiler,
    /// Whether instructions are counted, which makes calls slower: for measurements. What is compiled
    /// by a [`Compiler::Child`] has no count.
    pub fuel: bool,
    /// The program that runs plugins in a process of its own, with [`worker::COMMAND`] as its
    /// argument; `None`: this process runs them.
    pub worker: Option<PathBuf>,
}

impl Settings {
    /// The defaults, with compiled plugins kept in `cache`.
    pub fn new(cache: PathBuf) -> Self {
        Self {
            folder: None,
            publishers: Publishers::default(),
            cache,
            instances_max: 256,
            memory_bytes_max: 256 << 20,
            component_bytes_max: COMPONENT_BYTES_MAX,
            compiler: Compiler::Here,
            fuel: false,
            worker: None,
        }
    }
}

/// Why plugins cannot be run at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the WebAssembly engine cannot be set up: {0}")]
    Engine(String),
    #[error("a thread for plugins cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    #[error("the plugin folder {folder} cannot be watched: {source}")]
    Folder { folder: PathBuf, source: notify::Error },
}

impl Error {
    fn engine(error: wasmtime::Error) -> Self {
        Self::Engine(format!("{error:#}"))
    }
}

/// Whose plugin it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub tenant: TenantId,
    pub tenant_name: String,
    pub kind: Named,
    /// The raw id of the endpoint or source.
    pub id: i64,
    pub name: String,
}

/// Why a chain runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The name of the source the event came in by.
    pub source: Option<&'a str>,
    /// `None` at ingest.
    pub delivery: Option<DeliveryId>,
    /// 1 for the first.
    pub attempt: u32,
}

/// The plugins of a relay. Cheap to clone.
#[derive(Clone)]
pub struct Plugins(Arc<Shared>);

struct Shared {
    runtime: Arc<Runtime>,
    /// What runs plugins, if this process does not.
    worker: Option<Worker>,
    library: Arc<Library>,
    state: Arc<dyn PluginState>,
    services: Services,
    clock: Arc<dyn Clock>,
    changes: watch::Sender<u64>,
    _watch: Option<Arc<FolderWatch>>,
}

impl std::fmt::Debug for Plugins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugins").finish_non_exhaustive()
    }
}

impl Plugins {
    /// Sets the engine up and starts to watch the folder.
    ///
    /// # Errors
    /// The machine lacks what the engine needs, or the folder is not there.
    pub fn new(
        settings: Settings,
        state: Arc<dyn PluginState>,
        services: Services,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let runtime = Arc::new(Runtime::new(&settings)?);
        let worker = settings
            .worker
            .as_ref()
            .map(|program| Worker::start(program, &settings));
        let library = Arc::new(Library::new(&settings, runtime.clone()));
        let changes = watch::Sender::new(0);
        let watch = match settings.folder {
            Some(folder) => {
                let watch = FolderWatch::start(&folder, changes.clone());
                Some(Arc::new(
                    watch.map_err(|source| Error::Folder { folder, source })?,
                ))
            }
            None => None,
        };
        Ok(Self(Arc::new(Shared {
            runtime,
            worker,
            library,
            state,
            services,
            clock,
            changes,
            _watch: watch,
        })))
    }

    /// The same plugins with state kept elsewhere and other services: what is tried out leaves
    /// nothing behind.
    #[must_use]
    pub fn apart(&self, state: Arc<dyn PluginState>, services: Services) -> Self {
        let shared = &*self.0;
        Self(Arc::new(Shared {
            runtime: shared.runtime.clone(),
            worker: shared.worker.clone(),
            library: shared.library.clone(),
            state,
            services,
            clock: shared.clock.clone(),
            changes: watch::Sender::new(0),
            _watch: None,
        }))
    }

    /// The same plugins with other services, for what is bound from here on.
    #[must_use]
    pub fn with_services(&self, services: Services) -> Self {
        let shared = &*self.0;
        Self(Arc::new(Shared {
            runtime: shared.runtime.clone(),
            worker: shared.worker.clone(),
            library: shared.library.clone(),
            state: shared.state.clone(),
            services,
            clock: shared.clock.clone(),
            changes: shared.changes.clone(),
            _watch: shared._watch.clone(),
        }))
    }

    /// Prepares a plugin for one owner: loads it, fills the schema's defaults into the
    /// configuration and checks it, by schema and by the plugin's own `setup`.
    ///
    /// # Errors
    /// There is no such plugin, this relay cannot run it, or its configuration does not fit:
    /// then all problems are told at once.
    pub async fn bind(&self, used: &PluginUse, owner: Owner) -> Result<Bound, BindError> {
        let loaded = self.0.library.load(&used.name, used.pin.as_ref()).await?;
        let config = fit(&loaded, used, lacking_secrets(&loaded, used))?;
        self.bind_to(loaded, &config, used, owner).await
    }

    /// The same with a version that the owner's tenant has uploaded under that name.
    ///
    /// # Errors
    /// As [`Plugins::bind`], also if it is not there any more, or is not what it was.
    pub async fn bind_uploaded(
        &self,
        uploads: &dyn Uploads,
        version: Version,
        used: &PluginUse,
        owner: Owner,
    ) -> Result<Bound, BindError> {
        let library = &self.0.library;
        let loaded = library.load_uploaded(uploads, owner.tenant, &used.name, version);
        let loaded = loaded.await?;
        let config = fit(&loaded, used, lacking_secrets(&loaded, used))?;
        self.bind_to(loaded, &config, used, owner).await
    }

    /// The same with a component at hand, whatever there is of that name: for programs that try
    /// one out. Such a program may not know all secrets; what needs one of those breaks when it asks.
    ///
    /// # Errors
    /// As [`Plugins::bind`].
    pub async fn bind_component(
        &self,
        component: Bytes,
        used: &PluginUse,
        owner: Owner,
    ) -> Result<Bound, BindError> {
        let loaded = self.0.library.load_component(&used.name, component).await?;
        let config = fit(&loaded, used, None)?;
        self.bind_to(loaded, &config, used, owner).await
    }

    async fn bind_to(
        &self,
        loaded: Loaded,
        config: &Value,
        used: &PluginUse,
        owner: Owner,
    ) -> Result<Bound, BindError> {
        let shared = &*self.0;
        let manifest = &loaded.inspection.manifest;
        let grants = Grants {
            turns: shared.runtime.turns.for_another(),
            plugin: used.name.clone(),
            scope: Scope {
                tenant: owner.tenant,
                owner: owner.id,
                plugin: used.name.clone(),
            },
            config: config.to_string(),
            secrets: used.secrets.clone(),
            room: loaded
                .inspection
                .waits()
                .then(|| Arc::new(shared.runtime.rooms.of(owner.tenant))),
            owner,
            keys: None,
            granted: used.granted.clone(),
            services: shared.services.clone(),
            limits: used.limits,
            store: shared.state.clone(),
            clock: shared.clock.clone(),
        };
        let may_wait = manifest.reuse && used.reuse;
        let hooks = loaded.code.hooks.present();
        let grants = Arc::new(grants);
        let runner = match &shared.worker {
            Some(worker) => Runner::Away(worker.seat(loaded.code, loaded.digest, grants, may_wait)),
            None => Runner::Here(Here::new(shared.runtime.clone(), loaded.code, grants, may_wait)),
        };
        let bound = Bound(Arc::new(bound::Inner {
            runner,
            digest: loaded.digest,
            hooks,
            beside: None,
        }));
        check_setup(&bound).await?;
        Ok(bound)
    }

    /// Whether a component can be used, and what it says about itself: it is read, its schema too,
    /// and compiled. Nothing of it is run.
    ///
    /// # Errors
    /// Why this relay cannot run it.
    pub async fn examine(&self, name: &str, component: Bytes) -> Result<Arc<Inspection>, BindError> {
        self.0.library.examine(name, component).await
    }

    /// The plugins that are the operator's to offer, by name.
    pub async fn offered(&self) -> Vec<Offered> {
        self.0.library.offered().await
    }

    /// The one of that name.
    pub async fn offered_as(&self, name: &str) -> Option<Offered> {
        self.0.library.offered_as(name).await
    }

    /// The component of the one of that name.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn component(&self, name: &str) -> Result<Bytes, BindError> {
        self.0.library.component_of(name).await
    }

    /// Whose plugins this relay takes.
    pub fn publishers(&self) -> &Publishers {
        self.0.library.publishers()
    }

    /// Where the operator has a plugin of that name, if there is one.
    pub fn place(&self, name: &str) -> Option<Place> {
        self.0.library.place(name)
    }

    /// The process that runs plugins, if this one does not.
    pub fn worker(&self) -> Option<worker::Status> {
        self.0.worker.as_ref().map(Worker::status)
    }

    /// What a component says about itself. Nothing of it is run or compiled.
    ///
    /// # Errors
    /// Says in one sentence why this relay cannot run it.
    pub fn inspect(bytes: &[u8], name: &str) -> Result<Inspection, LoadError> {
        let found = manifest::inspect(bytes, name)?;
        let config = found.manifest.config.as_ref();
        config.map_or(Ok(()), schema::read).map_err(LoadError::Manifest)?;
        Ok(found)
    }

    /// Counts up whenever a file in the plugin folder has changed and settled. Bind again to
    /// take the change up; calls in flight end on the version they began on.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}

async fn check_setup(bound: &Bound) -> Result<(), BindError> {
    if !bound.hooks().setup {
        return Ok(());
    }
    let name = || bound.name().to_owned();
    match bound.with_time(SETUP_TIME_MAX).check_config().await {
        Ok(problems) if problems.is_empty() => Ok(()),
        Ok(problems) => Err(BindError::Config {
            name: name(),
            problems,
        }),
        Err(fault) => Err(BindError::Check { name: name(), fault }),
    }
}
