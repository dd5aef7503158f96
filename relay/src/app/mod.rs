//! The only place that builds and connects things, and says in which order they start and
//! stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::auth::{Keys, fresh_key, key_record};
use crate::api::{self, Api};
use crate::clock::{Clock, Resumed, SystemClock};
use crate::config::{Config, ForeignIds, Place, StoreSettings};
use crate::deliver::send::{Sender, SenderSettings, Wire};
use crate::directory::Directories;
use crate::flow::call::{Places, UnderWay};
use crate::flow::capture::Captures;
use crate::flow::fetch::Fetcher;
use crate::flow::{Flow, Settled};
use crate::http::address_cap::AddressCap;
use crate::http::head;
use crate::http::server::{self, Connections};
use crate::inspect::Inspectors;
use crate::manage::{self, Manager};
use crate::media::Keeper;
use crate::metrics::{Metrics, Observed};
use crate::model::audit::{By, Deed};
use crate::model::id::{EventId, IdMaker, KeyId};
use crate::model::secret::Secret;
use crate::notices::Notices;
use crate::otlp::Exporter;
use crate::plugins::compile::{Compiler, this_program};
use crate::plugins::services::Services;
use crate::plugins::{self, Plugins};
use crate::queue::{self, Queue};
use crate::quota::Quotas;
use crate::receive::{self, Gate, Limits};
use crate::record::Recorder;
use crate::recovery::Recovery;
use crate::refusals::Refusals;
use crate::reply::cache::Cache;
use crate::rules::alarm::Alarm;
use crate::stats::Stats;
use crate::store::memory::MemoryStore;
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{PluginState, Role, Store};
use outbound::sender_settings;
use reload::Reload;

mod background;
mod certificates;
mod export;
mod files;
mod judging;
mod outbound;
mod recover;
mod reload;

/// What a relay stands on.
pub struct Ground {
    pub store: Arc<dyn Store>,
    pub plugins: Plugins,
    /// Its wall clock is the relay's; the steady one goes on from where the store knows it.
    pub clock: Arc<dyn Clock>,
    /// What requests go out by in place of the network.
    pub wire: Option<Arc<dyn Wire>>,
    /// Where jitter comes from.
    pub random: StdRng,
    /// The store again, if it is a file that has to be closed.
    sqlite: Option<Arc<SqliteStore>>,
}

impl Ground {
    /// Ground of these, for a relay that sends by `wire`.
    pub fn new(
        store: Arc<dyn Store>,
        plugins: Plugins,
        clock: Arc<dyn Clock>,
        wire: Arc<dyn Wire>,
        random: StdRng,
    ) -> Self {
        Self {
            store,
            plugins,
            clock,
            wire: Some(wire),
            random,
            sqlite: None,
        }
    }

    fn of_this_machine(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (store, sqlite) = open_store(&config.store)?;
        let plugins = Plugins::new(
            plugin_settings(config)?,
            Arc::clone(&store) as Arc<dyn PluginState>,
            Services::default(),
            Arc::clone(&clock),
        )
        .context("the plugin host cannot start")?;
        Ok(Self {
            store,
            plugins,
            clock,
            wire: None,
            random: StdRng::try_from_rng(&mut SysRng)?,
            sqlite,
        })
    }
}

/// A relay that runs.
pub struct App {
    /// Where it listens; a port that was given as 0 is known here.
    pub addresses: Vec<SocketAddr>,
    connections: Arc<Connections>,
    /// The admin key made on the first start; shown once.
    pub fresh_key: Option<Secret>,
    pub directories: Arc<Directories>,
    config: Config,
    store: Arc<dyn Store>,
    sqlite: Option<Arc<SqliteStore>>,
    queue: Arc<Queue>,
    flow: Option<Arc<Flow>>,
    reload: Arc<Reload>,
    /// What sends to a collector, if there is one.
    exporter: Option<Exporter>,
    /// Ends the listeners and whatever takes new work.
    stop: CancellationToken,
    /// Connections, and the loops that take new work.
    doors: TaskTracker,
    /// Attempts and commits under way.
    work: TaskTracker,
    /// What writes for the others and ends last.
    writers: TaskTracker,
}

