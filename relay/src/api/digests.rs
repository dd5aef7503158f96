//! `/v1/digests` and `/v1/endpoints/{id}/expected`: what should have come to an endpoint, in short
//! and one by one.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Reader;
use super::errors::Failure;
use super::health::bad;
use super::managed;
use super::page::{List, page, time};
use super::params::{Params, PathId};
use crate::deliver::message;
use crate::digests::{Digest, digest};
use crate::http::problem::Problem;
use crate::manage::Entry;
use crate::model::endpoint::Endpoint;
use crate::model::id::{DeliveryId, EventId, first_raw_at};
use crate::model::resource::Kind;
use crate::model::time::{Timestamp, parse_duration};
use crate::store::monitoring::{Expected, ExpectedAsked};

/// Digests of one answer: a day of hours, a month of days.
const DIGESTS_MAX: i64 = 31;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(digests))
        .routes(routes!(expected))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DigestsAsked {
    /// An endpoint's name or id.
    #[param(required = true)]
    endpoint: Option<String>,
    #[param(value_type = Option<Timestamp>)]
    since: Option<String>,
    #[param(value_type = Option<Timestamp>)]
    until: Option<String>,
    /// The span of each digest, such as `1h`.
    #[param(pattern = "^([0-9]{1,9}(ms|s|m|h|d))+$", default = "1h")]
    window: Option<String>,
}

/// Digests, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Digests {
    data: Vec<Digest>,
}

/// Tells in short what should have come to an endpoint
#[utoipa::path(get, path = "/v1/digests", params(DigestsAsked), responses((status = 200, body = Digests), (status = 404, description = "`not_found`: no such endpoint"), (status = 409, description = "`unusable`: its definition cannot be used")))]
async fn digests(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<DigestsAsked>,
) -> Result<Json<Digests>, Failure> {
    let Some(name) = &asked.endpoint else {
        return Err(bad("endpoint", "is missing: name the endpoint that it is about"));
    };
    let entry = managed::find(&api, &caller, Kind::Endpoint, name)?;
    let window = asked.window.as_deref().unwrap_or("1h");
    let span = parse_duration(window).filter(|span| *span >= Duration::from_secs(1));
    let Some(span) = span.and_then(|span| i64::try_from(span.as_millis()).ok()) else {
        return Err(bad(
            "window",
            &format!("is {window:?}; use a span such as 1h or 1d"),
        ));
    };
    let until = time("until", asked.until.as_deref())?.unwrap_or_else(|| api.clock.now());
    let usual = until - Duration::from_millis(span.unsigned_abs());
    let since = time("since", asked.since.as_deref())?.unwrap_or(usual);
    let first = since.as_millis() - since.as_millis().rem_euclid(span);
    let count = until.as_millis().saturating_sub(first).saturating_add(span - 1) / span;
    if count > DIGESTS_MAX {
        let problem = format!("and until are {count} windows apart; ask for up to {DIGESTS_MAX}");
        return Err(bad("since", &problem));
    }
    let endpoint = in_force(&entry)?;
    let mut data = Vec::new();
    for number in 0..count.max(0) {
        let since = Timestamp::from_millis(first + number * span);
        let until = Timestamp::from_millis(first + (number + 1) * span);
        data.push(digest(api.store.as_ref(), caller.tenant, endpoint, since, until).await?);
    }
    Ok(Json(Digests { data }))
}

fn in_force(entry: &Entry) -> Result<&Endpoint, Failure> {
    entry.endpoint().map(AsRef::as_ref).ok_or_else(|| {
        let why = entry.unusable.clone().unwrap_or_default();
        super::errors::unusable(&why)
    })
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ExpectedParams {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
    #[param(value_type = Option<Timestamp>)]
    since: Option<String>,
    #[param(value_type = Option<Timestamp>)]
    until: Option<String>,
}

/// A delivery that an event was routed to, whatever became of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Expected)]
struct ShownExpected {
    /// What the header `webhook-id` says; each of several messages adds `_` and its number.
    id: String,
    delivery: DeliveryId,
    event: EventId,
    r#type: String,
    #[schema(value_type = String)]
    status: &'static str,
    received_at: Timestamp,
}

impl From<Expected> for ShownExpected {
    fn from(expected: Expected) -> Self {
        Self {
            id: message::webhook_id(expected.delivery),
            delivery: expected.delivery,
            event: expected.event,
            r#type: expected.kind,
            status: expected.state.as_str(),
            received_at: expected.received_at,
        }
    }
}

/// Lists what should have come to an endpoint, oldest first
#[utoipa::path(get, path = "/v1/endpoints/{id}/expected", params(("id" = String, Path, description = "name or id"), ExpectedParams), responses((status = 200, body = List<ShownExpected>)))]
async fn expected(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<ExpectedParams>,
) -> Result<Json<List<ShownExpected>>, Failure> {
    let entry = managed::find(&api, &caller, Kind::Endpoint, &id)?;
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let since = time("since", asked.since.as_deref())?.unwrap_or_default();
    let until =
        time("until", asked.until.as_deref())?.unwrap_or_else(|| Timestamp::from_millis(i64::MAX / 2));
    if until < since {
        return Err(Problem::new(400, "bad_parameter", "Bad parameter", "until is before since").into());
    }
    // A cursor is the last event of the page before.
    let after = page.before.unwrap_or_else(|| first_raw_at(since) - 1);
    let wanted = ExpectedAsked {
        tenant: caller.tenant,
        endpoint: crate::model::id::EndpointId::from_raw(entry.resource.id),
        after: EventId::from_raw(after),
        until,
        limit: page.limit,
    };
    let found = api.store.expected(wanted).await?;
    Ok(Json(List {
        data: found.items.into_iter().map(ShownExpected::from).collect(),
        next_cursor: found.next.map(|event| format!("{:x}", event.raw())),
    }))
}
