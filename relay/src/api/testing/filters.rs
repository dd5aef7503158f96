//! `POST /v1/filters/test`: whether an event meets a filter, and if not, which clause fails.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::auth::Reader;
use crate::api::body::Body;
use crate::api::errors::Failure;
use crate::api::{Api, events};
use crate::diagnose::explain::Clause;
use crate::http::problem::{Flaw, Problem};
use crate::model::event::{Envelope, Event};
use crate::model::id::{EventId, TenantId};
use crate::model::time::Timestamp;
use crate::route::filter::Filter;
use crate::route::view::View;

/// A filter, and what to hold it against.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = FilterTest)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    filter: Value,
    /// The id of an event that came in, or an event that is made up, as `POST /v1/events` takes it.
    #[schema(value_type = Value)]
    event: Box<RawValue>,
}

/// An event as `POST /v1/events` takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeUp {
    r#type: String,
    data: Option<Box<RawValue>>,
    id: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    time: Option<Timestamp>,
}

/// What came of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FilterTested)]
pub(super) struct Tested {
    matches: bool,
    /// The first clause that the event does not meet.
    clause: Option<Clause>,
}

/// Holds an event against a filter
#[utoipa::path(
    post,
    path = "/v1/filters/test",
    request_body = Asked,
    responses(
        (status = 200, body = Tested),
        (status = 422, description = "`invalid_filter` or `invalid_event`"),
    )
)]
pub(super) async fn test(
    Reader(caller): Reader,
    State(api): State<Api>,
    Body(asked): Body<Asked>,
) -> Result<Json<Tested>, Failure> {
    let filter = Filter::parse(&asked.filter).map_err(|faults| {
        let flaws = faults
            .into_iter()
            .map(|fault| Flaw::new(format!("/filter{}", fault.pointer), "invalid", fault.message));
        Problem::new(422, "invalid_filter", "Invalid filter", "see each error").with_errors(flaws)
    })?;
    let event = match serde_json::from_str::<String>(asked.event.get()) {
        Ok(id) => events::find(&api, &caller, &id).await?,
        Err(_) => Arc::new(MadeUp::read(&asked.event)?.into_event(caller.tenant, api.clock.now())),
    };
    let mismatch = filter.explain(&View::new(&event));
    Ok(Json(Tested {
        matches: mismatch.is_none(),
        clause: mismatch.map(Clause::from),
    }))
}

impl MadeUp {
    fn read(text: &RawValue) -> Result<Self, Failure> {
        serde_json::from_str(text.get()).map_err(|error| {
            let flaw = Flaw::new("/event", "invalid", error.to_string());
            Problem::new(422, "invalid_event", "Invalid event", "see each error")
                .with_errors([flaw])
                .into()
        })
    }

    fn into_event(self, tenant: TenantId, now: Timestamp) -> Event {
        let data = self
            .data
            .map_or_else(|| "null".to_owned(), |data| data.get().to_owned());
        Event {
            id: EventId::from_raw(0),
            tenant,
            source: None,
            received_at: now,
            envelope: Envelope {
                id: self.id,
                source: self.source.unwrap_or_else(|| "api".to_owned()),
                kind: self.r#type,
                subject: self.subject,
                time: self.time,
                ..Envelope::default()
            },
            headers: Vec::new(),
            data: Bytes::from(data),
        }
    }
}
