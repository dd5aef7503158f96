//! `/v1/erasures`: overwrites what was stored of somebody, where the law asks for it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Manager;
use super::body::Body;
use super::errors::Failure;
use super::jobs::{self, Asked};
use super::select::{WhichEvents, Wrong};
use crate::store::{Member, Work};

/// Bytes of a pointer.
const POINTER_BYTES_MAX: usize = 1024;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(erase))
}

/// What to erase: the events that have a value somewhere, or some words anywhere in the payload.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Erasure {
    /// A JSON Pointer into the payload.
    pointer: Option<String>,
    #[schema(value_type = Option<Value>)]
    equals: Option<Value>,
    q: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

/// Overwrites what was stored of somebody
#[utoipa::path(
    post,
    path = "/v1/erasures",
    request_body = Erasure,
    responses(
        (status = 200, description = "what a job would be about", body = jobs::Counted),
        (status = 202, description = "the job", body = jobs::Shown),
        (status = 409, description = "`too_many_jobs`: as many run as may"),
        (status = 422, description = "`bad_request`: a member cannot be asked for; see `errors`"),
    )
)]
async fn erase(
    Manager(caller): Manager,
    State(api): State<Api>,
    Body(body): Body<Erasure>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Asked>), Failure> {
    let member = member(body.pointer, body.equals).map_err(Wrong::member)?;
    if member.is_none() && body.q.is_none() {
        let problem = "is missing; say what to erase: a pointer and what it equals, or q";
        return Err(Wrong::new("pointer", problem).member());
    }
    let which = WhichEvents {
        q: body.q,
        since: body.since,
        until: body.until,
        ..WhichEvents::default()
    };
    let work = Work::Erase {
        which: which.read(&api, caller.tenant).map_err(Wrong::member)?,
        member,
    };
    jobs::ask(&api, &caller, work, None, body.dry_run).await
}

fn member(pointer: Option<String>, equals: Option<Value>) -> Result<Option<Member>, Wrong> {
    match (pointer, equals) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Wrong::new("equals", "is missing; a pointer alone names no value")),
        (None, Some(_)) => Err(Wrong::new("pointer", "is missing; say where the value stands")),
        (Some(pointer), Some(equals)) => {
            if pointer.len() > POINTER_BYTES_MAX || !(pointer.is_empty() || pointer.starts_with('/')) {
                return Err(Wrong::new(
                    "pointer",
                    format!("is {pointer:?}; use a JSON Pointer such as /customer/email"),
                ));
            }
            Ok(Some(Member { pointer, equals }))
        }
    }
}
