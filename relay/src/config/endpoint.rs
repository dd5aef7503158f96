//! `[[endpoint]]`

use std::num::NonZeroU32;
use std::time::Duration;

use super::label;
use super::plugin::plugin_uses;
use super::reader::{Section, parse_duration};
use super::reply;
use crate::crypto::standard_webhooks::SigningKey;
use crate::deliver::address::{Guard, UrlError};
use crate::deliver::header::check_header;
use crate::deliver::mail::{is_mail, mailto};
use crate::model::endpoint::{
    Batch, BatchBody, Endpoint, Format, RateLimit, RetryPolicy, Signatures, with_query,
};
use crate::model::event_type::Pattern;
use crate::model::id::{EndpointId, TenantId};
use crate::model::plugin::{Limits, OnFault};
use crate::model::secret::Secret;
use crate::route::filter::Filter;

/// Attempts under way at once for one endpoint, if it does not say otherwise.
const CONCURRENCY_DEFAULT: u32 = 64;
/// How long a receiver may do nothing but fail, if its endpoint does not say otherwise.
const DISABLE_AFTER_DEFAULT: Duration = Duration::from_secs(5 * 24 * 3600);
/// Events of one request: their ids have to fit into a header.
const BATCH_EVENTS_MAX: u64 = 250;
const BATCH_EVENTS_DEFAULT: usize = 100;
const BATCH_WAIT_DEFAULT: Duration = Duration::from_secs(1);
/// How long a delivery may wait for others.
const BATCH_WAIT_MAX: Duration = Duration::from_secs(300);
/// Parameters that an endpoint may have beside its URL's, and the bytes of the name of one.
const PARAMETERS_MAX: usize = 16;
const PARAMETER_NAME_BYTES_MAX: usize = 128;
/// Delays that a retry schedule may have.
const SCHEDULE_MAX: usize = 50;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads one endpoint; its name comes by itself so that duplicates are found whatever else
/// is wrong.
pub(super) fn read<'a>(
    section: &Section<'a>,
    limits: Limits,
    guard: &Guard,
) -> (Option<&'a str>, Option<Endpoint>) {
    let name = name(section);
    let is_polled = is_polled(section);
    let url = if is_polled {
        nowhere(section)
    } else {
        url(section, guard)
    };
    if url.as_ref().is_some_and(is_mail) {
        refuse_what_mail_has_not(section);
    }
    label::check(section);
    previous_url(section);
    let endpoint = Endpoint {
        id: EndpointId::from_raw(0),
        tenant: TenantId::DEFAULT,
        name: name.unwrap_or_default().to_owned(),
        is_polled,
        method: method(section),
        event_types: event_types(section, "event_types"),
        sources: section
            .strings("sources")
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        filter: filter(section),
        sample: section.number("sample", 0.0..=1.0),
        plugins: plugin_uses(section, limits),
        on_fault: section
            .choice(
                "on_fault",
                &[
                    ("retry", OnFault::Retry),
                    ("dead-letter", OnFault::DeadLetter),
                    ("pass", OnFault::Pass),
                ],
            )
            .unwrap_or_default(),
        format: section.choice(
            "format",
            &[
                ("standard", Format::Standard),
                ("raw", Format::Raw),
                ("cloudevents", Format::CloudEvents),
                ("cloudevents-binary", Format::CloudEventsBinary),
            ],
        ),
        headers: headers(section, "headers"),
        query: query(section, url.as_ref(), guard),
        secrets: secrets(section),
        signatures: signatures(section),
        timeout: timeout(section),
        success_statuses: success_statuses(section),
        retry: section.section("retry").map(retry).unwrap_or_default(),
        rate_limit: rate(section, "rate_limit"),
        concurrency: section
            .integer("concurrency", 1..=10_000)
            .and_then(|count| NonZeroU32::new(u32::try_from(count).ok()?))
            .or(NonZeroU32::new(CONCURRENCY_DEFAULT))
            .unwrap_or(NonZeroU32::MIN),
        consent_origin: consent_origin(section),
        disable_after: section
            .duration("disable_after", Duration::from_secs(1)..=365 * DAY)
            .unwrap_or(DISABLE_AFTER_DEFAULT),
        reply: section.section("reply").map(reply::read),
        enabled: section.boolean("enabled").unwrap_or(true),
        digest: digest(section),
        batch: section.section("batch").map(|batch| read_batch(section, batch)),
        url: match url {
            Some(url) => url,
            None => return (name, None),
        },
    };
    (name, name.map(|_| endpoint))
}

