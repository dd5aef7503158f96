//! Sending again and calling off: one delivery, some, or all that a filter names.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Manager};
use super::body::Body;
use super::errors::Failure;
use super::jobs::{self, Asked};
use super::managed::undisturbed;
use super::params::PathId;
use super::select::{Number, WhichDeliveries, WhichEvents, Words, Wrong};
use super::{Api, audit, deliveries};
use crate::http::problem::Problem;
use crate::model::delivery::State as Stand;
use crate::model::id::{DeliveryId, EndpointId, EventId};
use crate::recovery::parse_rate;
use crate::store::{Deliveries, DeliveryFilter, Work};

/// Deliveries that one request may name.
const IDS_MAX: usize = 1000;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(retry_many))
        .routes(routes!(cancel_many))
        .routes(routes!(cancel_one))
        .routes(routes!(purge))
        .routes(routes!(recover))
        .routes(routes!(replay))
        .routes(routes!(replay_one))
}

type Answer = Result<(StatusCode, [(HeaderName, String); 1], Json<Asked>), Failure>;

/// Which deliveries to do something about: these, or all that the rest names.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Selection {
    ids: Option<Vec<String>>,
    endpoint: Option<String>,
    /// A word or several.
    #[schema(value_type = Option<Vec<deliveries::Standing>>)]
    status: Option<Words>,
    event: Option<String>,
    /// An event type or a pattern of them.
    r#type: Option<String>,
    source: Option<String>,
    error_class: Option<String>,
    #[schema(value_type = Option<u16>)]
    status_code: Option<Number>,
    #[schema(value_type = Option<u64>, maximum = 4294967295u64)]
    attempts_min: Option<Number>,
    q: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(default)]
    dry_run: bool,
    rate: Option<String>,
}

impl Selection {
    fn names_nothing(&self) -> bool {
        let texts = [
            &self.endpoint,
            &self.event,
            &self.r#type,
            &self.source,
            &self.error_class,
            &self.q,
            &self.since,
            &self.until,
        ];
        texts.iter().all(|text| text.is_none())
            && self.status.is_none()
            && self.status_code.is_none()
            && self.attempts_min.is_none()
    }

    /// Reads it; where no status is named, `usual` is meant.
    fn read(self, api: &Api, caller: &Caller, usual: Stand) -> Result<Deliveries, Wrong> {
        if self.names_nothing() {
            let ids = self
                .ids
                .ok_or_else(|| Wrong::new("ids", "is missing; name deliveries, or what to filter by"))?;
            return these(&ids);
        }
        if self.ids.is_some() {
            return Err(Wrong::new("ids", "stands beside a filter; use one or the other"));
        }
        let which = WhichDeliveries {
            endpoint: self.endpoint,
            status: self.status,
            event: self.event,
            kind: self.r#type,
            source: self.source,
            error_class: self.error_class,
            status_code: self.status_code,
            attempts_min: self.attempts_min,
            q: self.q,
            since: self.since,
            until: self.until,
            // A test is sent once, and nobody waits for it.
            test: Some("false".to_owned()),
        };
        let mut filter = which.read(api, caller.tenant)?;
        if filter.states.is_empty() {
            filter.states.push(usual);
        }
        Ok(Deliveries::Matching(filter))
    }
}

fn these(ids: &[String]) -> Result<Deliveries, Wrong> {
    if !(1..=IDS_MAX).contains(&ids.len()) {
        let problem = format!("names {} deliveries; use 1 to {IDS_MAX}", ids.len());
        return Err(Wrong::new("ids", problem));
    }
    let ids: Result<Vec<DeliveryId>, _> = ids.iter().map(|id| id.parse()).collect();
    let mut ids = ids.map_err(|error| Wrong::new("ids", error.to_string()))?;
    ids.sort_unstable();
    ids.dedup();
    Ok(Deliveries::These(ids))
}

fn rate(text: Option<&str>) -> Result<Option<f64>, Wrong> {
    let rate = text.map(parse_rate).transpose();
    rate.map_err(|error| Wrong::new("rate", format!("is {:?}; {error}", text.unwrap_or_default())))
}

/// Sends many deliveries once more
///
/// Without a status, those that failed.
#[utoipa::path(
    post,
    path = "/v1/deliveries/retry",
    request_body = Selection,
    responses(
        (status = 200, description = "what a job would be about", body = jobs::Counted),
        (status = 202, description = "the job", body = jobs::Shown),
        (status = 409, description = "`too_many_jobs`: as many run as may"),
        (status = 422, description = "`bad_request`: a member cannot be asked for; see `errors`"),
    )
)]
async fn retry_many(
    Manager(caller): Manager,
    State(api): State<Api>,
    Body(selection): Body<Selection>,
) -> Answer {
    let (dry_run, rate) = (
        selection.dry_run,
        rate(selection.rate.as_deref()).map_err(Wrong::member)?,
    );
    let which = selection
        .read(&api, &caller, Stand::Failed)
        .map_err(Wrong::member)?;
    if let Deliveries::Matching(filter) = &which
        && filter.states.contains(&Stand::Pending)
    {
        let problem = "names pending; those are tried again anyway";
        return Err(Wrong::new("status", problem).member());
    }
    jobs::ask(&api, &caller, Work::Retry { which }, rate, dry_run).await
}

