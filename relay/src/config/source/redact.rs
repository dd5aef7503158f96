//! `redact = { mask = ["/phone"], hash = ["/user_id"], hash_key = { env = "…" } }`

use serde_json::Value;

use crate::config::reader::Section;
use crate::model::plugin::{Limits, PluginUse};

/// The plugin that does it; its configuration is what stands in `redact`.
const PLUGIN: &str = "redact-fields";
/// What that plugin calls the key of its hashes.
const HASH_KEY: &str = "hash-key";
/// What is told to the plugin as it stands; the plugin's schema says whether it is right.
const TOLD: [&str; 6] = [
    "drop",
    "mask",
    "keep_last",
    "mask_character",
    "hash",
    "unkeyed_hash",
];

/// Reads what of a post nobody may ever see.
pub(super) fn read(source: &Section<'_>, limits: Limits) -> Option<PluginUse> {
    let section = source.section("redact")?;
    let told = TOLD.map(|key| Some((key.to_owned(), section.value(key)?.clone())));
    let hash_key = section.secret("hash_key");
    section.finish();
    Some(PluginUse {
        name: PLUGIN.to_owned(),
        pin: None,
        config: Value::Object(told.into_iter().flatten().collect()),
        secrets: hash_key
            .map(|key| (HASH_KEY.to_owned(), key))
            .into_iter()
            .collect(),
        granted: Default::default(),
        limits,
        reuse: true,
    })
}
