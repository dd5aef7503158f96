//! `/v1/alerts`: rules that tell when something is wrong.

use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::auth::{Manager, Reader};
use super::managed::Shown;
use super::resource::{self, Request, Served};
use crate::manage::Entry;
use crate::model::id::{AlertId, EndpointId};
use crate::model::resource::Kind;
use crate::model::time::Timestamp;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    resource::routes::<Alerts>(&Request::ALL)
}

/// Whom an alert fires for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Firing)]
pub(super) struct ShownFiring {
    /// `null`: it is not of one endpoint.
    endpoint: Option<EndpointId>,
    since: Timestamp,
    /// When it was told last.
    told_at: Timestamp,
    /// What was measured then.
    value: f64,
}

/// What an alert shows besides its definition and what every resource shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AlertStanding)]
pub(super) struct Standing {
    /// `ok` or `firing`; left out of those deleted.
    #[schema(value_type = String, required = false)]
    state: &'static str,
    #[schema(required = false)]
    firing: Vec<ShownFiring>,
}

/// Alerts, each with whether it fires.
struct Alerts;

impl Served for Alerts {
    const KIND: Kind = Kind::Alert;
    type Reader = Reader;
    type Manager = Manager;

    fn show(api: &Api, entry: &Entry) -> Shown {
        let firing: Vec<ShownFiring> = api
            .alerts
            .firing(AlertId::from_raw(entry.resource.id))
            .into_iter()
            .map(|(endpoint, firing)| ShownFiring {
                endpoint,
                since: firing.since,
                told_at: firing.told_at,
                value: firing.value,
            })
            .collect();
        let mut shown = Shown::of(entry);
        shown.add(&Standing {
            state: if firing.is_empty() { "ok" } else { "firing" },
            firing,
        });
        shown
    }
}
