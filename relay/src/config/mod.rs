//! Configuration: one TOML file, overridden by environment variables, checked as a whole.
//!
//! [`load`] turns text into a [`Config`] or into every fault of the file at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::deliver::mail::Settings as Mail;
use crate::deliver::send::Proxy;
use crate::http::tls;
use crate::model::alert::Alert;
use crate::model::catalogue::EventType;
use crate::model::endpoint::Endpoint;
use crate::model::plugin::Limits;
use crate::model::publisher::Publishers;
use crate::model::resource::Definition;
use crate::model::rule::Rule;
use crate::model::secret::Secret;
use crate::model::source::Source;

mod alert;
mod check;
pub mod definition;
pub mod document;
mod endpoint;
pub mod environment;
mod event_type;
mod plugin;
mod publishers;
pub mod quota;
mod tenant;
mod reply;
mod judge;
pub mod key_path;
mod label;
mod mail;
mod media;
mod numbers;
mod outbound;
mod quantity;
pub mod reader;
mod rule;
pub mod sketch;
mod source;
mod telemetry;

pub use judge::{Judge, MaxTokensKey, ResponseFormat};
pub use plugin::plugin_uses;
use quota::{Plan, QuotaSettings};
pub use reader::parse_duration;
use reader::{Fault, Findings, Surroundings};

/// Every setting with its default and a comment: the file that ships in the binary.
pub const DEFAULT_FILE: &str = include_str!("../../relay.default.toml");

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: Server,
    pub store: StoreSettings,
    pub outbound: Outbound,
    /// The server that mail is sent by; without one there is none.
    pub mail: Option<Mail>,
    pub queue: QueueSettings,
    pub plugins: PluginSettings,
    pub media: MediaSettings,
    /// What judges for plugins; without one nothing does.
    pub judge: Option<Judge>,
    pub log: Log,
    pub plans: Vec<Plan>,
    pub quota: QuotaSettings,
    pub telemetry: Telemetry,
    /// Ids are 0 until the store has named them.
    pub sources: Vec<Declared<Source>>,
    /// Ids are 0 until the store has named them.
    pub endpoints: Vec<Declared<Endpoint>>,
    /// Ids are 0 until the store has named them.
    pub rules: Vec<Declared<Rule>>,
    /// Ids are 0 until the store has named them.
    pub event_types: Vec<Declared<EventType>>,
    /// Ids are 0 until the store has named them.
    pub alerts: Vec<Declared<Alert>>,
}

/// Something that was defined, checked, with its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared<T> {
    pub item: T,
    pub definition: Definition,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    pub listen: Vec<SocketAddr>,
    /// How people outside reach this relay: the address that some senders sign.
    pub public_url: Option<url::Url>,
    /// A fixed admin key; without one, the first start makes one and prints it once.
    pub admin_key: Option<Secret>,
    /// What the listeners show; without it they speak no TLS.
    pub tls: Option<tls::Files>,
    pub body_bytes_max: usize,
    pub head_bytes_max: usize,
    pub uri_bytes_max: usize,
    pub headers_max: usize,
    pub head_timeout: Duration,
    pub body_timeout: Duration,
    /// How long a connection is kept that nobody uses.
    pub idle_timeout: Duration,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    /// Networks of proxies, whose connections are those of many.
    pub proxies: Vec<ipnet::IpNet>,
    /// How long a stop waits for what is under way.
    pub drain_timeout: Duration,
    pub foreign_ids: ForeignIds,
}

/// What a caller is told of an id that another tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignIds {
    /// The same as of one that nobody has.
    NotFound,
    /// That it is not theirs.
    Forbidden,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq)]
pub struct StoreSettings {
    pub place: Place,
    /// Events older than this are removed.
    pub retention: Duration,
    /// How long it is known who changed what.
    pub audit_retention: Duration,
    /// How long a dedupe key is remembered.
    pub dedupe_window: Duration,
    /// What secrets in the store are sealed with, the one in use first; without any, the
    /// relay makes its own and keeps it beside the store. Each reads as a key.
    pub master_keys: Vec<Secret>,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// Nowhere: gone when the relay stops. For tests and trials.
    Memory,
}

/// `[outbound]`
#[derive(Debug, Clone, PartialEq)]
pub struct Outbound {
    pub https_only: bool,
    /// Networks that may be reached although they are loopback, private or reserved.
    pub allow_networks: Vec<ipnet::IpNet>,
    /// PEM files with further root certificates.
    pub ca_files: Vec<PathBuf>,
    pub connect_timeout: Duration,
    /// What requests are seen to come from outside; told at `/v1/egress`.
    pub egress: Vec<ipnet::IpNet>,
    /// Addresses of this machine that connections are made from, one of a family at most.
    pub bind: Vec<std::net::IpAddr>,
    /// What connections to endpoints are made through.
    pub proxy: Option<Proxy>,
    /// Unused connections kept for each origin.
    pub idle_connections_max: usize,
}

