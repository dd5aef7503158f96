//! What the management API is asked for, and how often what.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use serde_json::Value;

use super::Mix;
use crate::bench::call;

/// The names of the endpoints that are asked for begin with it.
pub(in crate::bench) const CONSUMER: &str = "consumer";
/// An endpoint that never got anything.
pub(in crate::bench) const QUIET: &str = "consumer-0";
/// Events whose ids are known to the script.
const EVENTS: usize = 250;
/// A text that every event has.
const COMMON: &str = "newsletter";
/// A text that none has.
const NOWHERE: &str = "nowhere%20to%20be%20found";
/// A text that only the oldest event has: its number.
const OLDEST: &str = "000000000000";

/// One request.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its place among the kinds.
    pub kind: usize,
    pub method: &'static str,
    pub path: String,
    pub body: String,
}

impl Asked {
    /// The bytes that are sent.
    pub(super) fn http(&self, host: &str, key: &str) -> String {
        let Self {
            method, path, body, ..
        } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n");
        if !body.is_empty() {
            // Writing to a string does not fail.
            write!(
                text,
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            )
            .ok();
        }
        text + "\r\n" + body
    }
}

/// What people and their programs ask for, and how many of 200 requests, those of one second.
///
/// A text that is nowhere costs the relay all the time that it gives a page, and is allowed to take
/// longer than the rest.
const EVERYDAY: [(Everyday, u64); 10] = [
    (Everyday::OneEndpoint, 40),
    (Everyday::Deliveries, 40),
    (Everyday::Events, 30),
    (Everyday::OneEvent, 30),
    (Everyday::Endpoints, 29),
    (Everyday::Search, 10),
    (Everyday::Patch, 10),
    (Everyday::Create, 5),
    (Everyday::Delete, 5),
    (Everyday::SearchNowhere, 1),
];
/// Requests until the script begins again.
const ROUND: u64 = 200;
/// Coprime to [`ROUND`], so that every kind is spread over the round.
const STRIDE: u64 = 77;

/// One kind of everyday request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Everyday {
    OneEndpoint,
    Deliveries,
    Events,
    OneEvent,
    Endpoints,
    Search,
    Patch,
    Create,
    Delete,
    SearchNowhere,
}

impl Everyday {
    const fn name(self) -> &'static str {
        match self {
            Self::OneEndpoint => "one endpoint",
            Self::Deliveries => "deliveries of an endpoint by status",
            Self::Events => "events by type and time",
            Self::OneEvent => "one event with its deliveries",
            Self::Endpoints => "endpoints",
            Self::Search => "events with a text that many have",
            Self::Patch => "patch an endpoint's description",
            Self::Create => "create an endpoint",
            Self::Delete => "delete an endpoint",
            Self::SearchNowhere => "events with a text that none has",
        }
    }

    /// The kind at a place of the round.
    fn at(place: u64) -> usize {
        let mut left = place * STRIDE % ROUND;
        let found = EVERYDAY.iter().position(|(_, share)| {
            let is_it = left < *share;
            left = left.saturating_sub(*share);
            is_it
        });
        found.unwrap_or(0)
    }
}

/// Lists that are walked page by page, as paths with their filter.
fn lists(oldest: &str) -> Vec<String> {
    vec![
        "/v1/events?".to_owned(),
        format!("/v1/events?q={COMMON}"),
        format!("/v1/events?q={NOWHERE}"),
        format!("/v1/events?q={OLDEST}"),
        "/v1/events?type=bench.nothing".to_owned(),
        "/v1/events?subject=nobody".to_owned(),
        "/v1/events?sender_id=nobody".to_owned(),
        "/v1/events?trace_id=0af7651916cd43dd8448eb211c80319c".to_owned(),
        format!("/v1/events?until={oldest}"),
        "/v1/deliveries?".to_owned(),
        "/v1/deliveries?status=succeeded".to_owned(),
        "/v1/deliveries?status=pending".to_owned(),
        "/v1/deliveries?status=failed,cancelled".to_owned(),
        "/v1/deliveries?error_class=timeout".to_owned(),
        "/v1/deliveries?status_code=500".to_owned(),
        "/v1/deliveries?attempts_min=2".to_owned(),
        format!("/v1/deliveries?endpoint={QUIET}"),
        format!("/v1/deliveries?endpoint={QUIET}&status=succeeded"),
        "/v1/deliveries?type=bench.nothing".to_owned(),
        format!("/v1/deliveries?q={NOWHERE}"),
        format!("/v1/deliveries?until={oldest}"),
        "/v1/deliveries?test=true".to_owned(),
        format!("/v1/endpoints?q={NOWHERE}"),
        "/v1/endpoints?tag=none".to_owned(),
    ]
}