/// Calls many deliveries off, of those that are pending
#[utoipa::path(
    post,
    path = "/v1/deliveries/cancel",
    request_body = Selection,
    responses(
        (status = 200, description = "what a job would be about", body = jobs::Counted),
        (status = 202, description = "the job", body = jobs::Shown),
        (status = 409, description = "`too_many_jobs`: as many run as may"),
        (status = 422, description = "`bad_request`: a member cannot be asked for; see `errors`"),
    )
)]
async fn cancel_many(
    Manager(caller): Manager,
    State(api): State<Api>,
    Body(selection): Body<Selection>,
) -> Answer {
    let dry_run = selection.dry_run;
    if selection.rate.is_some() {
        return Err(Wrong::new("rate", "has no use here: nothing is sent").member());
    }
    let which = selection
        .read(&api, &caller, Stand::Pending)
        .map_err(Wrong::member)?;
    if let Deliveries::Matching(filter) = &which
        && filter.states != [Stand::Pending]
    {
        let problem = "names others than pending; only those can be called off";
        return Err(Wrong::new("status", problem).member());
    }
    jobs::ask(&api, &caller, Work::Cancel { which }, None, dry_run).await
}

/// What became of one delivery.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Cancelled {
    id: DeliveryId,
    #[schema(value_type = deliveries::Standing)]
    status: &'static str,
}

/// Calls a delivery off
#[utoipa::path(
    post,
    path = "/v1/deliveries/{id}/cancel",
    params(("id" = String, Path)),
    responses((status = 200, body = Cancelled),
        (status = 409, description = "`not_pending`: it has ended"))
)]
async fn cancel_one(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Cancelled>, Failure> {
    let id = deliveries::parse(&id)?;
    let delivery = api.store.delivery(caller.tenant, id).await?;
    let delivery = delivery.ok_or_else(|| deliveries::unknown(&id.to_string()))?;
    if delivery.state == Stand::Pending {
        audit::note(&api, &caller, "delivery.cancelled", (id, None), None).await?;
    }
    let (recovery, tenant) = (Arc::clone(&api.recovery), caller.tenant);
    let cancelled = undisturbed(&api, async move { recovery.call_off(tenant, vec![id]).await }).await??;
    if cancelled.is_empty() && delivery.state != Stand::Cancelled {
        let detail = "it is not pending any more: it has ended";
        return Err(Problem::new(409, "not_pending", "Not pending", detail).into());
    }
    tracing::info!(by = %caller.key, delivery = %id, "cancelled");
    Ok(Json(Cancelled {
        id,
        status: Stand::Cancelled.as_str(),
    }))
}

/// How many were called off.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Purged {
    cancelled: usize,
}

/// Calls off everything that waits for an endpoint
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/purge",
    params(("id" = String, Path)),
    responses((status = 200, body = Purged))
)]
async fn purge(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(asked): PathId,
) -> Result<Json<Purged>, Failure> {
    let endpoint = endpoint(&api, &caller, &asked)?;
    audit::note(&api, &caller, "endpoint.purged", (endpoint, None), None).await?;
    let (recovery, tenant) = (Arc::clone(&api.recovery), caller.tenant);
    let cancelled = undisturbed(&api, async move { recovery.purge(tenant, endpoint).await }).await??;
    tracing::info!(by = %caller.key, %endpoint, cancelled, "what waited for an endpoint was called off");
    Ok(Json(Purged { cancelled }))
}

/// The endpoint of a path, by name or id; one whose definition cannot be used at present too.
fn endpoint(api: &Api, caller: &Caller, asked: &str) -> Result<EndpointId, Failure> {
    let directory = api.directories.current();
    let by_id = || {
        let id: EndpointId = asked.parse().ok()?;
        let endpoint = directory.table.endpoint(id)?;
        (endpoint.tenant == caller.tenant).then_some(id)
    };
    deliveries::named(&directory, caller.tenant, asked)
        .or_else(by_id)
        .ok_or_else(|| Failure(Problem::not_found(format!("there is no endpoint {asked:?}"))))
}

/// From when on to send again.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Recover {
    since: String,
    until: Option<String>,
    /// Also what was cancelled.
    #[serde(default)]
    cancelled: bool,
    #[serde(default)]
    dry_run: bool,
    rate: Option<String>,
}

