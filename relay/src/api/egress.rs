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
    /// Whether the relay connects from addresses that it was told to, or through a proxy, and not
    /// from others.
    pinned: bool,
}

/// What is told, by the way that requests take.
#[derive(Debug)]
pub struct Told {
    straight: Egress,
    /// A proxy's addresses are known only if the operator names them.
    proxied: Egress,
}

impl Told {
    /// The networks that the operator names, else the addresses that connections are made from.
    pub fn of(named: &[IpNet], bound: &[IpAddr]) -> Arc<Self> {
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        let bound_networks = bound.iter().copied().map(IpNet::from);
        let straight = match named.is_empty() {
            true => bound_networks.map(|network| network.to_string()).collect(),
            false => named.clone(),
        };
        Arc::new(Self {
            straight: Egress {
                networks: straight,
                pinned: !bound.is_empty(),
            },
            proxied: Egress {
                networks: named,
                pinned: true,
            },
        })
    }
}

/// Tells where requests of this relay come from
#[utoipa::path(get, path = "/v1/egress", responses((status = 200, body = Egress)))]
async fn list(_: Reader, State(api): State<Api>) -> Json<Egress> {
    Json(match api.flow.sender.has_proxy() {
        true => api.egress.proxied.clone(),
        false => api.egress.straight.clone(),
    })
}