/// What is asked for in one run.
#[derive(Debug)]
pub(in crate::bench) struct Script {
    mix: Mix,
    run: String,
    endpoints: u64,
    /// Ids of the newest events.
    events: Vec<String>,
    lists: Vec<String>,
    /// Where the next page of each list begins.
    cursors: Mutex<Vec<Option<String>>>,
}

impl Script {
    /// Looks up what there is to ask for.
    pub(super) async fn prepare(target: &str, mix: Mix, run: &str, endpoints: u64) -> anyhow::Result<Self> {
        let newest = call::get(target, &format!("/v1/events?limit={EVENTS}")).await?;
        let newest = newest["data"].as_array().context("no list of events")?;
        let text = |event: &Value, key: &str| event[key].as_str().map(str::to_owned);
        let events: Vec<String> = newest.iter().filter_map(|event| text(event, "id")).collect();
        let oldest = newest.last().and_then(|event| text(event, "received_at"));
        let lists = lists(&oldest.context("no event to ask for")?);
        Ok(Self {
            mix,
            run: run.to_owned(),
            endpoints: endpoints.max(1),
            events,
            cursors: Mutex::new(vec![None; lists.len()]),
            lists,
        })
    }

    /// What the kinds are called.
    pub(super) fn kinds(&self) -> Vec<String> {
        match self.mix {
            Mix::Everyday => EVERYDAY.iter().map(|(kind, _)| kind.name().to_owned()).collect(),
            Mix::Lists => self
                .lists
                .iter()
                .map(|path| path.trim_end_matches('?').to_owned())
                .collect(),
        }
    }

    /// The request with that number.
    pub(super) fn request(&self, number: u64) -> Asked {
        match self.mix {
            Mix::Everyday => self.everyday(number),
            Mix::Lists => self.page(number),
        }
    }

    /// Takes from an answer what a later request needs.
    pub(super) fn hear(&self, kind: usize, answer: &[u8]) {
        if self.mix == Mix::Lists {
            let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
            cursors[kind] = next_cursor(answer);
        }
    }

