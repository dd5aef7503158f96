//! `/v1/endpoints/{id}/poll`: events fetched by the consumer, for an endpoint with
//! `delivery = "poll"`.
//!
//! What was fetched comes again until it is acknowledged, one by one: an acknowledgement of
//! everything up to some point could take away what was accepted late and has not been seen.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Caller, Manager, Reader};
use super::body::Body;
use super::errors::{self, Failure};
use super::health::bad;
use super::managed::{self, undisturbed};
use super::page::page;
use super::params::{Params, PathId};
use super::stream::too_many;
use crate::deliver::sign::Signer;
use crate::deliver::{fetched, message};
use crate::feed::Wanted;
use crate::http::problem::Problem;
use crate::model::endpoint::Endpoint;
use crate::model::id::DeliveryId;
use crate::model::page::LIMIT_MAX;
use crate::model::resource::Kind;
use crate::model::time::{Timestamp, parse_duration};
use crate::store::monitoring::Unfetched;

/// The longest that a call waits for something to come. What reads requests gives an answer 30
/// seconds, if it is not told otherwise.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Bytes of events in one answer, unless the first alone has more.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(poll))
        .routes(routes!(acknowledge))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// Only what is behind the last one of an answer; without it, whatever is not acknowledged.
    #[param(pattern = "^[0-9a-f]{1,11}-[0-9a-f]{1,15}$")]
    cursor: Option<String>,
    /// How long to wait if there is nothing yet, such as `20s`.
    #[param(pattern = "^([0-9]{1,5}(ms|s))+$")]
    wait: Option<String>,
    /// `true`: with what a receiver would be sent, signed now.
    #[param(value_type = Option<bool>)]
    messages: Option<String>,
}

/// A delivery that waits to be fetched.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FetchedDelivery)]
struct Fetched {
    /// To acknowledge it with.
    id: DeliveryId,
    /// What the header `webhook-id` would say.
    webhook_id: String,
    received_at: Timestamp,
    /// The event, as CloudEvents writes it in JSON.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
    /// Where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Message>,
}

/// The request by which a receiver would get it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FetchedMessage)]
struct Message {
    /// With those of the signature.
    headers: Vec<(String, String)>,
    body_base64: String,
}

/// What waits, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = FetchedDeliveries)]
struct Batch {
    data: Vec<Fetched>,
    /// To go on behind the last one without acknowledging; `null` if there was none.
    next_cursor: Option<String>,
}

/// Fetches what waits for an endpoint that is polled
#[utoipa::path(get, path = "/v1/endpoints/{id}/poll", params(("id" = String, Path, description = "name or id"), Asked), responses((status = 200, body = Batch), (status = 409, description = "`not_polled`: its deliveries are sent; `unusable`")))]
async fn poll(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<Asked>,
) -> Result<Json<Batch>, Failure> {
    let endpoint = polled(&api, &caller, &id)?;
    let limit = page(asked.limit.as_deref(), None)?.limit;
    let cursor = asked.cursor.as_deref().map(parse_cursor).transpose()?;
    let with_messages = match asked.messages.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(bad("messages", &format!("is {other:?}; use true or false"))),
    };
    let batch = async |found| match with_messages {
        false => Batch::of(found, |_| None),
        true => signed(&api, &endpoint, found).await,
    };
    let wait = match asked.wait.as_deref() {
        None => Duration::ZERO,
        Some(text) => parse_duration(text)
            .filter(|wait| *wait <= WAIT_MAX)
            .ok_or_else(|| bad("wait", &format!("is {text:?}; use 0s to 20s")))?,
    };
    let deadline = Instant::now() + wait;
    // Begun before looking, so that what comes meanwhile is not missed.
    let mut watching = None;
    if !wait.is_zero() {
        let wanted = Wanted {
            tenant: caller.tenant,
            endpoint: Some(endpoint.id),
            types: Vec::new(),
            status: None,
        };
        watching = Some(api.flow.feed.watch(wanted).ok_or_else(too_many)?);
    }
    loop {
        let found = api.store.unfetched(endpoint.id, cursor, limit).await?;
        let Some(watching) = watching.as_mut().filter(|_| found.is_empty()) else {
            return Ok(Json(batch(found).await?));
        };
        tokio::select! {
            biased;
            () = api.stop.cancelled() => return Ok(Json(batch(found).await?)),
            _ = watching.next() => {}
            () = tokio::time::sleep_until(deadline) => {
                // What is sent again wakes nobody.
                let found = api.store.unfetched(endpoint.id, cursor, limit).await?;
                return Ok(Json(batch(found).await?));
            }
        }
    }
}

