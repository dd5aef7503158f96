//! `GET /v1/egress`: where requests of this relay come from, for the firewalls of receivers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ipnet::IpNet;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Reader;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Where requests come from.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Egress {
    /// Networks in CIDR notation; empty if nobody has said which.
    networks: Vec<String>,
    /// Whether the relay connects from addresses that it was told to, and from no others.
    pinned: bool,
}

/// What is told: the networks that the operator names, else the addresses that connections are
/// made from.
pub fn told(named: &[IpNet], bound: &[IpAddr]) -> Arc<Egress> {
    let bound_networks = || bound.iter().copied().map(IpNet::from);
    let networks: Vec<String> = match named {
        [] => bound_networks().map(|network| network.to_string()).collect(),
        named => named.iter().map(ToString::to_string).collect(),
    };
    Arc::new(Egress {
        networks,
        pinned: !bound.is_empty(),
    })
}

/// Tells where requests of this relay come from
#[utoipa::path(get, path = "/v1/egress", responses((status = 200, body = Egress)))]
async fn list(_: Reader, State(api): State<Api>) -> Json<Egress> {
    Json(Egress::clone(&api.egress))
}
