//! `relay packs`, and what `relay apply -f pack:NAME` makes of one.
//!
//! A pack is a file for `relay apply` with a table `[pack]` that says what it wants to be told:
//! `${name}` stands for that wherever a text is.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Access;
use super::samples;
use crate::config::document;
use crate::crypto;
use crate::model::verify::Encoding;
use crate::model::words::nearest;

/// The table in which a pack speaks of itself.
const ABOUT: &str = "pack";
/// What every pack wants to be told: how its source is to be called.
const SOURCE: &str = "source";
/// What may be empty: what the names of a pack's event types begin with.
const PREFIX: &str = "prefix";
/// What is said in the place of a secret that stays as it is.
const KEPT: &str = "(as before)";
/// Bytes of a secret that is made up.
const SECRET_BYTES: usize = 24;

macro_rules! packs {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../packs/", $name, ".toml")))),*]
    };
}

const PACKS: &[(&str, &str)] = packs!["mumara", "mumble", "vambe", "voice", "whatsable"];

#[derive(Debug, Args)]
pub(super) struct Packs {
    /// Prints this pack, as a file to start from
    name: Option<String>,
}

/// What a pack says of itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    description: String,
    /// What is left to do at the platform.
    next: String,
    #[serde(default)]
    set: Map<String, Value>,
}

/// Something that a pack wants to be told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    about: String,
    default: Option<String>,
    /// Whether one is made up if none is given.
    #[serde(default)]
    generated: bool,
}

/// A pack with everything it wanted to be told.
pub(super) struct Filled {
    pub(super) document: Map<String, Value>,
    /// Whether the relay's own file declares its source.
    pub(super) is_declared: bool,
    pub(super) pack: Pack,
}

/// What is left to be said of a pack.
pub(super) struct Pack {
    /// The name of its source.
    pub(super) source: String,
    next: String,
    values: Vec<(String, Value)>,
}

impl Packs {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.name {
            Some(name) => print!("{}", text(&name)?),
            None => {
                for (name, _) in PACKS {
                    println!("{}", summary(name)?);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The text of a pack that comes with the relay, with its samples.
pub(super) fn text(name: &str) -> anyhow::Result<String> {
    let Some((_, text)) = PACKS.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = PACKS.iter().map(|(name, _)| *name).collect();
        let hint = nearest(name, &names).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        bail!("there is no pack {name:?}{hint}; there are {}", names.join(", "));
    };
    let mut text = (*text).to_owned();
    for (name, sample) in samples::all() {
        text = text.replace(&format!("\"sample:{name}\""), &format!("'''\n{}'''", sample));
    }
    Ok(text)
}

/// Whether a document wants to be told something.
pub(super) fn is_pack(document: &Map<String, Value>) -> bool {
    document.contains_key(ABOUT)
}

/// What a document says of itself, and the rest.
fn split(mut document: Map<String, Value>) -> anyhow::Result<(About, Map<String, Value>)> {
    let about = document.remove(ABOUT).unwrap_or_default();
    let about = serde_json::from_value(about).context("the table [pack] does not read")?;
    Ok((about, document))
}

fn read(name: &str) -> anyhow::Result<(About, Map<String, Value>)> {
    let document = document::read(&text(name)?).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the pack {name} has faults: {}", faults.join("; "))
    });
    split(document?)
}

fn parameters(about: &About) -> anyhow::Result<Vec<(&str, Parameter)>> {
    let read = |(name, value): (_, &Value)| Ok((name, Parameter::deserialize(value)?));
    about
        .set
        .iter()
        .map(|(name, value)| read((name.as_str(), value)))
        .collect()
}

fn summary(name: &str) -> anyhow::Result<String> {
    let (about, document) = read(name)?;
    let count = document
        .get("event_type")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("pack:{name}  {} ({count} event type{plural})", about.description);
    for (name, parameter) in parameters(&about)? {
        let usual = match (&parameter.default, parameter.generated) {
            (Some(usual), _) => format!("{usual:?} if not given"),
            (None, true) => "made up if not given".to_owned(),
            (None, false) => "required".to_owned(),
        };
        text.push_str(&format!("\n  --set {name}=…  {}; {usual}", parameter.about));
    }
    Ok(text)
}

/// Reads a pack and puts in what is given, what is usual, and secrets that are made up where the
/// relay has none yet.
pub(super) async fn fill(
    file: &str,
    document: Map<String, Value>,
    given: &[String],
    access: &Access,
) -> anyhow::Result<Filled> {
    let (about, mut document) = split(document)?;
    let parameters = parameters(&about)?;
    let mut given = settings(given)?;
    let mut values: Vec<(String, Value)> = Vec::new();
    let mut missing = Vec::new();
    let source = of(&given, SOURCE)
        .or_else(|| usual(&parameters, SOURCE))
        .unwrap_or_default();
    // Names that are none find nothing.
    let there = access.read(&format!("/v1/sources/{source}")).await?;
    let is_known = there.status == 200;
    let is_declared = is_known && there.json()?["managed_by"] == "file";
    for (parameter, wanted) in &parameters {
        let found = given.iter().position(|(name, _)| name == parameter);
        let value = match (found.map(|at| given.swap_remove(at).1), &wanted.default) {
            (Some(value), _) => value.into(),
            (None, Some(usual)) => usual.clone().into(),
            // It has one, and keeps it.
            (None, None) if is_known => json!({ "sealed": true }),
            (None, None) if wanted.generated => made_up()?.into(),
            (None, None) => {
                missing.push(format!("--set {parameter}=…  {}", wanted.about));
                continue;
            }
        };
        values.push(((*parameter).to_owned(), value));
    }
    if let Some((unknown, _)) = given.first() {
        let names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
        bail!(
            "{file} has nothing called {unknown:?} to set; it has {}",
            names.join(", ")
        );
    }
    if !missing.is_empty() {
        bail!("{file} has to be told:\n  {}", missing.join("\n  "));
    }
    document.values_mut().for_each(|value| put(value, &values));
    let pack = Pack {
        source,
        next: about.next,
        values,
    };
    Ok(Filled {
        document,
        is_declared,
        pack,
    })
}

fn usual(parameters: &[(&str, Parameter)], name: &str) -> Option<String> {
    let found = parameters.iter().find(|(known, _)| *known == name);
    found.and_then(|(_, parameter)| parameter.default.clone())
}

fn of(given: &[(String, String)], name: &str) -> Option<String> {
    let found = given.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone())
}

