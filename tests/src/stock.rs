//! The stock plugins, ready to be tried out with the fixtures beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay::clock::{Clock, SystemClock};
use relay::model::plugin::Limits;
use relay::plugins::fixtures::{Fixture, Trial};
use relay::plugins::services::Services;
use relay::plugins::{Plugins, Settings, stock};
use relay::store::memory::MemoryStore;
use tempfile::TempDir;

/// A machine that runs tests is busy: a plugin's share of it may come late.
const TIME_MAX: Duration = Duration::from_secs(5);

/// A host, which keeps what it compiles as long as it lives.
pub struct Workbench {
    plugins: Plugins,
    state: Arc<MemoryStore>,
    clock: Arc<dyn Clock>,
    _cache: Option<TempDir>,
}

impl Workbench {
    /// One with an empty cache.
    ///
    /// # Errors
    /// The folder for compiled code cannot be made.
    pub fn new() -> std::io::Result<Self> {
        let cache = tempfile::tempdir()?;
        let mut made = Self::over(cache.path());
        made._cache = Some(cache);
        Ok(made)
    }

    /// One that keeps what it compiles in a folder.
    ///
    /// # Panics
    /// If there can be no host.
    pub fn over(cache: &Path) -> Self {
        let (state, clock): (_, Arc<dyn Clock>) = (Arc::new(MemoryStore::default()), Arc::new(SystemClock));
        let settings = Settings::new(cache.to_owned());
        let plugins =
            Plugins::new(settings, state.clone(), Services::default(), clock.clone()).expect("a host");
        Self {
            plugins,
            state,
            clock,
            _cache: None,
        }
    }

    /// A stock plugin on it.
    pub fn trial(&self, plugin: &str) -> Trial {
        let component = stock::find(plugin).expect("it is there");
        self.trial_of(plugin, Bytes::from_static(component))
    }

    /// Any component on it.
    pub fn trial_of(&self, name: &str, component: Bytes) -> Trial {
        Trial {
            plugins: self.plugins.clone(),
            state: self.state.clone(),
            clock: self.clock.clone(),
            name: name.to_owned(),
            component,
            limits: Limits {
                time: TIME_MAX,
                ..Limits::default()
            },
            replies: Arc::default(),
        }
    }
}

/// The fixtures of a stock plugin, in the order of their files' names.
pub fn fixtures(plugin: &str) -> Vec<(PathBuf, Fixture)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugins")
        .join(plugin)
        .join("tests");
    let fixtures = Fixture::read_all(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(!fixtures.is_empty(), "{plugin} has no fixture");
    fixtures
}
