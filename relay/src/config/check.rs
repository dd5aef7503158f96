//! From the document to the checked value: one function for each section.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value};

use super::key_path::KeyPath;
use super::reader::{Findings, Section, Surroundings};
use super::{
    Config, Declared, ForeignIds, Log, LogFormat, Outbound, Place, PluginSettings, QueueSettings, Server,
    StoreSettings, alert, endpoint, event_type, judge, mail, media, outbound, plugin, publishers, quota,
    rule, source, telemetry,
};
use crate::deliver::address::Guard;
use crate::deliver::mail::Settings as Mail;
use crate::http::tls::{ClientAuth, Files, Identity};
use crate::model::alert::Alert;
use crate::model::catalogue::EventType;
use crate::model::endpoint::Endpoint;
use crate::model::rule::Rule;
use crate::model::secret::Secret;
use crate::model::source::Source;
use crate::store::seal::MasterKey;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads every section; faults are noted, and defaults stand in for what is wrong.
pub(super) fn check(
    table: &Map<String, Value>,
    findings: &Findings,
    surroundings: &dyn Surroundings,
) -> Config {
    let root = Section::root(table, findings, surroundings);
    let plugins = plugins(root.section("plugins"));
    let server = server(root.section("server"));
    let outbound = outbound::read(root.section("outbound"));
    let mail = mail::read(root.section("mail"));
    let guard = guard(&outbound, mail.as_ref(), &server);
    let usual = source::Usual {
        limits: plugins.limits,
        body_bytes_max: server.body_bytes_max,
        public_url: server.public_url.as_ref(),
    };
    let plans = quota::plans(&root);
    let config = Config {
        quota: quota::settings(root.section("quota"), &plans),
        plans,
        store: store(root.section("store")),
        queue: queue(root.section("queue")),
        media: media::read(root.section("media")),
        judge: judge::read(root.section("judge")),
        log: log(root.section("log")),
        telemetry: telemetry::read(root.section("telemetry")),
        sources: sources(&root, usual),
        endpoints: endpoints(&root, &plugins, &guard),
        rules: rules(&root),
        event_types: event_types(&root),
        alerts: alerts(&root),
        server,
        outbound,
        mail,
        plugins,
    };
    check_sources_exist(&config, findings);
    check_callees_exist(&config, findings);
    root.finish();
    config
}

/// What endpoints may reach.
pub(super) fn guard(outbound: &Outbound, mail: Option<&Mail>, server: &Server) -> Guard {
    Guard::new(
        outbound.allow_networks.clone(),
        outbound.https_only,
        server.listen.clone(),
    )
    .with_mail(mail.map(|mail| mail.recipients.clone()))
}

fn server(section: Option<Section<'_>>) -> Server {
    let mut server = Server {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
        public_url: None,
        admin_key: None,
        tls: None,
        body_bytes_max: 1 << 20,
        head_bytes_max: 32 << 10,
        uri_bytes_max: 8 << 10,
        headers_max: 100,
        head_timeout: 10 * SECOND,
        body_timeout: 30 * SECOND,
        idle_timeout: 60 * SECOND,
        connections_max: 1024,
        connections_per_address_max: 64,
        proxies: loopback(),
        drain_timeout: 30 * SECOND,
        foreign_ids: ForeignIds::NotFound,
    };
    let Some(section) = section else { return server };
    if let Some(listen) = listen(&section) {
        server.listen = listen;
    }
    server.public_url = section
        .string("public_url")
        .and_then(|text| match url::Url::parse(text) {
            Ok(url) => Some(url),
            Err(error) => {
                section.fault("public_url", format!("is {text:?}, not a URL: {error}"), "");
                None
            }
        });
    server.admin_key = section.secret("admin_key");
    if server
        .admin_key
        .as_ref()
        .is_some_and(|key| !crate::model::key::is_key(key.reveal()))
    {
        section.fault(
            "admin_key",
            "is not a key",
            "use rk_ and at least 24 letters and digits",
        );
    }
    server.tls = section.section("tls").and_then(tls);
    let set = |slot: &mut usize, found: Option<usize>| *slot = found.unwrap_or(*slot);
    set(
        &mut server.body_bytes_max,
        section.bytes("body_limit", 1..=64 << 20),
    );
    set(
        &mut server.head_bytes_max,
        section.bytes("head_limit", 8 << 10..=1 << 20),
    );
    set(
        &mut server.uri_bytes_max,
        section.bytes("uri_limit", 256..=64 << 10),
    );
    set(
        &mut server.headers_max,
        size(section.integer("headers_max", 8..=1000)),
    );
    set(
        &mut server.connections_max,
        size(section.integer("connections_max", 1..=100_000)),
    );
    set(
        &mut server.connections_per_address_max,
        size(section.integer("connections_per_address_max", 1..=100_000)),
    );
    if let Some(proxies) = networks(&section, "proxies") {
        server.proxies = proxies;
    }
    let span = |slot: &mut Duration, found: Option<Duration>| *slot = found.unwrap_or(*slot);
    span(
        &mut server.head_timeout,
        section.duration("head_timeout", SECOND..=5 * MINUTE),
    );
    span(
        &mut server.body_timeout,
        section.duration("body_timeout", SECOND..=10 * MINUTE),
    );
    span(
        &mut server.idle_timeout,
        section.duration("idle_timeout", SECOND..=60 * MINUTE),
    );
    span(
        &mut server.drain_timeout,
        section.duration("drain_timeout", Duration::ZERO..=10 * MINUTE),
    );
    let words = [
        ("not_found", ForeignIds::NotFound),
        ("forbidden", ForeignIds::Forbidden),
    ];
    server.foreign_ids = section
        .choice("foreign_ids", &words)
        .unwrap_or(server.foreign_ids);
    section.finish();
    server
}

