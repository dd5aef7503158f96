//! `GET /v1/events/{id}/explain`: why each endpoint got an event, or did not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::api::auth::Reader;
use crate::api::deliveries::{self, ShownAttempt};
use crate::api::errors::Failure;
use crate::api::page::{List, page};
use crate::api::params::{Params, PathId};
use crate::api::select::{self, Wrong};
use crate::api::{Api, events};
use crate::diagnose::explain::{Case, Lane, Step, Waits, steps, summary, waits};
use crate::directory::Directory;
use crate::model::delivery::Delivery;
use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, TenantId};
use crate::model::resource::Kind;
use crate::queue::LaneLoad;
use crate::route::table::Decision;

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
}

/// What became of an event at one endpoint, and why.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Explained {
    endpoint: EndpointId,
    /// `null` if the endpoint is gone.
    endpoint_name: Option<String>,
    /// In a sentence.
    summary: String,
    /// Whether the event was routed to it when it came in.
    matched: bool,
    /// Whether it would be now; `null` if the endpoint is gone.
    matches_now: Option<bool>,
    /// What decides that, in order, as the endpoint is now.
    steps: Vec<Step>,
    delivery: Option<deliveries::Shown>,
    /// What the delivery waits for.
    waits: Option<Waits>,
    /// First to last; only if one endpoint is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<ShownAttempt>>,
}

/// Says why each endpoint got an event, or did not
#[utoipa::path(
    get,
    path = "/v1/events/{id}/explain",
    params(("id" = String, Path), Asked),
    responses((status = 200, body = List<Explained>))
)]
pub(super) async fn explain(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Explained>>, Failure> {
    let event = events::find(&api, &caller, &id).await?;
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let scene = Scene::of(&api, caller.tenant, event).await?;
    let only = select::endpoint(&api, caller.tenant, asked.endpoint.as_deref()).map_err(Wrong::parameter)?;
    let below = page.before.unwrap_or(i64::MAX);
    let mut wanted = scene
        .endpoints(&api, caller.tenant)
        .into_iter()
        .rev()
        .filter(|id| id.raw() < below && only.is_none_or(|only| only == *id));
    let ids: Vec<EndpointId> = wanted.by_ref().take(page.limit).collect();
    let is_more = wanted.next().is_some();
    let last = ids.last().filter(|_| is_more);
    let next_cursor = last.map(|last| format!("{:x}", last.raw()));
    let decisions = scene.decide(&ids);
    let mut data = Vec::with_capacity(ids.len());
    for id in ids {
        let mut explained = scene.explain(&api, caller.tenant, id, decisions.get(&id)).await?;
        if let (true, Some(delivery)) = (only.is_some(), &scene.planned.get(&id)) {
            let attempts = api.store.attempts(caller.tenant, **delivery).await?;
            explained.attempts = Some(attempts.into_iter().map(ShownAttempt::from).collect());
        }
        data.push(explained);
    }
    Ok(Json(List { data, next_cursor }))
}

/// What an event is held against.
struct Scene {
    event: Arc<Event>,
    directory: Arc<Directory>,
    /// Where it was routed when it came in.
    planned: BTreeMap<EndpointId, DeliveryId>,
    lanes: HashMap<EndpointId, LaneLoad>,
}

/// What is decided of an endpoint as it is now.
type Decided = (Arc<Endpoint>, Decision);

impl Scene {
    async fn of(api: &Api, tenant: TenantId, event: Arc<Event>) -> Result<Self, Failure> {
        let planned = api.store.planned(tenant, event.id).await?.unwrap_or_default();
        let lanes = api.queue.lanes().into_iter();
        Ok(Self {
            planned: planned.into_iter().map(|(delivery, id)| (id, delivery)).collect(),
            lanes: lanes.map(|load| (load.endpoint, load)).collect(),
            directory: api.directories.current(),
            event,
        })
    }

    /// Those that there are, and those that the event was routed to, oldest first.
    fn endpoints(&self, api: &Api, tenant: TenantId) -> BTreeSet<EndpointId> {
        let living = api.manager.list(tenant, Kind::Endpoint, None);
        let living = living.iter().map(|entry| EndpointId::from_raw(entry.resource.id));
        living.chain(self.planned.keys().copied()).collect()
    }

    fn source(&self) -> Option<&str> {
        self.event.source.and_then(|id| self.directory.source_name(id))
    }

    fn decide(&self, ids: &[EndpointId]) -> HashMap<EndpointId, Decided> {
        let is_asked = |id| ids.contains(&id);
        let decided = self
            .directory
            .table
            .explain_some(&self.event, self.source(), is_asked);
        decided
            .into_iter()
            .map(|(endpoint, decision)| (endpoint.id, (Arc::clone(endpoint), decision)))
            .collect()
    }

    async fn explain(
        &self,
        api: &Api,
        tenant: TenantId,
        id: EndpointId,
        decided: Option<&Decided>,
    ) -> Result<Explained, Failure> {
        let delivery = match self.planned.get(&id) {
            Some(delivery) => api.store.delivery(tenant, *delivery).await?,
            None => None,
        };
        let show = |delivery: &Delivery| deliveries::show(api, &self.directory, delivery.clone());
        let shown = delivery.as_ref().map(show);
        let Some((endpoint, decision)) = decided else {
            return Ok(Explained {
                endpoint: id,
                endpoint_name: None,
                summary: "the endpoint is gone, or its definition cannot be used".to_owned(),
                matched: self.planned.contains_key(&id),
                matches_now: None,
                steps: Vec::new(),
                delivery: shown,
                waits: None,
                attempts: None,
            });
        };
        let case = Case {
            event: &self.event,
            source: self.source(),
            endpoint,
            matched: self.planned.contains_key(&id),
            now: decision.clone(),
        };
        let waits = delivery
            .as_ref()
            .and_then(|delivery| self.waits(api, endpoint, delivery));
        Ok(Explained {
            endpoint: id,
            endpoint_name: Some(endpoint.name.clone()),
            summary: summary(&case, delivery.as_ref(), waits.as_ref()),
            matched: case.matched,
            matches_now: Some(*decision == Decision::Wanted),
            steps: steps(&case),
            delivery: shown,
            waits,
            attempts: None,
        })
    }

    fn waits(&self, api: &Api, endpoint: &Endpoint, delivery: &Delivery) -> Option<Waits> {
        let id = endpoint.id;
        let disabled = api.queue.disabled(id);
        let entry = api
            .manager
            .find(endpoint.tenant, Kind::Endpoint, Some(id.raw()), "");
        let lane = Lane {
            is_enabled: endpoint.enabled && disabled.is_none(),
            why_disabled: disabled.as_ref().map(|why| why.reason.as_str()),
            unusable: entry
                .as_ref()
                .filter(|_| self.directory.target(id).is_none())
                .and_then(|entry| entry.unusable.as_deref()),
            condition: api.queue.condition(id),
            load: self.lanes.get(&id).copied(),
            now: api.clock.steady(),
        };
        let mut waits = waits(delivery, &lane)?;
        // Deliveries are due by the steady clock; people look at the other.
        if waits.reason == "retry" {
            waits.until = waits.until.map(|due| api.clock.shown(due));
        }
        Some(waits)
    }
}
