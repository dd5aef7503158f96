//! All endpoints, arranged so that an event finds those that want it.

use std::cmp::Ordering;
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use smallvec::SmallVec;

use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::event_type::{self, Pattern};
use crate::model::id::{EndpointId, TenantId};

use super::filter::{Fault, Filter, Key, Mismatch};
use super::sample;
use super::type_index::TypeIndex;
use super::view::View;
use bucket::Filtered;

mod bucket;

/// The endpoints an event goes to, in the order of their ids.
pub type Wanted<'t> = SmallVec<[&'t Arc<Endpoint>; 4]>;

/// A snapshot of all endpoints. A copy shares what it has in common with the original: with one
/// endpoint changed it is there at once, however many there are.
///
/// Endpoints that are switched off or disabled are in it like any other: their deliveries
/// wait, they are not lost.
#[derive(Debug, Clone, Default)]
pub struct Table {
    tenants: HashTrieMapSync<TenantId, Tenant>,
    by_id: HashTrieMapSync<EndpointId, Arc<Route>>,
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
    /// It wants a share of them, and the event is not in it.
    Sample,
}

impl Decision {
    /// One line for people.
    pub fn summary(&self) -> String {
        match self {
            Self::Wanted => "wanted".to_owned(),
            Self::Source => "the endpoint wants events of other sources".to_owned(),
            Self::Type => "the endpoint wants other event types".to_owned(),
            Self::Sample => {
                "the endpoint wants a sample of such events, and this one is not in it".to_owned()
            }
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

#[derive(Debug, Clone, Default)]
struct Tenant {
    routes: RedBlackTreeMapSync<EndpointId, Arc<Route>>,
    names: HashTrieMapSync<String, EndpointId>,
    /// Those that take events from anywhere, the API included.
    any_source: TypeIndex<Filtered>,
    by_source: HashTrieMapSync<String, TypeIndex<Filtered>>,
}

/// Routes are told apart by the ids of their endpoints.
#[derive(Debug)]
struct Route {
    endpoint: Arc<Endpoint>,
    filter: Option<Filter>,
    /// Those of the filter.
    keys: Vec<Key>,
}

/// Routes to be held against an event.
type Found<'t> = SmallVec<[&'t Arc<Route>; 16]>;

impl Table {
    /// Arranges the endpoints and reads their filters.
    ///
    /// # Errors
    /// Every endpoint whose filter is malformed.
    pub fn build(mut endpoints: Vec<Arc<Endpoint>>) -> Result<Self, Vec<MalformedFilter>> {
        endpoints.sort_by_key(|endpoint| endpoint.id);
        let mut table = Self::default();
        let put = |endpoint| table.put(endpoint).err();
        let malformed: Vec<_> = endpoints.into_iter().filter_map(put).collect();
        if malformed.is_empty() {
            Ok(table)
        } else {
            Err(malformed)
        }
    }

    /// Takes up an endpoint, in place of the one with its id.
    ///
    /// # Errors
    /// Its filter is malformed; then nothing has changed.
    pub fn put(&mut self, endpoint: Arc<Endpoint>) -> Result<(), MalformedFilter> {
        let filter = read_filter(&endpoint)?;
        self.remove(endpoint.id);
        let (id, tenant) = (endpoint.id, endpoint.tenant);
        let keys = filter.as_ref().map(Filter::keys).unwrap_or_default();
        let route = Arc::new(Route {
            endpoint,
            filter,
            keys,
        });
        self.by_id.insert_mut(id, Arc::clone(&route));
        match self.tenants.get_mut(&tenant) {
            Some(tenant) => tenant.add(route),
            None => {
                let mut first = Tenant::default();
                first.add(route);
                self.tenants.insert_mut(tenant, first);
            }
        }
        Ok(())
    }

    /// Takes out the endpoint of that id, if there is one.
    pub fn remove(&mut self, id: EndpointId) {
        let Some(route) = self.by_id.get(&id).cloned() else {
            return;
        };
        self.by_id.remove_mut(&id);
        let id = route.endpoint.tenant;
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.remove(&route);
            if tenant.routes.is_empty() {
                self.tenants.remove_mut(&id);
            }
        }
    }

    /// The endpoints that want an event, in the order of their ids. `source` is the name of
    /// the source it came in by, `None` for an event posted to the API.
    pub fn route(&self, event: &Event, source: Option<&str>) -> Wanted<'_> {
        let Some(tenant) = self.tenants.get(&event.tenant) else {
            return Wanted::new();
        };
        let view = View::new(event);
        let wants = |route: &&Arc<Route>| {
            route.filter.as_ref().is_none_or(|filter| filter.matches(&view)) && route.samples(event)
        };
        let found = tenant.find(&view, &event.envelope.kind, source).into_iter();
        found.filter(wants).map(|route| &route.endpoint).collect()
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
        let asked = tenant.routes.values().filter(|route| is_asked(route.endpoint.id));
        let decisions = asked.map(|route| (&route.endpoint, route.decide(&view, event, source)));
        decisions.collect()
    }

