//! `/v1/event-types`: what events there are, what they mean and what they look like.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Reader;
use super::errors::Failure;
use super::managed;
use super::params::PathId;
use super::resource::{self, Request, Served};
use super::schemas::Sample;
use crate::http::problem::Problem;
use crate::model::resource::Kind;

const KIND: Kind = Kind::EventType;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    resource::routes::<EventTypes>(&Request::ALL).routes(routes!(sample))
}

struct EventTypes;

impl Served for EventTypes {
    const KIND: Kind = KIND;
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
