//! Reads a `[[source]]` section.
//!
//! ```toml
//! [[source]]
//! name = "shop"
//! preset = "mumara"
//! verify = { scheme = "token", in = "header:x-token", secret = { env = "SHOP_TOKEN" } }
//! event = { type = "email.{/event}", dedupe = ["/message_id", "/event", "/timestamp"] }
//! body_limit = "256KiB"
//! ```

mod event;
mod place;
mod preset;
mod redact;
mod verify;

#[cfg(test)]
mod tests;

use url::Url;

use crate::model::id::{SourceId, TenantId};
use crate::model::plugin::Limits;
use crate::model::reply::{CALL_TIMEOUT_MAX, CALL_TIMEOUT_MIN};
use crate::model::source::{Source, Synchronous};

use self::verify::Door;
use super::reader::Section;
use super::{NAME_REMEDY, is_name, label, plugin};

/// Largest body of a post that a source may allow, in bytes.
const BODY_LIMIT_MAX: usize = 64 << 20;

/// What a section takes over from the rest of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual<'a> {
    /// Limits of plugin calls.
    pub(super) limits: Limits,
    pub(super) body_bytes_max: usize,
    pub(super) public_url: Option<&'a Url>,
}

/// Reads one section; its id is 0 until the store has named it. `None` if something without
/// which there is no source is wrong; every fault is noted with the section.
pub(super) fn read(section: &Section<'_>, usual: Usual<'_>) -> Option<Source> {
    let name = name(section);
    let presets: Vec<_> = preset::all()
        .iter()
        .map(|preset| (preset.name.as_str(), preset))
        .collect();
    let preset = section.choice("preset", &presets);
    let door = Door {
        name: name.as_deref(),
        public_url: usual.public_url,
    };
    let verify = verify::read(section, preset, &door);
    let sender = preset.or_else(|| verify.as_ref().and_then(|(_, sender)| *sender));
    let mapping = event::read(section, sender);
    let redact = redact::read(section, usual.limits);
    let plugins = plugin::plugin_uses(section, usual.limits);
    label::check(section);
    let synchronous = section.section("synchronous").and_then(synchronous);
    let limit = section.bytes("body_limit", 1..=BODY_LIMIT_MAX);
    Some(Source {
        id: SourceId::from_raw(0),
        tenant: TenantId::DEFAULT,
        name: name?,
        verify: verify?.0,
        mapping,
        redact,
        plugins,
        body_bytes_max: limit.unwrap_or(usual.body_bytes_max),
        synchronous,
    })
}

fn synchronous(section: Section<'_>) -> Option<Synchronous> {
    let endpoint = section.required("endpoint", "\"answers\"");
    let timeout = section.duration("timeout", CALL_TIMEOUT_MIN..=CALL_TIMEOUT_MAX);
    section.finish();
    Some(Synchronous {
        endpoint: endpoint?.to_owned(),
        timeout,
    })
}

/// Beginnings of sections that lead the reader through every key that it knows.
pub(super) fn openings() -> Vec<serde_json::Value> {
    let event = event::opening();
    let verify = verify::openings().into_iter();
    verify
        .map(|verify| serde_json::json!({"verify": verify, "event": event}))
        .collect()
}

fn name(section: &Section<'_>) -> Option<String> {
    let name = section.required("name", "\"shop\"")?;
    if !is_name(name) {
        section.fault("name", format!("is {name:?}"), NAME_REMEDY);
        return None;
    }
    Some(name.to_owned())
}