    /// An endpoint by its id.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.by_id.get(&id).map(|route| &route.endpoint)
    }

    /// The id of the endpoint of that name in a tenant.
    pub fn named(&self, tenant: TenantId, name: &str) -> Option<EndpointId> {
        self.tenants.get(&tenant)?.names.get(name).copied()
    }

    /// Every endpoint, those of a tenant in the order of their ids.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.tenants
            .values()
            .flat_map(|tenant| tenant.routes.values().map(|route| &route.endpoint))
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.by_id.size()
    }

    /// Whether there is no endpoint at all.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

impl Tenant {
    fn add(&mut self, route: Arc<Route>) {
        let endpoint = &route.endpoint;
        if endpoint.sources.is_empty() {
            self.any_source.add(&endpoint.event_types, &route);
        }
        for source in &endpoint.sources {
            match self.by_source.get_mut(source) {
                Some(index) => index.add(&endpoint.event_types, &route),
                None => {
                    let mut index = TypeIndex::default();
                    index.add(&endpoint.event_types, &route);
                    self.by_source.insert_mut(source.clone(), index);
                }
            }
        }
        self.names.insert_mut(endpoint.name.clone(), endpoint.id);
        self.routes.insert_mut(endpoint.id, route);
    }

    fn remove(&mut self, route: &Arc<Route>) {
        let endpoint = &route.endpoint;
        if endpoint.sources.is_empty() {
            self.any_source.remove(&endpoint.event_types, route);
        }
        for source in &endpoint.sources {
            if let Some(index) = self.by_source.get_mut(source) {
                index.remove(&endpoint.event_types, route);
                if index.is_empty() {
                    self.by_source.remove_mut(source);
                }
            }
        }
        if self.names.get(&endpoint.name) == Some(&endpoint.id) {
            self.names.remove_mut(&endpoint.name);
        }
        self.routes.remove_mut(&endpoint.id);
    }

    /// Those that want source and type and may want the event, in order, each once.
    fn find(&self, view: &View<'_>, kind: &str, source: Option<&str>) -> Found<'_> {
        let mut found = Found::new();
        self.any_source.find(kind, |bucket| bucket.find(view, &mut found));
        if let Some(index) = source.and_then(|source| self.by_source.get(source)) {
            index.find(kind, |bucket| bucket.find(view, &mut found));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl Ord for Route {
    fn cmp(&self, other: &Self) -> Ordering {
        self.endpoint.id.cmp(&other.endpoint.id)
    }
}

impl PartialOrd for Route {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.endpoint.id == other.endpoint.id
    }
}

impl Eq for Route {}

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
        match mismatch {
            Some(mismatch) => Decision::Filter(mismatch),
            None if self.samples(event) => Decision::Wanted,
            None => Decision::Sample,
        }
    }

    fn samples(&self, event: &Event) -> bool {
        self.endpoint
            .sample
            .is_none_or(|share| sample::takes(share, event))
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