/// What something is called.
pub(super) fn name<'a>(section: &Section<'a>) -> Option<&'a str> {
    let name = section.required("name", "\"crm\"")?;
    if super::is_name(name) {
        return Some(name);
    }
    section.fault("name", format!("is {name:?}"), super::NAME_REMEDY);
    None
}

/// How long an attempt may take.
pub(super) fn timeout(section: &Section<'_>) -> Option<Duration> {
    section.duration("timeout", Duration::from_millis(50)..=Duration::from_secs(60))
}

fn url(section: &Section<'_>, guard: &Guard) -> Option<url::Url> {
    let text = section.required("url", "\"https://example.com/hooks\"")?;
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            section.fault(
                "url",
                format!("is {text:?}, not a URL: {error}"),
                "write it as in \"https://example.com/hooks\"",
            );
            return None;
        }
    };
    match guard.check_url(&url) {
        Ok(()) => Some(url),
        Err(error) => {
            section.fault("url", format!("is {text:?}: {error}"), url_remedy(&error));
            None
        }
    }
}

/// Where the endpoint led before the management API changed it; checked once it is to count again.
fn previous_url(section: &Section<'_>) {
    let Some(text) = section.string("previous_url") else {
        return;
    };
    if let Err(error) = url::Url::parse(text) {
        section.fault(
            "previous_url",
            format!("is {text:?}, not a URL: {error}"),
            "leave it out",
        );
    }
}

/// What says how something is sent, which has no meaning where nothing is. Messages that are fetched
/// are made and signed as those that are sent.
const OF_SENDING: [&str; 14] = [
    "url",
    "method",
    "plugins",
    "on_fault",
    "headers",
    "query",
    "timeout",
    "success_statuses",
    "retry",
    "rate_limit",
    "concurrency",
    "consent_origin",
    "disable_after",
    "batch",
];

/// What says how a request is made or answered, which has no meaning for mail.
const NOT_OF_MAIL: [&str; 10] = [
    "method",
    "query",
    "batch",
    "format",
    "headers",
    "secret",
    "signatures",
    "success_statuses",
    "consent_origin",
    "reply",
];

fn refuse_what_mail_has_not(section: &Section<'_>) {
    for key in NOT_OF_MAIL.into_iter().filter(|key| section.has(key)) {
        let remedy = "leave it out; a plugin can write the mail";
        section.fault(
            key,
            "says how a request is made, but this endpoint gets mail",
            remedy,
        );
    }
}

/// `delivery`: `push`, or `poll` for an endpoint whose deliveries are fetched.
fn is_polled(section: &Section<'_>) -> bool {
    let modes = [("push", false), ("poll", true)];
    section.choice("delivery", &modes).unwrap_or_default()
}

/// The URL of an endpoint that nothing is sent to.
fn nowhere(section: &Section<'_>) -> Option<url::Url> {
    for key in OF_SENDING {
        if section.value(key).is_some() {
            let remedy = "leave it out, or have it delivered with delivery = \"push\"";
            section.fault(
                key,
                "says how something is sent, but this endpoint is polled",
                remedy,
            );
        }
    }
    url::Url::parse("relay:poll").ok()
}

fn read_batch(endpoint: &Section<'_>, section: Section<'_>) -> Batch {
    let events_max = section.integer("events_max", 2..=BATCH_EVENTS_MAX);
    let events_max = events_max.and_then(|count| usize::try_from(count).ok());
    let wait = section.duration("wait", Duration::from_millis(1)..=BATCH_WAIT_MAX);
    let bodies = [("list", BatchBody::List), ("lines", BatchBody::Lines)];
    let body = section.choice("body", &bodies);
    section.finish();
    if endpoint.string("format") == Some("cloudevents-binary") {
        endpoint.fault(
            "batch",
            "has no form in which several events go by headers",
            "use format = \"cloudevents\", or leave it out",
        );
    }
    Batch {
        events_max: events_max.unwrap_or(BATCH_EVENTS_DEFAULT),
        wait: wait.unwrap_or(BATCH_WAIT_DEFAULT),
        body: body.unwrap_or_default(),
    }
}

