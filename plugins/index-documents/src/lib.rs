//! Makes of each event a document for the bulk API of Elasticsearch or OpenSearch.

use std::collections::BTreeMap;

use relay_sdk::fill::Fill;
use relay_sdk::prelude::*;
use relay_sdk::template::{Template, verbatim};
use serde::Deserialize;
use serde_json::{Map, Value};

struct IndexDocuments;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    index: Option<Template>,
    id: Option<Template>,
    #[serde(default)]
    action: Action,
    fields: Option<BTreeMap<String, Fill>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Create,
    Index,
    Update,
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Index => "index",
            Self::Update => "update",
        }
    }
}

#[plugin]
impl IndexDocuments {
    fn transform(event: &Event, config: &Config) -> Result<Message, Fault> {
        let document = config.document(event)?;
        let document = match config.action {
            Action::Update => json!({ "doc": document, "doc_as_upsert": true }),
            Action::Create | Action::Index => document,
        };
        let pair = format!(
            "{}\n{document}\n",
            json!({ config.action.word(): config.place(event)? })
        );
        Ok(Message::text(pair).set_attribute("datacontenttype", "application/x-ndjson"))
    }

    fn check(config: Config) -> Vec<Problem> {
        match config.id.is_some_and(|id| id.is_literal()) {
            true => vec![Problem::new(
                "/id",
                "is the same for every event: each would take the place of the last",
            )],
            false => Vec::new(),
        }
    }
}

impl Config {
    /// Where the document goes.
    fn place(&self, event: &Event) -> Result<Map<String, Value>, Fault> {
        let mut place = Map::new();
        if let Some(index) = &self.index {
            let index = index
                .render_some(event, verbatim)
                .or_invalid("/index is empty for this event")?;
            place.insert("_index".to_owned(), index.into());
        }
        // Without one, a retry would make a second document.
        let id = match &self.id {
            Some(id) => id
                .render_some(event, verbatim)
                .or_invalid("/id is empty for this event")?,
            // One event's alone (CloudEvents 1.0, section 3.1.1).
            None => format!("{}:{}", event.source(), event.id()),
        };
        place.insert("_id".to_owned(), id.into());
        Ok(place)
    }

    fn document(&self, event: &Event) -> Result<Value, Fault> {
        let Some(fields) = &self.fields else {
            let document: Map<String, Value> = event.json().or_invalid("the payload is no JSON object")?;
            return Ok(document.into());
        };
        let field = |(name, fill): (&String, &Fill)| Some((name.clone(), fill.value(event)?));
        Ok(Value::Object(fields.iter().filter_map(field).collect()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fixtures_hold() {
        relay_sdk::testing::fixtures::<super::IndexDocuments>();
    }
}
