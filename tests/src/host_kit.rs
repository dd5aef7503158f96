//! What the suite of the plugin host and its benchmark need: a host in a temporary folder, events, state.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use relay::clock::ManualClock;
use relay::model::event::{Envelope, Event};
use relay::model::id::{DeliveryId, EventId, TenantId};
use relay::model::plugin::{Granted, Limits, OnFault, PluginUse};
use relay::model::secret::Secret;
use relay::model::time::Timestamp;
use relay::plugins::compile::Compiler;
use relay::plugins::services::Services;
use relay::plugins::{BindError, Bound, Call, Chain, Owner, Plugins, Ran, Settings};
use relay::store::{self, Named, PluginState, Scope, Written};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{binary, guests};

/// A host with its folders.
pub struct Kit {
    pub plugins: Plugins,
    folder: TempDir,
}

impl Kit {
    /// A host whose plugin folder holds all guests, under their names.
    pub fn new() -> Self {
        Self::with_state(Arc::new(MapState::default()))
    }

    pub fn with_state(state: Arc<dyn PluginState>) -> Self {
        Self::made_of(state, Compiler::Here, runs_in_worker())
    }

    /// A host of so many instances at once.
    pub fn with_places(instances_max: u32) -> Self {
        let change = |settings| Settings {
            instances_max,
            worker: runs_in_worker(),
            ..settings
        };
        Self::made_by(Arc::new(MapState::default()), change)
    }

    /// A host that has a process of its own run plugins.
    pub fn in_worker() -> Self {
        Self::in_worker_with(Arc::new(MapState::default()))
    }

    pub fn in_worker_with(state: Arc<dyn PluginState>) -> Self {
        Self::made_of(state, Compiler::Here, Some(binary::path().to_owned()))
    }

    /// A host whose process that runs plugins is this program.
    pub fn with_worker(program: PathBuf) -> Self {
        Self::made_of(Arc::new(MapState::default()), Compiler::Here, Some(program))
    }

    /// A host of either kind.
    pub fn both() -> [Self; 2] {
        [Self::new(), Self::in_worker()]
    }

    /// A host that has this compiler compile.
    pub fn compiling(compiler: Compiler) -> Self {
        Self::made_of(Arc::new(MapState::default()), compiler, runs_in_worker())
    }

    fn made_of(state: Arc<dyn PluginState>, compiler: Compiler, worker: Option<PathBuf>) -> Self {
        let change = |settings| Settings {
            compiler,
            worker,
            ..settings
        };
        Self::made_by(state, change)
    }

    fn made_by(state: Arc<dyn PluginState>, change: impl FnOnce(Settings) -> Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("plugins")).expect("a folder for plugins");
        let settings = change(settings(&folder));
        let plugins = Plugins::new(settings, state, Services::default(), Arc::new(clock())).expect("a host");
        let kit = Self { plugins, folder };
        for (name, bytes) in [
            ("edits", guests::EDITS),
            ("everything", guests::EVERYTHING),
            ("hostile", guests::HOSTILE),
            ("remembers", guests::REMEMBERS),
            ("lean", guests::LEAN),
            ("spins-in-start", guests::SPINS_IN_START),
            ("spins-in-realloc", guests::SPINS_IN_REALLOC),
        ] {
            kit.install(name, bytes);
        }
        kit
    }

    /// Another host over the same folders.
    pub fn again(&self) -> Plugins {
        Plugins::new(
            settings(&self.folder),
            Arc::new(MapState::default()),
            Services::default(),
            Arc::new(clock()),
        )
        .expect("a host")
    }

    /// Puts a plugin into the folder.
    pub fn install(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        let new = path.with_extension("new");
        std::fs::write(&new, bytes).expect("the folder can be written to");
        std::fs::rename(new, path).expect("files can be renamed");
    }

    /// Where a plugin of the folder is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("plugins").join(format!("{name}.wasm"))
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Binds a plugin that must bind.
    pub async fn bind(&self, name: &str, config: Value) -> Bound {
        self.try_bind(&used(name, config))
            .await
            .expect("the plugin binds")
    }

    pub async fn try_bind(&self, used: &PluginUse) -> Result<Bound, BindError> {
        self.plugins.bind(used, owner()).await
    }

    /// The hostile guest, told what to do.
    pub async fn hostile(&self, action: &str) -> Bound {
        self.bind("hostile", json!({ "do": action })).await
    }

    /// The same with so much time that whatever stops it is not the clock, however busy the machine.
    pub async fn patient_with_hostile(&self, action: &str) -> Bound {
        let mut wanted = used("hostile", json!({ "do": action }));
        wanted.limits.time = Duration::from_secs(10);
        self.try_bind(&wanted).await.expect("the plugin binds")
    }

    /// What the hostile guest makes of an event.
    pub async fn misdeed(&self, action: &str) -> Ran {
        run(vec![self.hostile(action).await], OnFault::Retry).await
    }
}

