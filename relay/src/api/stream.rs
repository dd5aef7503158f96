//! `GET /v1/stream`: what happens, as it happens, as server-sent events (WHATWG HTML, 9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Keys, Reader};
use super::errors::Failure;
use super::health::bad;
use super::managed;
use super::page::parameter;
use super::params::Params;
use crate::feed::{Happening, Wanted, Watching};
use crate::http::problem::Problem;
use crate::model::delivery::State as Stand;
use crate::model::id::{EndpointId, KeyId};
use crate::model::resource::Kind;

/// A comment goes out so often while nothing happens, so that a connection that is gone is noticed
/// by both sides.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a key that was revoked goes on seeing what happens, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stream))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// An endpoint's name or id.
    endpoint: Option<String>,
    /// An event type or a pattern of them.
    r#type: Option<String>,
    /// Attempts only, whose delivery stands so then.
    #[param(value_type = Option<super::deliveries::Standing>)]
    status: Option<String>,
}

/// Sends what happens, as it happens, as server-sent events
#[utoipa::path(get, path = "/v1/stream", params(Asked), responses((status = 200, body = String, content_type = "text/event-stream"), (status = 404, description = "`not_found`: no such endpoint")))]
async fn stream(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Response, Failure> {
    let endpoint = match &asked.endpoint {
        Some(name) => Some(managed::find(&api, &caller, Kind::Endpoint, name)?),
        None => None,
    };
    let types = match &asked.r#type {
        Some(text) => vec![text.parse().map_err(|error| bad("type", &format!("{error}")))?],
        None => Vec::new(),
    };
    let status = parameter::<Stand>(
        "status",
        asked.status.as_deref(),
        "use pending, succeeded, failed, dropped or cancelled",
    )?;
    let wanted = Wanted {
        tenant: caller.tenant,
        endpoint: endpoint.map(|entry| EndpointId::from_raw(entry.resource.id)),
        types,
        status: status.map(Stand::as_str),
    };
    let watching = api.flow.feed.watch(wanted).ok_or_else(too_many)?;
    let lines = Lines {
        watching,
        stop: api.stop.clone(),
        is_begun: false,
        keys: Arc::clone(&api.keys),
        key: caller.key,
        looked_at: Instant::now(),
    };
    let body = stream::unfold(lines, |mut lines| async {
        let line = lines.next().await?;
        Some((Ok::<_, Infallible>(line), lines))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// What is said of one who may not watch as well.
pub(super) fn too_many() -> Failure {
    let detail = "as many watch as may at once; try again later";
    Failure(Problem::new(
        503,
        "too_many_watchers",
        "Too many watchers",
        detail,
    ))
}

/// What goes to one who watches.
struct Lines {
    watching: Watching,
    stop: CancellationToken,
    is_begun: bool,
    keys: Arc<Keys>,
    key: KeyId,
    /// When it was last looked whether the key is in force.
    looked_at: Instant,
}

impl Lines {
    /// The next line, for as long as the key of who watches is in force.
    async fn next(&mut self) -> Option<Bytes> {
        let line = self.wait().await?;
        if self.looked_at.elapsed() >= LOOK_EVERY {
            self.looked_at = Instant::now();
            return self.keys.is_in_force(self.key).then_some(line);
        }
        Some(line)
    }

    async fn wait(&mut self) -> Option<Bytes> {
        // At once, so that who asks knows from when on it sees everything.
        if !std::mem::replace(&mut self.is_begun, true) {
            return Some(Bytes::from_static(b": watching\n\n"));
        }
        let lost = self.watching.take_lost();
        if lost > 0 {
            return Some(Bytes::from(format!(
                "event: dropped\ndata: {{\"dropped\":{lost}}}\n\n"
            )));
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            happening = self.watching.next() => happening.as_deref().map(line),
            () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b": still here\n\n")),
        }
    }
}

fn line(happening: &Happening) -> Bytes {
    let word = match happening {
        Happening::Event(_) => "event",
        Happening::Attempt(_) => "attempt",
    };
    // JSON has no line feed in it. The kind is in it as well: `relay tail --json` prints nothing else.
    let json = serde_json::to_string(happening).unwrap_or_else(|error| {
        tracing::error!(%error, "something that happened cannot be shown");
        "null".to_owned()
    });
    Bytes::from(format!("event: {word}\ndata: {json}\n\n"))
}
