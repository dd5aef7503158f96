//! What sources, endpoints, rules and event types have in common: made, shown, changed, deleted and
//! restored by the same requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::auth::Caller;
use super::body::Body;
use super::errors::{self, Failure};
use super::page::{List, page};
use super::{Api, conditions};
use crate::flow::end::DELETED;
use crate::http::problem::{Flaw, Problem};
use crate::manage::{Entry, Fault, Handle, Left, Origin, Refused, Write};
use crate::model::id::{AlertId, EndpointId, EventTypeId, RuleId, SourceId, TenantId};
use crate::model::page::Page;
use crate::model::resource::{Kind, Resource};
use crate::model::time::Timestamp;
use crate::store::Which;

/// What is asked of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
    /// Text in the name, the URL or the description, in any case.
    q: Option<String>,
    tag: Option<String>,
    owner: Option<String>,
    /// What something else knows it by.
    external_id: Option<String>,
    /// `true`: those that were deleted and can be restored.
    #[param(value_type = Option<bool>)]
    deleted: Option<String>,
}

/// A resource as it is shown: the keys of its definition, and what the relay adds.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Managed)]
pub(super) struct Shown {
    id: String,
    #[serde(flatten)]
    #[schema(ignore)]
    keys: Map<String, Value>,
    /// `file`: the configuration file declares it, and it is changed there; `api`.
    #[schema(value_type = ManagedBy)]
    managed_by: &'static str,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    /// Why the definition as it stands is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
}

/// The words of `managed_by`.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the words of `Origin` as the document lists them")]
pub(super) enum ManagedBy {
    File,
    Api,
}

impl Shown {
    pub(super) fn of(entry: &Entry) -> Self {
        let managed_by = match entry.origin {
            Origin::File => "file",
            Origin::Api => "api",
        };
        Self {
            unusable: entry.unusable.clone(),
            managed_by,
            ..Self::of_deleted(&entry.resource)
        }
    }

    fn of_deleted(resource: &Resource) -> Self {
        let mut keys = resource.definition.shown();
        if matches!(resource.kind, Kind::Endpoint | Kind::Rule | Kind::Alert) {
            // What most look for first, whether it was said or not.
            keys.entry("enabled").or_insert(Value::Bool(true));
        }
        Self {
            id: resource.kind.id(resource.id),
            keys,
            managed_by: "api",
            created_at: resource.created_at,
            updated_at: resource.updated_at,
            deleted_at: resource.deleted_at,
            unusable: None,
        }
    }

    /// Shows more, in place of keys of the same names.
    pub(super) fn add(&mut self, more: &impl Serialize) {
        if let Ok(Value::Object(more)) = serde_json::to_value(more) {
            self.keys.extend(more);
        }
    }

    /// Whether that key is shown as true.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.keys.get(key) == Some(&Value::Bool(true))
    }
}

fn parse(kind: Kind, text: &str) -> Option<i64> {
    match kind {
        Kind::Source => text.parse().ok().map(SourceId::raw),
        Kind::Endpoint => text.parse().ok().map(EndpointId::raw),
        Kind::Rule => text.parse().ok().map(RuleId::raw),
        Kind::EventType => text.parse().ok().map(EventTypeId::raw),
        Kind::Alert => text.parse().ok().map(AlertId::raw),
        Kind::Tenant => text.parse().ok().map(TenantId::raw),
    }
}

/// Finds one in force by its id or name.
pub(super) fn find(api: &Api, caller: &Caller, kind: Kind, asked: &str) -> Result<Arc<Entry>, Failure> {
    api.manager
        .find(caller.tenant, kind, parse(kind, asked), asked)
        .ok_or_else(|| unknown(kind, asked))
}

fn unknown(kind: Kind, asked: &str) -> Failure {
    Failure(Problem::not_found(format!(
        "there is no {} {asked:?}",
        kind.word()
    )))
}

/// A page of those in force, or of those deleted.
pub(super) async fn list(
    api: &Api,
    caller: &Caller,
    kind: Kind,
    asked: Asked,
    show: impl Fn(&Entry) -> Shown,
) -> Result<Json<List<Shown>>, Failure> {
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    match asked.deleted.as_deref() {
        None | Some("false") => Ok(Json(living(api, caller.tenant, kind, page, &asked, show))),
        Some("true") => {
            let listed = api
                .store
                .resources(caller.tenant, kind, Which::Deleted, page)
                .await?;
            let mut listed = listed;
            listed.items.retain(|resource| asked.wants(resource));
            Ok(Json(List::of(listed, |resource| Shown::of_deleted(&resource))))
        }
        Some(other) => Err(Problem::new(
            400,
            "bad_parameter",
            "Bad parameter",
            format!("the parameter deleted is {other:?}; use true or false"),
        )
        .into()),
    }
}