impl App {
    /// Starts a relay: it answers requests when this returns. Plugins compile first; what was
    /// in flight at the last stop is taken up in the background.
    ///
    /// # Errors
    /// If a listener, the store or a plugin of the configuration cannot be used.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        // Bound first: a port in use is the commonest fault, and nothing has happened yet.
        let listeners = bind(&config.server.listen).await?;
        let ground = Ground::of_this_machine(&config)?;
        Self::start_on(ground, config, listeners).await
    }

    /// Starts a relay on other ground than this machine's, such as a simulation's.
    ///
    /// # Errors
    /// As [`App::start`].
    pub async fn start_on(
        ground: Ground,
        config: Config,
        listeners: Vec<TcpListener>,
    ) -> anyhow::Result<Self> {
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<Vec<_>, _>>()?;
        let Ground {
            store,
            sqlite,
            plugins,
            wire,
            mut random,
            ..
        } = ground;
        let ids = Arc::new(IdMaker::new(0));
        let last_id = store.last_raw_id().await?;
        let checkpoint = store.checkpoint().await?;
        // The checkpoint may be ahead of what is stored, by events that were duplicates or refused.
        // An event behind it would not be looked for after a crash.
        ids.start_after(last_id.max(checkpoint.raw()));
        let ahead_ms = store.clock_ahead().await?;
        let clock: Arc<dyn Clock> = Arc::new(Resumed::new(ground.clock, ahead_ms));
        let tls = certificates::start(config.server.tls.as_ref())?;
        let inspectors = Inspectors::load(Arc::clone(&store), Arc::clone(&clock)).await?;
        let inspectors = Arc::new(inspectors);
        let sender = Sender::new(SenderSettings {
            wire,
            local: Some(Arc::clone(&inspectors) as Arc<dyn Wire>),
            ..sender_settings(&config, &addresses, &clock)?
        })
        .context("the outgoing connections cannot be set up")?;
        let sender = Arc::new(sender);
        let queue = Arc::new(Queue::new(
            queue_settings(&config),
            Arc::clone(&clock),
            checkpoint,
        ));
        let directories = Arc::new(Directories::default());
        let connections = Arc::new(Connections::new(tls.clone()));
        let metrics = Arc::new(Metrics::of(
            Observed {
                store: Arc::clone(&store),
                queue: Arc::clone(&queue),
                directories: Arc::clone(&directories),
                connections: Arc::clone(&connections),
                connections_max: config.server.connections_max,
                plugins: plugins.clone(),
            },
            sqlite.as_deref().map(SqliteStore::commits),
        ));
        let media = Keeper::new(files::settings(&config), Arc::clone(&store), Arc::clone(&clock));
        let media = Arc::new(media);
        let plugins = plugins.with_services(Services {
            http: Some(Arc::new(Fetcher {
                sender: Arc::clone(&sender),
                directories: Arc::downgrade(&directories),
                metrics: Arc::downgrade(&metrics),
            })),
            media: Some(Arc::clone(&media) as Arc<dyn plugins::services::Media>),
            judge: judging::start(&config, &store, &directories, &metrics, &clock)?,
        });
        let quotas = Arc::new(Quotas::new(Arc::clone(&store), Arc::clone(&clock)));
        let manager = manage::Parts {
            quotas: Arc::clone(&quotas),
            store: Arc::clone(&store),
            plugins,
            sender: Arc::clone(&sender),
            clock: Arc::clone(&clock),
            directories: Arc::clone(&directories),
            queue: Arc::clone(&queue),
        };
        let manager = Arc::new(Manager::start(manager, config.clone()).await?);
        queue.restore(store.disabled().await?, store.failing().await?);
        let keys = Arc::new(Keys::new(Arc::clone(&directories), Arc::clone(&clock)));
        let fresh_key = prepare_keys(&config, &keys, store.as_ref(), &ids, clock.as_ref()).await?;

        let settling = Arc::clone(&queue);
        let (recorder, recording) = Recorder::new(Arc::clone(&store), move |settled| match settled {
            Settled::Delivery(job, due) => settling.settle(&job, due),
            // Whoever waits may have gone.
            Settled::Call(waits) => drop(waits.send(())),
        });
        let work = TaskTracker::new();
        let (exporter, traces) = export::start(&config, &metrics, &clock, &mut random)?.unzip();
        let (notices, noticed) = Notices::new();
        let flow = Arc::new(Flow {
            stats: Arc::new(Stats::new(Arc::clone(&store), Arc::clone(&clock))),
            feed: Arc::default(),
            captures: Captures::default(),
            notices,
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            directories: Arc::clone(&directories),
            sender: Arc::clone(&sender),
            recorder,
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            traces: traces.flatten(),
            ids: Arc::clone(&ids),
            alarm: Alarm::default(),
            random: std::sync::Mutex::new(random),
            disabling: tokio::sync::Mutex::default(),
            replies: Cache::default(),
            calls: Places::default(),
            under_way: UnderWay::default(),
            tasks: work.clone(),
        });
        let recovery = Arc::new(Recovery {
            store: Arc::clone(&store),
            queue: Arc::clone(&queue),
            flow: Arc::clone(&flow),
            directories: Arc::clone(&directories),
            clock: Arc::clone(&clock),
            ids: Arc::clone(&ids),
            bell: tokio::sync::Notify::new(),
        });
        let app = Self {
            addresses,
            connections,
            fresh_key,
            directories: Arc::clone(&directories),
            store: Arc::clone(&store),
            sqlite: sqlite.clone(),
            queue: Arc::clone(&queue),
            flow: Some(Arc::clone(&flow)),
            reload: Arc::new(Reload {
                manager: Arc::clone(&manager),
                sqlite: sqlite.clone(),
                tls,
                certificates_changed: Arc::default(),
                sender: Arc::clone(&sender),
                clock: Arc::clone(&clock),
                store: Arc::clone(&store),
            }),
            exporter,
            stop: CancellationToken::new(),
            doors: TaskTracker::new(),
            work,
            writers: TaskTracker::new(),
            config,
        };
        app.writers.spawn(recording);
        app.writers.spawn(Arc::clone(&queue).tend(Arc::clone(&store)));
        app.doors.spawn(sweep(sender, app.stop.clone()));
        app.start_background(&flow, &clock, EventId::from_raw(last_id));
        app.doors.spawn(Arc::clone(&recovery).run(app.stop.clone()));
        app.doors
            .spawn(crate::media::sweep::run(Arc::clone(&media), app.stop.clone()));
        let alerts = app.start_watching(&flow, &manager, noticed);
        app.start_doors(
            listeners,
            Arc::new(Gate {
                flow: Arc::clone(&flow),
                directories: Arc::clone(&directories),
                keys: Arc::clone(&keys),
                quotas: Arc::clone(&quotas),
                clock: Arc::clone(&clock),
                refusals: Refusals::new(Arc::clone(&metrics)),
                api: api::router(Api {
                    store,
                    queue,
                    flow,
                    manager,
                    recovery,
                    alerts,
                    directories,
                    keys,
                    quotas,
                    tells_foreign_ids: app.config.server.foreign_ids == ForeignIds::Forbidden,
                    clock,
                    metrics,
                    ids,
                    in_progress: Arc::default(),
                    document: receive::document,
                    egress: api::egress::Told::of(&app.config.outbound.egress, &app.config.outbound.bind),
                    testing: Arc::default(),
                    inspectors,
                    media,
                    stop: app.stop.clone(),
                }),
                limits: Limits {
                    body_bytes_max: app.config.server.body_bytes_max,
                    body_timeout: app.config.server.body_timeout,
                    head: head::Limits {
                        uri_bytes_max: app.config.server.uri_bytes_max,
                        headers_max: app.config.server.headers_max,
                    },
                },
            }),
        );
        Ok(app)
    }

    fn start_doors(&self, listeners: Vec<TcpListener>, gate: Arc<Gate>) {
        let settings = &self.config.server;
        let limits = server::Limits {
            head_bytes_max: settings.head_bytes_max,
            headers_max: settings.headers_max,
            head_timeout: settings.head_timeout,
            idle_timeout: settings.idle_timeout,
            connections_max: settings.connections_max,
            address_cap: Arc::new(AddressCap::new(
                settings.connections_per_address_max,
                settings.proxies.clone(),
            )),
        };
        for listener in listeners {
            self.doors.spawn(server::serve(
                listener,
                Arc::clone(&gate),
                limits.clone(),
                Arc::clone(&self.connections),
                self.stop.clone(),
                self.doors.clone(),
            ));
        }
    }

    /// Checks what only a running relay can: that every plugin is there, can be run here, and
    /// takes the configuration it is given. Nothing of the relay's own store is touched.
    ///
    /// # Errors
    /// Everything that cannot be used, at once.
    pub async fn check(config: &Config) -> anyhow::Result<()> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let settings = plugin_settings(&Config {
            store: StoreSettings {
                place: Place::Memory,
                ..config.store.clone()
            },
            ..config.clone()
        })?;
        let plugins = Plugins::new(
            settings,
            Arc::clone(&store) as Arc<dyn PluginState>,
            Services::default(),
            Arc::clone(&clock),
        )?;
        let sender = Sender::new(sender_settings(config, &[], &clock)?)?;
        let parts = manage::Parts {
            queue: Arc::new(Queue::new(
                queue_settings(config),
                Arc::clone(&clock),
                EventId::from_raw(0),
            )),
            directories: Arc::default(),
            quotas: Arc::new(Quotas::new(Arc::clone(&store), Arc::clone(&clock))),
            sender: Arc::new(sender),
            store,
            plugins,
            clock,
        };
        Manager::start(parts, config.clone()).await?;
        Ok(())
    }

    /// Puts the sources and endpoints of another configuration in force, without a request
    /// dropped. Names the sections that differ but are only read at the start.
    ///
    /// # Errors
    /// What cannot be used of it; then nothing has changed.
    pub async fn configure(&self, config: Config) -> anyhow::Result<Vec<&'static str>> {
        self.reload.configure(config).await
    }

    /// The path of an event. Whoever keeps it holds up the stop.
    pub fn flow(&self) -> Option<&Arc<Flow>> {
        self.flow.as_ref()
    }

    /// The addresses it listens on, as a URL begins.
    pub fn origins(&self) -> impl Iterator<Item = String> {
        let scheme = if self.connections.tls.is_some() {
            "https"
        } else {
            "http"
        };
        self.addresses
            .iter()
            .map(move |address| format!("{scheme}://{address}"))
    }

    /// Where everything is kept.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Stops in order: listeners and connections, attempts under way, their records, the
    /// store. What has not ended within the drain timeout is tried again after the next start.
    pub async fn stop(mut self) {
        let deadline = Instant::now() + self.config.server.drain_timeout;
        self.stop.cancel();
        self.queue.close();
        self.doors.close();
        wait("connections", &self.doors, deadline).await;
        self.work.close();
        wait("attempts", &self.work, deadline).await;
        // The recorder ends when the last one who hands in is gone.
        if let Some(flow) = self.flow.take()
            && let Err(error) = flow.stats.flush().await
        {
            tracing::warn!(%error, "what was counted last is lost");
        }
        self.writers.close();
        wait("records", &self.writers, deadline).await;
        if let Some(exporter) = self.exporter.take() {
            exporter.finish().await;
        }
        if let Some(store) = &self.sqlite {
            store.close().await;
        }
    }
}

