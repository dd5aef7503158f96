//! `POST /v1/endpoints?verify=TYPE`: an endpoint that is made only if its receiver takes a sample.
//!
//! So wrong credentials, an address that leads nowhere, or a payload that is refused are told when the
//! endpoint is saved, in the receiver's own words.

use axum::http::HeaderMap;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};

use super::trial::{self, Tested};
use crate::api::auth::Caller;
use crate::api::endpoints::Endpoints;
use crate::api::errors::Failure;
use crate::api::managed::{self, undisturbed};
use crate::api::{Api, endpoints, resource};
use crate::http::problem::Problem;
use crate::manage::Write;
use crate::model::attempt::Outcome;
use crate::model::resource::Kind;

const KIND: Kind = Kind::Endpoint;

/// Makes a new one, disabled; enables it once a test of that type has succeeded, and deletes it
/// again if none does.
pub(in crate::api) async fn make(
    api: &Api,
    caller: &Caller,
    mut keys: Map<String, Value>,
    event_type: &str,
) -> Result<Response, Failure> {
    let sample = trial::sample(api, caller, event_type, None)?;
    let enabled = keys.get("enabled").cloned();
    // Anything else is refused for what it is when the definition is read.
    if enabled.as_ref().is_none_or(Value::is_boolean) {
        keys.insert("enabled".to_owned(), Value::Bool(false));
    }
    let name = keys
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let (owned, caller) = (api.clone(), *caller);
    // To its end, whoever hangs up: what was not verified may not stay.
    undisturbed(api, async move {
        let api = &owned;
        resource::make::<Endpoints>(api, &caller, keys).await?;
        let id = managed::find(api, &caller, KIND, &name)?.resource.id;
        let id = KIND.id(id);
        let tested = match endpoints::target(api, &caller, &id) {
            Ok(target) => trial::try_out(api, target, None, sample).await,
            Err(failure) => Err(failure),
        };
        let refused = match tested {
            Ok(tested) if tested.outcome().is_success() => {
                let patch = Map::from_iter([("enabled".to_owned(), enabled.unwrap_or_default())]);
                let (any, write) = (HeaderMap::new(), Write::Patch(patch));
                let mut made = resource::write::<Endpoints>(api, &caller, &id, &any, write).await?;
                *made.status_mut() = StatusCode::CREATED;
                return Ok(made);
            }
            Ok(tested) => not_verified(&tested),
            Err(failure) => failure,
        };
        managed::delete(api, &caller, (KIND, &id), &HeaderMap::new()).await?;
        Err(refused)
    })
    .await?
}

/// What went wrong, with the beginning of what the receiver said.
fn not_verified(tested: &Tested) -> Failure {
    let outcome = tested.outcome();
    let said = match outcome {
        Outcome::Responded { excerpt, .. } if !excerpt.is_empty() => format!(": {excerpt}"),
        _ => String::new(),
    };
    let detail = format!(
        "nothing was made, as the test {} did not succeed: {}{said}",
        tested.delivery(),
        outcome.summary()
    );
    Problem::new(422, "not_verified", "Not verified", detail).into()
}
