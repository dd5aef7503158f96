//! The relay's own host of plugins, in this process, with state in memory.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::plugins::services::Services;
use crate::plugins::{Plugins, Settings};
use crate::store::memory::MemoryStore;

/// What a command runs plugins on.
pub(super) struct Host {
    pub(super) plugins: Plugins,
    pub(super) state: Arc<MemoryStore>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Host {
    /// The host that a relay has. Compiled plugins are kept for the next command.
    pub(super) fn new() -> anyhow::Result<Self> {
        Self::with(Settings {
            compiler: crate::app::compiler(),
            ..usual()
        })
    }

    /// One that counts instructions.
    pub(super) fn counting() -> anyhow::Result<Self> {
        Self::with(Settings {
            fuel: true,
            ..usual()
        })
    }

    fn with(settings: Settings) -> anyhow::Result<Self> {
        let state = Arc::new(MemoryStore::default());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Ok(Self {
            plugins: Plugins::new(settings, state.clone(), Services::default(), clock.clone())?,
            state,
            clock,
        })
    }
}

fn usual() -> Settings {
    Settings::new(std::env::temp_dir().join(format!("relay-plugins-{}", crate::app::user())))
}
