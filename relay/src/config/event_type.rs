//! `[[event_type]]`

use std::sync::Arc;

use serde_json::Value;

use super::label;
use super::reader::Section;
use crate::model::catalogue::{EventType, Validate};
use crate::model::event_type;
use crate::model::id::{EventTypeId, TenantId};
use crate::model::schema::Schema;

/// Bytes of a schema, and of a sample, as JSON.
const JSON_BYTES_MAX: usize = 64 << 10;

/// Reads one event type; its id is 0 until the store has named it. `None` without a name.
pub(super) fn read(section: &Section<'_>) -> Option<EventType> {
    let name = name(section);
    label::check(section);
    label::word(section, "group");
    section.boolean("deprecated");
    let validate = section.choice(
        "validate",
        &[
            ("off", Validate::Off),
            ("warn", Validate::Warn),
            ("reject", Validate::Reject),
        ],
    );
    let schema = schema(section);
    let sample = json(section, "sample");
    if let (Some(schema), Some(sample)) = (&schema, sample) {
        for mismatch in schema.mismatches(sample) {
            section.fault_at(
                "sample",
                &mismatch.pointer,
                format!("does not satisfy the schema: {}", mismatch.problem),
            );
        }
    }
    if validate.is_some_and(|validate| validate != Validate::Off) && !section.has("schema") {
        section.fault(
            "validate",
            "says nothing without a schema",
            "give a schema, or leave it out",
        );
    }
    Some(EventType {
        id: EventTypeId::from_raw(0),
        tenant: TenantId::DEFAULT,
        name: name?.to_owned(),
        validate: validate.unwrap_or_default(),
        schema: schema.map(Arc::new),
        sample: sample.cloned(),
    })
}

fn name<'a>(section: &Section<'a>) -> Option<&'a str> {
    let name = section.required("name", "\"message.received\"")?;
    match event_type::check(name) {
        Ok(()) => Some(name),
        Err(error) => {
            section.fault(
                "name",
                format!("is {name:?}, which {error}"),
                "write it as in \"message.received\"",
            );
            None
        }
    }
}

fn schema(section: &Section<'_>) -> Option<Schema> {
    match Schema::read(json(section, "schema")?) {
        Ok(schema) => Some(schema),
        Err(mismatch) => {
            section.fault_at("schema", &mismatch.pointer, mismatch.problem);
            None
        }
    }
}

fn json<'a>(section: &Section<'a>, key: &'static str) -> Option<&'a Value> {
    let value = section.value(key)?;
    let bytes = value.to_string().len();
    if bytes > JSON_BYTES_MAX {
        section.fault(
            key,
            format!("has {bytes} bytes as JSON"),
            format!("use at most {JSON_BYTES_MAX}"),
        );
        return None;
    }
    Some(value)
}
