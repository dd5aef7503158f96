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
mod verify;

#[cfg(test)]
mod tests;

use crate::model::id::{SourceId, TenantId};
use crate::model::json;
use crate::model::plugin::Limits;
use crate::model::preset;
use crate::model::source::{Mapping, Origin, Source};

use super::reader::Section;
use super::{NAME_REMEDY, is_name, plugin};

/// Largest body of a post that a source may allow, in bytes.
const BODY_LIMIT_MAX: usize = 64 << 20;

/// Reads one section; its id is 0 until the store has named it. `None` if something without
/// which there is no source is wrong; every fault is noted with the section.
pub(super) fn read(section: &Section<'_>, limits: Limits, body_bytes_max: usize) -> Option<Source> {
    let name = name(section);
    let presets: Vec<_> = preset::MAPPINGS.iter().map(|(name, _)| (*name, *name)).collect();
    let preset = section.choice("preset", &presets);
    let verify = verify::read(section, preset);
    let usual = preset.or_else(|| verify.as_ref().and_then(|(_, usual)| *usual));
    let mapping = event::read(section, usual.and_then(Mapping::named).unwrap_or_default());
    let plugins = plugin::plugin_uses(section, limits);
    let limit = section.bytes("body_limit", 1..=BODY_LIMIT_MAX);
    Some(Source {
        id: SourceId::from_raw(0),
        tenant: TenantId::DEFAULT,
        name: name?,
        verify: verify?.0,
        mapping,
        plugins,
        body_bytes_max: limit.unwrap_or(body_bytes_max),
    })
}

fn name(section: &Section<'_>) -> Option<String> {
    let name = section.required("name", "\"shop\"")?;
    if !is_name(name) {
        section.fault("name", format!("is {name:?}"), NAME_REMEDY);
        return None;
    }
    Some(name.to_owned())
}

/// Reads where a value comes from: `/pointer`, `header:name`, `query:name`, `literal:text`,
/// or else a text that is the value itself.
fn origin(section: &Section<'_>, key: &str, text: &str) -> Option<Origin> {
    if text.starts_with('/') {
        return pointer(section, key, text).map(Origin::Body);
    }
    if let Some(name) = text.strip_prefix("header:") {
        return header_name(section, key, name).map(Origin::Header);
    }
    let (text, found): (_, fn(String) -> Origin) = match text.strip_prefix("query:") {
        Some(name) => (name, Origin::Query),
        None => (text.strip_prefix("literal:").unwrap_or(text), Origin::Literal),
    };
    if text.is_empty() {
        section.fault(key, "names nothing", ORIGIN_REMEDY);
        return None;
    }
    Some(found(text.to_owned()))
}

const ORIGIN_REMEDY: &str = "write \"/pointer/into/body\", \"header:name\", \"query:name\" or a fixed text";

fn pointer(section: &Section<'_>, key: &str, text: &str) -> Option<String> {
    if json::is_pointer(text) {
        return Some(text.to_owned());
    }
    section.fault(
        key,
        format!("is {text:?}, which is no JSON Pointer"),
        "write ~ as ~0 and / in a name as ~1",
    );
    None
}

fn header_name(section: &Section<'_>, key: &str, name: &str) -> Option<String> {
    let parsed = http::HeaderName::from_bytes(name.as_bytes());
    if parsed.is_err() {
        section.fault(
            key,
            format!("is {name:?}, which is no name of a header"),
            "write it as in \"x-signature\"",
        );
    }
    parsed.ok().map(|name| name.as_str().to_owned())
}
