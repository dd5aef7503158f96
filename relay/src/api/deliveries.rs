//! `/v1/deliveries`: what was sent, what was not, and why.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Manager, Reader};
use super::errors::Failure;
use super::page::{List, page};
use super::params::{Params, PathId};
use super::select::{Number, WhichDeliveries, Words, Wrong};
use super::{Api, audit};
use crate::directory::Directory;
use crate::http::problem::Problem;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, State as Stand};
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::time::Timestamp;
use crate::store::Retried;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(attempts))
        .routes(routes!(retry))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
    /// An endpoint's name or id.
    endpoint: Option<String>,
    /// One or several, separated by commas.
    #[param(value_type = Option<String>)]
    status: Option<Words>,
    /// An event's id.
    #[param(value_type = Option<EventId>)]
    event: Option<String>,
    /// An event type or a pattern of them.
    r#type: Option<String>,
    /// A source's name or id.
    source: Option<String>,
    /// How the last attempt failed.
    error_class: Option<String>,
    /// What was answered last.
    #[param(value_type = Option<u16>)]
    status_code: Option<Number>,
    #[param(value_type = Option<u64>, maximum = 4294967295u64)]
    attempts_min: Option<Number>,
    /// Words in the event's payload.
    q: Option<String>,
    /// At or after this time.
    #[param(value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Before this time.
    #[param(value_type = Option<Timestamp>)]
    until: Option<String>,
    /// Whether somebody tried the endpoint out.
    #[param(value_type = Option<bool>)]
    test: Option<String>,
}

/// A delivery as lists show it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Delivery)]
pub(super) struct Shown {
    id: DeliveryId,
    event: EventId,
    r#type: String,
    endpoint: EndpointId,
    endpoint_name: Option<String>,
    #[schema(value_type = Standing)]
    status: &'static str,
    attempts: u32,
    next_attempt_at: Option<Timestamp>,
    reason: Option<String>,
    /// Whether somebody tried the endpoint out with a sample.
    test: bool,
    updated_at: Timestamp,
}

pub(super) fn show(api: &Api, directory: &Directory, delivery: Delivery) -> Shown {
    let delivery = api.flow.under_way.as_it_stands(delivery);
    Shown {
        id: delivery.id,
        event: delivery.event,
        r#type: delivery.event_type,
        endpoint: delivery.endpoint,
        endpoint_name: directory
            .table
            .endpoint(delivery.endpoint)
            .map(|endpoint| endpoint.name.clone()),
        status: delivery.state.as_str(),
        attempts: delivery.attempts,
        next_attempt_at: delivery.due.map(|due| api.clock.shown(due)),
        reason: delivery.reason,
        test: delivery.test,
        updated_at: delivery.updated_at,
    }
}

/// Where a delivery stands.
#[derive(utoipa::ToSchema)]
#[schema(as = DeliveryStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "the words of `State` as the document lists them")]
pub(super) enum Standing {
    Pending,
    Succeeded,
    Failed,
    Dropped,
    Cancelled,
}

/// Lists deliveries
#[utoipa::path(get, path = "/v1/deliveries", params(Asked), responses((status = 200, body = List<Shown>)))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    let directory = api.directories.current();
    let which = WhichDeliveries {
        endpoint: asked.endpoint,
        status: asked.status,
        event: asked.event,
        kind: asked.r#type,
        source: asked.source,
        error_class: asked.error_class,
        status_code: asked.status_code,
        attempts_min: asked.attempts_min,
        q: asked.q,
        since: asked.since,
        until: asked.until,
        test: asked.test,
    };
    let filter = which.read(&api, caller.tenant).map_err(Wrong::parameter)?;
    let may_be_under_way = filter.wants_state(Stand::Pending);
    let mut listed = api
        .store
        .deliveries(
            caller.tenant,
            filter,
            page(asked.limit.as_deref(), asked.cursor.as_deref())?,
        )
        .await?;
    if !may_be_under_way {
        listed
            .items
            .retain(|delivery| !api.flow.under_way.has(delivery.id));
    }
    Ok(Json(List::of(listed, |delivery| {
        show(&api, &directory, delivery)
    })))
}