fn living(
    api: &Api,
    tenant: TenantId,
    kind: Kind,
    page: Page,
    asked: &Asked,
    show: impl Fn(&Entry) -> Shown,
) -> List<Shown> {
    let all = api.manager.list(tenant, kind, page.before);
    let mut wanted = all.iter().filter(|entry| asked.wants(&entry.resource));
    let items: Vec<_> = wanted.by_ref().take(page.limit).collect();
    let next = wanted
        .next()
        .and_then(|_| items.last())
        .map(|last| last.resource.id);
    List {
        next_cursor: next.map(|raw| format!("{raw:x}")),
        data: items.into_iter().map(|entry| show(entry)).collect(),
    }
}

impl Asked {
    fn wants(&self, resource: &Resource) -> bool {
        let keys = &resource.definition.keys;
        let text = |key: &str| keys.get(key).and_then(Value::as_str).unwrap_or_default();
        let tags = || keys.get("tags").and_then(Value::as_array).into_iter().flatten();
        self.q.as_ref().is_none_or(|wanted| {
            let wanted = wanted.to_lowercase();
            ["name", "url", "description"]
                .iter()
                .any(|key| text(key).to_lowercase().contains(&wanted))
        }) && self.owner.as_ref().is_none_or(|owner| owner == text("owner"))
            && self.external_id.as_ref().is_none_or(|wanted| {
                keys.get("external_id").is_some_and(|found| match found {
                    Value::String(found) => found == wanted,
                    Value::Number(found) => found.to_string() == *wanted,
                    _ => false,
                })
            })
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| tags().any(|own| own.as_str() == Some(tag)))
    }
}

/// What only the relay says: passed over in a body, so that what was read can be sent back.
pub(super) const READ_ONLY: [&str; 13] = [
    "id",
    "managed_by",
    "created_at",
    "updated_at",
    "deleted_at",
    "unusable",
    "condition",
    "disabled",
    "lints",
    "state",
    "firing",
    "path",
    "path_overlap_until",
];

/// The body of a request that has to be a JSON object.
pub(super) struct Keys(pub(super) Map<String, Value>);

impl FromRequest<Api> for Keys {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let Body(mut keys) = Body::<Map<String, Value>>::from_request(request, api).await?;
        keys.retain(|key, _| !READ_ONLY.contains(&key.as_str()));
        Ok(Self(keys))
    }
}

/// Does something in a task of its own, to its end even if the caller hangs up: a change is never
/// left half done.
pub(super) async fn undisturbed<T: Send + 'static>(
    api: &Api,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    let done = api.flow.tasks.spawn(work).await;
    done.map_err(|error| errors::broken(&error.to_string()))
}

/// Makes a new one.
pub(super) async fn create(
    api: &Api,
    caller: &Caller,
    kind: Kind,
    keys: Map<String, Value>,
    show: impl Fn(&Entry) -> Shown,
) -> Result<Response, Failure> {
    let (manager, tenant, by) = (Arc::clone(&api.manager), caller.tenant, caller.by());
    let made = undisturbed(api, async move { manager.create(tenant, kind, keys, by).await }).await?;
    let entry = made.map_err(|refused| problem(kind, refused))?;
    tracing::info!(by = %caller.key, kind = kind.word(), name = entry.resource.name, "created");
    Ok(answer(StatusCode::CREATED, &entry, show))
}

/// Shows one in force.
pub(super) fn one(entry: &Entry, show: impl Fn(&Entry) -> Shown) -> Response {
    answer(StatusCode::OK, entry, show)
}

/// Changes one; `If-Match` makes sure of the revision that the caller knows.
pub(super) async fn change(
    api: &Api,
    caller: &Caller,
    (kind, asked): (Kind, &str),
    headers: &HeaderMap,
    write: Write,
    show: impl Fn(&Entry) -> Shown,
) -> Result<Response, Failure> {
    let entry = find(api, caller, kind, asked)?;
    let (manager, handle) = (Arc::clone(&api.manager), handle(&entry.resource, headers)?);
    let by = caller.by();
    let changed = undisturbed(api, async move { manager.change(handle, write, by).await }).await?;
    let entry = changed.map_err(|refused| problem(kind, refused))?;
    tracing::info!(by = %caller.key, kind = kind.word(), name = entry.resource.name, "changed");
    Ok(answer(StatusCode::OK, &entry, show))
}