/// The files are read here once, so that a check finds what is wrong with them.
fn tls(section: Section<'_>) -> Option<Files> {
    let cert = section.required("cert", "\"fullchain.pem\"");
    let key = section.required("key", "\"privkey.pem\"");
    let client_ca = section.string("client_ca");
    let modes = [
        ("required", ClientAuth::Required),
        ("optional", ClientAuth::Optional),
    ];
    let client_auth = section.choice("client_auth", &modes);
    if client_auth.is_some() && client_ca.is_none() {
        section.fault(
            "client_auth",
            "says nothing without client_ca",
            "name the authorities of client certificates there",
        );
    }
    let files = cert.zip(key).map(|(cert, key)| Files {
        cert: cert.into(),
        key: key.into(),
        client_ca: client_ca.map(Into::into),
        client_auth: client_auth.unwrap_or(ClientAuth::Required),
    });
    if let Some(Err(unusable)) = files.as_ref().map(Identity::read) {
        section.fault(unusable.setting, unusable.problem, unusable.remedy);
    }
    section.finish();
    files
}

pub(super) fn size(number: Option<u64>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok())
}

/// A proxy on this machine is the commonest one, and nobody here is a stranger.
fn loopback() -> Vec<ipnet::IpNet> {
    vec![
        ipnet::Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
        ipnet::Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
    ]
}

fn listen(section: &Section<'_>) -> Option<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = section
        .strings("listen")?
        .iter()
        .filter_map(|text| match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                section.fault(
                    "listen",
                    format!("is {text:?}"),
                    "write an address and a port, as in \"127.0.0.1:8080\" or \"[::]:8080\"",
                );
                None
            }
        })
        .collect();
    if addresses.is_empty() {
        section.fault(
            "listen",
            "names no address",
            "write at least one, as in \"127.0.0.1:8080\"",
        );
        return None;
    }
    Some(addresses)
}

fn store(section: Option<Section<'_>>) -> StoreSettings {
    let mut store = StoreSettings {
        place: Place::Sqlite("relay-data/relay.db".into()),
        retention: 30 * DAY,
        audit_retention: 400 * DAY,
        dedupe_window: 7 * DAY,
        master_keys: Vec::new(),
    };
    let Some(section) = section else { return store };
    if let Some(text) = section.string("url") {
        match place(text) {
            Ok(place) => store.place = place,
            Err((problem, remedy)) => section.fault("url", problem, remedy),
        }
    }
    store.retention = section
        .duration("retention", MINUTE..=3650 * DAY)
        .unwrap_or(store.retention);
    store.audit_retention = section
        .duration("audit_retention", DAY..=3650 * DAY)
        .unwrap_or(store.audit_retention);
    store.dedupe_window = section
        .duration("dedupe_window", MINUTE..=365 * DAY)
        .unwrap_or(store.dedupe_window);
    store.master_keys = master_keys(&section);
    section.finish();
    store
}

