//! `/v1/export`: everything of a span of time, oldest first, as lines of JSON.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Reader;
use super::errors::Failure;
use super::page::time;
use super::params::Params;
use super::{Api, deliveries, events};
use crate::model::attempt::Attempt;
use crate::model::event::Event;
use crate::model::id::TenantId;
use crate::model::time::Timestamp;
use crate::store::{self, DeliveryFilter, EventFilter, Span};

/// Read at once.
const BITE: usize = 250;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(all_events))
        .routes(routes!(all_deliveries))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// At or after this time.
    #[param(value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Before this time.
    #[param(value_type = Option<Timestamp>)]
    until: Option<String>,
}

/// A line: an event with all that came with it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct EventLine {
    #[serde(flatten)]
    event: events::Shown,
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    #[schema(value_type = Vec<Vec<String>>)]
    extensions: Vec<(String, String)>,
    /// The payload, if it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Box<RawValue>>,
    /// Any other payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// A line: a delivery with its attempts.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct DeliveryLine {
    #[serde(flatten)]
    delivery: deliveries::Shown,
    attempts_made: Vec<Attempt>,
}

/// Streams all events of a time
#[utoipa::path(
    get,
    path = "/v1/export/events",
    params(Asked),
    responses((status = 200, description = "lines of JSON, oldest first", body = EventLine, content_type = "application/x-ndjson"))
)]
async fn all_events(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Response, Failure> {
    let filter = EventFilter {
        since: time("since", asked.since.as_deref())?,
        until: time("until", asked.until.as_deref())?,
        ..EventFilter::default()
    };
    Ok(answer(Export::new(api, caller.tenant, What::Events(filter))))
}

/// Streams all deliveries of a time, with their attempts
#[utoipa::path(
    get,
    path = "/v1/export/deliveries",
    params(Asked),
    responses((status = 200, description = "lines of JSON, oldest first", body = DeliveryLine, content_type = "application/x-ndjson"))
)]
async fn all_deliveries(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Response, Failure> {
    let filter = DeliveryFilter {
        since: time("since", asked.since.as_deref())?,
        until: time("until", asked.until.as_deref())?,
        ..DeliveryFilter::default()
    };
    Ok(answer(Export::new(api, caller.tenant, What::Deliveries(filter))))
}

fn answer(export: Export) -> Response {
    let lines = stream::try_unfold(export, |mut export| async move {
        Ok::<_, store::Error>(export.next().await?.map(|lines| (lines, export)))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(lines)).into_response()
}

enum What {
    Events(EventFilter),
    Deliveries(DeliveryFilter),
}

/// An export, as far as it has come. What came in after its beginning is not in it.
struct Export {
    api: Api,
    tenant: TenantId,
    what: What,
    span: Span,
    is_over: bool,
}

impl Export {
    fn new(api: Api, tenant: TenantId, what: What) -> Self {
        let before = api.ids.next(api.clock.now());
        Self {
            api,
            tenant,
            what,
            span: Span { after: -1, before },
            is_over: false,
        }
    }

    /// The next lines; `None` at the end. A relay that stops breaks off: the answer is not whole
    /// then, and the client sees it.
    async fn next(&mut self) -> Result<Option<Bytes>, store::Error> {
        while !self.is_over {
            if self.api.stop.is_cancelled() {
                return Err(store::Error::Unavailable("the relay is about to stop".to_owned()));
            }
            let lines = self.read().await?;
            if !lines.is_empty() {
                return Ok(Some(lines.into()));
            }
        }
        Ok(None)
    }

    async fn read(&mut self) -> Result<Vec<u8>, store::Error> {
        let mut lines = Vec::new();
        let next = match &self.what {
            What::Events(filter) => {
                let store = &self.api.store;
                let walked = store
                    .events_after(self.tenant, filter.clone(), self.span, BITE)
                    .await?;
                for event in &walked.items {
                    put(&mut lines, &event_line(event));
                }
                walked.next
            }
            What::Deliveries(filter) => {
                let store = &self.api.store;
                let walked = store
                    .deliveries_after(self.tenant, filter.clone(), self.span, BITE)
                    .await?;
                let directory = self.api.directories.current();
                for delivery in walked.items {
                    let attempts_made = store.attempts(self.tenant, delivery.id).await?;
                    let line = DeliveryLine {
                        delivery: deliveries::show(&self.api, &directory, delivery),
                        attempts_made,
                    };
                    put(&mut lines, &line);
                }
                walked.next
            }
        };
        match next {
            Some(next) => self.span.after = next,
            None => self.is_over = true,
        }
        Ok(lines)
    }
}

fn event_line(event: &Event) -> EventLine {
    let json = || serde_json::from_slice::<Box<RawValue>>(&event.data).ok();
    let data = event.is_json().then(json).flatten();
    let data = data.filter(|data| is_one_line(data));
    EventLine {
        event: events::show(event),
        headers: event.headers.clone(),
        extensions: event.envelope.extensions.clone(),
        data_base64: data.is_none().then(|| BASE64_STANDARD.encode(&event.data)),
        data,
    }
}

/// A payload with line breaks would break the lines.
fn is_one_line(data: &RawValue) -> bool {
    !data.get().contains(['\n', '\r'])
}

fn put(lines: &mut Vec<u8>, line: &impl Serialize) {
    // Strings, numbers and what was read as JSON: there is nothing here that JSON cannot write.
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        lines.append(&mut line);
    }
}
