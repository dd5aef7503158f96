//! Senders and platforms that are known by name, as a part of the configuration that ships in
//! the binary.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// One table for each; see there.
const FILE: &str = include_str!("presets.toml");

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let file: toml::Table = FILE.parse().expect("tested: the presets are TOML");
    file.iter().map(|(name, _)| Preset::read(name, &file)).collect()
});

/// What is known of a sender.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: String,
    /// How it signs; `None`: that is for the source to say.
    pub(super) verify: Option<Map<String, Value>>,
    /// Where its posts say what happened.
    pub(super) event: Map<String, Value>,
}

/// Every preset, in the order of the alphabet.
pub(super) fn all() -> &'static [Preset] {
    &PRESETS
}

/// The preset with that name.
pub(super) fn named(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Preset {
    fn read(name: &str, file: &toml::Table) -> Self {
        let own = &file[name];
        let like = own
            .get("like")
            .and_then(toml::Value::as_str)
            .and_then(|like| file.get(like));
        let section = |key: &str| {
            let mut section = like.and_then(|like| table(like.get(key)?)).unwrap_or_default();
            section.extend(own.get(key).and_then(table).unwrap_or_default());
            section
        };
        Self {
            name: name.to_owned(),
            verify: Some(section("verify")).filter(|verify| !verify.is_empty()),
            event: section("event"),
        }
    }
}

fn table(value: &toml::Value) -> Option<Map<String, Value>> {
    match serde_json::to_value(value) {
        Ok(Value::Object(table)) => Some(table),
        _ => None,
    }
}
