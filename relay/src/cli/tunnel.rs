//! `relay listen --from`: brings a relay's events to this machine, which nobody has to reach.
//!
//! They are fetched from an endpoint that is polled and handed to a local address as a push would
//! have brought them. What was taken is acknowledged, everything else stays with the relay: it is
//! fetched again, and so signed anew, when its turn comes.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use url::Url;

use super::client::{Access, Answer, exchange};
use super::listen::{Arrival, show};
use crate::clock::{Clock as _, SystemClock};
use crate::crypto::standard_webhooks::VerifyingKey;

/// What tells the endpoints that this command made, and so removes, from all others.
const TAG: &str = "relay-listen";
/// Messages fetched at once.
const PAGE: usize = 50;
/// How long the relay is asked to wait for something to come.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How long the local address may take to answer, as an endpoint's receiver may.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest pause before a message that was not taken is handed over again.
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// The longest pause before the relay or the local address is tried again when it is not there.
const ABSENT_MAX: Duration = Duration::from_secs(5);
/// Messages that were not taken and wait for their turn; with so many no others are fetched.
const PUT_OFF_MAX: usize = 1_000;
/// How long the last words to the relay may take.
const CLOSING_MAX: Duration = Duration::from_secs(5);

/// Where events come from, and where they go.
pub(super) struct Tunnel {
    pub(super) access: Access,
    /// The name of the endpoint.
    pub(super) endpoint: String,
    pub(super) event_types: Vec<String>,
    pub(super) sources: Vec<String>,
    /// What the messages of an endpoint that is made here are signed with; empty: a secret of the
    /// relay's own.
    pub(super) secrets: Vec<String>,
    /// `None`: they are shown.
    pub(super) forward: Option<Url>,
    pub(super) keys: Vec<VerifyingKey>,
}

impl Tunnel {
    /// Brings events until it is interrupted.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let is_own = self.open().await?;
        let mut carrier = Carrier::new(&self);
        let ended = tokio::select! {
            ended = carrier.carry() => ended,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        let closing = async {
            carrier.acknowledge().await.map_err(Trouble::into_inner)?;
            match is_own {
                true => self.remove().await,
                false => Ok(()),
            }
        };
        match timeout(CLOSING_MAX, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => note(&format!("not everything was put away: {error:#}")),
            Err(_) => note("not everything was put away: the relay does not answer"),
        }
        ended.map(|()| ExitCode::SUCCESS)
    }

    fn path(&self, below: &str) -> String {
        format!("/v1/endpoints/{}{below}", self.endpoint)
    }

    /// Finds the endpoint or makes it; whether it is this command's own.
    async fn open(&self) -> anyhow::Result<bool> {
        let found = self.access.read(&self.path("")).await?;
        let is_own = match found.status {
            404 => {
                let body = self.definition();
                let path = "/v1/endpoints";
                self.access
                    .change("POST", path, None, Some(&body))
                    .await?
                    .json()?;
                true
            }
            _ => self.adopt(&found.json()?).await?,
        };
        let secrets = self.access.read(&self.path("/secret")).await?.json()?;
        let verifies = ["secret", "public_key"].map(|key| secrets[key].as_str());
        let verifies: Vec<_> = verifies.into_iter().flatten().collect();
        let to = self.forward.as_ref().map_or("the screen", Url::as_str);
        note(&format!(
            "events of {} at {} go to {to}; verify them with {}",
            self.endpoint,
            self.access.url,
            verifies.join(" or ")
        ));
        Ok(is_own)
    }

    /// Looks at an endpoint that is there; one that an earlier run left behind is taken over.
    async fn adopt(&self, found: &Value) -> anyhow::Result<bool> {
        let name = &self.endpoint;
        if found["delivery"] != "poll" {
            bail!("the endpoint {name} is sent its events; name another one, or one that is not there yet");
        }
        let mut tags = found["tags"].as_array().into_iter().flatten();
        let is_own = tags.any(|tag| tag == TAG);
        let is_chosen = !self.event_types.is_empty() || !self.sources.is_empty();
        match (is_own, is_chosen) {
            (false, true) => bail!(
                "the endpoint {name} is there already, and which events it gets is said there; \
                 leave out --event-types and --source, or name another one"
            ),
            (true, true) => {
                let body = self.definition();
                self.access
                    .change("PUT", &self.path(""), None, Some(&body))
                    .await?
                    .json()?;
            }
            _ => {}
        }
        Ok(is_own)
    }

    fn definition(&self) -> Value {
        let mut definition = json!({
            "name": self.endpoint,
            "delivery": "poll",
            "description": "made by `relay listen`, which removes it when it ends",
            "tags": [TAG],
            "event_types": self.event_types,
            "sources": self.sources,
        });
        if !self.secrets.is_empty() {
            definition["secret"] = json!(self.secrets);
        }
        definition
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let answer = self.access.change("DELETE", &self.path(""), None, None).await?;
        answer.json().map(drop)
    }
}

