//! What every kind of resource takes: lists of them, making, showing, replacing, changing, deleting
//! and restoring one; with what the OpenAPI document says of it.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::ParameterIn;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::auth::Caller;
use super::errors::Failure;
use super::managed::{self, Asked, Keys, Shown};
use super::page::List;
use super::params::{Params, PathId};
use crate::manage::{Entry, Write};
use crate::model::resource::Kind;

/// A kind of resource as the management API serves it.
pub(super) trait Served: 'static {
    const KIND: Kind;
    /// Whether deleting one calls off deliveries, so that the answer says how many.
    const CANCELS: bool = false;
    /// Who may look.
    type Reader: Who;
    /// Who may change.
    type Manager: Who;

    /// One as it is shown: its definition, what every resource shows, and what its kind adds.
    fn show(_: &Api, entry: &Entry) -> Shown {
        Shown::of(entry)
    }
}

/// A caller with the right that a request needs.
pub(super) trait Who:
    FromRequestParts<Api, Rejection = Failure> + Into<Caller> + Send + 'static
{
}

impl<T: FromRequestParts<Api, Rejection = Failure> + Into<Caller> + Send + 'static> Who for T {}

/// What is asked of a kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    List,
    Create,
    One,
    Replace,
    Patch,
    Delete,
    Restore,
}

impl Request {
    pub(super) const ALL: [Self; 7] = [
        Self::List,
        Self::Create,
        Self::One,
        Self::Replace,
        Self::Patch,
        Self::Delete,
        Self::Restore,
    ];

    fn path(self, kind: Kind) -> String {
        let below = match self {
            Self::List | Self::Create => "",
            Self::One | Self::Replace | Self::Patch | Self::Delete => "/{id}",
            Self::Restore => "/{id}/restore",
        };
        format!("/v1/{}{below}", kind.plural())
    }

    fn handler<S: Served>(self) -> MethodRouter<Api> {
        match self {
            Self::List => get(list::<S>),
            Self::Create => post(create::<S>),
            Self::One => get(one::<S>),
            Self::Replace => put(replace::<S>),
            Self::Patch => patch(change::<S>),
            Self::Delete => delete(remove::<S>),
            Self::Restore => post(restore::<S>),
        }
    }
}

/// These requests of a kind; what differs from others of its kind is routed by its own file.
pub(super) fn routes<S: Served>(requests: &[Request]) -> OpenApiRouter<Api> {
    let described = OpenApiRouter::with_openapi(described::<S>(requests));
    requests.iter().fold(described, |router, request| {
        router.route(&request.path(S::KIND), request.handler::<S>())
    })
}

async fn list<S: Served>(
    reader: S::Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    managed::list(&api, &reader.into(), S::KIND, asked, |entry| S::show(&api, entry)).await
}

async fn create<S: Served>(
    manager: S::Manager,
    State(api): State<Api>,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    make::<S>(&api, &manager.into(), keys).await
}

/// Makes a new one.
pub(super) async fn make<S: Served>(
    api: &Api,
    caller: &Caller,
    keys: Map<String, Value>,
) -> Result<Response, Failure> {
    managed::create(api, caller, S::KIND, keys, |entry| S::show(api, entry)).await
}

async fn one<S: Served>(
    reader: S::Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    let entry = managed::find(&api, &reader.into(), S::KIND, &id)?;
    Ok(managed::one(&entry, |entry| S::show(&api, entry)))
}

async fn replace<S: Served>(
    manager: S::Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    write::<S>(&api, &manager.into(), &id, &headers, Write::Replace(keys)).await
}

async fn change<S: Served>(
    manager: S::Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    write::<S>(&api, &manager.into(), &id, &headers, Write::Patch(keys)).await
}

/// Changes one in force.
pub(super) async fn write<S: Served>(
    api: &Api,
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    write: Write,
) -> Result<Response, Failure> {
    let show = |entry: &Entry| S::show(api, entry);
    managed::change(api, caller, (S::KIND, id), headers, write, show).await
}

async fn remove<S: Served>(
    manager: S::Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (id, cancelled) = managed::delete(&api, &manager.into(), (S::KIND, &id), &headers).await?;
    if !S::CANCELS {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let id = S::KIND.id(id);
    Ok(Json(Deleted { id, cancelled }).into_response())
}

/// What became of the deliveries of one that was deleted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Deleted {
    id: String,
    /// Deliveries that waited and will not be made.
    cancelled: usize,
}

async fn restore<S: Served>(
    manager: S::Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    managed::restore(&api, &manager.into(), (S::KIND, &id), |entry| {
        S::show(&api, entry)
    })
    .await
}

// ---- the document ----------------------------------------------------------------------

/// What schemas of a kind are called: `EventType`, with `Definition` and `Patch` behind it for what
/// is sent.
pub(super) fn schema_name(kind: Kind) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    kind.word().split(' ').map(capital).collect()
}

fn described<S: Served>(requests: &[Request]) -> OpenApi {
    let kind = S::KIND;
    let mut paths = json!({});
    for request in requests {
        let (method, mut operation) = request.operation(kind);
        if request.adds_to(kind) {
            let (status, codes) = QUOTA;
            operation["responses"][status] = json!({"description": codes});
        }
        if *request == Request::Delete && S::CANCELS {
            let kept = if kind == Kind::Tenant { DEFAULT } else { DECLARED };
            operation["responses"] = refusals(json!({"200": body("Deleted")}), &[kept, REVISION]);
        }
        paths[request.path(kind)][method] = operation;
    }
    let info = json!({"title": "", "version": ""});
    serde_json::from_value(json!({"openapi": "3.1.0", "info": info, "paths": paths}))
        .expect("what is said here reads as OpenAPI")
}

