//! Reads how a post becomes an event, over what the preset says.

use serde_json::{Value, json};

use crate::config::reader::{Findings, Process, Section};
use crate::config::sketch;
use crate::model::event_type;
use crate::model::source::{Mapping, Origin, Origins, Template};

use super::place::origin;
use super::preset::Preset;

/// Most places that are looked at for one value, and most parts of a dedupe key.
const ORIGINS_MAX: usize = 16;

/// A beginning that leads the reader through every key that it knows.
pub(super) fn opening() -> Value {
    json!({"dedupe": "/id"})
}

/// Each key replaces what the preset says of the same value.
pub(super) fn read(source: &Section<'_>, preset: Option<&Preset>) -> Mapping {
    let mut mapping = preset.map(of_preset).unwrap_or_default();
    if let Some(section) = source.section("event") {
        apply(&section, &mut mapping);
        section.finish();
    }
    mapping
}

/// What a preset says has been tested, so there are no faults to be told.
fn of_preset(preset: &Preset) -> Mapping {
    let findings = Findings::default();
    let mut mapping = Mapping::default();
    apply(&Section::root(&preset.event, &findings, &Process), &mut mapping);
    mapping
}

fn apply(section: &Section<'_>, mapping: &mut Mapping) {
    read_kind(section, &mut mapping.kind);
    let values = [
        ("id", &mut mapping.id),
        ("time", &mut mapping.time),
        ("subject", &mut mapping.subject),
    ];
    for (key, value) in values {
        if let Some(given) = section.strings(key) {
            *value = origins(section, key, &given);
        }
    }
    refuse_fixed(section, "id", &mapping.id);
    if section.has("dedupe") || section.has("dedupe_also") {
        mapping.dedupe.required = parts(section, "dedupe");
        mapping.dedupe.optional = parts(section, "dedupe_also");
    }
}

fn read_kind(section: &Section<'_>, kind: &mut Template) {
    if let Some(given) = section.strings("type") {
        let fallback = std::mem::take(&mut kind.fallback);
        *kind = template(section, &given);
        kind.fallback = fallback;
    }
    if let Some(prefix) = section.string("type_prefix") {
        prefix.clone_into(&mut kind.prefix);
    }
    if let Some(fallback) = section.string("fallback") {
        check_type(section, "fallback", fallback);
        kind.fallback = fallback.to_owned();
    }
    if let Some(words) = section.section("words") {
        words.draw(sketch::ANY_KEY, sketch::text);
        for (word, ours) in words.entries() {
            match ours.as_str() {
                Some(ours) => kind.words.push((word.to_owned(), ours.to_owned())),
                None => words.fault(
                    word,
                    "is not a text",
                    "write the event type that the word becomes",
                ),
            }
        }
    }
}

/// `/pointer` and the like, several of them, or one as in `email.{/event}`.
fn template(section: &Section<'_>, given: &[&str]) -> Template {
    let mut template = Template::default();
    let texts = match given {
        [text] if text.ends_with('}') => match text[..text.len() - 1].split_once('{') {
            Some((prefix, inner)) => {
                prefix.clone_into(&mut template.prefix);
                vec![inner]
            }
            None => given.to_vec(),
        },
        _ => given.to_vec(),
    };
    template.origins = origins(section, "type", &texts);
    for origin in &template.origins {
        if let Origin::Literal(text) = origin {
            check_type(section, "type", text);
        }
    }
    template
}

fn check_type(section: &Section<'_>, key: &str, text: &str) {
    if let Err(error) = event_type::check(text) {
        section.fault(
            key,
            format!("is {text:?}, which {error}"),
            "write it as in \"message.received\" or \"/event\"",
        );
    }
}

fn origins(section: &Section<'_>, key: &str, texts: &[&str]) -> Origins {
    if texts.is_empty() || texts.len() > ORIGINS_MAX {
        section.fault(
            key,
            format!("names {} places", texts.len()),
            format!("name 1 to {ORIGINS_MAX}"),
        );
    }
    texts
        .iter()
        .take(ORIGINS_MAX)
        .filter_map(|text| origin(section, key, text))
        .collect()
}

/// A list of parts; a part is a text, or a list of texts of which the first with a value
/// counts.
fn parts(section: &Section<'_>, key: &'static str) -> Vec<Origins> {
    section.draw(key, || sketch::texts(&sketch::texts(&sketch::text())));
    let list = match section.value(key) {
        None => return Vec::new(),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if list.len() > ORIGINS_MAX {
        section.fault(
            key,
            format!("has {} parts", list.len()),
            format!("use up to {ORIGINS_MAX}"),
        );
    }
    let parts: Vec<_> = list
        .iter()
        .take(ORIGINS_MAX)
        .filter_map(|item| part(section, key, item))
        .collect();
    for origins in &parts {
        refuse_fixed(section, key, origins);
    }
    parts
}

fn part(section: &Section<'_>, key: &str, item: &Value) -> Option<Origins> {
    let texts: Option<Vec<&str>> = match item {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    };
    if texts.is_none() {
        section.fault(
            key,
            "has a part that is no text",
            "write it as in [\"/message_id\", \"/timestamp\"]",
        );
    }
    texts.map(|texts| origins(section, key, &texts))
}

/// A fixed text would make every post the same event, and all but the first be lost.
fn refuse_fixed(section: &Section<'_>, key: &str, origins: &[Origin]) {
    for origin in origins {
        if let Origin::Literal(text) = origin {
            let problem = format!("is the fixed text {text:?}, which would make every post the same event");
            section.fault(key, problem, "a pointer into the body begins with `/`");
        }
    }
}