/// The endpoint of that name.
pub(super) fn named(directory: &Directory, tenant: TenantId, name: &str) -> Option<EndpointId> {
    directory.endpoint_called(tenant, name)
}

/// Shows a delivery
#[utoipa::path(
    get,
    path = "/v1/deliveries/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = Shown))
)]
pub(super) async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Shown>, Failure> {
    let id = parse(&id)?;
    let delivery = api
        .store
        .delivery(caller.tenant, id)
        .await?
        .ok_or_else(|| unknown(&id.to_string()))?;
    Ok(Json(show(&api, &api.directories.current(), delivery)))
}

/// The attempts of a delivery, first to last.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Attempts {
    data: Vec<ShownAttempt>,
}

/// An attempt as it is shown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeliveryAttempt)]
pub(super) struct ShownAttempt {
    #[serde(flatten)]
    attempt: Attempt,
    /// The class of its failure; absent for a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<&'static str>,
    /// The outcome in one line.
    summary: String,
}

/// Lists the attempts of a delivery, first to last
#[utoipa::path(
    get,
    path = "/v1/deliveries/{id}/attempts",
    params(("id" = String, Path)),
    responses((status = 200, body = Attempts))
)]
pub(super) async fn attempts(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Attempts>, Failure> {
    let id = parse(&id)?;
    if api.store.delivery(caller.tenant, id).await?.is_none() {
        return Err(unknown(&id.to_string()));
    }
    let attempts = api.store.attempts(caller.tenant, id).await?;
    let data = attempts.into_iter().map(ShownAttempt::from).collect();
    Ok(Json(Attempts { data }))
}

impl ShownAttempt {
    pub(super) const fn outcome(&self) -> &Outcome {
        &self.attempt.outcome
    }
}

impl From<Attempt> for ShownAttempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            error_class: attempt.outcome.class(),
            summary: attempt.outcome.summary(),
            attempt,
        }
    }
}

/// What became of a retry.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Retry)]
pub(super) struct Accepted {
    id: DeliveryId,
    #[schema(value_type = Standing)]
    status: &'static str,
}

/// Sends a delivery once more
#[utoipa::path(
    post,
    path = "/v1/deliveries/{id}/retry",
    params(("id" = String, Path)),
    responses(
        (status = 202, description = "it is due now", body = Accepted),
        (status = 409, description = "`endpoint_gone`: its endpoint is not there any more; `test_delivery`: a test is sent once; `call_under_way`"),
    )
)]
pub(super) async fn retry(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<(StatusCode, Json<Accepted>), Failure> {
    let id = parse(&id)?;
    let delivery = api.store.delivery(caller.tenant, id).await?;
    let delivery = delivery.ok_or_else(|| unknown(&id.to_string()))?;
    if delivery.test {
        let detail = "a test is sent once; make another one with POST /v1/endpoints/{id}/test";
        return Err(Problem::new(409, "test_delivery", "Test delivery", detail).into());
    }
    if api
        .directories
        .current()
        .table
        .endpoint(delivery.endpoint)
        .is_none()
    {
        let detail = "its endpoint was deleted, or is not declared any more; restore it first";
        return Err(Problem::new(409, "endpoint_gone", "Endpoint gone", detail).into());
    }
    if api.flow.under_way.has(id) {
        let detail = "its sender waits for the answer to this call; send it again once it has failed";
        return Err(Problem::new(409, "call_under_way", "Call under way", detail).into());
    }
    audit::note(&api, &caller, "delivery.retried", (id, None), None).await?;
    let now = api.clock.steady();
    match api.store.retry(caller.tenant, id, now).await? {
        Retried::Waits(endpoint) => api.queue.asked_for(endpoint, now),
        Retried::InFlight => {}
        Retried::Unknown => return Err(unknown(&id.to_string())),
    }
    Ok((
        StatusCode::ACCEPTED,
        Json(Accepted {
            id,
            status: Stand::Pending.as_str(),
        }),
    ))
}

pub(super) fn parse(id: &str) -> Result<DeliveryId, Failure> {
    id.parse().map_err(|_| unknown(id))
}

pub(super) fn unknown(id: &str) -> Failure {
    Failure(Problem::not_found(format!("there is no delivery {id:?}")))
}