fn master_keys(section: &Section<'_>) -> Vec<Secret> {
    let keys = section.secrets("master_key").unwrap_or_default();
    for key in &keys {
        if let Err(weak) = MasterKey::parse(key) {
            let remedy = "make one with: openssl rand -base64 32";
            section.fault("master_key", weak.to_string(), remedy);
        }
    }
    keys
}

fn place(text: &str) -> Result<Place, (String, &'static str)> {
    if let Some(path) = text
        .strip_prefix("sqlite:")
        .map(|rest| rest.strip_prefix("//").unwrap_or(rest))
    {
        return match path {
            "" => Err((
                "names no file".to_owned(),
                "write a path, as in \"sqlite:relay-data/relay.db\"",
            )),
            _ => Ok(Place::Sqlite(path.into())),
        };
    }
    match text {
        "memory:" => Ok(Place::Memory),
        _ if text.starts_with("postgres") => Err((
            "is a PostgreSQL URL, which this version cannot use yet".to_owned(),
            "use \"sqlite:relay-data/relay.db\"",
        )),
        _ => Err((
            format!("is {text:?}"),
            "use \"sqlite:PATH\", or \"memory:\" to keep nothing",
        )),
    }
}

/// The networks under a key; `None` if it is not there.
pub(super) fn networks(section: &Section<'_>, key: &'static str) -> Option<Vec<ipnet::IpNet>> {
    let texts = section.strings(key)?;
    let networks = texts.iter().filter_map(|text| {
        let network = text
            .parse()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        if network.is_err() {
            section.fault(
                key,
                format!("has {text:?}, which is no network"),
                "write it as in \"10.1.0.0/16\" or \"::1/128\"",
            );
        }
        network.ok()
    });
    Some(networks.collect())
}

fn queue(section: Option<Section<'_>>) -> QueueSettings {
    let mut queue = QueueSettings {
        endpoint_deliveries_max: 1024,
        memory_bytes_max: 64 << 20,
        concurrency_max: 4096,
    };
    let Some(section) = section else { return queue };
    let set = |slot: &mut usize, found: Option<usize>| *slot = found.unwrap_or(*slot);
    set(
        &mut queue.endpoint_deliveries_max,
        size(section.integer("endpoint_deliveries_max", 1..=100_000)),
    );
    set(
        &mut queue.memory_bytes_max,
        section.bytes("memory_limit", 1 << 20..=16 << 30),
    );
    set(
        &mut queue.concurrency_max,
        size(section.integer("concurrency_max", 1..=100_000)),
    );
    section.finish();
    queue
}

fn plugins(section: Option<Section<'_>>) -> PluginSettings {
    let mut plugins = PluginSettings {
        folder: None,
        cache: None,
        publishers: crate::model::publisher::Publishers::default(),
        worker: false,
        limits: crate::model::plugin::Limits::default(),
    };
    let Some(section) = section else { return plugins };
    plugins.folder = section.string("folder").map(Into::into);
    plugins.cache = section.string("cache").map(Into::into);
    plugins.publishers = publishers::read(&section);
    plugins.worker = section.boolean("worker").unwrap_or(false);
    if let Some(limits) = section.section("limits") {
        plugins.limits = plugin::limits(&limits, plugins.limits);
        limits.finish();
    }
    section.finish();
    plugins
}

fn log(section: Option<Section<'_>>) -> Log {
    let mut log = Log {
        level: "info".to_owned(),
        format: LogFormat::Text,
    };
    let Some(section) = section else { return log };
    if let Some(level) = section.string("level") {
        match level.parse::<tracing_subscriber::filter::EnvFilter>() {
            Ok(_) => level.clone_into(&mut log.level),
            Err(error) => section.fault(
                "level",
                format!("is {level:?}: {error}"),
                "use error, warn, info, debug or trace",
            ),
        }
    }
    log.format = section
        .choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
        .unwrap_or(log.format);
    section.finish();
    log
}

