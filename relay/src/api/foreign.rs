//! What a caller is told of an id that another tenant has: the same as of one that nobody has, or,
//! if `server.foreign_ids` says so, that it is forbidden.
//!
//! Handlers see their caller's tenant alone, so to them it is unknown. Here is the one place that
//! looks beyond, after a handler has answered that there is nothing.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::Api;
use super::auth::{Caller, Right};
use super::errors::Failure;
use crate::http::answer::Code;
use crate::http::problem::Problem;
use crate::model::id::{AttemptId, DeliveryId, EventId, InspectorId, JobId, KeyId, MediaId, TenantId};
use crate::store::{Owned, Role};

/// The length of what stands behind the prefix of an id.
const DIGITS: usize = 13;

/// Tells a caller that an id in the path is another tenant's, in place of that there is none.
pub(super) async fn forbid(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (headers, path) = (request.headers().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let is_unknown = response.status() == StatusCode::NOT_FOUND
        && matches!(response.extensions().get(), Some(Code("not_found")));
    if !is_unknown {
        return response;
    }
    let Ok(caller) = api.keys.caller(&headers, Right::Read) else {
        return response;
    };
    match is_foreign(&api, &caller, &path).await {
        Ok(false) => response,
        Ok(true) => {
            let detail = "this belongs to another tenant";
            Failure(Problem::new(403, "forbidden", "Forbidden", detail)).into_response()
        }
        Err(failure) => failure.into_response(),
    }
}

/// Nothing is foreign to an admin, who has only named another tenant.
async fn is_foreign(api: &Api, caller: &Caller, path: &str) -> Result<bool, Failure> {
    if caller.role == Role::Admin {
        return Ok(false);
    }
    for owned in path.split('/').filter_map(owned) {
        let owner = api.store.owner(owned).await?;
        if owner.is_some_and(|owner| owner != caller.tenant) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What an id in a path stands for. Whatever is managed has an id of its own kind's prefix.
fn owned(word: &str) -> Option<Owned> {
    let (prefix, digits) = word.split_at_checked(word.len().checked_sub(DIGITS)?)?;
    // All ids are written alike behind their prefix.
    let raw = format!("{}{digits}", TenantId::PREFIX)
        .parse::<TenantId>()
        .ok()?
        .raw();
    match prefix {
        EventId::PREFIX => Some(Owned::Event(EventId::from_raw(raw))),
        DeliveryId::PREFIX => Some(Owned::Delivery(DeliveryId::from_raw(raw))),
        KeyId::PREFIX => Some(Owned::Key(KeyId::from_raw(raw))),
        JobId::PREFIX => Some(Owned::Job(JobId::from_raw(raw))),
        InspectorId::PREFIX => Some(Owned::Inspector(InspectorId::from_raw(raw))),
        MediaId::PREFIX => Some(Owned::Media(MediaId::from_raw(raw))),
        AttemptId::PREFIX => None,
        _ => prefix.ends_with('_').then_some(Owned::Resource(raw)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::SourceId;

    #[test]
    fn an_id_says_what_it_stands_for() {
        let raw = 0x1234_5678;
        for (word, wanted) in [
            (
                EventId::from_raw(raw).to_string(),
                Some(Owned::Event(EventId::from_raw(raw))),
            ),
            (
                DeliveryId::from_raw(raw).to_string(),
                Some(Owned::Delivery(DeliveryId::from_raw(raw))),
            ),
            (
                KeyId::from_raw(raw).to_string(),
                Some(Owned::Key(KeyId::from_raw(raw))),
            ),
            (SourceId::from_raw(raw).to_string(), Some(Owned::Resource(raw))),
            ("crm".to_owned(), None),
            ("a-name-of-many-letters".to_owned(), None),
            ("ümlaut-ümlautüü".to_owned(), None),
        ] {
            assert_eq!(owned(&word), wanted, "{word}");
        }
    }
}