/// Why a round was not gone to its end.
enum Trouble {
    /// It may go well later.
    Passing(anyhow::Error),
    /// It never will.
    Lasting(anyhow::Error),
}

impl Trouble {
    fn into_inner(self) -> anyhow::Error {
        match self {
            Self::Passing(error) | Self::Lasting(error) => error,
        }
    }
}

/// What waits at the relay.
#[derive(Deserialize)]
struct Page {
    data: Vec<Fetched>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Fetched {
    id: String,
    webhook_id: String,
    event: Kind,
    message: Message,
}

#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

#[derive(Deserialize)]
struct Message {
    headers: Vec<(String, String)>,
    body_base64: String,
}

/// A message that was not taken.
struct PutOff {
    failures: u32,
    until: Instant,
}

/// What became of a message.
enum HandedOver {
    Taken,
    Declined,
    /// Nobody is there to take it.
    Absent,
}

/// Goes to and fro between the relay and the local address.
struct Carrier<'a> {
    tunnel: &'a Tunnel,
    /// Handed over, and not acknowledged yet.
    taken: Vec<String>,
    put_off: HashMap<String, PutOff>,
    /// Behind what was seen, as long as something of it waits.
    cursor: Option<String>,
    /// Since when everything is looked at from its beginning, for what is to be handed over again.
    walking: Option<Instant>,
    /// How often in a row the local address was not there.
    absences: u32,
}

impl<'a> Carrier<'a> {
    fn new(tunnel: &'a Tunnel) -> Self {
        Self {
            tunnel,
            taken: Vec::new(),
            put_off: HashMap::new(),
            cursor: None,
            walking: None,
            absences: 0,
        }
    }