/// How often a digest is sent; the spans begin with the day.
fn digest(section: &Section<'_>) -> Option<Duration> {
    let span = section.duration("digest", Duration::from_secs(1)..=DAY)?;
    if DAY.as_millis().is_multiple_of(span.as_millis()) {
        return Some(span);
    }
    section.fault(
        "digest",
        format!("is {span:?}, of which no whole number makes a day"),
        "use \"1h\" or \"1d\"",
    );
    None
}

const fn url_remedy(error: &UrlError) -> &'static str {
    match error {
        UrlError::Blocked(_) => "to reach a network of your own, list it in outbound.allow_networks",
        UrlError::Mail(mailto::Error::NoServer) => "the operator names a mail server in [mail]",
        UrlError::Mail(mailto::Error::Recipient(_)) => "to allow it, list its domain in mail.recipients",
        UrlError::Mail(_) => "write it as in \"mailto:ops@example.com\"",
        _ => "",
    }
}

fn method(section: &Section<'_>) -> http::Method {
    let methods = [("POST", 0), ("PUT", 1), ("PATCH", 2), ("DELETE", 3), ("GET", 4)];
    match section.choice("method", &methods) {
        Some(1) => http::Method::PUT,
        Some(2) => http::Method::PATCH,
        Some(3) => http::Method::DELETE,
        Some(4) => http::Method::GET,
        _ => http::Method::POST,
    }
}

/// Patterns of event types under a key.
pub(super) fn event_types(section: &Section<'_>, key: &'static str) -> Vec<Pattern> {
    let texts = section.strings(key).unwrap_or_default();
    texts
        .iter()
        .filter_map(|text| match text.parse() {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                section.fault(
                    key,
                    format!("has {text:?}, which {error}"),
                    "write types as in \"invoice.paid\" or \"message.*\"",
                );
                None
            }
        })
        .collect()
}

pub(super) fn filter(section: &Section<'_>) -> Option<serde_json::Value> {
    let value = section.value("filter")?;
    if let Err(faults) = Filter::parse(value) {
        for fault in faults {
            section.fault("filter", format!("at {:?} {}", fault.pointer, fault.message), "");
        }
    }
    Some(value.clone())
}

/// Headers of the operator's own, which may hold credentials.
pub(super) fn headers(section: &Section<'_>, key: &'static str) -> Vec<(String, Secret)> {
    let Some(headers) = section.section(key) else {
        return Vec::new();
    };
    let mut list = Vec::new();
    for (name, value) in headers.entries() {
        let Some(secret) = headers.read_secret(name, value) else {
            continue;
        };
        match check_header(name, secret.reveal()) {
            Ok(_) => list.push((name.to_ascii_lowercase(), secret)),
            Err(error) => headers.fault(name, error.to_string(), ""),
        }
    }
    list
}

/// Parameters of the operator's own, which may be credentials, for receivers that look for them in
/// the address.
fn query(section: &Section<'_>, url: Option<&url::Url>, guard: &Guard) -> Vec<(String, Secret)> {
    let Some(query) = section.section("query") else {
        return Vec::new();
    };
    let mut list = Vec::new();
    for (name, value) in query.entries() {
        let Some(secret) = query.read_secret(name, value) else {
            continue;
        };
        let is_given = || url.is_some_and(|url| url.query_pairs().any(|(given, _)| given == name));
        if name.is_empty() || name.len() > PARAMETER_NAME_BYTES_MAX {
            let problem = format!("has a name of {} bytes", name.len());
            query.fault(name, problem, format!("use 1 to {PARAMETER_NAME_BYTES_MAX}"));
        } else if is_given() {
            query.fault(name, "stands in the url, too", "take it out of the url");
        } else {
            list.push((name.to_owned(), secret));
        }
    }
    if list.len() > PARAMETERS_MAX {
        let problem = format!("has {} parameters", list.len());
        section.fault("query", problem, format!("use at most {PARAMETERS_MAX}"));
    }
    if let Some(url) = url.filter(|_| !list.is_empty())
        && let Err(error) = guard.check_url(&with_query(url, &list))
    {
        section.fault(
            "query",
            format!("makes of the url one that cannot be: {error}"),
            "",
        );
    }
    list
}