impl Default for Kit {
    fn default() -> Self {
        Self::new()
    }
}

/// The program that runs plugins in a process of its own, if the whole suite is to be run so:
/// `RELAY_TEST_WORKER=1 cargo test --test plugin_host`.
fn runs_in_worker() -> Option<PathBuf> {
    std::env::var_os("RELAY_TEST_WORKER").map(|_| binary::path().to_owned())
}

fn settings(folder: &TempDir) -> Settings {
    Settings {
        folder: Some(folder.path().join("plugins")),
        instances_max: 32,
        ..Settings::new(folder.path().join("cache"))
    }
}

fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::from_millis(1_700_000_000_000))
}

/// A use of a plugin with generous time, since the machine may be busy.
pub fn used(name: &str, config: Value) -> PluginUse {
    PluginUse {
        name: name.to_owned(),
        pin: None,
        config,
        secrets: vec![
            ("key".to_owned(), Secret::new("k-secret".to_owned())),
            ("token".to_owned(), Secret::new("t0ps3cret".to_owned())),
            ("empty".to_owned(), Secret::new(String::new())),
        ],
        reuse: true,
        granted: Granted::of(["state"].into_iter()),
        limits: Limits {
            time: Duration::from_millis(500),
            ..Limits::default()
        },
    }
}

pub fn owner() -> Owner {
    Owner {
        tenant: TenantId::DEFAULT,
        tenant_name: "acme".to_owned(),
        kind: Named::Endpoint,
        id: 7,
        name: "billing".to_owned(),
    }
}

pub fn event(data: &str) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::from_raw(1 << 40),
        tenant: TenantId::DEFAULT,
        source: None,
        received_at: Timestamp::from_millis(1_700_000_000_007),
        envelope: Envelope {
            id: Some("sender-1".to_owned()),
            source: "github".to_owned(),
            kind: "issue.opened".to_owned(),
            subject: None,
            time: None,
            content_type: Some("application/json".to_owned()),
            extensions: vec![("myext".to_owned(), "ext value".to_owned())],
        },
        headers: vec![
            ("x-one".to_owned(), "1".to_owned()),
            ("x-one".to_owned(), "2".to_owned()),
        ],
        data: Bytes::copy_from_slice(data.as_bytes()),
    })
}

pub fn call() -> Call<'static> {
    Call {
        source: Some("github"),
        delivery: Some(DeliveryId::from_raw(9)),
        attempt: 2,
    }
}

