//! The use of a plugin by a source or an endpoint.

use std::time::Duration;

use super::secret::Secret;

/// A plugin in a chain, with what this owner gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginUse {
    /// A stock plugin's name, or the name of a file in the plugin folder.
    pub name: String,
    /// Its configuration, not yet checked against the plugin's schema.
    pub config: serde_json::Value,
    /// Secrets granted to it, by the name it asks for.
    pub secrets: Vec<(String, Secret)>,
    pub limits: Limits,
    /// Whether an instance may serve several calls, where the author allows it. `false`: a
    /// fresh instance for every call, whatever the author says.
    pub reuse: bool,
}

/// What one call of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall time, host calls included.
    pub time: Duration,
    /// All linear memories together.
    pub memory_bytes: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    pub output_bytes: usize,
    pub log_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(50),
            memory_bytes: 16 << 20,
            table_elements: 10_000,
            output_bytes: 1 << 20,
            log_lines: 64,
        }
    }
}

/// What becomes of a delivery when a plugin breaks (trap, overrun, unusable answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFault {
    /// Try again by the endpoint's schedule.
    #[default]
    Retry,
    /// Give up at once; kept for a manual retry.
    DeadLetter,
    /// Go on as if the plugin were not there.
    Pass,
}
