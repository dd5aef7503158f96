//! Keeps media whose addresses die, and writes lasting addresses in their place.

mod fetch;

use std::time::Duration;

use relay_sdk::media::Kept;
use relay_sdk::pattern::Pattern;
use relay_sdk::prelude::*;
use serde::Deserialize;

/// Different addresses of one event that are fetched: as many requests as one call may be allowed.
const FETCHED_MAX: usize = 16;

struct CaptureMedia;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    urls: Vec<Pattern>,
    seconds: Option<u32>,
    #[serde(default)]
    types: Vec<String>,
    bytes_max: Option<u32>,
    #[serde(default)]
    bearer: bool,
    #[serde(default)]
    expires: bool,
    #[serde(default)]
    on_failure: OnFailure,
}

/// What becomes of an address whose file cannot be kept.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    #[default]
    Keep,
    Null,
    Fault,
}

#[plugin]
impl CaptureMedia {
    fn transform(event: &Event, config: &Config) -> Result<Edits, Fault> {
        let mut captured = Captured::default();
        let mut edits = event.edit();
        for (at, url) in config.addresses(event) {
            edits = match captured.capture(&url, config) {
                Ok(kept) => config.rewrite(event, edits, &at, kept),
                Err(fault) => config.fail(edits, &at, fault)?,
            };
        }
        Ok(edits)
    }
}

impl Config {
    /// Where the addresses are, and what they are. One that two patterns lead to is told once.
    fn addresses(&self, event: &Event) -> Vec<(String, String)> {
        let mut addresses: Vec<(String, String)> = Vec::new();
        for found in self.urls.iter().flat_map(|pattern| pattern.values(event)) {
            let is_new = addresses.iter().all(|(at, _)| *at != found.at);
            if let (true, Some(url)) = (is_new, fetch::address(&found.json)) {
                addresses.push((found.at, url));
            }
        }
        addresses
    }

    fn rewrite(&self, event: &Event, edits: Edits, at: &str, kept: &Kept) -> Edits {
        let edits = edits.set(at, kept.url.as_str());
        if self.expires && is_member(event, at) {
            edits.set(format!("{at}_expires"), kept.expires.as_str())
        } else {
            edits
        }
    }

    fn fail(&self, edits: Edits, at: &str, fault: &Fault) -> Result<Edits, Fault> {
        match self.on_failure {
            OnFailure::Fault => return Err(fault.clone()),
            OnFailure::Keep | OnFailure::Null => log::warn!("{at} was not captured: {fault}"),
        }
        Ok(match self.on_failure {
            OnFailure::Null => edits.set(at, ()),
            _ => edits,
        })
    }

    fn ttl(&self) -> Option<Duration> {
        self.seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// Whether a value has a name, beside which another can stand: elements of arrays have none.
fn is_member(event: &Event, at: &str) -> bool {
    let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
    let parent = event.data().value(parent);
    parent.is_some_and(|json| json.trim_start().starts_with('{'))
}

/// What was captured of one event: an address that stands there twice is fetched once.
#[derive(Default)]
struct Captured(Vec<(String, Result<Kept, Fault>)>);

impl Captured {
    fn capture(&mut self, url: &str, config: &Config) -> Result<&Kept, &Fault> {
        let known = self.0.iter().position(|(known, _)| known == url);
        let index = known.unwrap_or_else(|| {
            let captured = if self.0.len() < FETCHED_MAX {
                fetch::capture(url, config)
            } else {
                let why = format!("the payload has more than {FETCHED_MAX} addresses of media");
                Err(Fault::invalid(why))
            };
            self.0.push((url.to_owned(), captured));
            self.0.len() - 1
        });
        self.0[index].1.as_ref()
    }
}

#[cfg(test)]
mod tests;
