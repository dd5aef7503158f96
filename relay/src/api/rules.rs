//! `/v1/rules`: what the relay notices by itself over several events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use bytes::Bytes;
use http::{HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Manager, Reader};
use super::body::Body;
use super::errors::{self, Failure};
use super::managed;
use super::page::{List, page};
use super::params::{Params, PathId};
use super::resource::{self, Request, Served};
use crate::http::problem::Problem;
use crate::ingest::decode::{self, Decoded};
use crate::ingest::refuse::Refusal;
use crate::manage::Entry;
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::resource::Kind;
use crate::model::rule;
use crate::model::time::Timestamp;
use crate::rules::emission::{self, Cause};
use crate::rules::{Seen, Watcher};
use crate::store::{Act, Effect, KeptKey, RuleVersion};

const KIND: Kind = Kind::Rule;

/// Every route of rules.
pub(super) fn routes() -> OpenApiRouter<Api> {
    resource::routes::<Rules>(&Request::ALL)
        .routes(routes!(keys))
        .routes(routes!(test))
}

struct Rules;

impl Served for Rules {
    const KIND: Kind = KIND;
    type Reader = Reader;
    type Manager = Manager;
}

/// The rule as it reads, if it can be used.
fn rule(entry: &Entry) -> Result<&Arc<rule::Rule>, Failure> {
    entry
        .rule()
        .ok_or_else(|| errors::unusable(entry.unusable.as_deref().unwrap_or("it is not in force")))
}

fn version(rule: &rule::Rule) -> RuleVersion {
    RuleVersion {
        rule: rule.id,
        version: rule.version,
    }
}

/// A value that is kept as JSON; nothing for the key of a rule without one.
fn shown(json: Option<&str>) -> Option<Box<RawValue>> {
    json.and_then(|json| serde_json::from_str(json).ok())
}

// ---- what is kept ----------------------------------------------------------------------

/// What is asked of a list of keys.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AskedKeys {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f]{1,16}\\.([0-9a-f]{2})*$")]
    cursor: Option<String>,
}

/// What is kept of a key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RuleKey)]
struct ShownKey {
    /// `null`: the rule has no key.
    #[schema(value_type = Value)]
    key: Option<Box<RawValue>>,
    /// The last value, if the rule watches one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    value: Option<Box<RawValue>>,
    /// When its timer is due, if one is armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    /// The last event of the key.
    event: EventId,
}

/// Lists the keys of a rule with what is kept of them
#[utoipa::path(
    get,
    path = "/v1/rules/{id}/keys",
    params(("id" = String, Path, description = "name or id"), AskedKeys),
    responses(
        (status = 200, body = List<ShownKey>),
        (status = 409, description = "`unusable`: its definition is not in force"),
    )
)]
async fn keys(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<AskedKeys>,
) -> Result<Json<List<ShownKey>>, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let of = version(rule(&entry)?);
    let limit = page(asked.limit.as_deref(), None)?.limit;
    let after = asked.cursor.as_deref().map(cursor).transpose()?;
    let mut kept = api.store.rule_keys(caller.tenant, of, after, limit + 1).await?;
    let is_overfull = kept.len() > limit;
    kept.truncate(limit);
    let next_cursor = kept.last().filter(|_| is_overfull).map(|last| {
        let key = hex::encode(&last.key);
        format!("{:x}.{key}", last.number)
    });
    let show = |kept: KeptKey| ShownKey {
        key: shown(Some(&kept.key)),
        value: shown(kept.value.as_deref()),
        due_at: kept.due.map(|due| api.clock.shown(due)),
        event: kept.event,
    };
    Ok(Json(List {
        data: kept.into_iter().map(show).collect(),
        next_cursor,
    }))
}

/// Behind which key a page begins.
fn cursor(text: &str) -> Result<(String, i64), Failure> {
    let read = || {
        let is_own = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'.');
        let (number, key) = text.split_once('.').filter(|_| text.bytes().all(is_own))?;
        let key = String::from_utf8(hex::decode(key).ok()?).ok()?;
        Some((key, i64::from_str_radix(number, 16).ok()?))
    };
    read().ok_or_else(|| {
        Problem::new(
            400,
            "bad_parameter",
            "Bad parameter",
            "the parameter cursor is none; pass on `next_cursor` of the page before",
        )
        .into()
    })
}

// ---- a test ----------------------------------------------------------------------------

/// An event to hold a rule against.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = RuleTrial)]
#[serde(deny_unknown_fields)]
struct Trial {
    /// As `POST /v1/events` takes it.
    #[schema(value_type = decode::NewEvent)]
    event: Box<RawValue>,
    /// The name of the source that it would come in by; `null`: the API.
    source: Option<String>,
}

