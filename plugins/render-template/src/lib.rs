//! Renders the payload and headers from a Jinja template.

mod data;
mod engine;
mod escape;
mod filters;
mod output;

use std::collections::BTreeMap;

use engine::{Engine, Refused};
use escape::Escape;
use relay_sdk::prelude::*;
use serde::Deserialize;

struct RenderTemplate;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    body: String,
    #[serde(default = "json_type")]
    content_type: String,
    escape: Option<Escape>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    vars: minijinja::Value,
    #[serde(default)]
    undefined: Undefined,
    #[serde(default = "bytes_max")]
    bytes_max: usize,
}

/// What becomes of a value that is not there.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Undefined {
    #[default]
    Fail,
    Empty,
}

fn json_type() -> String {
    "application/json".into()
}

fn bytes_max() -> usize {
    256 << 10
}

#[plugin]
impl RenderTemplate {
    fn transform(event: &Event, engine: &Engine) -> Result<Message, Fault> {
        let data = data::of(event, engine);
        let body = engine.body(&data)?;
        let message = Message::text(body).set_attribute("datacontenttype", engine.content_type());
        let headers = engine.headers(&data)?.into_iter();
        Ok(headers.fold(message, |message, (name, value)| message.set_header(name, value)))
    }

    fn check(config: Config) -> Vec<Problem> {
        let places: Vec<(String, String)> = config
            .headers
            .keys()
            .map(|name| (name.clone(), format!("/headers/{name}")))
            .collect();
        let problem = |Refused { name, message }| {
            let header = places.iter().find(|(known, _)| *known == name);
            Problem::new(header.map_or("/body", |(_, at)| at), message)
        };
        match Engine::new(config) {
            Ok(engine) => engine.trial().map(problem).into_iter().collect(),
            Err(refused) => vec![problem(refused)],
        }
    }
}

#[cfg(test)]
mod tests;
