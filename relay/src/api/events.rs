//! `/v1/events`: what came in.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Reader;
use super::errors::Failure;
use super::page::{List, page};
use super::params::{Params, PathId};
use super::select::{WhichEvents, Wrong};
use super::{Api, deliveries};
use crate::flow::conform::mismatches;
use crate::http::problem::{Flaw, Problem};
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::page::{LIMIT_MAX, Page};
use crate::model::resource::Kind;
use crate::model::time::Timestamp;
use crate::store::DeliveryFilter;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(payload))
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
    /// An event type or a pattern of them.
    r#type: Option<String>,
    /// A source's name or id.
    source: Option<String>,
    subject: Option<String>,
    /// The sender's own id.
    sender_id: Option<String>,
    trace_id: Option<String>,
    /// Words in the payload.
    q: Option<String>,
    /// At or after this time.
    #[param(value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Before this time.
    #[param(value_type = Option<Timestamp>)]
    until: Option<String>,
}

/// An event as a list shows it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Event)]
pub(super) struct Shown {
    pub(super) id: EventId,
    r#type: String,
    source: String,
    subject: Option<String>,
    time: Timestamp,
    received_at: Timestamp,
    sender_id: Option<String>,
    content_type: Option<String>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

/// An event by itself: with its payload and what became of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EventWithDeliveries)]
pub(super) struct Whole {
    #[serde(flatten)]
    event: Shown,
    headers: Vec<(String, String)>,
    extensions: Vec<(String, String)>,
    /// The payload, if it is JSON; else read `/payload`.
    #[schema(value_type = Value)]
    data: Option<Box<serde_json::value::RawValue>>,
    deliveries: Vec<deliveries::Shown>,
    /// What of the data does not satisfy the schema that the type has now; not there without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_errors: Option<Vec<Flaw>>,
}

/// Lists events
#[utoipa::path(get, path = "/v1/events", params(Asked), responses((status = 200, body = List<Shown>)))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    let which = WhichEvents {
        kind: asked.r#type,
        source: asked.source,
        subject: asked.subject,
        sender_id: asked.sender_id,
        trace_id: asked.trace_id,
        q: asked.q,
        since: asked.since,
        until: asked.until,
    };
    let filter = which.read(&api, caller.tenant).map_err(Wrong::parameter)?;
    let listed = api
        .store
        .events(
            caller.tenant,
            filter,
            page(asked.limit.as_deref(), asked.cursor.as_deref())?,
        )
        .await?;
    Ok(Json(List::of(listed, |event| show(&event))))
}

/// Shows an event with its payload and deliveries
#[utoipa::path(
    get,
    path = "/v1/events/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = Whole))
)]
pub(super) async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Whole>, Failure> {
    let event = find(&api, &caller, &id).await?;
    let filter = DeliveryFilter {
        event: Some(event.id),
        ..DeliveryFilter::default()
    };
    let made = api
        .store
        .deliveries(
            caller.tenant,
            filter,
            Page {
                limit: LIMIT_MAX,
                before: None,
            },
        )
        .await?;
    let directory = api.directories.current();
    let schema_errors = schema_errors(&api, &event).await;
    Ok(Json(Whole {
        schema_errors,
        event: show(&event),
        headers: event.headers.clone(),
        extensions: event.envelope.extensions.clone(),
        data: event
            .is_json()
            .then(|| serde_json::from_slice(&event.data).ok())
            .flatten(),
        deliveries: made
            .items
            .into_iter()
            .map(|delivery| deliveries::show(&api, &directory, delivery))
            .collect(),
    }))
}

async fn schema_errors(api: &Api, event: &Arc<Event>) -> Option<Vec<Flaw>> {
    let entry = api
        .manager
        .find(event.tenant, Kind::EventType, None, &event.envelope.kind)?;
    let schema = Arc::clone(entry.event_type()?.schema.as_ref()?);
    let event = Arc::clone(event);
    let looked = tokio::task::spawn_blocking(move || mismatches(&schema, &event.data));
    let flaws = looked.await.ok()?.into_iter();
    let flaws = flaws.map(|mismatch| Flaw::new(mismatch.pointer, "schema", mismatch.problem));
    Some(flaws.collect())
}

/// Gives the payload of an event as it came
///
/// Never as a type that a browser would run.
#[utoipa::path(
    get,
    path = "/v1/events/{id}/payload",
    params(("id" = String, Path)),
    responses((status = 200, body = [u8], content_type = "application/octet-stream"))
)]
pub(super) async fn payload(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    let event = find(&api, &caller, &id).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_DISPOSITION, "attachment"),
    ];
    Ok((headers, event.data.clone()).into_response())
}

pub(super) async fn find(api: &Api, caller: &super::auth::Caller, id: &str) -> Result<Arc<Event>, Failure> {
    let unknown = || Failure(Problem::not_found(format!("there is no event {id:?}")));
    let id: EventId = id.parse().map_err(|_| unknown())?;
    api.store.event(caller.tenant, id).await?.ok_or_else(unknown)
}

pub(super) fn show(event: &Event) -> Shown {
    Shown {
        id: event.id,
        r#type: event.envelope.kind.clone(),
        source: event.envelope.source.clone(),
        subject: event.envelope.subject.clone(),
        time: event.happened_at(),
        received_at: event.received_at,
        sender_id: event.envelope.id.clone(),
        content_type: event.envelope.content_type.clone(),
        bytes: event.data.len(),
        trace_id: event.trace_id(),
    }
}
