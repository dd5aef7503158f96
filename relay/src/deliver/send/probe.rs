//! Goes the way of a request step by step, and tells what each step came to.
//!
//! The resolver, the guard, the connections and the trust are those that requests go out by, so
//! that what is told here is what a delivery meets. The request is a `HEAD`, which by RFC 9110
//! asks for nothing to be done; it carries no signature and none of an endpoint's headers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::{Host, Url};
use x509_parser::extensions::GeneralName;

use super::connect::shake_hands;
use super::stream::{Io, Stream};
use super::tls::Seen;
use super::{By, Outgoing, Sender, Target, exchange};
use crate::deliver::mail;
use crate::deliver::outcome::Failure;
use crate::model::attempt::{Cause, Outcome};
use crate::model::time::Timestamp;

/// How long all steps together may take.
pub const PROBE_MAX: Duration = Duration::from_secs(10);
/// Names of a certificate that are told.
const NAMES_MAX: usize = 20;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ProbeOutcome)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    Failed,
    /// There was nothing to do, or an earlier step failed.
    Skipped,
}

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ProbeStep)]
pub struct Step {
    /// `url`, `dns`, `guard`, `connect`, `tls`, `http`; for mail `url`, `connect`, `smtp`.
    pub step: &'static str,
    pub outcome: Verdict,
    pub duration_us: u64,
    /// What was found, for people.
    pub detail: String,
}

/// The certificate that the receiver showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    /// What it is valid for, at most 20 of them.
    pub names: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Whole days; negative once it has expired.
    pub days_left: i64,
    /// Why it is not trusted; `None` if it is.
    pub fault: Option<String>,
}

/// What the steps came to.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    pub steps: Vec<Step>,
    /// What the name stands for.
    pub addresses: Vec<IpAddr>,
    /// Those of them that the guard refuses.
    pub refused: Vec<IpAddr>,
    pub certificate: Option<Certificate>,
    /// What `HEAD` was answered with.
    pub status: Option<u16>,
    /// The class of what failed; `None` if the receiver can be reached.
    pub error_class: Option<&'static str>,
}

/// Every step, in order.
const STEPS: [&str; 6] = ["url", "dns", "guard", "connect", "tls", "http"];
/// Every step of mail: the way to the server is the operator's to look at.
const STEPS_OF_MAIL: [&str; 3] = ["url", "connect", "smtp"];

impl Sender {
    /// Goes the way to a URL, as far as it leads.
    pub async fn probe(&self, url: &Url) -> Probe {
        let mut way = Way {
            all: match mail::is_mail(url) {
                true => &STEPS_OF_MAIL,
                false => &STEPS,
            },
            until: Instant::now() + PROBE_MAX,
            since: Instant::now(),
            probe: Probe::default(),
        };
        // Whatever failed is in the probe.
        if let Err(failure) = self.go(url, &mut way).await {
            way.fail(failure);
        }
        let done = way.probe.steps.len();
        for step in &way.all[done..] {
            way.skip(step, "an earlier step failed");
        }
        way.probe
    }

    async fn go(&self, url: &Url, way: &mut Way) -> Result<(), Failure> {
        let target = self
            .target(url)
            .map_err(|error| Failure::refused(error.to_string()))?;
        if let By::Mail(mailto) = &target.by {
            way.pass("url", format!("mail to {}", mailto.to.len()));
            return self.go_to_mail(way).await;
        }
        way.pass("url", describe(url));
        let is_local = matches!(target.by, By::Local);
        let stream = match is_local || self.wire.is_some() {
            true => {
                for step in &STEPS[1..5] {
                    way.skip(step, "the way does not lead over the network");
                }
                None
            }
            false => Some(self.reach(&target, way).await?),
        };
        let answer = way.within(self.head(&target, stream)).await?;
        way.probe.status = Some(answer);
        way.pass("http", format!("HEAD was answered with {answer}"));
        Ok(())
    }

    /// No mail is sent: the server is only asked whether it would take one of this relay.
    async fn go_to_mail(&self, way: &mut Way) -> Result<(), Failure> {
        let stream = way.within(self.open_mail()).await?;
        way.pass("connect", "connected to the mail server");
        way.within(self.try_mail(stream)).await?;
        way.pass("smtp", "the mail server lets the relay in");
        Ok(())
    }