/// `NAME=VALUE`, or `NAME=@FILE` for what should not be seen in a list of processes.
fn settings(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let read = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("--set {text} gives nothing; write NAME=VALUE"))?;
        let value = match value.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {path}"))?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
            None => value.to_owned(),
        };
        if value.is_empty() && name != PREFIX {
            bail!("--set {name} gives an empty text");
        }
        Ok((name.to_owned(), value))
    };
    given.iter().map(read).collect()
}

fn made_up() -> anyhow::Result<String> {
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).context("the system gives no random numbers")?;
    Ok(crypto::encode(Encoding::Base64Url, &random))
}

/// Puts values in the place of `${name}`, wherever a text is.
fn put(place: &mut Value, values: &[(String, Value)]) {
    match place {
        Value::String(text) => *place = filled(text, values),
        Value::Array(list) => list.iter_mut().for_each(|below| put(below, values)),
        Value::Object(table) => table.values_mut().for_each(|below| put(below, values)),
        _ => {}
    }
}

/// A text that is nothing but one `${name}` becomes the value itself.
fn filled(text: &str, values: &[(String, Value)]) -> Value {
    let mut text = text.to_owned();
    for (name, value) in values {
        let slot = format!("${{{name}}}");
        if text == slot {
            return value.clone();
        }
        text = text.replace(&slot, value.as_str().unwrap_or(KEPT));
    }
    Value::String(text)
}

impl Pack {
    /// What is left to do at the platform that posts to an address.
    pub(super) fn next(&self, address: &str) -> String {
        let mut values = self.values.clone();
        values.push(("address".to_owned(), address.into()));
        let next = filled(&self.next, &values);
        next.as_str().unwrap_or_default().trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::config::reader::Process;

    /// A pack as a configuration, every parameter with its usual value or a secret.
    fn configuration(name: &str) -> config::Config {
        let (about, mut document) = read(name).expect("a pack reads");
        let value = |(name, parameter): &(&str, Parameter)| {
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
            (
                (*name).to_owned(),
                parameter.default.clone().unwrap_or(secret).into(),
            )
        };
        let values: Vec<_> = parameters(&about)
            .expect("parameters")
            .iter()
            .map(value)
            .collect();
        document.values_mut().for_each(|place| put(place, &values));
        let text: String = document
            .iter()
            .flat_map(|(section, tables)| {
                let kind = crate::model::resource::Kind::ALL;
                let kind = kind
                    .into_iter()
                    .find(|kind| kind.section() == section)
                    .expect("a kind");
                let tables = tables.as_array().expect("a list").iter();
                tables.map(move |keys| document::write(kind, keys.as_object().expect("a table")))
            })
            .collect();
        assert!(!text.contains("${"), "{name}: everything is filled in: {text}");
        config::load(&text, &Process).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"))
    }

    #[test]
    fn every_pack_is_valid_and_says_what_its_events_are() {
        for (name, _) in PACKS {
            let config = configuration(name);
            assert_eq!(config.sources.len(), 1, "{name}");
            for event_type in &config.event_types {
                let keys = &event_type.definition.keys;
                for key in ["description", "group", "schema", "sample"] {
                    assert!(keys.contains_key(key), "{name}: {}: {key}", event_type.item.name);
                }
            }
            assert!(
                summary(name).expect("a summary").contains("--set source="),
                "{name}"
            );
        }
    }

    #[test]
    fn a_value_is_put_in_as_it_is() {
        let values = [
            ("a".to_owned(), json!({"sealed": true})),
            ("b".to_owned(), json!("${a}\"'")),
        ];
        let mut place = json!({"secret": "${a}", "list": ["x-${b}"], "text": "${c} ${a}"});
        put(&mut place, &values);
        let expected =
            json!({"secret": {"sealed": true}, "list": ["x-${a}\"'"], "text": format!("${{c}} {KEPT}")});
        assert_eq!(place, expected);
    }
}