    /// Goes on until there is no more use in it.
    async fn carry(&mut self) -> anyhow::Result<()> {
        let mut failures = 0;
        loop {
            match self.round().await {
                Ok(()) if failures > 0 => {
                    note("the relay answers again");
                    failures = 0;
                }
                Ok(()) => {}
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(error)) => {
                    failures += 1;
                    let pause = pause(failures, ABSENT_MAX);
                    note(&format!("{error:#}; the relay is tried again in {pause:?}"));
                    sleep(pause).await;
                }
            }
        }
    }

    /// Acknowledges what was taken, fetches a page, and hands it over.
    async fn round(&mut self) -> Result<(), Trouble> {
        self.acknowledge().await?;
        let page = self.fetch().await?;
        let is_full = self.put_off.len() >= PUT_OFF_MAX;
        let is_known = |one: &Fetched| self.put_off.contains_key(&one.id);
        if page.data.is_empty() || is_full && !page.data.iter().any(is_known) {
            self.end_walk();
            return Ok(());
        }
        self.cursor = page.next_cursor;
        for one in &page.data {
            if !self.is_due(one) {
                continue;
            }
            match self.hand_over(one).await {
                HandedOver::Taken => {
                    self.put_off.remove(&one.id);
                    self.taken.push(one.id.clone());
                }
                HandedOver::Declined => self.put_off(&one.id),
                HandedOver::Absent => {
                    // From the beginning, and with signatures of then.
                    sleep(pause(self.absences, ABSENT_MAX)).await;
                    self.cursor = None;
                    self.walking = Some(Instant::now());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn is_due(&self, one: &Fetched) -> bool {
        match self.put_off.get(&one.id) {
            Some(put_off) => put_off.until <= Instant::now(),
            None => self.put_off.len() < PUT_OFF_MAX,
        }
    }

    fn put_off(&mut self, id: &str) {
        let put_off = self.put_off.entry(id.to_owned()).or_insert_with(|| PutOff {
            failures: 0,
            until: Instant::now(),
        });
        put_off.failures += 1;
        put_off.until = Instant::now() + pause(put_off.failures, AGAIN_MAX);
    }

    /// What was due when the walk began and has not been met was ended elsewhere.
    fn end_walk(&mut self) {
        if let Some(begun) = self.walking.take() {
            self.put_off.retain(|_, put_off| put_off.until > begun);
        }
    }

    /// The next page. While nothing waits for its turn that is whatever there is; else what is
    /// behind all that was seen, until something is due, and then everything from its beginning.
    async fn fetch(&mut self) -> Result<Page, Trouble> {
        let mut wait = WAIT_MAX;
        match self.put_off.values().map(|put_off| put_off.until).min() {
            None => {
                self.cursor = None;
                self.walking = None;
            }
            Some(_) if self.walking.is_some() => wait = Duration::ZERO,
            Some(due) => {
                wait = wait.min(due.saturating_duration_since(Instant::now()));
                if self.put_off.len() >= PUT_OFF_MAX {
                    sleep_until(due).await;
                    wait = Duration::ZERO;
                }
                if wait.is_zero() {
                    self.cursor = None;
                    self.walking = Some(Instant::now());
                }
            }
        }
        let mut path = self.tunnel.path(&format!("/poll?messages=true&limit={PAGE}"));
        if !wait.is_zero() {
            path += &format!("&wait={}ms", wait.as_millis());
        }
        if let Some(cursor) = &self.cursor {
            path += &format!("&cursor={cursor}");
        }
        let answer = lasting(self.tunnel.access.read(&path).await)?;
        let page = serde_json::from_slice(&answer.body).context("the relay answers something else");
        page.map_err(Trouble::Lasting)
    }

    /// Tells the relay what was taken.
    async fn acknowledge(&mut self) -> Result<(), Trouble> {
        if self.taken.is_empty() {
            return Ok(());
        }
        let body = json!({"ids": self.taken});
        let path = self.tunnel.path("/poll/ack");
        let answer = self.tunnel.access.change("POST", &path, None, Some(&body));
        lasting(answer.await)?;
        self.taken.clear();
        Ok(())
    }

    async fn hand_over(&mut self, one: &Fetched) -> HandedOver {
        let Ok(body) = STANDARD.decode(&one.message.body_base64) else {
            note(&format!("{} has a body that does not read", one.webhook_id));
            return HandedOver::Declined;
        };
        let Some(url) = &self.tunnel.forward else {
            let arrival = arrival(&one.message.headers, body);
            let keys = &self.tunnel.keys;
            let verified = (!keys.is_empty()).then(|| arrival.verify(keys));
            show(&arrival, verified.as_ref());
            return HandedOver::Taken;
        };
        let begun = Instant::now();
        let asked = exchange("POST", url, &one.message.headers, body);
        let answered = timeout(FORWARD_TIMEOUT, asked).await;
        let took = begun.elapsed().as_millis();
        let said = match answered {
            Ok(Ok(answer)) => answer.status,
            Ok(Err(error)) if is_absence(&error) => {
                self.absences += 1;
                say(one, &format!("nobody listens at {url}; it waits"));
                return HandedOver::Absent;
            }
            Ok(Err(error)) => {
                say(one, &format!("{error:#}; it comes again"));
                return HandedOver::Declined;
            }
            Err(_) => {
                say(
                    one,
                    &format!("no answer within {FORWARD_TIMEOUT:?}; it comes again"),
                );
                return HandedOver::Declined;
            }
        };
        self.absences = 0;
        match said {
            200..=299 => {
                say(one, &format!("{said} ({took} ms)"));
                HandedOver::Taken
            }
            _ => {
                say(one, &format!("{said} ({took} ms); it comes again"));
                HandedOver::Declined
            }
        }
    }
}

/// An answer that says yes; what is no use to ask again is told from what is.
fn lasting(answered: anyhow::Result<Answer>) -> Result<Answer, Trouble> {
    let answer = answered.map_err(Trouble::Passing)?;
    match (answer.status, answer.json()) {
        (_, Ok(_)) => Ok(answer),
        (408 | 429 | 500.., Err(error)) => Err(Trouble::Passing(error)),
        (_, Err(error)) => Err(Trouble::Lasting(error)),
    }
}

/// Whether there was nobody to take the message, whatever it was.
fn is_absence(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| {
        matches!(
            cause.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
        )
    })
}

/// How long to wait after so many failures: a second, and twice as long after each.
fn pause(failures: u32, max: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    Duration::from_secs(1 << doublings).min(max)
}

fn arrival(headers: &[(String, String)], body: Vec<u8>) -> Arrival {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            map.append(name, value);
        }
    }
    Arrival {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: map,
        body: Bytes::from(body),
    }
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn say(one: &Fetched, what: &str) {
    let time = SystemClock.now().to_string();
    let time = time.get(11..23).unwrap_or_default().to_owned();
    println!("{time} {} {} → {what}", one.webhook_id, one.event.r#type);
}

#[expect(clippy::print_stderr, reason = "what is no result of the command")]
fn note(what: &str) {
    eprintln!("{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let seconds = |failures| pause(failures, AGAIN_MAX).as_secs();
        let grown: Vec<u64> = (0..8).map(seconds).collect();
        assert_eq!(grown, [1, 1, 2, 4, 8, 16, 32, 60]);
        assert_eq!(seconds(u32::MAX), 60);
    }

    #[test]
    fn only_what_may_go_well_later_is_tried_again() {
        let told = |status| {
            let body = Bytes::from_static(b"{\"detail\":\"why\"}");
            match lasting(Ok(Answer { status, body })) {
                Ok(_) => "ok",
                Err(Trouble::Passing(_)) => "passing",
                Err(Trouble::Lasting(_)) => "lasting",
            }
        };
        for (status, is) in [
            (200, "ok"),
            (204, "ok"),
            (401, "lasting"),
            (404, "lasting"),
            (409, "lasting"),
            (429, "passing"),
            (503, "passing"),
        ] {
            assert_eq!(told(status), is, "{status}");
        }
    }
}
