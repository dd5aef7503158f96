//! `GET /v1/lints`: what is likely to go wrong.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::gather::{gather, gather_from};
use super::lately::lately;
use crate::api::Api;
use crate::api::auth::{Caller, Reader};
use crate::api::errors::Failure;
use crate::api::managed;
use crate::api::page::{List, page, parameter};
use crate::api::params::Params;
use crate::diagnose::lint::{self, Finding, Severity};
use crate::manage::Entry;
use crate::model::id::EndpointId;
use crate::model::resource::Kind;
use crate::store::Recent;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
    /// An endpoint's name or id.
    endpoint: Option<String>,
    /// `notice`, `warning` or `error`: that and what is worse.
    #[param(value_type = Option<Severity>)]
    severity: Option<String>,
}

/// Lists what is likely to go wrong, newest endpoints first
///
/// A page ends with an endpoint, so that it may be longer than its limit by what is found of one.
#[utoipa::path(get, path = "/v1/lints", params(Asked), responses((status = 200, body = List<Finding>), (status = 404, description = "`not_found`: no such endpoint")))]
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Finding>>, Failure> {
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let severity = asked.severity.as_deref();
    let severity = parameter("severity", severity, "use notice, warning or error")?;
    let severity = severity.unwrap_or(Severity::Notice);
    let wanted = match asked.endpoint.as_deref() {
        Some(name) => Some(managed::find(&api, &caller, Kind::Endpoint, name)?),
        None => None,
    };
    let findings = match &wanted {
        Some(entry) => {
            let recent = api.store.recent(caller.tenant).await?;
            found_of(&api, &caller, entry, recent.into())
        }
        None => {
            let (facts, around) = gather(&api, caller.tenant, |_| true).await?;
            lint::all(&facts, &around)
        }
    };
    let below = page.before.unwrap_or(i64::MAX);
    let findings = findings
        .into_iter()
        .filter(|finding| finding.severity >= severity && finding.endpoint.raw() < below);
    Ok(Json(cut(findings, page.limit)))
}

fn cut(findings: impl Iterator<Item = Finding>, limit: usize) -> List<Finding> {
    let mut data: Vec<Finding> = Vec::new();
    let mut next_cursor = None;
    for finding in findings {
        let last = data.last().map(|last| last.endpoint);
        if data.len() >= limit && last != Some(finding.endpoint) {
            next_cursor = last.map(|last| format!("{:x}", last.raw()));
            break;
        }
        data.push(finding);
    }
    List { data, next_cursor }
}

/// What is found of one endpoint that is shown, by what has happened up to a moment ago.
pub(in crate::api) async fn of_endpoint(
    api: &Api,
    caller: &Caller,
    entry: &Entry,
) -> Result<Vec<Finding>, Failure> {
    let recent = lately(api, caller.tenant).await?;
    Ok(found_of(api, caller, entry, recent))
}

fn found_of(api: &Api, caller: &Caller, entry: &Entry, recent: Arc<Recent>) -> Vec<Finding> {
    let id = EndpointId::from_raw(entry.resource.id);
    let directory = api.directories.current();
    let Some(own) = directory.table.endpoint(id) else {
        return Vec::new();
    };
    let (facts, around) = gather_from(api, caller.tenant, recent, |endpoint| endpoint.url == own.url);
    lint::one(&facts, id, &around)
}
