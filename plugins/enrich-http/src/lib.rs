//! Fetches JSON for an event and puts it into the payload.

mod url;

use std::collections::BTreeMap;
use std::time::Duration;

use relay_sdk::crypto::{Digest, Encoding};
use relay_sdk::prelude::*;
use relay_sdk::state::StateError;
use relay_sdk::template::Template;
use serde::Deserialize;
use url::Url;

/// The secret that may be sent.
const BEARER: &str = "bearer-token";
/// What the keys of answers that are kept begin with.
const KEPT: &str = "answer:";
/// As much of a digest as is kept: 22 letters of six bits make 132.
const DIGEST_LETTERS: usize = 22;

struct EnrichHttp;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: Url,
    at: String,
    #[serde(default)]
    take: String,
    #[serde(default)]
    how: How,
    #[serde(default)]
    headers: BTreeMap<String, Template>,
    #[serde(default)]
    bearer: bool,
    #[serde(default)]
    missing: Missing,
    #[serde(default)]
    on_failure: OnFailure,
    #[serde(default)]
    cache_seconds: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum How {
    #[default]
    Set,
    Merge,
}

/// What becomes of an event for which there is nothing.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Missing {
    #[default]
    Keep,
    Drop,
    Fault,
}

/// What becomes of an event if there is no usable answer.
#[derive(Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    #[default]
    Retry,
    Keep,
}

/// A request, ready to be sent.
struct Ask {
    url: String,
    headers: Vec<(String, String)>,
}

#[plugin]
impl EnrichHttp {
    fn transform(event: &Event, config: &Config) -> Result<Outcome, Fault> {
        let Some(url) = config.url.fill(event)? else {
            return config.without("the event has no value for a variable of /url");
        };
        let header = |(name, value): (&String, &Template)| (name.clone(), value.render(event));
        let ask = Ask {
            url,
            headers: config.headers.iter().map(header).collect(),
        };
        let found = match config.find(&ask) {
            Ok(found) => found,
            Err(Fault::Unavailable { message, .. } | Fault::Invalid(message))
                if config.on_failure == OnFailure::Keep =>
            {
                log::warn!("goes on as it is: {message}");
                return Ok(Outcome::Keep);
            }
            Err(fault) => return Err(fault),
        };
        let Some(found) = found else {
            return config.without("there is nothing for this event");
        };
        let edit = event.edit();
        Ok(match config.how {
            How::Set => edit.set_raw(&config.at, found),
            How::Merge => edit.merge_raw(&config.at, found),
        }
        .into())
    }

    fn check(config: Config) -> Vec<Problem> {
        let problem = |name: &String| {
            Problem::new(
                format!("/headers/{name}"),
                "is set by bearer already: leave one of them out",
            )
        };
        let mut names = config.headers.keys();
        let twice = names.find(|name| config.bearer && name.eq_ignore_ascii_case("authorization"));
        twice.map(problem).into_iter().collect()
    }
}

impl Config {
    fn without(&self, reason: &str) -> Result<Outcome, Fault> {
        match self.missing {
            Missing::Keep => Ok(Outcome::Keep),
            Missing::Drop => Ok(Outcome::Drop(reason.to_owned())),
            Missing::Fault => Err(Fault::invalid(reason)),
        }
    }

    /// What is put into the payload, as JSON text; `None` if there is nothing.
    fn find(&self, ask: &Ask) -> Result<Option<String>, Fault> {
        if self.cache_seconds == 0 {
            return self.fetch(ask);
        }
        let key = ask.key(&self.take);
        // Without state, or if it cannot be reached, every event asks.
        if let Ok(Some(kept)) = state::get(&key) {
            return Ok(String::from_utf8(kept).ok());
        }
        let found = self.fetch(ask)?;
        if let Some(found) = &found {
            let ttl = Duration::from_secs(self.cache_seconds);
            match state::set(&key, found.as_bytes(), Some(ttl)) {
                Ok(()) | Err(StateError::Denied(_)) => {}
                Err(error) => log::warn!("an answer is not kept: {error}"),
            }
        }
        Ok(found)
    }

    fn fetch(&self, ask: &Ask) -> Result<Option<String>, Fault> {
        let request = http::get(&ask.url).header("accept", "application/json");
        let request = ask
            .headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        let request = match self.bearer {
            true => request.bearer_secret(BEARER),
            false => request,
        };
        let answer = request.send()?;
        if matches!(answer.status, 404 | 410) {
            return Ok(None);
        }
        let body = answer.success()?.body;
        match body.value(&self.take) {
            Some(found) => Ok(Some(found)),
            None if body.value("").is_some() => Ok(None),
            None => Err(Fault::invalid("the answer is not JSON")),
        }
    }
}

impl Ask {
    /// What an answer is kept under. Each part is preceded by its length, so that no two requests have
    /// the same bytes.
    fn key(&self, take: &str) -> String {
        let headers = self.headers.iter().flat_map(|(name, value)| [name, value]);
        let texts = [self.url.as_str(), take]
            .into_iter()
            .chain(headers.map(String::as_str));
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend((text.len() as u64).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        let mut digest = crypto::hash(Digest::Sha256, &[bytes.as_slice().into()], Encoding::Base64Url);
        digest.truncate(DIGEST_LETTERS);
        format!("{KEPT}{digest}")
    }
}

#[cfg(test)]
mod tests {
    use relay_sdk::http::HttpError;
    use relay_sdk::testing::{Host, Reply, SampleEvent, event, fixtures};

    use super::*;

    #[test]
    fn fixtures_hold() {
        fixtures::<EnrichHttp>();
    }

    const USER: &str = "GET https://crm.example/u/7";

    fn host(more: (&str, u64)) -> Host {
        let mut config = json!({ "url": "https://crm.example/u/{{/id}}", "at": "/user" });
        config[more.0] = json!(more.1);
        Host::new().config(config)
    }

    fn sample() -> SampleEvent {
        event("order.paid").data(json!({ "id": 7 }))
    }

    #[test]
    fn an_answer_is_used_again_for_its_time() {
        let host = host(("cache_seconds", 60))
            .http(USER, Reply::json(json!({ "n": 1 })))
            .http(USER, Reply::json(json!({ "n": 2 })));
        let n = || host.transform::<EnrichHttp>(sample()).unwrap().json()["user"]["n"].clone();
        assert_eq!((n(), n()), (json!(1), json!(1)));
        host.advance(Duration::from_secs(61));
        assert_eq!((n(), host.requests().len()), (json!(2), 2));
    }

    #[test]
    fn without_state_every_event_asks() {
        let host = host(("cache_seconds", 60))
            .without("state")
            .http(USER, Reply::json(json!({ "n": 1 })))
            .http(USER, Reply::json(json!({ "n": 2 })));
        let n = || host.transform::<EnrichHttp>(sample()).unwrap().json()["user"]["n"].clone();
        assert_eq!((n(), n()), (json!(1), json!(2)));
    }

    #[test]
    fn what_may_work_later_is_tried_again() {
        let host = host(("cache_seconds", 0)).http(USER, Reply::error(HttpError::Timeout));
        let fault = host.transform::<EnrichHttp>(sample()).unwrap_err();
        assert!(matches!(fault, Fault::Unavailable { .. }), "{fault}");
    }
}