/// What would happen.
#[derive(Debug, Clone, Copy, Serialize, utoipa::ToSchema)]
#[schema(as = RuleOutcome)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// The rule does not look at such events.
    Unwanted,
    /// It would, but cannot: `reason` says why.
    Skipped,
    /// The value is kept, and nothing emitted.
    Keeps,
    /// `emits` at once.
    Emits,
    /// A timer is armed that `emits` when it is due.
    Arms,
    /// The timers of the key are cancelled.
    Cancels,
}

/// What a rule would make of an event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RuleVerdict)]
struct Verdict {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    key: Option<Box<RawValue>>,
    /// The last value of the key, and the one that it would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    from: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    to: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emits: Option<Emitted>,
}

/// What would be emitted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RuleEmitted)]
struct Emitted {
    r#type: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[schema(value_type = Value)]
    data: Option<Box<RawValue>>,
}

impl Verdict {
    const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            reason: None,
            key: None,
            from: None,
            to: None,
            due_at: None,
            emits: None,
        }
    }
}

/// Tells what a rule would make of an event, without any effect
#[utoipa::path(
    post,
    path = "/v1/rules/{id}/test",
    params(("id" = String, Path, description = "name or id")),
    request_body = Trial,
    responses(
        (status = 200, body = Verdict),
        (status = 409, description = "`unusable`: its definition is not in force"),
    )
)]
async fn test(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Body(trial): Body<Trial>,
) -> Result<Json<Verdict>, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let rule = rule(&entry)?;
    let Decoded { envelope, data } = event(&trial.event)?;
    let event = Event {
        id: EventId::from_raw(0),
        tenant: caller.tenant,
        source: None,
        received_at: api.clock.now(),
        envelope,
        headers: Vec::new(),
        data,
    };
    let watcher = Watcher::new(Arc::clone(rule)).map_err(|error| errors::broken(&error.to_string()))?;
    let verdict = match watcher.look(&event, trial.source.as_deref()) {
        Seen::Unwanted => Verdict::new(Outcome::Unwanted),
        Seen::Skipped(skip) => Verdict {
            reason: Some(skip.as_str()),
            ..Verdict::new(Outcome::Skipped)
        },
        Seen::Effect(effect) => verdict(&api, &watcher, &event, effect).await?,
    };
    Ok(Json(verdict))
}

/// The event of a trial, by the rules of `POST /v1/events`.
fn event(text: &RawValue) -> Result<Decoded, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Bytes::copy_from_slice(text.get().as_bytes());
    let refused = |error| {
        let mut problem = Refusal::from(error).problem();
        for flaw in &mut problem.errors {
            flaw.pointer.insert_str(0, "/event");
        }
        Failure(problem)
    };
    let decoded = decode::decode(&headers, &body).map_err(refused)?;
    let mut decoded = decoded.into_iter();
    decoded
        .next()
        .ok_or_else(|| errors::broken("a plain body that reads well has an event"))
}

async fn verdict(api: &Api, watcher: &Watcher, event: &Event, effect: Effect) -> Result<Verdict, Failure> {
    let Effect { of, key, act } = effect;
    let from = match &act {
        Act::Change { .. } => api.store.last_value(of, &key).await?,
        _ => None,
    };
    let (outcome, to) = match &act {
        Act::Change { value, .. } if watcher.is_change(from.as_deref(), value) => {
            (Outcome::Emits, Some(value.as_str()))
        }
        Act::Change { value, .. } => (Outcome::Keeps, Some(value.as_str())),
        Act::Rearm { .. } | Act::Arm { .. } => (Outcome::Arms, None),
        Act::Cancel => (Outcome::Cancels, None),
    };
    let cause = Cause {
        key: &key,
        from: from.as_deref(),
        to,
    };
    let emits = matches!(outcome, Outcome::Emits | Outcome::Arms);
    let due = act.due_after().filter(|_| matches!(outcome, Outcome::Arms));
    Ok(Verdict {
        key: shown(Some(&key)),
        from: shown(cause.from),
        to: shown(cause.to),
        due_at: due.map(|after| api.clock.now() + after),
        emits: emits.then(|| emitted(&watcher.rule, event, cause)),
        ..Verdict::new(outcome)
    })
}

fn emitted(rule: &rule::Rule, event: &Event, cause: Cause<'_>) -> Emitted {
    let post = emission::post(rule, event, cause);
    Emitted {
        r#type: post.envelope.kind,
        source: post.envelope.source,
        subject: post.envelope.subject,
        data: shown(std::str::from_utf8(&post.data).ok()),
    }
}
