//! `?verify=TYPE` where an endpoint is made or changed: that is done only if its receiver takes a
//! sample, sent as the endpoint would send it then.
//!
//! So wrong credentials, an address that leads nowhere, or a payload that is refused are told when the
//! endpoint is saved, in the receiver's own words.

use axum::http::HeaderMap;
use axum::response::Response;
use http::StatusCode;
use http::header::IF_MATCH;
use serde_json::{Map, Value};

use super::trial::{self, Tested};
use crate::api::auth::Caller;
use crate::api::endpoints::Endpoints;
use crate::api::errors::Failure;
use crate::api::managed::{self, undisturbed};
use crate::api::{Api, conditions, endpoints, resource};
use crate::http::problem::Problem;
use crate::manage::{Entry, Handle, Origin, Refused, Write};
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
            Ok(tested) => not_verified(&tested, "made"),
            Err(failure) => failure,
        };
        managed::delete(api, &caller, (KIND, &id), &HeaderMap::new()).await?;
        Err(refused)
    })
    .await?
}

/// Tries out what a change would make of an endpoint. Answers the headers that the change is to be
/// made with: it is meant for the revision that was tried, and for no other.
pub(in crate::api) async fn before_change(
    api: &Api,
    caller: &Caller,
    entry: &Entry,
    (headers, write): (&HeaderMap, Write),
    event_type: &str,
) -> Result<HeaderMap, Failure> {
    let sample = trial::sample(api, caller, event_type, None)?;
    let revision = entry.resource.revision;
    let expected = managed::handle(&entry.resource, headers)?;
    if expected.revision.is_some_and(|expected| expected != revision) {
        return Err(managed::problem(KIND, Refused::Changed { revision }));
    }
    let handle = Handle {
        revision: Some(revision),
        ..expected
    };
    let target = if entry.origin == Origin::File && is_switch(&write) {
        endpoints::usable(entry)?.clone()
    } else {
        let would_be = api.manager.would_be(handle, write).await;
        let would_be = would_be.map_err(|refused| managed::problem(KIND, refused))?;
        endpoints::usable(&would_be)?.clone()
    };
    let tested = trial::try_out(api, target, None, sample).await?;
    if !tested.outcome().is_success() {
        return Err(not_verified(&tested, "changed"));
    }
    let mut headers = headers.clone();
    headers.insert(IF_MATCH, conditions::etag(revision));
    Ok(headers)
}

/// Whether nothing is changed but whether anything is sent, as it can be of declared ones, too.
fn is_switch(write: &Write) -> bool {
    matches!(write, Write::Patch(patch) if patch.len() == 1 && patch.contains_key("enabled"))
}

/// What went wrong, with the beginning of what the receiver said.
fn not_verified(tested: &Tested, done: &str) -> Failure {
    let outcome = tested.outcome();
    let said = match outcome {
        Outcome::Responded { excerpt, .. } if !excerpt.is_empty() => format!(": {excerpt}"),
        _ => String::new(),
    };
    let detail = format!(
        "nothing was {done}, as the test {} did not succeed: {}{said}",
        tested.delivery(),
        outcome.summary()
    );
    Problem::new(422, "not_verified", "Not verified", detail).into()
}
