//! `plugins = [{ use = "redact-fields", config = { … }, secrets = { … }, grants = { state = true }, timeout = "50ms" }]`

use std::time::Duration;

use serde_json::{Map, Value};

use super::reader::Section;
use crate::model::plugin::{Granted, HostPattern, Limits, NoPin, PluginUse, read_use};

/// Plugins that one chain may have.
const CHAIN_MAX: usize = 16;
/// Requests that one call of a hook may be allowed: a visit has numbers for the answers of two.
const HTTP_CALLS_MAX: u64 = 16;
/// Hosts that one use may grant.
const HOSTS_MAX: usize = 32;

/// Reads the `plugins` of a source or endpoint.
pub fn plugin_uses(section: &Section<'_>, defaults: Limits) -> Vec<PluginUse> {
    let sections = section.sections("plugins");
    if sections.len() > CHAIN_MAX {
        section.fault(
            "plugins",
            format!("has {} plugins", sections.len()),
            format!("use at most {CHAIN_MAX}"),
        );
    }
    sections
        .into_iter()
        .filter_map(|section| plugin_use(section, defaults))
        .collect()
}

fn plugin_use(section: Section<'_>, defaults: Limits) -> Option<PluginUse> {
    let named = section.required("use", "\"redact-fields\"").map(read_use);
    if let Some(Err(NoPin)) = named {
        section.fault(
            "use",
            "names no version or tag behind `@`",
            "write name@sha256: and at least twelve of its hexadecimal digits, or name@ and a tag",
        );
    }
    let config = match section.value("config") {
        None => Value::Object(Map::new()),
        Some(value) => value.clone(),
    };
    let secrets = match section.section("secrets") {
        None => Vec::new(),
        Some(granted) => granted
            .entries()
            .filter_map(|(name, value)| Some((name.to_owned(), granted.read_secret(name, value)?)))
            .collect(),
    };
    let granted = section.section("grants").map(granted).unwrap_or_default();
    let limits = limits(&section, defaults);
    let reuse = section.boolean("reuse").unwrap_or(true);
    section.finish();
    let (name, pin) = named?.ok()?;
    Some(PluginUse {
        name: name.to_owned(),
        pin,
        config,
        secrets,
        granted,
        limits,
        reuse,
    })
}

/// `grants = { http = ["api.example.com"], state = true, judge = true, media = true }`
fn granted(section: Section<'_>) -> Granted {
    let given = |key| section.boolean(key).unwrap_or(false);
    let granted = Granted {
        http: hosts(&section),
        state: given("state"),
        judge: given("judge"),
        media: given("media"),
    };
    section.finish();
    granted
}

fn hosts(section: &Section<'_>) -> Vec<HostPattern> {
    let texts = section.strings("http").unwrap_or_default();
    if texts.len() > HOSTS_MAX {
        section.fault(
            "http",
            format!("names {} hosts", texts.len()),
            format!("name at most {HOSTS_MAX}"),
        );
    }
    let read = |text: &str| match text.parse() {
        Ok(host) => Some(host),
        Err(error) => {
            section.fault(
                "http",
                format!("has {text:?}, which {error}"),
                "without scheme and path",
            );
            None
        }
    };
    texts.into_iter().take(HOSTS_MAX).filter_map(read).collect()
}

/// Reads the limits of a call, starting from `defaults`.
pub(super) fn limits(section: &Section<'_>, defaults: Limits) -> Limits {
    let whole = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
    Limits {
        time: section
            .duration("timeout", Duration::from_millis(1)..=Duration::from_secs(30))
            .unwrap_or(defaults.time),
        memory_bytes: section
            .bytes("memory", 64 << 10..=512 << 20)
            .unwrap_or(defaults.memory_bytes),
        table_elements: whole(section.integer("table_elements", 1..=1_000_000))
            .unwrap_or(defaults.table_elements),
        output_bytes: section
            .bytes("output", 1..=64 << 20)
            .unwrap_or(defaults.output_bytes),
        log_lines: whole(section.integer("log_lines", 0..=10_000)).unwrap_or(defaults.log_lines),
        http_timeout: section
            .duration("http_timeout", Duration::from_millis(1)..=Duration::from_secs(30))
            .unwrap_or(defaults.http_timeout),
        http_calls: whole(section.integer("http_calls", 1..=HTTP_CALLS_MAX)).unwrap_or(defaults.http_calls),
        http_bytes: section
            .bytes("http_bytes", 1..=16 << 20)
            .unwrap_or(defaults.http_bytes),
    }
}