/// Runs plugins over an ordinary event.
pub async fn run(bound: Vec<Bound>, on_fault: OnFault) -> Ran {
    run_on(bound, on_fault, r#"{"a":[1,2.50],"debug":true}"#).await
}

pub async fn run_on(bound: Vec<Bound>, on_fault: OnFault, data: &str) -> Ran {
    Chain::new(bound, on_fault).run(&event(data), call()).await
}

/// A component with a manifest behind it.
pub fn with_manifest(component: &[u8], manifest: &Value) -> Vec<u8> {
    let name = "relay:manifest";
    let mut content = vec![u8::try_from(name.len()).expect("a short name")];
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(manifest.to_string().as_bytes());
    let mut bytes = component.to_vec();
    bytes.push(0);
    let mut len = content.len();
    while len >= 0x80 {
        bytes.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(content);
    bytes
}

/// Memory of this process.
pub fn resident_bytes() -> usize {
    resident_bytes_of("self")
}

/// Memory of a process. The second number of `statm` is the resident size in pages.
pub fn resident_bytes_of(process: &str) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or_default();
    pages * 4096
}

/// State in a map, without time and quota.
#[derive(Default)]
pub struct MapState(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl PluginState for MapState {
    async fn state_value(&self, _: &Scope, key: &str, _: Timestamp) -> Result<Option<Vec<u8>>, store::Error> {
        Ok(self.0.lock().expect("no panic").get(key).cloned())
    }

    async fn set_state(
        &self,
        _: &Scope,
        key: &str,
        value: Vec<u8>,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<Written<()>, store::Error> {
        self.0.lock().expect("no panic").insert(key.to_owned(), value);
        Ok(Written::Done(()))
    }

    async fn delete_state(&self, _: &Scope, key: &str) -> Result<(), store::Error> {
        self.0.lock().expect("no panic").remove(key);
        Ok(())
    }

    async fn claim_state(
        &self,
        _: &Scope,
        key: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Written<bool>, store::Error> {
        Ok(Written::Done(
            self.0
                .lock()
                .expect("no panic")
                .insert(key.to_owned(), Vec::new())
                .is_none(),
        ))
    }

    async fn add_state(
        &self,
        _: &Scope,
        key: &str,
        delta: i64,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<Written<i64>, store::Error> {
        let mut map = self.0.lock().expect("no panic");
        let old = map
            .get(key)
            .and_then(|value| value.first_chunk())
            .map_or(0, |bytes| i64::from_le_bytes(*bytes));
        map.insert(key.to_owned(), (old + delta).to_le_bytes().to_vec());
        Ok(Written::Done(old + delta))
    }

    async fn swap_state(
        &self,
        _: &Scope,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<Written<bool>, store::Error> {
        let mut map = self.0.lock().expect("no panic");
        let is_as_expected = map.get(key) == expected.as_ref();
        if is_as_expected {
            map.insert(key.to_owned(), value);
        }
        Ok(Written::Done(is_as_expected))
    }

    async fn state_keys(
        &self,
        _: &Scope,
        prefix: &str,
        _: Option<String>,
        limit: usize,
        _: Timestamp,
    ) -> Result<Vec<String>, store::Error> {
        let map = self.0.lock().expect("no panic");
        Ok(map
            .keys()
            .filter(|key| key.starts_with(prefix))
            .take(limit)
            .cloned()
            .collect())
    }
}

/// State that never answers.
pub struct HungState;

#[async_trait]
impl PluginState for HungState {
    async fn state_value(&self, _: &Scope, _: &str, _: Timestamp) -> Result<Option<Vec<u8>>, store::Error> {
        std::future::pending().await
    }

    async fn set_state(
        &self,
        _: &Scope,
        _: &str,
        _: Vec<u8>,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<Written<()>, store::Error> {
        std::future::pending().await
    }

    async fn delete_state(&self, _: &Scope, _: &str) -> Result<(), store::Error> {
        std::future::pending().await
    }

    async fn claim_state(
        &self,
        _: &Scope,
        _: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Written<bool>, store::Error> {
        std::future::pending().await
    }

    async fn add_state(
        &self,
        _: &Scope,
        _: &str,
        _: i64,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<Written<i64>, store::Error> {
        std::future::pending().await
    }

    async fn swap_state(
        &self,
        _: &Scope,
        _: &str,
        _: Option<Vec<u8>>,
        _: Vec<u8>,
        _: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<Written<bool>, store::Error> {
        std::future::pending().await
    }

    async fn state_keys(
        &self,
        _: &Scope,
        _: &str,
        _: Option<String>,
        _: usize,
        _: Timestamp,
    ) -> Result<Vec<String>, store::Error> {
        std::future::pending().await
    }
}