impl Request {
    /// Whether a tenant may have too many of that kind, or of the plugins that it uses, for this.
    const fn adds_to(self, kind: Kind) -> bool {
        matches!(kind, Kind::Source | Kind::Endpoint)
            && matches!(self, Self::Create | Self::Replace | Self::Patch | Self::Restore)
    }

    /// Its method, and what it does.
    fn operation(self, kind: Kind) -> (&'static str, Value) {
        let word = kind.word();
        let article = if word.starts_with(['a', 'e']) { "an" } else { "a" };
        let a = format!("{article} {word}");
        let name = schema_name(kind);
        let (definition, change) = (format!("{name}Definition"), format!("{name}Patch"));
        let named = || json!({"name": "id", "in": "path", "required": true, "description": "name or id", "schema": {"type": "string"}});
        let revision = || json!({"name": "If-Match", "in": "header", "required": false, "description": "the `ETag` of what was read", "schema": {"type": "string"}});
        match self {
            Self::List => (
                "get",
                json!({
                    "operationId": "list",
                    "summary": format!("Lists {word}s"),
                    "parameters": Asked::into_params(|| Some(ParameterIn::Query)),
                    "responses": {"200": body(&format!("List_{name}"))},
                }),
            ),
            Self::Create => (
                "post",
                json!({
                    "operationId": "create",
                    "summary": format!("Makes {a}"),
                    "requestBody": {"content": json_of(&definition), "required": true},
                    "responses": answers("201", &name, &[NAME, SIZE, DEFINITION]),
                }),
            ),
            Self::One => (
                "get",
                json!({
                    "operationId": "one",
                    "summary": format!("Shows {a}"),
                    "parameters": [named()],
                    "responses": answers("200", &name, &[]),
                }),
            ),
            Self::Replace => (
                "put",
                json!({
                    "operationId": "replace",
                    "summary": format!("Replaces the definition of {a}"),
                    "description": "What only the relay says is passed over, so that what was read can be sent back.",
                    "parameters": [named(), revision()],
                    "requestBody": {"content": json_of(&definition), "required": true},
                    "responses": answers("200", &name, &[DECLARED_OR_NAME, REVISION, SIZE, DEFINITION]),
                }),
            ),
            Self::Patch => (
                "patch",
                json!({
                    "operationId": "patch",
                    "summary": format!("Changes {a}, by a JSON Merge Patch (RFC 7396)"),
                    "parameters": [named(), revision()],
                    "requestBody": {
                        "content": {
                            "application/merge-patch+json": {"schema": reference(&change)},
                            "application/json": {"schema": reference(&change)},
                        },
                        "required": true,
                    },
                    "responses": answers("200", &name, &[DECLARED_OR_NAME, REVISION, SIZE, DEFINITION]),
                }),
            ),
            Self::Delete => (
                "delete",
                json!({
                    "operationId": "delete",
                    "summary": format!("Deletes {a}"),
                    "description": "It can be restored for 30 days.",
                    "parameters": [named(), revision()],
                    "responses": refusals(json!({"204": {"description": "deleted"}}), &[DECLARED, REVISION]),
                }),
            ),
            Self::Restore => {
                let id = json!({"name": "id", "in": "path", "required": true, "description": "its id", "schema": {"type": "string"}});
                let operation = json!({
                    "operationId": "restore",
                    "summary": format!("Puts a deleted {word} in force again"),
                    "parameters": [id],
                    "responses": answers("200", &name, &[NAME, DEFINITION]),
                });
                ("post", operation)
            }
        }
    }
}

/// A status that refuses, and its codes.
type Refuses = (&'static str, &'static str);

const QUOTA: Refuses = (
    "403",
    "`forbidden`, or `quota_reached`: the tenant has as many as it may have",
);
const NAME: Refuses = ("409", "`name_taken` or `too_many`");
const DEFAULT: Refuses = ("409", "`default_tenant`: that one is always there");
const DECLARED: Refuses = ("409", "`declared_in_file`");
const DECLARED_OR_NAME: Refuses = ("409", "`name_taken`, `declared_in_file` or `too_many`");
const REVISION: Refuses = ("412", "`changed_meanwhile`");
const SIZE: Refuses = ("413", "`body_too_large` or `definition_too_large`");
const DEFINITION: Refuses = ("422", "`invalid_definition` or `unusable`");

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn json_of(schema: &str) -> Value {
    json!({"application/json": {"schema": reference(schema)}})
}

fn body(schema: &str) -> Value {
    json!({"description": "", "content": json_of(schema)})
}

/// One that is shown with its revision, or why not.
fn answers(status: &str, schema: &str, refused: &[Refuses]) -> Value {
    let mut shown = body(schema);
    shown["headers"] = json!({"ETag": {"schema": {"type": "string"}}});
    refusals(json!({ status: shown }), refused)
}

fn refusals(mut answers: Value, refused: &[Refuses]) -> Value {
    for (status, codes) in refused {
        answers[status] = json!({"description": codes});
    }
    answers
}
