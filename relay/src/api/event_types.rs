//! `/v1/event-types`: what events there are, what they mean and what they look like.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Manager, Reader};
use super::body::Body;
use super::errors::Failure;
use super::managed;
use super::params::PathId;
use super::resource::{self, Request, Served};
use super::schemas::{EventType, Sample};
use super::{Api, events};
use crate::http::problem::{Flaw, Problem};
use crate::manage::Write;
use crate::model::event::Event;
use crate::model::resource::Kind;

const KIND: Kind = Kind::EventType;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    resource::routes::<EventTypes>(&Request::ALL).routes(routes!(sample, pin))
}

struct EventTypes;

impl Served for EventTypes {
    const KIND: Kind = KIND;
    type Reader = Reader;
    type Manager = Manager;
}

/// Gives the sample of an event type by itself
///
/// As the data of an event would be.
#[utoipa::path(
    get,
    path = "/v1/event-types/{id}/sample",
    params(("id" = String, Path, description = "name or id")),
    responses((status = 200, body = Sample))
)]
async fn sample(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Value>, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let sample = entry
        .event_type()
        .and_then(|event_type| event_type.sample.clone());
    sample.map(Json).ok_or_else(|| {
        let name = &entry.resource.name;
        Failure(Problem::not_found(format!(
            "the event type {name:?} has no sample"
        )))
    })
}

/// Which event the sample is taken from.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = SamplePin)]
#[serde(deny_unknown_fields)]
struct Pinned {
    event: String,
}

/// Makes the data of an event that came in the sample
#[utoipa::path(
    post,
    path = "/v1/event-types/{id}/sample",
    params(
        ("id" = String, Path, description = "name or id"),
        ("If-Match" = Option<String>, Header, description = "the `ETag` of what was read"),
    ),
    request_body = Pinned,
    responses(
        (status = 200, body = EventType, headers(("ETag" = String))),
        (status = 409, description = "`declared_in_file`"),
        (status = 412, description = "`changed_meanwhile`"),
        (status = 413, description = "`definition_too_large`"),
        (status = 422, description = "`no_sample` or `invalid_definition`"),
    )
)]
async fn pin(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Body(pinned): Body<Pinned>,
) -> Result<Response, Failure> {
    let entry = managed::find(&api, &caller, KIND, &id)?;
    let event = events::find(&api, &caller, &pinned.event).await?;
    let data = pinnable(&entry.resource.name, &event).map_err(|message| {
        let flaw = Flaw::new("/event", "invalid", message);
        Problem::new(422, "no_sample", "No sample", "see each error").with_errors([flaw])
    })?;
    let mut keys = entry.resource.definition.keys.clone();
    keys.insert("sample".to_owned(), data);
    resource::write::<EventTypes>(&api, &caller, &id, &headers, Write::Replace(keys)).await
}

/// What an event has to show of its type.
fn pinnable(event_type: &str, event: &Event) -> Result<Value, String> {
    let found = &event.envelope.kind;
    if found != event_type {
        return Err(format!("is of the type {found}"));
    }
    serde_json::from_slice(&event.data).map_err(|_| "has data that are not JSON".to_owned())
}