/// Closes outgoing connections that nobody has used for long.
async fn sweep(sender: Arc<Sender>, stop: CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        never = sender.keep_swept() => match never {},
    }
}

async fn wait(what: &str, tasks: &TaskTracker, deadline: Instant) {
    if tokio::time::timeout_at(deadline, tasks.wait()).await.is_err() {
        tracing::warn!(what, left = tasks.len(), "not all ended in time");
    }
}

async fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}; is another program using the port?"))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// The store, and again as what has to be closed, if it is a file.
type Opened = (Arc<dyn Store>, Option<Arc<SqliteStore>>);

fn open_store(settings: &StoreSettings) -> anyhow::Result<Opened> {
    match &settings.place {
        Place::Memory => Ok((Arc::new(MemoryStore::default()), None)),
        Place::Sqlite(path) => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make the folder {}", folder.display()))?;
            }
            let settings = sqlite::Settings {
                master_keys: reload::master_keys(settings),
                ..sqlite::Settings::default()
            };
            let store = SqliteStore::open(path, settings)
                .with_context(|| format!("cannot open the store {}", path.display()))?;
            let store = Arc::new(store);
            Ok((Arc::clone(&store) as Arc<dyn Store>, Some(store)))
        }
    }
}

/// Compiled plugins live beside the store, or in the system's folder for temporary files.
fn plugin_settings(config: &Config) -> anyhow::Result<plugins::Settings> {
    let beside_store = match &config.store.place {
        Place::Sqlite(path) => path.with_file_name("plugins"),
        Place::Memory => std::env::temp_dir().join(format!("relay-plugins-{}", user())),
    };
    let cache = config.plugins.cache.clone().unwrap_or(beside_store);
    let worker = config.plugins.worker.then(this_program).transpose();
    let worker = worker.context("plugins cannot run in a process of their own")?;
    Ok(plugins::Settings {
        folder: config.plugins.folder.clone(),
        publishers: config.plugins.publishers.clone(),
        compiler: compiler(),
        worker,
        ..plugins::Settings::new(cache)
    })
}