/// A host name, since that is what receivers list.
fn consent_origin(section: &Section<'_>) -> Option<String> {
    let origin = section.string("consent_origin")?;
    let is_host = matches!(url::Host::parse(origin), Ok(url::Host::Domain(host)) if host == origin);
    if !is_host {
        section.fault(
            "consent_origin",
            format!("is {origin:?}, not the name of a host in lower case"),
            "write it as in \"hooks.example.com\"",
        );
    }
    is_host.then(|| origin.to_owned())
}

fn secrets(section: &Section<'_>) -> Vec<Secret> {
    let secrets = section.secrets("secret").unwrap_or_default();
    for secret in &secrets {
        if let Err(error) = SigningKey::parse(secret) {
            section.fault(
                "secret",
                error.to_string(),
                "leave it out to have the relay make one",
            );
        }
    }
    secrets
}

fn signatures(section: &Section<'_>) -> Signatures {
    let Some(words) = section.strings("signatures") else {
        return Signatures::default();
    };
    for word in words.iter().filter(|word| !matches!(**word, "v1" | "v1a")) {
        section.fault("signatures", format!("has {word:?}"), "use \"v1\" and \"v1a\"");
    }
    let signatures = Signatures {
        v1: words.contains(&"v1"),
        v1a: words.contains(&"v1a"),
    };
    if signatures
        == (Signatures {
            v1: false,
            v1a: false,
        })
    {
        section.fault(
            "signatures",
            "is empty",
            "nothing leaves the relay unsigned: use \"v1\", \"v1a\" or both",
        );
    }
    signatures
}

/// Which 2xx count as success, where a receiver says by one of them that it took nothing.
fn success_statuses(section: &Section<'_>) -> Vec<u16> {
    let statuses = section
        .integers("success_statuses", 200..=299)
        .unwrap_or_default();
    statuses
        .into_iter()
        .filter_map(|status| u16::try_from(status).ok())
        .collect()
}

fn retry(section: Section<'_>) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    if let Some(schedule) = section.durations("schedule", Duration::from_millis(1)..=7 * DAY) {
        if schedule.len() > SCHEDULE_MAX {
            section.fault(
                "schedule",
                format!("has {} delays", schedule.len()),
                format!("use at most {SCHEDULE_MAX}"),
            );
        }
        policy.schedule = schedule;
    }
    policy.max_age = section.duration("max_age", Duration::from_secs(1)..=365 * DAY);
    policy.jitter = section.number("jitter", 0.0..=1.0).unwrap_or(policy.jitter);
    section.finish();
    policy
}

/// Reads `"50/s"`, `"100/m"`, `"1000/h"`.
pub(super) fn rate(section: &Section<'_>, key: &'static str) -> Option<RateLimit> {
    let text = section.string(key)?;
    let limit = parse_rate_limit(text);
    if limit.is_none() {
        section.fault(
            key,
            format!("is {text:?}"),
            "write it as in \"50/s\", \"100/m\" or \"1000/h\"",
        );
    }
    limit
}

fn parse_rate_limit(text: &str) -> Option<RateLimit> {
    let (count, unit) = text.split_once('/')?;
    let per = if unit.starts_with(|c: char| c.is_ascii_digit()) {
        parse_duration(unit)?
    } else {
        parse_duration(&format!("1{unit}"))?
    };
    let count = count.trim().parse().ok()?;
    (!per.is_zero()).then_some(RateLimit { count, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limits_are_a_count_in_a_span() {
        let limit = parse_rate_limit("50/s").expect("a limit");
        assert_eq!((limit.count.get(), limit.per), (50, Duration::from_secs(1)));
        assert_eq!(
            parse_rate_limit("3/10s").expect("a limit").per,
            Duration::from_secs(10)
        );
        for text in ["", "50", "0/s", "-1/s", "50/", "x/s"] {
            assert!(parse_rate_limit(text).is_none(), "{text}");
        }
    }
}