/// Takes one out of force; how many deliveries that cancelled.
pub(super) async fn delete(
    api: &Api,
    caller: &Caller,
    (kind, asked): (Kind, &str),
    headers: &HeaderMap,
) -> Result<(i64, usize), Failure> {
    let entry = find(api, caller, kind, asked)?;
    let handle = handle(&entry.resource, headers)?;
    let (manager, flow) = (Arc::clone(&api.manager), Arc::clone(&api.flow));
    let by = caller.by();
    let deleted = undisturbed(api, async move {
        let left = manager.delete(handle, &flow, by).await?;
        let Left { entry, jobs, before } = left;
        let (mut cancelled, mut failed) = (0, None);
        // All of them, even if one fails: their jobs are known nowhere else.
        for (endpoint, jobs) in jobs {
            match flow.cancel_waiting(endpoint, jobs, before, DELETED).await {
                Ok(count) => cancelled += count,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok((entry.resource.id, cancelled)), |error| Err(error.into()))
    });
    let deleted = deleted.await?.map_err(|refused| problem(kind, refused))?;
    tracing::info!(by = %caller.key, kind = kind.word(), name = entry.resource.name, "deleted");
    Ok(deleted)
}

/// Puts a deleted one in force again.
pub(super) async fn restore(
    api: &Api,
    caller: &Caller,
    (kind, asked): (Kind, &str),
    show: impl Fn(&Entry) -> Shown,
) -> Result<Response, Failure> {
    let id = parse(kind, asked).ok_or_else(|| unknown(kind, asked))?;
    let handle = Handle {
        tenant: caller.tenant,
        kind,
        id,
        revision: None,
    };
    let manager = Arc::clone(&api.manager);
    let by = caller.by();
    let restored = undisturbed(api, async move { manager.restore(handle, by).await }).await?;
    let entry = restored.map_err(|refused| match refused {
        Refused::Unknown => Failure(Problem::not_found(format!(
            "there is no deleted {} {asked:?}",
            kind.word()
        ))),
        other => problem(kind, other),
    })?;
    tracing::info!(by = %caller.key, kind = kind.word(), name = entry.resource.name, "restored");
    Ok(answer(StatusCode::OK, &entry, show))
}

pub(super) fn handle(resource: &Resource, headers: &HeaderMap) -> Result<Handle, Failure> {
    Ok(Handle {
        tenant: resource.tenant,
        kind: resource.kind,
        id: resource.id,
        revision: conditions::if_match(headers)?,
    })
}

fn answer(status: StatusCode, entry: &Entry, show: impl Fn(&Entry) -> Shown) -> Response {
    let headers: [(HeaderName, HeaderValue); 1] = [(header::ETAG, conditions::etag(entry.resource.revision))];
    (status, headers, Json(show(entry))).into_response()
}

/// A fault of a definition, as one of a body.
pub(super) fn flaw(fault: &Fault) -> Flaw {
    let message = match fault.remedy.as_str() {
        "" => fault.problem.clone(),
        remedy => format!("{}; {remedy}", fault.problem),
    };
    Flaw::new(fault.path.pointer(), "invalid", message)
}

/// What a caller is told of a change that was not made.
pub(super) fn problem(kind: Kind, refused: Refused) -> Failure {
    let word = kind.word();
    Failure(match refused {
        Refused::Invalid(faults) => {
            let flaws = faults.iter().map(flaw);
            Problem::new(
                422,
                "invalid_definition",
                "Invalid definition",
                format!("this {word} cannot be: see each error"),
            )
            .with_errors(flaws)
        }
        Refused::Unusable(why) => Problem::new(422, "unusable", "Unusable", why),
        Refused::NameTaken(name) => Problem::new(
            409,
            "name_taken",
            "Name taken",
            format!("there is a {word} {name:?} already"),
        ),
        Refused::Changed { revision } => Problem::new(
            412,
            "changed_meanwhile",
            "Changed meanwhile",
            format!("this {word} is at revision {revision} now; read it again"),
        ),
        Refused::Unknown => Problem::not_found(format!("there is no such {word} any more")),
        Refused::Declared(name) => Problem::new(
            409,
            "declared_in_file",
            "Declared in the file",
            format!("the configuration file declares the {word} {name:?}; change it there"),
        ),
        Refused::TooMany(max) => Problem::new(
            409,
            "too_many",
            "Too many",
            format!("there are {max} of this kind, which is as many as there may be"),
        ),
        Refused::TooLarge(bytes) => Problem::new(
            413,
            "definition_too_large",
            "Definition too large",
            format!("it would have {bytes} bytes"),
        ),
        Refused::Quota(reached) => errors::quota(&reached),
        Refused::Permanent => Problem::new(
            409,
            "default_tenant",
            "The default tenant",
            "the default tenant is always there",
        ),
        Refused::Retiring(max) => Problem::new(
            409,
            "still_rotating",
            "Still rotating",
            format!("{max} that were replaced are still in use; wait until the overlap of one is over"),
        ),
        Refused::Store(error) => errors::of_store(&error),
    })
}
