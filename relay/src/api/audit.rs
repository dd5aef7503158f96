//! `/v1/audit`: who changed what, and who looked at secrets.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Caller, Manager};
use super::errors::Failure;
use super::page::{List, bad, page, parameter, time};
use super::params::Params;
use crate::manage::audit;
use crate::model::audit::{Deed, Entry, actions};
use crate::model::id::{KeyId, TenantId};
use crate::model::time::Timestamp;
use crate::model::words::nearest;
use crate::store::{self, AuditFilter, Chained, Store};

/// Entries of an export that are held at once.
const PIECE: usize = 250;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(export))
        .routes(routes!(verify))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
    /// A key's id.
    #[param(value_type = Option<KeyId>)]
    actor: Option<String>,
    /// As in `endpoint.changed`.
    #[param(schema_with = action_schema, required = false)]
    action: Option<String>,
    /// An id, or a name.
    resource: Option<String>,
    /// At or after this time.
    #[param(value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Before this time.
    #[param(value_type = Option<Timestamp>)]
    until: Option<String>,
}

fn action_schema() -> Object {
    let string = ObjectBuilder::new().schema_type(Type::String);
    string.enum_values(Some(actions())).build()
}

fn known_action(action: String) -> Result<String, Failure> {
    let known = actions();
    if known.contains(&action) {
        return Ok(action);
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let wanted = match nearest(&action, &known) {
        Some(near) => format!("did you mean {near}?"),
        None => "no such action is noted; use one such as endpoint.changed".to_owned(),
    };
    Err(bad("action", format!("is {action:?}; {wanted}")))
}

/// Lists what was done, newest first
#[utoipa::path(get, path = "/v1/audit", params(Asked), responses((status = 200, body = List<Entry>)))]
async fn list(
    Manager(caller): Manager,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Entry>>, Failure> {
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let filter = AuditFilter {
        actor: parameter("actor", asked.actor.as_deref(), "use an id such as key_…")?,
        action: asked.action.map(known_action).transpose()?,
        resource: asked.resource,
        since: time("since", asked.since.as_deref())?,
        until: time("until", asked.until.as_deref())?,
    };
    let listed = api.store.noted(caller.tenant, filter, page).await?;
    Ok(Json(List::of(listed, |entry| entry)))
}

/// Gives the whole audit log, oldest first, a line of JSON for each entry
///
/// `hash` is SHA-256 over the bytes of the `hash` before it and the text of `entry` as it stands in
/// the line; before the first entry there are 32 zeros.
#[utoipa::path(
    get,
    path = "/v1/audit/export",
    responses((status = 200, body = String, content_type = "application/x-ndjson"))
)]
async fn export(Manager(caller): Manager, State(api): State<Api>) -> Response {
    let pieces = stream::try_unfold((api.store, Some(0)), move |(store, after)| async move {
        let Some(after) = after else { return Ok(None) };
        let (piece, next) = piece(store.as_ref(), caller.tenant, after).await?;
        Ok::<_, store::Error>(Some((piece, (store, next))))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(pieces)).into_response()
}

/// The entries after a number as lines, and the number to go on after.
async fn piece(
    store: &dyn Store,
    tenant: TenantId,
    after: u64,
) -> Result<(Bytes, Option<u64>), store::Error> {
    let chain = store.chain(tenant, after, PIECE).await?;
    let lines: String = chain.entries.iter().map(line).collect();
    let last = chain.entries.last().filter(|_| chain.has_more);
    Ok((Bytes::from(lines), last.map(|last| last.link.number)))
}

/// By hand: the entry has to stand there as it was hashed.
fn line(chained: &Chained) -> String {
    let hash = hex::encode(chained.link.hash);
    format!("{{\"hash\":\"{hash}\",\"entry\":{}}}\n", chained.text)
}

/// Whether the audit log is whole.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AuditVerdict)]
struct Verdict {
    /// Whether every entry follows on the one before it.
    intact: bool,
    /// Entries that do.
    entries: u64,
    last_number: u64,
    /// Of the last of these. Kept elsewhere, it also tells later whether the end was cut off.
    last_hash: String,
    broken: Option<Broken>,
}

/// The first entry that does not follow.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BrokenAuditEntry)]
struct Broken {
    number: u64,
    why: &'static str,
}

/// Says whether the audit log is as it was written
#[utoipa::path(get, path = "/v1/audit/verify", responses((status = 200, body = Verdict)))]
async fn verify(Manager(caller): Manager, State(api): State<Api>) -> Result<Json<Verdict>, Failure> {
    let followed = audit::follow(api.store.as_ref(), caller.tenant).await?;
    Ok(Json(Verdict {
        intact: followed.broken.is_none(),
        entries: followed.entries,
        last_number: followed.last.number,
        last_hash: hex::encode(followed.last.hash),
        broken: followed.broken.map(|(number, why)| Broken { number, why }),
    }))
}

/// Notes what is about to be done, where that has no transaction of its own with the note. After a
/// crash there may be a note of what was not done, and never the other way round.
pub(super) async fn note(
    api: &Api,
    caller: &Caller,
    action: &'static str,
    object: (impl ToString, Option<&str>),
    after: Option<Value>,
) -> Result<(), Failure> {
    let deed = deed(api, caller, action, object, after);
    Ok(api.store.note(deed).await?)
}

/// What is noted of something that a caller does.
pub(super) fn deed(
    api: &Api,
    caller: &Caller,
    action: &'static str,
    (id, name): (impl ToString, Option<&str>),
    after: Option<Value>,
) -> Deed {
    Deed {
        after: after.and_then(|after| after.as_object().cloned()),
        ..Deed::new(caller.tenant, api.clock.now(), caller.by(), action).to(id, name)
    }
}
