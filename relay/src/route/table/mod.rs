//! All endpoints, arranged so that an event finds those that want it.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::event_type::{self, Pattern};
use crate::model::id::{EndpointId, TenantId};

use super::filter::{Fault, Filter, Mismatch};
use super::type_index::{Positions, TypeIndex};
use super::view::View;

/// The endpoints an event goes to, in the order of their ids.
pub type Wanted<'t> = SmallVec<[&'t Arc<Endpoint>; 4]>;

/// A snapshot of all endpoints; built whole, never changed.
///
/// Endpoints that are switched off or disabled are in it like any other: their deliveries
/// wait, they are not lost.
#[derive(Debug, Default)]
pub struct Table {
    tenants: HashMap<TenantId, Tenant>,
    by_id: HashMap<EndpointId, Arc<Endpoint>>,
}

/// An endpoint whose filter cannot be read; its configuration should not have been taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter of endpoint {name} is malformed: {}", first(.faults))]
pub struct MalformedFilter {
    pub endpoint: EndpointId,
    pub name: String,
    pub faults: Vec<Fault>,
}

/// Why an endpoint gets an event or not; the first thing that decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Wanted,
    /// It wants other sources.
    Source,
    /// It wants other event types.
    Type,
    Filter(Mismatch),
}

impl Decision {
    /// One line for people.
    pub fn summary(&self) -> String {
        match self {
            Self::Wanted => "wanted".to_owned(),
            Self::Source => "the endpoint wants events of other sources".to_owned(),
            Self::Type => "the endpoint wants other event types".to_owned(),
            Self::Filter(mismatch) => {
                format!(
                    "the filter says no at {}: {}",
                    mismatch.pointer,
                    mismatch.message()
                )
            }
        }
    }
}

#[derive(Debug, Default)]
struct Tenant {
    /// In the order of their ids.
    routes: Vec<Route>,
    /// Those that take events from anywhere, the API included.
    any_source: TypeIndex,
    by_source: HashMap<String, TypeIndex>,
}

#[derive(Debug)]
struct Route {
    endpoint: Arc<Endpoint>,
    filter: Option<Filter>,
}

impl Table {
    /// Arranges the endpoints and reads their filters.
    ///
    /// # Errors
    /// Every endpoint whose filter is malformed.
    pub fn build(mut endpoints: Vec<Arc<Endpoint>>) -> Result<Self, Vec<MalformedFilter>> {
        endpoints.sort_by_key(|endpoint| endpoint.id);
        let mut table = Self::default();
        let mut malformed = Vec::new();
        for endpoint in endpoints {
            match read_filter(&endpoint) {
                Ok(filter) => table.add(endpoint, filter),
                Err(fault) => malformed.push(fault),
            }
        }
        if malformed.is_empty() {
            Ok(table)
        } else {
            Err(malformed)
        }
    }

    fn add(&mut self, endpoint: Arc<Endpoint>, filter: Option<Filter>) {
        self.by_id.insert(endpoint.id, endpoint.clone());
        self.tenants
            .entry(endpoint.tenant)
            .or_default()
            .add(endpoint, filter);
    }

    /// The endpoints that want an event, in the order of their ids. `source` is the name of
    /// the source it came in by, `None` for an event posted to the API.
    pub fn route(&self, event: &Event, source: Option<&str>) -> Wanted<'_> {
        let Some(tenant) = self.tenants.get(&event.tenant) else {
            return Wanted::new();
        };
        let view = View::new(event);
        let wants = |route: &&Route| route.filter.as_ref().is_none_or(|filter| filter.matches(&view));
        let found = tenant.find(&event.envelope.kind, source);
        let routes = found
            .iter()
            .filter_map(|position| tenant.routes.get(*position as usize));
        routes.filter(wants).map(|route| &route.endpoint).collect()
    }

    /// What was decided about an event for each endpoint of its tenant, in the order of ids.
    pub fn explain(&self, event: &Event, source: Option<&str>) -> Vec<(&Arc<Endpoint>, Decision)> {
        self.explain_some(event, source, |_| true)
    }

    /// As [`Table::explain`], of those endpoints alone.
    pub fn explain_some(
        &self,
        event: &Event,
        source: Option<&str>,
        is_asked: impl Fn(EndpointId) -> bool,
    ) -> Vec<(&Arc<Endpoint>, Decision)> {
        let Some(tenant) = self.tenants.get(&event.tenant) else {
            return Vec::new();
        };
        let view = View::new(event);
        let asked = tenant.routes.iter().filter(|route| is_asked(route.endpoint.id));
        let decisions = asked.map(|route| (&route.endpoint, route.decide(&view, event, source)));
        decisions.collect()
    }

    /// An endpoint by its id.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.by_id.get(&id)
    }

    /// Every endpoint, those of a tenant in the order of their ids.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.tenants
            .values()
            .flat_map(|tenant| tenant.routes.iter().map(|route| &route.endpoint))
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no endpoint at all.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

impl Tenant {
    fn add(&mut self, endpoint: Arc<Endpoint>, filter: Option<Filter>) {
        // More than four thousand million endpoints do not fit into memory.
        let position = u32::try_from(self.routes.len()).unwrap_or(u32::MAX);
        if endpoint.sources.is_empty() {
            self.any_source.add(&endpoint.event_types, position);
        }
        for source in &endpoint.sources {
            self.by_source
                .entry(source.clone())
                .or_default()
                .add(&endpoint.event_types, position);
        }
        self.routes.push(Route { endpoint, filter });
    }

    /// The positions of those that want source and type, in order, each once.
    fn find(&self, kind: &str, source: Option<&str>) -> Positions {
        let mut found = Positions::new();
        self.any_source.find(kind, &mut found);
        if let Some(index) = source.and_then(|source| self.by_source.get(source)) {
            index.find(kind, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Route {
    fn decide(&self, view: &View<'_>, event: &Event, source: Option<&str>) -> Decision {
        let Endpoint {
            sources, event_types, ..
        } = &*self.endpoint;
        let is_of = |name: &str| sources.iter().any(|wanted| wanted == name);
        if !sources.is_empty() && !source.is_some_and(is_of) {
            return Decision::Source;
        }
        let kind = &event.envelope.kind;
        let is_wanted = match event_types.as_slice() {
            [] => !event_type::is_own(kind),
            some => some.iter().any(|pattern: &Pattern| pattern.matches(kind)),
        };
        if !is_wanted {
            return Decision::Type;
        }
        let mismatch = self.filter.as_ref().and_then(|filter| filter.explain(view));
        mismatch.map_or(Decision::Wanted, Decision::Filter)
    }
}

fn read_filter(endpoint: &Endpoint) -> Result<Option<Filter>, MalformedFilter> {
    let filter = endpoint.filter.as_ref().map(Filter::parse).transpose();
    filter.map_err(|faults| MalformedFilter {
        endpoint: endpoint.id,
        name: endpoint.name.clone(),
        faults,
    })
}

fn first(faults: &[Fault]) -> String {
    faults.first().map(Fault::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
