//! `POST /v1/endpoints/{id}/diagnose` and `POST /v1/diagnose`: goes the way to a receiver step by
//! step, and says what of the relay's own doing stands in it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use url::Url;

use super::gather::gather;
use crate::api::Api;
use crate::api::auth::{Caller, Manager, Right};
use crate::api::body::Body;
use crate::api::errors::Failure;
use crate::api::managed;
use crate::api::params::PathId;
use crate::deliver::send::probe::{Certificate, Probe, Step};
use crate::diagnose::policy::{self, Check, Verdict};
use crate::http::problem::{Flaw, Problem};
use crate::model::id::EndpointId;
use crate::model::resource::Kind;

/// Where to go.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(as = UrlToDiagnose)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    url: String,
}

/// What was found on the way.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Diagnosis {
    url: String,
    /// Whether the receiver can be reached, and nothing of the relay's own stands in the way.
    ok: bool,
    /// The class of the step that failed.
    error_class: Option<&'static str>,
    /// `url`, `dns`, `guard`, `connect`, `tls`, `http`, in order.
    steps: Vec<Step>,
    /// What the name stands for. Where the guard refuses one of them, only an admin is told.
    addresses: Vec<String>,
    /// Those that the guard refuses; only an admin is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused_addresses: Vec<String>,
    certificate: Option<Certificate>,
    /// What `HEAD` was answered with.
    status: Option<u16>,
    /// What the relay itself makes of the endpoint; empty for a URL alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policy: Vec<Check>,
}

/// Goes the way to an endpoint's receiver step by step
///
/// And says what of the relay's own doing stands in it.
#[utoipa::path(
    post,
    path = "/v1/endpoints/{id}/diagnose",
    operation_id = "diagnose",
    params(("id" = String, Path, description = "name or id")),
    responses(
        (status = 200, body = Diagnosis),
        (status = 409, description = "`unusable`: its definition cannot be used, or it is polled"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
pub(super) async fn endpoint(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Diagnosis>, Failure> {
    let entry = managed::find(&api, &caller, Kind::Endpoint, &id)?;
    if entry.endpoint().is_some_and(|endpoint| endpoint.is_polled) {
        return Err(crate::api::errors::unusable(entry.why_unsent()));
    }
    let id = EndpointId::from_raw(entry.resource.id);
    let (mut facts, around) = gather(&api, caller.tenant, |endpoint| endpoint.id == id).await?;
    let facts = facts.pop().ok_or_else(|| {
        let why = entry.unusable.clone().unwrap_or_default();
        crate::api::errors::unusable(&why)
    })?;
    let url = facts.endpoint.url.clone();
    let probe = probe(&api, &url).await?;
    let ends = probe
        .certificate
        .as_ref()
        .map(|certificate| certificate.not_after);
    api.testing.met(&facts.endpoint, ends);
    let mut diagnosis = show(&caller, &url, probe);
    diagnosis.policy = policy::checks(&facts, &around);
    diagnosis.ok &= diagnosis
        .policy
        .iter()
        .all(|check| check.outcome != Verdict::Holds);
    Ok(Json(diagnosis))
}

/// Goes the way to a URL step by step, before there is an endpoint
#[utoipa::path(
    post,
    path = "/v1/diagnose",
    request_body = Asked,
    responses(
        (status = 200, body = Diagnosis),
        (status = 422, description = "`invalid_url`"),
        (status = 429, description = "`too_many_tests`: as many are under way as may"),
    )
)]
pub(super) async fn url(
    Manager(caller): Manager,
    State(api): State<Api>,
    Body(asked): Body<Asked>,
) -> Result<Json<Diagnosis>, Failure> {
    let url: Url = parse("/url", &asked.url)?;
    let probe = probe(&api, &url).await?;
    Ok(Json(show(&caller, &url, probe)))
}

/// Reads a URL of a body.
pub(super) fn parse(pointer: &str, text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|error| {
        let flaw = Flaw::new(pointer, "invalid", format!("is no URL: {error}"));
        Problem::new(422, "invalid_url", "Invalid URL", "see each error")
            .with_errors([flaw])
            .into()
    })
}

async fn probe(api: &Api, url: &Url) -> Result<Probe, Failure> {
    let _place = api.testing.place()?;
    // What a request carries is the caller's; the way is the relay's, and may be long.
    Ok(Box::pin(api.flow.sender.probe(url)).await)
}

/// Nobody may map a network by asking: what the guard refuses is an admin's to know.
fn show(caller: &Caller, url: &Url, probe: Probe) -> Diagnosis {
    let may_know = probe.refused.is_empty() || caller.may(Right::Admin);
    let text = |addresses: Vec<std::net::IpAddr>| -> Vec<String> {
        let addresses = addresses.iter().filter(|_| may_know);
        addresses.map(ToString::to_string).collect()
    };
    Diagnosis {
        url: url.to_string(),
        ok: probe.error_class.is_none(),
        error_class: probe.error_class,
        steps: probe.steps,
        addresses: text(probe.addresses),
        refused_addresses: text(probe.refused),
        certificate: probe.certificate,
        status: probe.status,
        policy: Vec::new(),
    }
}