/// Sends again what failed since a time
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/recover",
    params(("id" = String, Path)),
    request_body = Recover,
    responses(
        (status = 200, description = "what a job would be about", body = jobs::Counted),
        (status = 202, description = "the job", body = jobs::Shown),
        (status = 409, description = "`too_many_jobs`: as many run as may"),
        (status = 422, description = "`bad_request`: a member cannot be asked for; see `errors`"),
    )
)]
async fn recover(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(asked): PathId,
    Body(body): Body<Recover>,
) -> Answer {
    let endpoint = endpoint(&api, &caller, &asked)?;
    let rate = rate(body.rate.as_deref()).map_err(Wrong::member)?;
    let which = WhichDeliveries {
        since: Some(body.since),
        until: body.until,
        ..WhichDeliveries::default()
    };
    let filter = DeliveryFilter {
        endpoint: Some(endpoint),
        test: Some(false),
        states: match body.cancelled {
            true => vec![Stand::Failed, Stand::Cancelled],
            false => vec![Stand::Failed],
        },
        ..which.read(&api, caller.tenant).map_err(Wrong::member)?
    };
    let which = Deliveries::Matching(filter);
    jobs::ask(&api, &caller, Work::Retry { which }, rate, body.dry_run).await
}

/// Which events to send again.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Replay {
    since: String,
    until: Option<String>,
    /// An event type or a pattern of them.
    r#type: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    q: Option<String>,
    /// Also those that the endpoint would not get by its present definition.
    #[serde(default)]
    unfiltered: bool,
    #[serde(default)]
    dry_run: bool,
    rate: Option<String>,
}

/// Sends the events of a time to an endpoint again, also if it did not exist then
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/replay",
    params(("id" = String, Path)),
    request_body = Replay,
    responses(
        (status = 200, description = "what a job would be about", body = jobs::Counted),
        (status = 202, description = "the job", body = jobs::Shown),
        (status = 409, description = "`too_many_jobs`: as many run as may"),
        (status = 422, description = "`bad_request`: a member cannot be asked for; see `errors`"),
    )
)]
async fn replay(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(asked): PathId,
    Body(body): Body<Replay>,
) -> Answer {
    let endpoint = endpoint(&api, &caller, &asked)?;
    let rate = rate(body.rate.as_deref()).map_err(Wrong::member)?;
    let which = WhichEvents {
        kind: body.r#type,
        source: body.source,
        subject: body.subject,
        q: body.q,
        since: Some(body.since),
        until: body.until,
        ..WhichEvents::default()
    };
    let work = Work::Replay {
        endpoint,
        which: which.read(&api, caller.tenant).map_err(Wrong::member)?,
        only_wanted: !body.unfiltered,
    };
    jobs::ask(&api, &caller, work, rate, body.dry_run).await
}

/// Where to send one event again.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayOne {
    /// Only there; else wherever it is wanted by the present definitions.
    endpoint: Option<String>,
}

/// New deliveries of an old event.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Replayed {
    event: EventId,
    deliveries: Vec<NewDelivery>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct NewDelivery {
    id: DeliveryId,
    endpoint: EndpointId,
    #[schema(value_type = deliveries::Standing)]
    status: &'static str,
}

/// Sends an event again, as new deliveries
#[utoipa::path(
    post,
    path = "/v1/events/{id}/replay",
    params(("id" = String, Path)),
    request_body = Option<ReplayOne>,
    responses((status = 202, description = "the new deliveries", body = Replayed),
        (status = 409, description = "`not_wanted`: no endpoint wants it; `test_event`: a test is sent once"))
)]
async fn replay_one(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(asked): PathId,
    Body(body): Body<ReplayOne>,
) -> Result<(StatusCode, Json<Replayed>), Failure> {
    let unknown = || Failure(Problem::not_found(format!("there is no event {asked:?}")));
    let id: EventId = asked.parse().map_err(|_| unknown())?;
    let event = api.store.event(caller.tenant, id).await?.ok_or_else(unknown)?;
    if event.is_test() {
        let detail = "a test is sent once; make another one with POST /v1/endpoints/{id}/test";
        return Err(Problem::new(409, "test_event", "Test event", detail).into());
    }
    let endpoints = match &body.endpoint {
        Some(asked) => vec![endpoint(&api, &caller, asked)?],
        None => api.recovery.wanting(&event),
    };
    if endpoints.is_empty() {
        let detail = "no endpoint wants it; name one to send it there all the same";
        return Err(Problem::new(409, "not_wanted", "Not wanted", detail).into());
    }
    let to = json!({"endpoints": endpoints});
    audit::note(&api, &caller, "event.replayed", (id, None), Some(to)).await?;
    let (recovery, tenant) = (Arc::clone(&api.recovery), caller.tenant);
    let made = undisturbed(&api, async move { recovery.replay(tenant, id, &endpoints).await }).await??;
    tracing::info!(by = %caller.key, event = %id, deliveries = made.len(), "an event is sent again");
    let deliveries = made.into_iter().map(|(id, endpoint)| NewDelivery {
        id,
        endpoint,
        status: Stand::Pending.as_str(),
    });
    let deliveries = deliveries.collect();
    Ok((
        StatusCode::ACCEPTED,
        Json(Replayed {
            event: id,
            deliveries,
        }),
    ))
}
