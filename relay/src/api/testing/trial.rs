//! `POST /v1/endpoints/{id}/test`: sends a sample now, and says what came of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::redact::Redactor;
use crate::api::Api;
use crate::api::auth::{Caller, Manager};
use crate::api::body::Body;
use crate::api::deliveries::ShownAttempt;
use crate::api::endpoints;
use crate::api::errors::{self, Failure};
use crate::api::managed::undisturbed;
use crate::api::params::PathId;
use crate::deliver::Outlet;
use crate::deliver::header::Parsed;
use crate::directory::Target;
use crate::flow::trial::{Sample, Sent, Tried};
use crate::http::problem::{Flaw, Problem};
use crate::model::attempt::Outcome;
use crate::model::event_type;
use crate::model::id::{DeliveryId, EventId};
use crate::model::resource::Kind;

/// Bytes of a request's body that are told.
const BODY_SHOWN_MAX: usize = 16 << 10;

/// What to send.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = EndpointTest)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    r#type: String,
    /// Any JSON; a sample of the type if it is not there.
    #[schema(value_type = Option<serde_json::Value>)]
    data: Option<Box<RawValue>>,
    /// Signs with secrets that the receiver does not know, to see whether it looks.
    #[serde(default)]
    forge: bool,
}

/// What came of a test.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EndpointTested)]
pub(super) struct Tested {
    delivery: DeliveryId,
    event: EventId,
    /// `succeeded`, `failed` or `dropped`.
    status: &'static str,
    attempt: ShownAttempt,
    /// What went out: one for each message, none if nothing did.
    requests: Vec<Request>,
}

/// A request as it went out.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SentRequest)]
pub(super) struct Request {
    /// `MAIL` for mail.
    method: String,
    url: String,
    /// In the order they were sent; `(hidden)` stands where a value may be a secret.
    headers: Vec<(String, String)>,
    /// As text, at most 16 KiB of it.
    body: String,
    /// Of the whole body.
    bytes: usize,
}

impl Request {
    /// What went out by `outlet`, of whose body there were so many bytes.
    pub(super) fn of(
        outlet: &Outlet,
        redactor: &Redactor,
        headers: &[Parsed],
        body: &[u8],
        bytes: usize,
    ) -> Self {
        Self {
            method: match outlet.is_mail() {
                true => "MAIL".to_owned(),
                false => outlet.method().to_string(),
            },
            url: outlet.url(),
            headers: redactor.headers(headers),
            body: redactor.text(body, BODY_SHOWN_MAX),
            bytes,
        }
    }
}

/// Sends a sample to an endpoint now, and says what came of it
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/test",
    params(("id" = String, Path, description = "name or id")),
    request_body = Asked,
    responses(
        (status = 200, body = Tested),
        (status = 409, description = "`unusable`: its definition cannot be used"),
        (status = 422, description = "`invalid_test`"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
pub(super) async fn test(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Body(asked): Body<Asked>,
) -> Result<Json<Tested>, Failure> {
    let target = endpoints::target(&api, &caller, &id)?;
    let sample = sample(&api, &caller, &asked.r#type, asked.data)?;
    tracing::info!(by = %caller.key, endpoint = target.endpoint.name, r#type = sample.kind, "tested");
    if !asked.forge {
        return Ok(Json(try_out(&api, target, None, sample).await?));
    }
    if target.outlet.is_mail() {
        let flaw = Flaw::new(
            "/forge",
            "invalid",
            "a mail has no signature that could be forged",
        );
        return Err(
            Problem::new(422, "invalid_test", "Invalid test", "see each error")
                .with_errors([flaw])
                .into(),
        );
    }
    let forger = target.forger(&api.flow.sender);
    let forger = forger.map_err(|error| errors::unusable(&error.to_string()))?;
    let tested = try_out(&api, Arc::clone(&target), Some(forger), sample).await?;
    // Only an answer tells whether the receiver looked.
    if let Outcome::Responded { .. } = tested.outcome() {
        api.testing
            .deceived(&target.endpoint, !tested.outcome().is_success());
    }
    Ok(Json(tested))
}

impl Tested {
    pub(super) const fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    pub(super) const fn outcome(&self) -> &Outcome {
        self.attempt.outcome()
    }
}

/// What is sent of a type: the data given, else the sample that its event type has, else something
/// that says of itself what it is.
pub(super) fn sample(
    api: &Api,
    caller: &Caller,
    kind: &str,
    data: Option<Box<RawValue>>,
) -> Result<Sample, Failure> {
    // Whoever wants the relay's own events tries that out, too.
    event_type::check_any(kind).map_err(|error| {
        let flaw = Flaw::new("/type", "invalid_event_type", error.to_string());
        Problem::new(422, "invalid_test", "Invalid test", "see each error").with_errors([flaw])
    })?;
    let pinned = || {
        let entry = api.manager.find(caller.tenant, Kind::EventType, None, kind)?;
        let sample = entry.resource.definition.keys.get("sample")?;
        Some(sample.to_string())
    };
    let made_up = || json!({"test": true, "type": kind, "message": "a sample, to try this endpoint out"});
    let typical = if data.is_none() { pinned() } else { None };
    let is_typical = typical.is_some();
    let given = data.map(|data| data.get().to_owned());
    let data = given.or(typical).unwrap_or_else(|| made_up().to_string());
    Ok(Sample {
        kind: kind.to_owned(),
        data: Bytes::from(data),
        is_typical,
    })
}

/// Sends a sample as an endpoint would, to where it leads or by another way out.
pub(super) async fn try_out(
    api: &Api,
    target: Arc<Target>,
    other: Option<Outlet>,
    sample: Sample,
) -> Result<Tested, Failure> {
    let place = api.testing.place()?;
    let (flow, directory) = (Arc::clone(&api.flow), api.directories.current());
    undisturbed(api, async move {
        let _place = place;
        let outlet = other.as_ref().unwrap_or(&target.outlet);
        let tried = flow.try_out(&directory, &target, outlet, sample).await?;
        Ok(show(&target, outlet, tried))
    })
    .await?
}

fn show(target: &Target, outlet: &Outlet, tried: Tried) -> Tested {
    let redactor = Redactor::of(target);
    let request = |sent: Sent| {
        let body = &sent.message.body;
        Request::of(outlet, &redactor, &sent.headers, body, body.len())
    };
    Tested {
        delivery: tried.delivery,
        event: tried.event.id,
        status: tried.state.as_str(),
        requests: tried.sent.into_iter().map(request).collect(),
        attempt: tried.attempt.into(),
    }
}
