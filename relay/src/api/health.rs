//! `/v1/endpoints/{id}/health` and `/v1/stats`: how it went, in numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Reader};
use super::endpoints::{ShownCondition, ShownDisabled};
use super::errors::Failure;
use super::page::time;
use super::params::{Params, PathId};
use super::{Api, managed};
use crate::http::problem::Problem;
use crate::model::counts::Counts;
use crate::model::id::EndpointId;
use crate::model::resource::Kind;
use crate::model::time::Timestamp;
use crate::store::monitoring::{By, CountsAsked, Step};

/// Points of one series.
const POINTS_MAX: i64 = 1000;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(stats))
}

/// How long things took, in milliseconds; within a sixteenth.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Latency {
    p50: f64,
    p95: f64,
}

impl Latency {
    fn of(counts: &Counts) -> Option<Self> {
        let ms = |share| {
            let span = counts.durations.percentile(share)?;
            Some(span.as_micros() as f64 / 1000.0)
        };
        Some(Self {
            p50: ms(0.5)?,
            p95: ms(0.95)?,
        })
    }
}

/// What was counted, as it is shown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Counted {
    /// The share of attempts that the receiver took; `null` without any.
    success_rate: Option<f64>,
    latency_ms: Option<Latency>,
    /// Deliveries that events were routed to, and those that came to each end.
    matched: u64,
    delivered: u64,
    failed: u64,
    dropped: u64,
    /// Attempts by what they came to: `success` or an error class.
    attempts: BTreeMap<String, u64>,
}

impl From<&Counts> for Counted {
    fn from(counts: &Counts) -> Self {
        let attempts = counts.attempts.iter();
        Self {
            success_rate: counts.success_rate(),
            latency_ms: Latency::of(counts),
            matched: counts.matched,
            delivered: counts.succeeded,
            failed: counts.failed,
            dropped: counts.dropped,
            attempts: attempts
                .map(|(class, count)| (class.to_string(), *count))
                .collect(),
        }
    }
}

// ---- the health of an endpoint ---------------------------------------------------------

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct HealthAsked {
    /// `1h`, `24h` or `7d`.
    #[param(pattern = "^(1h|24h|7d)$", default = "1h")]
    window: Option<String>,
}

/// What waits for an endpoint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PendingDeliveries)]
struct ShownPending {
    count: u64,
    /// When the event of the oldest came in.
    oldest_at: Option<Timestamp>,
    oldest_age_seconds: Option<u64>,
    /// Attempts under way.
    in_flight: usize,
}

/// How it stands with an endpoint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Health {
    endpoint: EndpointId,
    name: String,
    #[schema(value_type = String)]
    window: &'static str,
    since: Timestamp,
    #[serde(flatten)]
    counted: Counted,
    last_success_at: Option<Timestamp>,
    last_failure_at: Option<Timestamp>,
    pending: ShownPending,
    enabled: bool,
    disabled: Option<ShownDisabled>,
    condition: ShownCondition,
}

/// Tells how it stands with an endpoint
#[utoipa::path(get, path = "/v1/endpoints/{id}/health", params(("id" = String, Path, description = "name or id"), HealthAsked), responses((status = 200, body = Health)))]
async fn health(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<HealthAsked>,
) -> Result<Json<Health>, Failure> {
    let entry = managed::find(&api, &caller, Kind::Endpoint, &id)?;
    let id = EndpointId::from_raw(entry.resource.id);
    let (window, step, span) = match asked.window.as_deref() {
        None | Some("1h") => ("1h", Step::Minute, Duration::from_secs(3600)),
        Some("24h") => ("24h", Step::Hour, Duration::from_secs(24 * 3600)),
        Some("7d") => ("7d", Step::Hour, Duration::from_secs(7 * 24 * 3600)),
        Some(other) => return Err(bad("window", &format!("is {other:?}; use 1h, 24h or 7d"))),
    };
    let now = api.clock.now();
    let since = step.floor(now - span);
    let asked = CountsAsked {
        tenant: caller.tenant,
        subjects: vec![id.raw()],
        types: Vec::new(),
        step,
        since,
        until: Timestamp::from_millis(i64::MAX),
        by: By::Subject,
    };
    write_counts(&api).await?;
    let counts = api
        .store
        .counts(asked)
        .await?
        .remove(&id.raw())
        .unwrap_or_default();
    let stored = api.store.pending(id).await?;
    let held = api.queue.held(id);
    let oldest = stored.oldest.into_iter().chain(held.oldest).min();
    let oldest_at = oldest.map(crate::model::id::DeliveryId::made_at);
    let disabled = api.queue.disabled(id);
    let is_wanted = entry.endpoint().is_some_and(|endpoint| endpoint.enabled);
    Ok(Json(Health {
        endpoint: id,
        name: entry.resource.name.clone(),
        window,
        since,
        counted: Counted::from(&counts),
        last_success_at: counts.last_success,
        last_failure_at: counts.last_failure,
        pending: ShownPending {
            count: stored.count + held.waiting as u64,
            oldest_at,
            oldest_age_seconds: oldest_at.map(|at| now.since(at).as_secs()),
            in_flight: held.in_flight,
        },
        enabled: is_wanted && disabled.is_none(),
        disabled: disabled.map(ShownDisabled::from),
        condition: ShownCondition::from(api.queue.condition(id)),
    }))
}