/// A child of this program, which is the relay's wherever this is called.
pub(crate) fn compiler() -> Compiler {
    Compiler::this_program().unwrap_or_else(|error| {
        tracing::warn!(%error, "plugins are compiled in this process: it does not know its own program");
        Compiler::Here
    })
}

/// Keeps the compiled code of one user away from another's.
pub(crate) fn user() -> String {
    rustix::process::getuid().as_raw().to_string()
}

const fn queue_settings(config: &Config) -> queue::Settings {
    queue::Settings {
        endpoint_deliveries_max: config.queue.endpoint_deliveries_max,
        memory_bytes_max: config.queue.memory_bytes_max,
        concurrency_max: config.queue.concurrency_max,
    }
}

/// Puts the keys in force; on the first start without a configured one, makes an admin key.
async fn prepare_keys(
    config: &Config,
    keys: &Keys,
    store: &dyn Store,
    ids: &IdMaker,
    clock: &dyn Clock,
) -> anyhow::Result<Option<Secret>> {
    let fixed = config.server.admin_key.as_ref();
    keys.load(store, fixed).await?;
    if !keys.is_empty() {
        return Ok(None);
    }
    let key = fresh_key().context("the system has no randomness to give")?;
    let now = clock.now();
    let record = key_record(
        KeyId::from_raw(ids.next(now)),
        "first admin",
        Role::Admin,
        &key,
        now,
    );
    let deed = Deed::new(record.tenant, now, By::OPERATOR, "key.made").to(record.id, Some(&record.name));
    store.note(deed).await?;
    store.add_key(record).await?;
    keys.load(store, fixed).await?;
    Ok(Some(key))
}