    async fn reach(&self, target: &Target, way: &mut Way) -> Result<Stream, Failure> {
        let origin = &target.origin;
        let addresses = way.within(self.connector.resolve(origin)).await?;
        way.probe.addresses = addresses.iter().map(SocketAddr::ip).collect();
        if matches!(origin.host, Host::Domain(_)) {
            way.pass("dns", format!("{} addresses", addresses.len()));
        } else {
            way.skip("dns", "the URL has an address and no name");
        }
        let is_refused = |address: &&SocketAddr| self.connector.guard().check(**address).is_err();
        way.probe.refused = addresses.iter().filter(is_refused).map(SocketAddr::ip).collect();
        let addresses = self.connector.admit(addresses)?;
        way.pass("guard", "every address may be connected to");
        let limit = self.connector.timeout();
        let connecting = async {
            let connected = tokio::time::timeout(limit, self.connector.connect_any(addresses)).await;
            connected.unwrap_or_else(|_| {
                Err(Failure::new(
                    Cause::Timeout,
                    format!("no connection within {limit:?}"),
                ))
            })
        };
        let tcp = way.within(connecting).await?;
        // Where the proxy is, is the operator's to know.
        let peer = match self.connector.has_proxy() {
            true => " through the egress proxy".to_owned(),
            false => tcp
                .peer_addr()
                .map_or_else(|_| String::new(), |peer| format!(" to {peer}")),
        };
        way.pass("connect", format!("connected{peer}"));
        match &origin.server_name {
            Some(_) => self.speak_tls(target, tcp, way).await,
            None => {
                way.skip(
                    "tls",
                    "plain HTTP: nothing is encrypted, and nobody proves who they are",
                );
                Ok(Stream::new(Io::Plain(tcp)))
            }
        }
    }

    async fn speak_tls(&self, target: &Target, tcp: TcpStream, way: &mut Way) -> Result<Stream, Failure> {
        let Some(name) = &target.origin.server_name else {
            return Ok(Stream::new(Io::Plain(tcp)));
        };
        let trust = self.connector.trust()?;
        let (config, witness) = trust.watched().map_err(|error| Failure::new(Cause::Tls, error))?;
        let shaken = way.within(shake_hands(tcp, name, config)).await;
        let now = self.clock.now();
        way.probe.certificate = witness.seen().and_then(|seen| read(&seen, now));
        let stream = shaken?;
        let protocol = if stream.is_http2() { "HTTP/2" } else { "HTTP/1.1" };
        way.pass("tls", format!("the certificate is trusted; {protocol} is spoken"));
        Ok(stream)
    }

    /// The status that `HEAD` is answered with.
    async fn head(&self, target: &Target, stream: Option<Stream>) -> Result<u16, Failure> {
        const USER_AGENT: &str = concat!("relay/", env!("CARGO_PKG_VERSION"));
        let agent = (
            HeaderName::from_static("user-agent"),
            HeaderValue::from_static(USER_AGENT),
        );
        let request = Outgoing {
            target,
            method: &Method::HEAD,
            headers: &[agent],
            body: Bytes::new(),
            answer_bytes_max: 0,
            timeout: PROBE_MAX,
        };
        let Some(stream) = stream else {
            return Ok(self.exchange(&request).await?.status.as_u16());
        };
        let connected = exchange::handshake(stream, 0, &self.tasks).await?;
        let answered = connected.exchange(&request).await;
        let (answer, _) = answered.map_err(|failed| failed.failure)?;
        Ok(answer.status.as_u16())
    }
}

/// A way that is being gone.
struct Way {
    /// The steps of it.
    all: &'static [&'static str],
    until: Instant,
    /// When the step under way began.
    since: Instant,
    probe: Probe,
}

impl Way {
    async fn within<T>(&self, step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::time::timeout_at(self.until, step)
            .await
            .unwrap_or_else(|_| {
                let detail = format!("the steps together took longer than {PROBE_MAX:?}");
                Err(Failure::new(Cause::Timeout, detail))
            })
    }

    fn pass(&mut self, step: &'static str, detail: impl Into<String>) {
        self.end(step, Verdict::Ok, detail.into());
    }

    fn skip(&mut self, step: &'static str, why: &str) {
        self.end(step, Verdict::Skipped, why.to_owned());
    }

    /// The step under way is the first that is not over.
    fn fail(&mut self, failure: Failure) {
        let step = self.all.get(self.probe.steps.len()).copied().unwrap_or("http");
        let outcome = Outcome::from(failure);
        self.probe.error_class = outcome.class();
        let detail = match outcome {
            Outcome::Unreachable { detail, .. } => detail,
            Outcome::Refused { reason } => reason,
            other => other.summary(),
        };
        self.end(step, Verdict::Failed, detail);
    }

    fn end(&mut self, step: &'static str, outcome: Verdict, detail: String) {
        let now = Instant::now();
        let took = now.duration_since(std::mem::replace(&mut self.since, now));
        self.probe.steps.push(Step {
            step,
            outcome,
            duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            detail,
        });
    }
}

fn describe(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{} to {host}, port {port}", url.scheme()),
        None => format!("{} to {host}", url.scheme()),
    }
}

/// What a certificate says; `None` if it is none.
fn read(seen: &Seen, now: Timestamp) -> Option<Certificate> {
    let (_, parsed) = x509_parser::parse_x509_certificate(&seen.certificate).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_millis(time.timestamp() * 1000);
    let not_after = time(parsed.validity().not_after);
    Some(Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names: names.filter_map(shown).take(NAMES_MAX).collect(),
        not_before: time(parsed.validity().not_before),
        not_after,
        days_left: (not_after.as_millis() - now.as_millis()).div_euclid(DAY_MS),
        fault: seen.fault.clone(),
    })
}

fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}