// ---- series ----------------------------------------------------------------------------

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct StatsAsked {
    /// An endpoint's name or id; without one, all together.
    endpoint: Option<String>,
    /// An event type or a pattern of them.
    r#type: Option<String>,
    #[param(value_type = Option<Timestamp>)]
    since: Option<String>,
    #[param(value_type = Option<Timestamp>)]
    until: Option<String>,
    /// `1m` or `1h`.
    #[param(pattern = "^(1m|1h)$", default = "1h")]
    step: Option<String>,
}

/// What happened in one step of time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Point {
    at: Timestamp,
    /// Events that came in; `null` in a series of one endpoint.
    events: Option<u64>,
    #[serde(flatten)]
    counted: Counted,
}

/// Steps of time in which something happened, in order.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Series {
    #[schema(value_type = String)]
    step: &'static str,
    since: Timestamp,
    until: Timestamp,
    data: Vec<Point>,
}

/// Tells what happened, step by step of time
#[utoipa::path(get, path = "/v1/stats", params(StatsAsked), responses((status = 200, body = Series), (status = 404, description = "`not_found`: no such endpoint")))]
async fn stats(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<StatsAsked>,
) -> Result<Json<Series>, Failure> {
    let (step, name, usual) = match asked.step.as_deref() {
        Some("1m") => (Step::Minute, "1m", Duration::from_secs(3600)),
        None | Some("1h") => (Step::Hour, "1h", Duration::from_secs(24 * 3600)),
        Some(other) => return Err(bad("step", &format!("is {other:?}; use 1m or 1h"))),
    };
    let until = time("until", asked.until.as_deref())?.unwrap_or_else(|| api.clock.now());
    let since = time("since", asked.since.as_deref())?.unwrap_or(until - usual);
    let since = step.floor(since);
    if until.as_millis().saturating_sub(since.as_millis()) / step.ms() > POINTS_MAX {
        let problem = format!("is too far back for steps of {name}; ask for up to {POINTS_MAX} of them");
        return Err(bad("since", &problem));
    }
    let types = match &asked.r#type {
        Some(text) => vec![text.parse().map_err(|error| bad("type", &format!("{error}")))?],
        None => Vec::new(),
    };
    let subjects = match &asked.endpoint {
        Some(name) => vec![managed::find(&api, &caller, Kind::Endpoint, name)?.resource.id],
        None => everything(&api, &caller),
    };
    write_counts(&api).await?;
    let wanted = CountsAsked {
        tenant: caller.tenant,
        subjects,
        types,
        step,
        since,
        until,
        by: By::Time,
    };
    let counts = api.store.counts(wanted).await?;
    let is_of_all = asked.endpoint.is_none();
    let data = counts.iter().map(|(at, counts)| Point {
        at: Timestamp::from_millis(*at),
        events: is_of_all.then_some(counts.accepted),
        counted: Counted::from(counts),
    });
    Ok(Json(Series {
        step: name,
        since,
        until,
        data: data.collect(),
    }))
}

/// Whatever of a tenant is counted: its endpoints, its sources, and what is posted to the API.
fn everything(api: &Api, caller: &Caller) -> Vec<i64> {
    let of_kind = |kind| api.manager.list(caller.tenant, kind, None);
    let resources = of_kind(Kind::Endpoint).into_iter().chain(of_kind(Kind::Source));
    let ids = resources.map(|entry| entry.resource.id);
    ids.chain(std::iter::once(0)).collect()
}

/// What is said of a parameter that makes no sense.
pub(super) fn bad(name: &str, problem: &str) -> Failure {
    Failure(Problem::new(
        400,
        "bad_parameter",
        "Bad parameter",
        format!("the parameter {name} {problem}"),
    ))
}

/// Writes what has been counted, to the end even if the caller hangs up: it is in nobody's hands
/// meanwhile.
async fn write_counts(api: &Api) -> Result<(), Failure> {
    let flow = Arc::clone(&api.flow);
    managed::undisturbed(api, async move { flow.stats.flush().await }).await??;
    Ok(())
}