/// `[queue]`
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSettings {
    /// Deliveries of one endpoint held in memory; more wait in the store.
    pub endpoint_deliveries_max: usize,
    /// Bytes of events held in memory for all endpoints together.
    pub memory_bytes_max: usize,
    /// Attempts under way at once, for all endpoints together.
    pub concurrency_max: usize,
}

/// `[plugins]`
#[derive(Debug, Clone, PartialEq)]
pub struct PluginSettings {
    /// Where the operator's own `*.wasm` components are.
    pub folder: Option<PathBuf>,
    /// Where compiled plugins are kept; beside the store if not given.
    pub cache: Option<PathBuf>,
    /// Whose plugins are taken; without any, everybody's.
    pub publishers: Publishers,
    /// Whether a process of their own runs them.
    pub worker: bool,
    /// What a call may use when its use in a chain does not say otherwise.
    pub limits: Limits,
}

/// `[media]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSettings {
    /// Where files are kept that plugins capture; beside the store if not given.
    pub folder: Option<PathBuf>,
    pub file_bytes_max: usize,
    /// How long a file is kept if its plugin does not say.
    pub ttl: Duration,
    /// How long one is kept at most.
    pub ttl_max: Duration,
    pub tenant_bytes_max: u64,
    /// Of all tenants together.
    pub bytes_max: u64,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// A filter in the syntax of `tracing-subscriber`, such as `info,relay=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// The OpenTelemetry collector, without `/v1/traces` and `/v1/metrics`; nothing is sent
    /// without one.
    pub otlp_url: Option<url::Url>,
    pub otlp_headers: Vec<(String, Secret)>,
    /// What this relay is called there.
    pub service_name: String,
    pub traces: bool,
    /// The share of traces that are sent, of those that are not sampled already, 0 to 1.
    pub trace_share: f64,
    pub metrics: bool,
    pub metrics_every: Duration,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Reads and checks a configuration file.
///
/// # Errors
/// Every fault found, in the order of the file. Text that is no TOML is a single fault.
pub fn load(text: &str, surroundings: &dyn Surroundings) -> Result<Config, Vec<Fault>> {
    let mut table = document::read(text)?;
    let findings = Findings::default();
    environment::apply(&mut table, surroundings, &findings);
    let config = check::check(&table, &findings, surroundings);
    let found = findings.into_faults();
    if found.is_empty() { Ok(config) } else { Err(found) }
}

/// What a name of a source, endpoint or rule may look like, for a message.
const NAME_REMEDY: &str = "use 1 to 64 letters, digits, `-`, `_` and `.`";

/// Whether a text can name a source, endpoint, rule or plugin: it stands in paths, logs and headers.
pub fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No environment and no files.
    pub(super) struct Nowhere;

    impl Surroundings for Nowhere {
        fn variables(&self) -> Vec<(String, String)> {
            Vec::new()
        }
        fn variable(&self, _: &str) -> Option<String> {
            None
        }
        fn file(&self, _: &str) -> Result<String, String> {
            Err("no files here".to_owned())
        }
    }

    pub(super) fn faults(text: &str) -> Vec<String> {
        load(text, &Nowhere)
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_default_file_says_what_the_defaults_are() {
        let written = load(DEFAULT_FILE, &Nowhere).expect("the default file is valid");
        let empty = load("", &Nowhere).expect("an empty file is valid");
        assert_eq!(format!("{written:?}"), format!("{empty:?}"));
    }

    #[test]
    fn all_faults_are_reported_at_once_with_path_and_remedy() {
        let found = faults(
            r#"
            [server]
            lisen = "127.0.0.1:80"
            [store]
            retention = "a while"
            [[endpoint]]
            name = "crm"
            url = "ftp://example.com"
            timeout = 5
            [[endpoint]]
            name = "crm"
            url = "https://example.com"
            headers = { x-key = { env = "NOT_SET" } }
            "#,
        );
        let has = |path: &str, text: &str| {
            found
                .iter()
                .any(|fault| fault.starts_with(path) && fault.contains(text))
        };
        assert!(has("server.lisen", "did you mean listen?"), "{found:#?}");
        assert!(has("store.retention", "not a span of time"), "{found:#?}");
        assert!(has("endpoint[0].url", "ftp"), "{found:#?}");
        assert!(has("endpoint[0].timeout", "not a string"), "{found:#?}");
        assert!(has("endpoint[1].name", "already"), "{found:#?}");
        assert!(has("endpoint[1].headers.x-key", "NOT_SET"), "{found:#?}");
        assert_eq!(found.len(), 6, "{found:#?}");
    }

    #[test]
    fn text_that_is_no_toml_is_one_fault_that_says_where() {
        let found = faults("server = [");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("line 1"), "{found:?}");
    }
}