impl Batch {
    fn of(
        mut found: Vec<Unfetched>,
        message: impl Fn(&Unfetched) -> Option<Message>,
    ) -> Result<Self, Failure> {
        found.truncate(fitting(&found));
        let last = found.last().map(|last| (last.due, last.delivery));
        let data = found.into_iter().map(|one| {
            let text = message::as_cloudevent(&one.event);
            let text = String::from_utf8_lossy(&text).into_owned();
            let event = RawValue::from_string(text).map_err(|error| errors::broken(&error.to_string()))?;
            Ok(Fetched {
                message: message(&one),
                id: one.delivery,
                webhook_id: message::webhook_id(one.delivery),
                received_at: one.event.received_at,
                event,
            })
        });
        Ok(Self {
            data: data.collect::<Result<_, Failure>>()?,
            next_cursor: last.map(|(due, id)| format!("{:x}-{:x}", due.as_millis(), id.raw())),
        })
    }
}

/// How many of these an answer has room for: one at least.
fn fitting(found: &[Unfetched]) -> usize {
    let mut bytes = 0;
    let fits = |one: &&Unfetched| {
        bytes += one.event.data.len();
        bytes <= ANSWER_BYTES_MAX
    };
    found.iter().take_while(fits).count().max(1)
}

/// The same, each with what a receiver would be sent.
async fn signed(api: &Api, endpoint: &Endpoint, found: Vec<Unfetched>) -> Result<Batch, Failure> {
    if found.is_empty() {
        return Batch::of(found, |_| None);
    }
    let (secrets, retiring) = api.manager.secrets_of(endpoint).await?;
    let signer = Signer::new(&secrets).and_then(|signer| signer.beside(&retiring));
    let signer = signer.map_err(|error| errors::unusable(&format!("its signing secret: {error}")))?;
    let now = api.clock.now();
    Batch::of(found, |one| {
        let (headers, body) = fetched::request(endpoint, &one.event, one.delivery, &signer, now)?;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Some(Message {
            headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body_base64: STANDARD.encode(&body),
        })
    })
}

fn parse_cursor(text: &str) -> Result<(Timestamp, DeliveryId), Failure> {
    let read = |digits| i64::from_str_radix(digits, 16).ok();
    let parts = text.split_once('-');
    let parts = parts.and_then(|(due, id)| Some((read(due)?, read(id)?)));
    let (due, id) = parts.ok_or_else(|| bad("cursor", "is none; pass on `next_cursor` of an answer"))?;
    Ok((Timestamp::from_millis(due), DeliveryId::from_raw(id)))
}

/// The endpoint, if it is one that is polled.
fn polled(api: &Api, caller: &Caller, asked: &str) -> Result<Arc<Endpoint>, Failure> {
    let entry = managed::find(api, caller, Kind::Endpoint, asked)?;
    if let Some(endpoint) = entry.endpoint().filter(|endpoint| endpoint.is_polled) {
        return Ok(Arc::clone(endpoint));
    }
    let detail = "its deliveries are sent; `expected` beside this tells what should have come";
    Err(Problem::new(409, "not_polled", "Not polled", detail).into())
}

/// What a consumer has.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Acknowledgement {
    ids: Vec<DeliveryId>,
}

/// What came of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Acknowledged)]
struct Acknowledged {
    /// Those that waited; others were acknowledged before, or are not of this endpoint.
    acknowledged: usize,
}

/// Ends deliveries that were fetched
#[utoipa::path(post, path = "/v1/endpoints/{id}/poll/ack", params(("id" = String, Path, description = "name or id")), request_body = Acknowledgement, responses((status = 200, body = Acknowledged), (status = 409, description = "`not_polled`: its deliveries are sent"), (status = 422, description = "`too_many_ids`")))]
async fn acknowledge(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Body(Acknowledgement { ids }): Body<Acknowledgement>,
) -> Result<Json<Acknowledged>, Failure> {
    let endpoint = polled(&api, &caller, &id)?.id;
    if ids.len() > LIMIT_MAX {
        let detail = format!("ids has {} entries; send up to {LIMIT_MAX} at once", ids.len());
        return Err(Problem::new(422, "too_many_ids", "Too many ids", detail).into());
    }
    let (flow, tenant) = (api.flow.clone(), caller.tenant);
    let acknowledged = undisturbed(&api, async move {
        let count = flow.store.fetched(endpoint, ids, flow.clock.steady()).await?;
        flow.stats.fetched(tenant, endpoint, count as u64);
        Ok::<_, crate::store::Error>(count)
    });
    let acknowledged = acknowledged.await??;
    Ok(Json(Acknowledged { acknowledged }))
}
