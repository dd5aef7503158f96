//! What is read here, as the OpenAPI document has it. Lengths are in bytes, which JSON Schema
//! cannot say.

use serde_json::Value;

/// An event in the relay's own format.
#[derive(serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "read member by member, so that the data stays as it was written"
)]
pub struct NewEvent {
    /// Segments of letters, digits, `-`, `_`, `/` and `:`, with full stops between them.
    #[schema(min_length = 1, max_length = 256)]
    r#type: String,
    /// Any JSON; kept byte for byte.
    #[schema(required = false)]
    data: Value,
    /// The same id again within the window is the same event.
    #[schema(min_length = 1, max_length = 256)]
    id: Option<String>,
    /// A URI reference.
    #[schema(min_length = 1, max_length = 1024)]
    source: Option<String>,
    #[schema(min_length = 1, max_length = 1024)]
    subject: Option<String>,
    /// When it happened.
    #[schema(format = DateTime)]
    time: Option<String>,
}

/// A CloudEvent 1.0 in the JSON format; any other member is an extension attribute.
#[derive(utoipa::ToSchema)]
#[expect(
    dead_code,
    reason = "read member by member, so that the data stays as it was written"
)]
pub struct CloudEvent {
    #[schema(pattern = "^1\\.0$")]
    specversion: String,
    #[schema(min_length = 1, max_length = 256)]
    id: String,
    #[schema(min_length = 1, max_length = 1024)]
    source: String,
    #[schema(min_length = 1, max_length = 256)]
    r#type: String,
    #[schema(min_length = 1, max_length = 1024)]
    subject: Option<String>,
    #[schema(format = DateTime)]
    time: Option<String>,
    #[schema(min_length = 1, max_length = 1024)]
    datacontenttype: Option<String>,
    #[schema(min_length = 1, max_length = 1024)]
    dataschema: Option<String>,
    #[schema(required = false)]
    data: Value,
    /// In place of `data`.
    data_base64: Option<String>,
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::super::{cloudevents, plain};
    use super::*;

    fn properties<T: PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).expect("a schema is JSON");
        let properties = schema["properties"].as_object().expect("it has properties");
        let mut names: Vec<_> = properties.keys().cloned().collect();
        names.sort();
        names
    }

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_document_has_the_members_that_are_read() {
        assert_eq!(properties::<NewEvent>(), sorted(&plain::KNOWN));
        assert_eq!(properties::<CloudEvent>(), sorted(&cloudevents::KNOWN));
    }
}
