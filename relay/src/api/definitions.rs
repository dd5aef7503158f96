//! `/v1/definitions`: everything that is managed, as a configuration file would say it, and what
//! would have to be done so that it is as another file says.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Manager, Reader};
use super::body::{self, Body};
use super::errors::Failure;
use super::page::{List, page};
use super::params::Params;
use super::{Api, managed, schemas};
use crate::http::problem::{Flaw, Problem};
use crate::manage::{Fault, Origin, Planned, Step, Wanted};
use crate::model::resource::Kind;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(plan))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
    /// `source`, `endpoint`, `event_type`, `rule` or `alert`.
    #[param(pattern = "^(source|endpoint|event_type|rule|alert)$")]
    kind: String,
    /// `api` (the default), `file` or `all`.
    #[param(pattern = "^(api|file|all)$")]
    managed_by: Option<String>,
}

fn bad(parameter: &str, problem: &str) -> Failure {
    let detail = format!("the parameter {parameter} {problem}");
    Problem::new(400, "bad_parameter", "Bad parameter", detail).into()
}

/// Lists the definitions of a kind
///
/// Secrets are sealed, and nothing is added.
#[utoipa::path(get, path = "/v1/definitions", params(Asked), responses((status = 200, body = List<schemas::Definition>)))]
async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Map<String, Value>>>, Failure> {
    let kind = kind(&asked.kind).ok_or_else(|| bad("kind", "is none that there is"))?;
    let origin = match asked.managed_by.as_deref() {
        None | Some("api") => Some(Origin::Api),
        Some("file") => Some(Origin::File),
        Some("all") => None,
        Some(_) => return Err(bad("managed_by", "is none of api, file and all")),
    };
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let all = api.manager.list(caller.tenant, kind, page.before);
    let is_wanted = |wanted: Origin| origin.is_none_or(|origin| origin == wanted);
    let mut wanted = all.iter().filter(|entry| is_wanted(entry.origin));
    let items: Vec<_> = wanted.by_ref().take(page.limit).collect();
    let next = wanted.next().and_then(|_| items.last());
    Ok(Json(List {
        next_cursor: next.map(|last| format!("{:x}", last.resource.id)),
        data: items
            .iter()
            .map(|entry| entry.resource.definition.shown())
            .collect(),
    }))
}

fn kind(section: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.section() == section)
}

/// A document: the tables of a configuration file, by the name of their section.
type Document = BTreeMap<String, Vec<Map<String, Value>>>;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Pruning {
    /// `true`: what the document does not have of the kinds in it is to be deleted.
    prune: Option<bool>,
}

/// What is to be done about a resource.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PlannedStep)]
struct Shown {
    kind: &'static str,
    name: String,
    /// `create`, `change`, `keep` or `delete`.
    step: &'static str,
    /// The keys that change.
    keys: Vec<String>,
    /// Which of its kind it is in the document.
    index: Option<usize>,
    id: Option<String>,
    /// What to send as `If-Match`.
    revision: Option<u64>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Plan {
    data: Vec<Shown>,
}

/// Says what would have to be done so that everything is as a document says
///
/// Nothing is changed.
#[utoipa::path(
    post,
    path = "/v1/definitions/plan",
    params(Pruning),
    request_body = schemas::Document,
    responses(
        (status = 200, body = Plan),
        (status = 422, description = "`invalid_definition`: every fault of the document"),
    )
)]
async fn plan(
    Manager(caller): Manager,
    State(api): State<Api>,
    Params(pruning): Params<Pruning>,
    Body(document): Body<Document>,
) -> Result<Json<Plan>, Failure> {
    let kinds = document.keys().map(|section| {
        kind(section).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::section).join(", ");
            let flaw = Flaw::new(
                format!("/{section}"),
                "unknown_member",
                format!("is not known here; known: {known}"),
            );
            body::bad(format!("/{section} is not known here")).with_errors([flaw])
        })
    });
    let mut kinds = kinds.collect::<Result<Vec<Kind>, Problem>>()?;
    kinds.sort_unstable();
    let mut wanted: Vec<_> = document
        .into_iter()
        .filter_map(|(section, definitions)| Some((kind(&section)?, definitions)))
        .flat_map(|(kind, definitions)| {
            let definitions = definitions.into_iter().enumerate();
            definitions.map(move |(index, keys)| Wanted { kind, index, keys })
        })
        .collect();
    let order = |kind: Kind| Kind::ALL.iter().position(|other| *other == kind);
    wanted.sort_by_key(|wanted| (order(wanted.kind), wanted.index));
    let prune = if pruning.prune == Some(true) {
        kinds.as_slice()
    } else {
        &[]
    };
    let planned = api.manager.plan(caller.tenant, wanted, prune).await;
    let planned = planned.map_err(|faults| invalid(&faults))?;
    Ok(Json(Plan {
        data: planned.into_iter().map(show).collect(),
    }))
}

fn invalid(faults: &[Fault]) -> Problem {
    let flaws = faults.iter().map(managed::flaw);
    let count = faults.len();
    let detail = format!(
        "this document has {count} fault{}: see each error",
        if count == 1 { "" } else { "s" }
    );
    Problem::new(422, "invalid_definition", "Invalid definition", detail).with_errors(flaws)
}

fn show(planned: Planned) -> Shown {
    let (step, keys) = match planned.step {
        Step::Create => ("create", Vec::new()),
        Step::Change(keys) => ("change", keys),
        Step::Keep => ("keep", Vec::new()),
        Step::Delete => ("delete", Vec::new()),
    };
    Shown {
        kind: planned.kind.section(),
        name: planned.name,
        step,
        keys,
        index: planned.index,
        id: planned.stands.map(|(id, _)| planned.kind.id(id)),
        revision: planned.stands.map(|(_, revision)| revision),
    }
}
