//! Puts a shared secret into a field of JSON payloads, for receivers that look for one there.

use relay_sdk::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};

struct InsertSecret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "token")]
    at: String,
}

fn token() -> String {
    "/token".into()
}

#[plugin]
impl InsertSecret {
    fn transform(event: &Event, config: &Config) -> Result<Outcome, Fault> {
        let parent = config.at.rsplit_once('/').map_or("", |(parent, _)| parent);
        if event.get::<Map<String, Value>>(parent).is_none() {
            return Err(Fault::invalid(format!(
                "the payload has no object at {parent:?} that the secret could be put into"
            )));
        }
        let secret = secrets::get("secret")?;
        Ok(event.edit().set(config.at.as_str(), secret).into())
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::fixtures;

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<InsertSecret>();
    }
}
