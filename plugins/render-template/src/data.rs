//! What templates see of an event.

use minijinja::Value;
use relay_sdk::{Event, call};

use crate::engine::Engine;

/// The variables of all templates. What none of them asks for is not fetched.
pub(crate) fn of(event: &Event, engine: &Engine) -> Value {
    let variables: [(&str, &dyn Fn() -> Value); 5] = [
        ("data", &|| payload(event)),
        ("event", &|| attributes(event)),
        ("headers", &|| headers(event)),
        ("vars", &|| engine.vars()),
        ("call", &current),
    ];
    let wanted = variables.iter().filter(|(name, _)| engine.wants(name));
    Value::from_pairs(wanted.map(|(name, value)| (*name, value())))
}

/// The payload: as JSON, else as text, else nothing.
fn payload(event: &Event) -> Value {
    let Some(text) = event.text() else {
        return Value::UNDEFINED;
    };
    serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text))
}

fn attributes(event: &Event) -> Value {
    let required = [
        ("id", event.id()),
        ("type", event.event_type()),
        ("source", event.source()),
    ];
    let optional = [
        ("subject", event.subject()),
        ("time", event.time()),
        ("content_type", event.content_type()),
    ];
    let optional = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let named = required.into_iter().chain(optional);
    let named = named.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Value::from_pairs(event.extensions().into_iter().chain(named))
}

/// The first value of each header, by its name in lower case: `headers["x-shop"]`.
fn headers(event: &Event) -> Value {
    let headers = event.headers();
    Value::from_pairs(headers.into_iter().rev())
}

fn current() -> Value {
    let call = call::current();
    let named = [
        ("source", call.source),
        ("endpoint", call.endpoint),
        ("delivery", call.delivery),
    ];
    let named = named
        .into_iter()
        .filter_map(|(name, value)| Some((name, Value::from(value?))));
    Value::from_pairs(named.chain([
        ("tenant", Value::from(call.tenant)),
        ("attempt", Value::from(call.attempt)),
    ]))
}
