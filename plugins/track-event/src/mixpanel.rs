//! Events of Mixpanel, for [import](https://developer.mixpanel.com/reference/import-events) or
//! [track](https://developer.mixpanel.com/reference/track-event).

use relay_sdk::crypto::{self, Digest, Encoding};
use relay_sdk::secrets::{self, SecretError};
use relay_sdk::{Event, Fault, Message, OrFault, Problem};
use serde_json::{Value, json};

use crate::{Config, Tracked};

/// Letters of an event's mark: Mixpanel takes 36.
const INSERT_ID_LETTERS: usize = 32;
/// Mixpanel's limits: characters of a name, properties of an event.
const NAME_MAX: usize = 255;
const PROPERTIES_MAX: usize = 255;
/// Properties that are made here.
const OWN: [&str; 4] = ["time", "$insert_id", "distinct_id", "token"];

/// The one event that is sent.
pub(crate) fn message(tracked: Tracked, event: &Event) -> Result<Message, Fault> {
    if tracked.name.chars().count() > NAME_MAX {
        return Err(Fault::invalid(format!(
            "/name has more than {NAME_MAX} characters"
        )));
    }
    let time = tracked
        .time
        .or_invalid("the event has no time: Mixpanel takes none without")?;
    let mut properties = tracked.properties;
    properties.insert("time".into(), time.unix_ms().into());
    properties.insert("$insert_id".into(), insert_id(event).into());
    // Empty, if it happened without anybody.
    let user = tracked.user.unwrap_or_default();
    properties.insert("distinct_id".into(), user.into());
    match secrets::get("mixpanel-token") {
        Ok(token) => drop(properties.insert("token".into(), token.into())),
        // Import asks for credentials in a header instead.
        Err(SecretError::NotGranted(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let body: Value = json!([{ "event": tracked.name, "properties": properties }]);
    Ok(Message::json(body))
}

/// What Mixpanel knows a second attempt by: source and id are one event's alone (CloudEvents 1.0,
/// section 3.1.1).
fn insert_id(event: &Event) -> String {
    let parts = [event.source().into(), "\n".into(), event.id().into()];
    let mut digest = crypto::hash(Digest::Sha256, &parts, Encoding::Hex);
    digest.truncate(INSERT_ID_LETTERS);
    digest
}

/// What Mixpanel would refuse, or what would take the place of its own.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.properties.len() > PROPERTIES_MAX - OWN.len() {
        let most = PROPERTIES_MAX - OWN.len();
        problems.push(Problem::new(
            "/properties",
            format!("has more than the {most} that Mixpanel has room for"),
        ));
    }
    for name in OWN.iter().filter(|name| config.properties.contains_key(**name)) {
        problems.push(Problem::new(
            format!("/properties/{name}"),
            "is set by the plugin: leave it out",
        ));
    }
    problems
}
