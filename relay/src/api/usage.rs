//! `/v1/usage`: how much a tenant has used of what it may.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Reader;
use super::errors::Failure;
use crate::http::problem::Problem;
use crate::manage;
use crate::model::id::TenantId;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show))
}

/// A tenant's limits and what is used of each.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Usage)]
struct Shown {
    tenant: TenantId,
    name: String,
    plan: Option<String>,
    limits: Vec<Limit>,
}

/// One limit.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = UsageOfLimit)]
struct Limit {
    /// As it is called in a plan; `media_bytes` is every tenant's `media.tenant_limit`.
    limit: &'static str,
    /// `null`: not counted, since it is not limited.
    used: Option<u64>,
    /// `null`: not limited.
    max: Option<u64>,
    /// How much of it is used; above 100 where the limit was lowered.
    percent: Option<f64>,
    /// Of a rate: within how many seconds so many may come.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_seconds: Option<f64>,
}

impl From<manage::Limit> for Limit {
    fn from(limit: manage::Limit) -> Self {
        Self {
            limit: limit.name,
            used: limit.used,
            max: limit.max,
            percent: limit.share().map(|share| (share * 1000.0).round() / 10.0),
            per_seconds: limit.per.map(|per| per.as_secs_f64()),
        }
    }
}

/// Shows how much of its limits a tenant has used
#[utoipa::path(get, path = "/v1/usage", responses((status = 200, body = Shown)))]
async fn show(Reader(caller): Reader, State(api): State<Api>) -> Result<Json<Shown>, Failure> {
    let gone = || Failure(Problem::not_found("this tenant was deleted just now"));
    let (tenant, limits) = api.manager.usage(caller.tenant).await?.ok_or_else(gone)?;
    Ok(Json(Shown {
        tenant: tenant.id,
        name: tenant.name.clone(),
        plan: tenant.plan.clone(),
        limits: limits.into_iter().map(Limit::from).collect(),
    }))
}