fn sources(root: &Section<'_>, usual: source::Usual<'_>) -> Vec<Declared<Source>> {
    let mut names = HashSet::new();
    let read = root.sections("source").into_iter().filter_map(|section| {
        let source = source::read(&section, usual);
        if let Some(source) = &source {
            note_duplicate(&section, &mut names, &source.name);
        }
        declared(section, source)
    });
    read.collect()
}

fn endpoints(root: &Section<'_>, plugins: &PluginSettings, guard: &Guard) -> Vec<Declared<Endpoint>> {
    let mut names = HashSet::new();
    let read = root.sections("endpoint").into_iter().filter_map(|section| {
        let (name, endpoint) = endpoint::read(&section, plugins.limits, guard);
        if let Some(name) = name {
            note_duplicate(&section, &mut names, name);
        }
        declared(section, endpoint)
    });
    read.collect()
}

fn rules(root: &Section<'_>) -> Vec<Declared<Rule>> {
    let mut names = HashSet::new();
    let read = root.sections("rule").into_iter().filter_map(|section| {
        let (name, rule) = rule::read(&section);
        if let Some(name) = name {
            note_duplicate(&section, &mut names, name);
        }
        declared(section, rule)
    });
    read.collect()
}

fn event_types(root: &Section<'_>) -> Vec<Declared<EventType>> {
    let mut names = HashSet::new();
    let read = root.sections("event_type").into_iter().filter_map(|section| {
        let event_type = event_type::read(&section);
        if let Some(event_type) = &event_type {
            note_duplicate(&section, &mut names, &event_type.name);
        }
        declared(section, event_type)
    });
    read.collect()
}

fn alerts(root: &Section<'_>) -> Vec<Declared<Alert>> {
    let mut names = HashSet::new();
    let read = root.sections("alert").into_iter().filter_map(|section| {
        let (name, alert) = alert::read(&section);
        if let Some(name) = name {
            note_duplicate(&section, &mut names, name);
        }
        declared(section, alert)
    });
    read.collect()
}

fn declared<T>(section: Section<'_>, item: Option<T>) -> Option<Declared<T>> {
    let definition = section.definition();
    section.finish();
    item.map(|item| Declared { item, definition })
}

fn note_duplicate(section: &Section<'_>, names: &mut HashSet<String>, name: &str) {
    if !names.insert(name.to_owned()) {
        section.fault(
            "name",
            format!("is {name:?}, which is used already"),
            "give each its own name",
        );
    }
}

/// What waits for a source that nobody declared would stay silent for ever.
fn check_sources_exist(config: &Config, findings: &Findings) {
    let known: Vec<&str> = config
        .sources
        .iter()
        .map(|source| source.item.name.as_str())
        .collect();
    let endpoints = config.endpoints.iter().map(|declared| &declared.item.sources);
    let rules = config.rules.iter().map(|declared| &declared.item.sources);
    let endpoints = endpoints
        .enumerate()
        .map(|(index, sources)| ("endpoint", index, sources));
    let rules = rules.enumerate().map(|(index, sources)| ("rule", index, sources));
    for (section, index, sources) in endpoints.chain(rules) {
        for name in sources.iter().filter(|name| !known.contains(&name.as_str())) {
            let hint = crate::model::words::nearest(name, &known).map_or_else(
                || format!("known: {}", known.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            findings.fault(
                KeyPath::default().key(section).item(index).key("sources"),
                format!("names the source {name:?}, which is not there"),
                hint,
            );
        }
    }
}

/// A sender whose endpoint nobody declared would never be answered by it.
fn check_callees_exist(config: &Config, findings: &Findings) {
    let known: Vec<&str> = config
        .endpoints
        .iter()
        .map(|endpoint| endpoint.item.name.as_str())
        .collect();
    for (index, source) in config.sources.iter().enumerate() {
        let Some(synchronous) = &source.item.synchronous else {
            continue;
        };
        if known.contains(&synchronous.endpoint.as_str()) {
            continue;
        }
        let hint = crate::model::words::nearest(&synchronous.endpoint, &known).map_or_else(
            || format!("known: {}", known.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        let path = KeyPath::default().key("source").item(index).key("synchronous");
        findings.fault(
            path.key("endpoint"),
            format!(
                "names the endpoint {:?}, which is not there",
                synchronous.endpoint
            ),
            hint,
        );
    }
}
