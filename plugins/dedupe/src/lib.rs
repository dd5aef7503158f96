//! Keeps the first event of several with the same key.

use std::time::Duration;

use relay_sdk::call;
use relay_sdk::crypto::{Digest, Encoding};
use relay_sdk::prelude::*;
use relay_sdk::state::StateError;
use relay_sdk::template::Variable;
use serde::Deserialize;

/// As much of a key's digest as is kept: 22 letters of six bits make 132.
const DIGEST_LETTERS: usize = 22;

struct Dedupe;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    key: Vec<Variable>,
    #[serde(default = "day")]
    seconds: u32,
    #[serde(default)]
    missing: Missing,
    #[serde(default)]
    when_full: WhenFull,
}

fn day() -> u32 {
    24 * 60 * 60
}

/// What becomes of an event without one of the values.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Missing {
    #[default]
    Keep,
    Drop,
    Fault,
}

/// What becomes of an event that there is no room to remember.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WhenFull {
    #[default]
    Retry,
    Keep,
}

#[plugin]
impl Dedupe {
    fn filter(event: &Event, config: &Config) -> Result<Decision, Fault> {
        let key = match config.key(event) {
            Ok(key) => key,
            Err(index) => return config.without(index),
        };
        match is_first(&key, event, Duration::from_secs(config.seconds.into())) {
            Ok(is_first) => Ok(Decision::keep_if(
                is_first,
                "a duplicate: an event with the same key came before",
            )),
            Err(StateError::QuotaExceeded) if matches!(config.when_full, WhenFull::Keep) => {
                log::warn!("there is no room to remember this event; it goes on");
                Ok(Decision::Keep)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn check(config: Config) -> Vec<Problem> {
        let is_repeated = |index: &usize| config.key[..*index].contains(&config.key[*index]);
        let problem = |index| Problem::new(format!("/key/{index}"), "is there twice");
        (0..config.key.len()).filter(is_repeated).map(problem).collect()
    }
}

impl Config {
    /// A digest of the values, or the index of one that is missing. Each value is preceded by
    /// its length, so that no two lists of values have the same bytes.
    fn key(&self, event: &Event) -> Result<String, usize> {
        let mut bytes = Vec::new();
        for (index, variable) in self.key.iter().enumerate() {
            let value = variable.text(event).ok_or(index)?;
            bytes.extend((value.len() as u64).to_be_bytes());
            bytes.extend(value.into_bytes());
        }
        let mut digest = crypto::hash(Digest::Sha256, &[bytes.as_slice().into()], Encoding::Base64Url);
        digest.truncate(DIGEST_LETTERS);
        Ok(digest)
    }

    fn without(&self, index: usize) -> Result<Decision, Fault> {
        let reason = format!("the event has no value for /key/{index}");
        match self.missing {
            Missing::Keep => Ok(Decision::Keep),
            Missing::Drop => Ok(Decision::drop(reason)),
            Missing::Fault => Err(Fault::invalid(reason)),
        }
    }
}

/// Whether nobody holds the key but who asks. The delivery's id is kept with it, so that the
/// next attempt of a delivery is no duplicate of the one before.
fn is_first(key: &str, event: &Event, ttl: Duration) -> Result<bool, StateError> {
    let owner = call::current().delivery.unwrap_or_else(|| event.id().to_owned());
    let owner = owner.as_bytes();
    if state::compare_and_set(key, None, owner, Some(ttl))? {
        return Ok(true);
    }
    // It may have run out in between: then it is nobody's, and this event the first anew.
    match state::get(key)? {
        Some(holder) => Ok(holder == owner),
        None => state::compare_and_set(key, None, owner, Some(ttl)),
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::testing::{Host, SampleEvent, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<Dedupe>();
    }

    fn keeps(host: &Host, sample: SampleEvent) -> bool {
        host.filter::<Dedupe>(sample) == Ok(Decision::Keep)
    }

    #[test]
    fn the_next_attempt_of_a_delivery_is_no_duplicate_of_it() {
        let host = Host::new().config(json!({ "key": ["/id"] }));
        let sample = || event("order.paid").data(json!({ "id": 7 }));
        assert!(keeps(&host, sample()));
        assert!(keeps(&host.attempt(2), sample()));
    }

    #[test]
    fn a_key_is_free_again_after_its_time() {
        let first = Host::new().config(json!({ "key": ["/id", "event.type"], "seconds": 60 }));
        let sample = || event("order.paid").data(json!({ "id": 7 }));
        assert!(keeps(&first, sample()));
        let second = first.delivery("dlv_2");
        assert!(!keeps(&second, sample()));
        assert!(keeps(&second, event("order.sent").data(json!({ "id": 7 }))));
        second.advance(Duration::from_secs(61));
        assert!(keeps(&second, sample()));
    }

    #[test]
    fn values_do_not_run_into_each_other() {
        let first = Host::new().config(json!({ "key": ["/a", "/b"] }));
        assert!(keeps(&first, event("x").data(json!({ "a": "1", "b": "23" }))));
        let second = first.delivery("dlv_2");
        assert!(keeps(&second, event("x").data(json!({ "a": "12", "b": "3" }))));
        let third = second.delivery("dlv_3");
        assert!(!keeps(&third, event("x").data(json!({ "a": 1, "b": 23 }))));
    }
}
