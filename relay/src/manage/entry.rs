//! One source, endpoint, rule or event type that is managed: how it was defined, and what was made
//! of it.

use std::sync::Arc;

use crate::directory::{Door, Target};
use crate::model::alert::Alert;
use crate::model::catalogue::EventType;
use crate::model::endpoint::Endpoint;
use crate::model::id::TenantId;
use crate::model::resource::{Kind, Resource};
use crate::model::rule::Rule;
use crate::model::source::Source;
use crate::model::tenant::Tenant;

/// Where a definition comes from, and so where it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    File,
    /// The management API.
    Api,
}

/// What is in force of a resource.
pub struct Entry {
    pub resource: Resource,
    pub origin: Origin,
    pub(super) made: Made,
    /// Why the definition as it stands is not what is in force, if it is not.
    pub unusable: Option<String>,
}

/// What a definition comes to.
#[derive(Clone)]
pub(super) enum Made {
    Door(Arc<Door>),
    Target(Arc<Target>),
    Described(Arc<EventType>),
    /// An endpoint that nothing is sent to, as it is polled or its plugins cannot be used: events
    /// are still routed to it, and wait.
    Resting(Arc<Endpoint>),
    Rule(Arc<Rule>),
    Alert(Arc<Alert>),
    Tenant(Arc<Tenant>),
    Nothing,
}

impl Entry {
    /// The endpoint as it is in force.
    pub fn target(&self) -> Option<&Arc<Target>> {
        match &self.made {
            Made::Target(target) => Some(target),
            _ => None,
        }
    }

    /// The source as it is in force.
    pub fn door(&self) -> Option<&Arc<Door>> {
        match &self.made {
            Made::Door(door) => Some(door),
            _ => None,
        }
    }

    /// Why nothing is sent to an endpoint that is no target.
    pub fn why_unsent(&self) -> &str {
        let polled = "nothing is sent to it: it is polled";
        self.unusable.as_deref().unwrap_or(polled)
    }

    /// The rule as it reads, on or off.
    pub const fn rule(&self) -> Option<&Arc<Rule>> {
        match &self.made {
            Made::Rule(rule) => Some(rule),
            _ => None,
        }
    }

    /// The tenant, with its limits and its plan's.
    pub const fn tenant(&self) -> Option<&Arc<Tenant>> {
        match &self.made {
            Made::Tenant(tenant) => Some(tenant),
            _ => None,
        }
    }

    /// The endpoint, whether or not anything is sent to it.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match &self.made {
            Made::Target(target) => Some(&target.endpoint),
            Made::Resting(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// The event type as it is in force.
    pub fn event_type(&self) -> Option<&Arc<EventType>> {
        match &self.made {
            Made::Described(event_type) => Some(event_type),
            _ => None,
        }
    }

    /// The alert.
    pub fn alert(&self) -> Option<&Arc<Alert>> {
        match &self.made {
            Made::Alert(alert) => Some(alert),
            _ => None,
        }
    }

    /// Plugin uses in its chain.
    pub(super) fn plugin_uses(&self) -> usize {
        match &self.made {
            Made::Door(door) => uses_of_source(&door.source),
            Made::Target(target) => target.endpoint.plugins.len(),
            Made::Resting(endpoint) => endpoint.plugins.len(),
            Made::Described(_) | Made::Rule(_) | Made::Alert(_) | Made::Tenant(_) | Made::Nothing => 0,
        }
    }
}

/// Plugin uses of a source: its chain, and what takes out of posts what nobody may see.
pub(super) fn uses_of_source(source: &Source) -> usize {
    source.plugins.len() + usize::from(source.redact.is_some())
}

/// What no two in force share.
pub(super) fn called(resource: &Resource) -> (TenantId, Kind, String) {
    (resource.tenant, resource.kind, resource.name.clone())
}
