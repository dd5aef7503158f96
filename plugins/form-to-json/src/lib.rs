//! Turns a form body into JSON.

mod kind;
mod nest;

use std::collections::BTreeMap;

use kind::Kind;
use nest::Tree;
use relay_sdk::prelude::*;
use relay_sdk::template::cut;
use relay_sdk::{Payload, form};
use serde::Deserialize;
use serde_json::{Map, Value};

const FORM: &str = "application/x-www-form-urlencoded";
/// Names for the one encoding that is read; the second is a part of it.
const CHARSETS: [&str; 3] = ["utf-8", "us-ascii", "utf8"];
/// Most fields of a form.
const FIELDS_MAX: usize = 1_000;
/// As much of a field's name as an error needs, in characters.
const NAME_MAX: usize = 60;

struct FormToJson;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    repeated: Repeated,
    #[serde(default)]
    arrays: Vec<String>,
    #[serde(default)]
    types: BTreeMap<String, Kind>,
    #[serde(default)]
    nested: bool,
    only: Option<String>,
    #[serde(default)]
    otherwise: Otherwise,
}

/// What becomes of a field that is there more than once.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Repeated {
    #[default]
    Array,
    First,
    Last,
    Fail,
}

/// What becomes of a payload that is no form.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Otherwise {
    #[default]
    Keep,
    Fail,
}

#[plugin]
impl FormToJson {
    fn transform(event: &Event, config: &Config) -> Result<Outcome, Fault> {
        let content_type = event.content_type().unwrap_or_default();
        match (is_form(content_type), config.otherwise) {
            (true, _) => {}
            (false, Otherwise::Keep) => return Ok(Outcome::Keep),
            (false, Otherwise::Fail) => {
                return Err(Fault::invalid(format!(
                    "the payload is no form: its content type is {content_type:?}"
                )));
            }
        }
        if let Some(charset) = other_charset(content_type) {
            return Err(Fault::invalid(format!(
                "the form is in {charset:?}; only UTF-8 can be read"
            )));
        }
        let fields = fields(event.data())?;
        let message = match &config.only {
            Some(name) => Message::text(only(fields, name)?),
            None => Message::text(config.object(fields)?.to_string()),
        };
        Ok(message
            .set_attribute("datacontenttype", "application/json")
            .into())
    }
}

/// Every field under its name, in order of first appearance.
fn fields(payload: Payload) -> Result<Vec<(String, String)>, Fault> {
    let text = payload.text().or_invalid("the form is not UTF-8")?;
    let fields: Vec<_> = form::fields(&text)
        .take(FIELDS_MAX + 1)
        .collect::<Result<_, _>>()?;
    match fields.len() {
        0..=FIELDS_MAX => Ok(fields),
        _ => Err(Fault::invalid(format!(
            "the form has more than {FIELDS_MAX} fields"
        ))),
    }
}

/// The JSON text in one field.
fn only(fields: Vec<(String, String)>, name: &str) -> Result<String, Fault> {
    let field = fields.into_iter().find(|(known, _)| known == name);
    let (_, json) = field.or_invalid(format!("the form has no field {name:?}"))?;
    serde_json::from_str::<serde::de::IgnoredAny>(&json)
        .or_invalid(format!("the field {name:?} is no JSON"))?;
    Ok(json)
}

impl Config {
    fn object(&self, fields: Vec<(String, String)>) -> Result<Value, Fault> {
        let mut tree = Tree::new(self.nested);
        for (name, values) in self.grouped(fields)? {
            let fault = |fault: String| {
                Fault::invalid(format!("the field {:?} {fault}", cut(name.clone(), NAME_MAX)))
            };
            for value in self.folded(&name, values).map_err(fault)? {
                tree.put(&name, value).map_err(fault)?;
            }
        }
        Ok(tree.into_value())
    }

    /// The typed values of each name.
    fn grouped(&self, fields: Vec<(String, String)>) -> Result<Vec<(String, Vec<Value>)>, Fault> {
        let mut places = Map::new();
        let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
        for (name, text) in fields {
            let kind = self.types.get(&name).copied().unwrap_or_default();
            let value = kind.read(text).map_err(|fault| {
                Fault::invalid(format!("the field {:?}: {fault}", cut(name.clone(), NAME_MAX)))
            })?;
            let place = places.entry(name.clone()).or_insert_with(|| groups.len().into());
            match place.as_u64().and_then(|place| groups.get_mut(place as usize)) {
                Some((_, values)) => values.push(value),
                None => groups.push((name, vec![value])),
            }
        }
        Ok(groups)
    }

    /// What is put at the name: one value, or each where the name itself says that it is a list.
    fn folded(&self, name: &str, mut values: Vec<Value>) -> Result<Vec<Value>, String> {
        if self.nested && nest::is_list(name) {
            return Ok(values);
        }
        if self.arrays.iter().any(|array| array == name) {
            return Ok(vec![values.into()]);
        }
        Ok(match (values.len(), self.repeated) {
            (1, _) => values,
            (_, Repeated::Array) => vec![values.into()],
            (_, Repeated::First) => values.drain(..1).collect(),
            (_, Repeated::Last) => values.pop().into_iter().collect(),
            (times, Repeated::Fail) => return Err(format!("is there {times} times")),
        })
    }
}

fn is_form(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case(FORM)
}

/// The charset that a content type names, unless it is one that can be read.
fn other_charset(content_type: &str) -> Option<String> {
    let mut parameters = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='));
    let (_, charset) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    let charset = charset.trim().trim_matches('"').to_ascii_lowercase();
    (!CHARSETS.contains(&charset.as_str())).then_some(charset)
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<FormToJson>();
    }

    #[test]
    fn fields_are_bounded() {
        let form = |fields: usize| {
            let text = (0..fields)
                .map(|n| format!("f{n}={n}"))
                .collect::<Vec<_>>()
                .join("&");
            Host::new().transform::<FormToJson>(event("a").content_type(FORM).text(text))
        };
        assert_eq!(
            form(FIELDS_MAX).unwrap().json().as_object().map(Map::len),
            Some(FIELDS_MAX)
        );
        assert_eq!(
            form(FIELDS_MAX + 1),
            Err(Fault::invalid("the form has more than 1000 fields"))
        );
    }
}