    fn everyday(&self, number: u64) -> Asked {
        let (round, place) = (number / ROUND, number % ROUND);
        let mut kind = Everyday::at(place);
        // What was made a round ago is deleted; in the first there is nothing yet.
        if EVERYDAY[kind].0 == Everyday::Delete && round == 0 {
            kind = 0;
        }
        let endpoint = format!("/v1/endpoints/{CONSUMER}-{}", number % self.endpoints);
        let passing = |round: u64, nth: u64| format!("passing-{}-{round}-{nth}", self.run);
        // The places of the kinds that come five times a round, counted through.
        let nth = |kind: usize| (0..place).filter(|before| Everyday::at(*before) == kind).count() as u64;
        let get = |path: String| ("GET", path, String::new());
        let (method, path, body) = match EVERYDAY[kind].0 {
            Everyday::OneEndpoint => get(endpoint),
            Everyday::Deliveries => get(match number % 2 {
                0 => "/v1/deliveries?endpoint=bench&status=succeeded",
                _ => "/v1/deliveries?endpoint=bench&status=failed",
            }
            .to_owned()),
            Everyday::Events => {
                get("/v1/events?type=bench.event.00000&since=2020-01-01T00:00:00Z".to_owned())
            }
            Everyday::OneEvent => {
                let id = &self.events[usize::try_from(number).unwrap_or(0) % self.events.len()];
                get(format!("/v1/events/{id}"))
            }
            Everyday::Endpoints => get("/v1/endpoints?limit=50".to_owned()),
            Everyday::Search => get(format!("/v1/events?q={COMMON}")),
            Everyday::SearchNowhere => get(format!("/v1/events?q={NOWHERE}")),
            Everyday::Patch => (
                "PATCH",
                endpoint,
                format!(r#"{{"description":"as of {} {number}"}}"#, self.run),
            ),
            Everyday::Create => {
                let name = passing(round, nth(kind));
                let body = format!(
                    r#"{{"name":"{name}","url":"http://127.0.0.1:9/{name}","event_types":["bench.passing"]}}"#
                );
                ("POST", "/v1/endpoints".to_owned(), body)
            }
            Everyday::Delete => {
                let name = passing(round - 1, nth(kind));
                ("DELETE", format!("/v1/endpoints/{name}"), String::new())
            }
        };
        Asked {
            kind,
            method,
            path,
            body,
        }
    }

    /// The next page of one of the lists; the first again after the last.
    fn page(&self, number: u64) -> Asked {
        let kind = usize::try_from(number).unwrap_or(0) % self.lists.len();
        let mut path = self.lists[kind].clone();
        let cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cursor) = &cursors[kind] {
            path = format!("{path}&cursor={cursor}").replace("?&", "?");
        }
        Asked {
            kind,
            method: "GET",
            path: path.trim_end_matches('?').to_owned(),
            body: String::new(),
        }
    }
}

/// Where a list goes on; it stands last in the answer.
fn next_cursor(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let (_, rest) = text.rsplit_once(r#""next_cursor":""#)?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(mix: Mix) -> Script {
        let lists = lists("2026-01-01T00:00:00Z");
        Script {
            mix,
            run: "alone".to_owned(),
            endpoints: 10,
            events: vec!["evt_1".to_owned()],
            cursors: Mutex::new(vec![None; lists.len()]),
            lists,
        }
    }

    #[test]
    fn a_round_has_of_each_kind_as_many_as_it_should() {
        for (kind, (_, share)) in EVERYDAY.iter().enumerate() {
            let times = (0..ROUND).filter(|place| Everyday::at(*place) == kind).count() as u64;
            assert_eq!(times, *share, "{:?}", EVERYDAY[kind]);
        }
        assert_eq!(EVERYDAY.iter().map(|(_, share)| share).sum::<u64>(), ROUND);
    }

    #[test]
    fn what_is_made_in_a_round_is_deleted_in_the_next() {
        let script = script(Mix::Everyday);
        let of = |method: &str, round: u64| -> Vec<String> {
            let asked = (round * ROUND..(round + 1) * ROUND).map(|number| script.request(number));
            let asked = asked.filter(|asked| asked.method == method);
            asked
                .map(|asked| match method {
                    "POST" => serde_json::from_str::<Value>(&asked.body).expect("JSON")["name"]
                        .as_str()
                        .expect("a name")
                        .to_owned(),
                    _ => asked.path.replace("/v1/endpoints/", ""),
                })
                .collect()
        };
        assert_eq!(of("DELETE", 0), [""; 0]);
        assert_eq!(of("POST", 3).len(), 5);
        assert_eq!(of("POST", 3), of("DELETE", 4));
    }

    #[test]
    fn a_list_goes_on_where_its_page_ended() {
        let script = script(Mix::Lists);
        script.hear(0, br#"{"data":[],"next_cursor":"1f"}"#);
        script.hear(1, br#"{"data":[],"next_cursor":"2e"}"#);
        assert_eq!(script.request(0).path, "/v1/events?cursor=1f");
        assert_eq!(script.request(1).path, "/v1/events?q=newsletter&cursor=2e");
        script.hear(0, br#"{"data":[],"next_cursor":null}"#);
        assert_eq!(script.request(0).path, "/v1/events");
    }
}
