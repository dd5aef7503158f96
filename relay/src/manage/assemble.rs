//! From definitions to what the path uses: names get their ids, plugins are bound, chains and
//! signers are made, and all of it becomes a directory.

use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use futures_util::{StreamExt as _, stream};

use super::bind::Watches;
use super::entry::{Entry, Made, Origin, uses_of_source};
use super::installed::Installed;
use super::shelf::Shelf;
use super::tenants;
use crate::clock::Clock;
use crate::config::{Config, Declared, definition};
use crate::crypto::standard_webhooks::SigningKey;
use crate::deliver::send::Sender;
use crate::directory::{Directory, Door, Malformed, Target};
use crate::model::alert::Alert;
use crate::model::catalogue::EventType;
use crate::model::endpoint::Endpoint;
use crate::model::id::{AlertId, EndpointId, EventTypeId, RuleId, SourceId, TenantId};
use crate::model::plugin::OnFault;
use crate::model::resource::{Definition, Kind, Resource};
use crate::model::rule::Rule;
use crate::model::source::Source;
use crate::model::tenant::Tenant;
use crate::plugins::{Chain, Owner, Plugins};
use crate::store::{Named, Store};

/// Definitions that are made at once: their plugins are read and loaded beside one another. More of
/// them hold more memory.
pub(super) const MADE_AT_ONCE: usize = 3;

/// What of a configuration cannot be used although it reads well: plugins that are not there
/// or do not take their configuration, above all.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n  {}", .0.join("\n  "))]
pub struct Unusable(pub(super) Vec<String>);

/// What makes definitions into what the path uses.
pub(super) struct Workshop {
    pub(super) store: Arc<dyn Store>,
    pub(super) plugins: Plugins,
    pub(super) sender: Arc<Sender>,
    pub(super) clock: Arc<dyn Clock>,
    /// What names of plugins stand for beside the operator's.
    installed: RwLock<Arc<Installed>>,
    pub(super) watches: Arc<Watches>,
}

/// A checked definition, ready to be made into something.
pub(super) enum Checked {
    Source(Source),
    Endpoint(Endpoint),
    Rule(Rule),
    EventType(EventType),
    Alert(Alert),
    Tenant(Tenant),
}

impl Workshop {
    /// One that knows the operator's plugins.
    pub(super) fn new(
        store: Arc<dyn Store>,
        plugins: Plugins,
        sender: Arc<Sender>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            plugins,
            sender,
            clock,
            installed: RwLock::default(),
            watches: Arc::default(),
        }
    }

    /// The same where these plugins are installed.
    pub(super) fn with(&self, installed: Installed) -> Self {
        Self {
            store: Arc::clone(&self.store),
            plugins: self.plugins.clone(),
            sender: Arc::clone(&self.sender),
            clock: Arc::clone(&self.clock),
            installed: RwLock::new(Arc::new(installed)),
            watches: Arc::clone(&self.watches),
        }
    }

    /// The plugins that tenants have uploaded.
    pub(super) fn installed(&self) -> Arc<Installed> {
        Arc::clone(&self.installed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has names of plugins stand for these from now on.
    pub(super) fn install(&self, installed: Installed) {
        *self.installed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(installed);
    }

    /// Everything that a configuration declares, all of it for the default tenant. It sees the
    /// operator's plugins alone.
    pub(super) async fn declared(&self, config: &Config, tenant: &Tenant) -> anyhow::Result<Shelf> {
        let operators = self.with(Installed::default());
        let mut faults = Vec::new();
        let mut shelf = Shelf::default();
        let sources = config.sources.iter().map(|declared| &declared.item.name);
        let sources = self.identify(Named::Source, sources).await?;
        let endpoints = config.endpoints.iter().map(|declared| &declared.item.name);
        let endpoints = self.identify(Named::Endpoint, endpoints).await?;
        let sources = config.sources.iter().zip(sources).map(|(declared, id)| {
            let Declared { item, definition } = declared.clone();
            (Checked::Source(item), definition, id)
        });
        let endpoints = config.endpoints.iter().zip(endpoints).map(|(declared, id)| {
            let Declared { item, definition } = declared.clone();
            (Checked::Endpoint(item), definition, id)
        });
        let rules = config.rules.iter().map(|declared| &declared.item.name);
        let rules = self.identify(Named::Rule, rules).await?;
        let rules = config.rules.iter().zip(rules).map(|(declared, id)| {
            let Declared { item, definition } = declared.clone();
            (Checked::Rule(item), definition, id)
        });
        let event_types = config.event_types.iter().map(|declared| &declared.item.name);
        let event_types = self.identify(Named::EventType, event_types).await?;
        let event_types = config.event_types.iter().zip(event_types).map(|(declared, id)| {
            let Declared { item, definition } = declared.clone();
            (Checked::EventType(item), definition, id)
        });
        let alerts = config.alerts.iter().map(|declared| &declared.item.name);
        let alerts = self.identify(Named::Alert, alerts).await?;
        let alerts = config.alerts.iter().zip(alerts).map(|(declared, id)| {
            let Declared { item, definition } = declared.clone();
            (Checked::Alert(item), definition, id)
        });
        let others = rules.chain(event_types).chain(alerts);
        let (config, operators) = (&config, &operators);
        let all: Vec<_> = sources.chain(endpoints).chain(others).collect();
        let all = stream::iter(all).map(async move |(checked, definition, id)| {
            let checked = checked.called(id, TenantId::DEFAULT);
            let resource = checked.resource(definition);
            (resource, operators.make(config, checked, tenant).await)
        });
        let mut all = pin!(all.buffered(MADE_AT_ONCE));
        while let Some((resource, made)) = all.next().await {
            match made {
                Ok(made) => {
                    let entry = Entry {
                        made,
                        origin: Origin::File,
                        unusable: None,
                        resource,
                    };
                    shelf.insert(Arc::new(entry));
                }
                Err(fault) => faults.push(format!("{fault:#}")),
            }
        }
        if faults.is_empty() {
            Ok(shelf)
        } else {
            Err(Unusable(faults).into())
        }
    }

    async fn identify(&self, kind: Named, names: impl Iterator<Item = &String>) -> anyhow::Result<Vec<i64>> {
        let names = names.cloned().collect();
        let ids = self
            .store
            .identify(TenantId::DEFAULT, kind, names, self.clock.now());
        Ok(ids.await?)
    }

    /// A resource of the store as it can be put in force; if it cannot be used, as it was
    /// `before`, or at rest.
    pub(super) async fn managed(
        &self,
        config: &Config,
        resource: Resource,
        tenant: &Tenant,
        before: Option<&Arc<Entry>>,
    ) -> Entry {
        let usable = match Checked::read(config, resource.kind, &resource.definition) {
            Ok(checked) => {
                let checked = checked.called(resource.id, resource.tenant);
                let (resting, is_untrusted) = (checked.resting(), self.is_untrusted(&checked, tenant));
                let made = self.make(config, checked, tenant).await;
                made.map_err(|fault| (format!("{fault:#}"), resting, is_untrusted))
            }
            Err(faults) => Err((faults.join("; "), routed(config, &resource), false)),
        };
        let (made, unusable) = match usable {
            Ok(made) => (made, None),
            Err((fault, resting, is_untrusted)) => {
                tracing::error!(
                    kind = resource.kind.word(),
                    name = resource.name,
                    fault,
                    "a definition in the store cannot be used"
                );
                let before = before.filter(|_| !is_untrusted);
                (before.map_or(resting, |before| before.made.clone()), Some(fault))
            }
        };
        Entry {
            resource,
            origin: Origin::Api,
            made,
            unusable,
        }
    }

    /// Makes what a definition describes.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub(super) async fn make(
        &self,
        config: &Config,
        checked: Checked,
        tenant: &Tenant,
    ) -> anyhow::Result<Made> {
        match checked {
            Checked::Source(source) => Ok(Made::Door(Arc::new(self.door(source, tenant).await?))),
            // Nothing is sent: what it gets waits until it is fetched.
            Checked::Endpoint(endpoint) if endpoint.is_polled => Ok(Made::Resting(Arc::new(endpoint))),
            Checked::Endpoint(endpoint) => Ok(Made::Target(Arc::new(self.target(endpoint, tenant).await?))),
            Checked::Rule(rule) => Ok(Made::Rule(Arc::new(rule))),
            Checked::EventType(event_type) => Ok(Made::Described(Arc::new(event_type))),
            Checked::Alert(alert) => Ok(Made::Alert(Arc::new(alert))),
            Checked::Tenant(tenant) => Ok(Made::Tenant(Arc::new(Tenant {
                quota: config.limits(tenant.quota, tenant.plan.as_deref()),
                ..tenant
            }))),
        }
    }

    /// Finds out whether the plugins of a definition can be used; keeps nothing.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub(super) async fn try_out(&self, checked: &Checked, tenant: &Tenant) -> anyhow::Result<()> {
        let (kind, plugins, id, name) = match checked {
            Checked::Source(source) => (Named::Source, &source.plugins, source.id.raw(), &source.name),
            Checked::Endpoint(endpoint) => (
                Named::Endpoint,
                &endpoint.plugins,
                endpoint.id.raw(),
                &endpoint.name,
            ),
            Checked::Rule(_) | Checked::EventType(_) | Checked::Alert(_) | Checked::Tenant(_) => {
                return Ok(());
            }
        };
        let owner = Owner {
            tenant: tenant.id,
            tenant_name: tenant.name.clone(),
            kind,
            id,
            name: name.clone(),
        };
        if let Checked::Source(source) = checked {
            self.bind(source.redact.as_slice(), &owner, tenant).await?;
        }
        self.bind(plugins, &owner, tenant).await.map(drop)
    }

    async fn door(&self, source: Source, tenant: &Tenant) -> anyhow::Result<Door> {
        let owner = Owner {
            tenant: source.tenant,
            tenant_name: tenant.name.clone(),
            kind: Named::Source,
            id: source.id.raw(),
            name: source.name.clone(),
        };
        let redactor = self.bind(source.redact.as_slice(), &owner, tenant).await?;
        let bound = self.bind(&source.plugins, &owner, tenant).await?;
        let authenticators = bound
            .iter()
            .filter(|bound| bound.hooks().authenticate)
            .cloned()
            .collect();
        let paths = self.store.paths(source.id).await?;
        // A plugin that breaks here has no delivery to be retried: the sender is told instead.
        Ok(Door {
            redactor: Chain::new(redactor, OnFault::Retry),
            chain: Chain::new(bound, OnFault::Retry),
            authenticators,
            source,
            paths,
        })
    }

    async fn target(&self, endpoint: Endpoint, tenant: &Tenant) -> anyhow::Result<Target> {
        let owner = Owner {
            tenant: endpoint.tenant,
            tenant_name: tenant.name.clone(),
            kind: Named::Endpoint,
            id: endpoint.id.raw(),
            name: endpoint.name.clone(),
        };
        let bound = self.bind(&endpoint.plugins, &owner, tenant).await?;
        // What signs with secrets of its own needs none, nor the commit that keeps them.
        let own = match endpoint.secrets.is_empty() {
            true => {
                let (tenant, fresh) = (endpoint.tenant, SigningKey::generate());
                Some(self.store.signing_secrets(tenant, endpoint.id, fresh).await?)
            }
            false => None,
        };
        let retiring = self.store.retiring_secrets(endpoint.id).await?;
        let name = endpoint.name.clone();
        let target = Target::new(endpoint, bound, own.as_ref(), retiring, &self.sender);
        target.with_context(|| format!("endpoint {name}"))
    }
}

impl Checked {
    /// Reads a definition by the rules of a configuration.
    ///
    /// # Errors
    /// Every fault, in a line each.
    pub(super) fn read(config: &Config, kind: Kind, definition: &Definition) -> Result<Self, Vec<String>> {
        let keys = &definition.keys;
        let read = match kind {
            Kind::Source => definition::source(config, keys).map(|read| Self::Source(read.item)),
            Kind::Endpoint => definition::endpoint(config, keys).map(|read| Self::Endpoint(read.item)),
            Kind::Rule => definition::rule(keys).map(|read| Self::Rule(read.item)),
            Kind::EventType => definition::event_type(keys).map(|read| Self::EventType(read.item)),
            Kind::Alert => definition::alert(keys).map(|read| Self::Alert(read.item)),
            Kind::Tenant => definition::kept_tenant(keys).map(|read| Self::Tenant(read.item)),
        };
        read.map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    /// The same with its id, in its tenant.
    pub(super) fn called(self, id: i64, tenant: TenantId) -> Self {
        match self {
            Self::Source(source) => Self::Source(Source {
                id: SourceId::from_raw(id),
                tenant,
                ..source
            }),
            Self::Endpoint(endpoint) => Self::Endpoint(Endpoint {
                id: EndpointId::from_raw(id),
                tenant,
                ..endpoint
            }),
            Self::Rule(rule) => Self::Rule(Rule {
                id: RuleId::from_raw(id),
                tenant,
                ..rule
            }),
            Self::EventType(event_type) => Self::EventType(EventType {
                id: EventTypeId::from_raw(id),
                tenant,
                ..event_type
            }),
            Self::Alert(alert) => Self::Alert(Alert {
                id: AlertId::from_raw(id),
                tenant,
                ..alert
            }),
            Self::Tenant(own) => Self::Tenant(Tenant {
                id: TenantId::from_raw(id),
                ..own
            }),
        }
    }

    /// Plugin uses in its chain.
    pub(super) fn plugin_uses(&self) -> usize {
        match self {
            Self::Source(source) => uses_of_source(source),
            Self::Endpoint(endpoint) => endpoint.plugins.len(),
            Self::Rule(_) | Self::EventType(_) | Self::Alert(_) | Self::Tenant(_) => 0,
        }
    }

    /// How the file's declaration is shown among the resources.
    fn resource(&self, definition: Definition) -> Resource {
        let (kind, id, tenant, name, made_at) = match self {
            Self::Source(source) => (
                Kind::Source,
                source.id.raw(),
                source.tenant,
                &source.name,
                source.id.made_at(),
            ),
            Self::Endpoint(endpoint) => (
                Kind::Endpoint,
                endpoint.id.raw(),
                endpoint.tenant,
                &endpoint.name,
                endpoint.id.made_at(),
            ),
            Self::Rule(rule) => (
                Kind::Rule,
                rule.id.raw(),
                rule.tenant,
                &rule.name,
                rule.id.made_at(),
            ),
            Self::EventType(event_type) => (
                Kind::EventType,
                event_type.id.raw(),
                event_type.tenant,
                &event_type.name,
                event_type.id.made_at(),
            ),
            Self::Alert(alert) => (
                Kind::Alert,
                alert.id.raw(),
                alert.tenant,
                &alert.name,
                alert.id.made_at(),
            ),
            Self::Tenant(tenant) => (
                Kind::Tenant,
                tenant.id.raw(),
                TenantId::DEFAULT,
                &tenant.name,
                tenant.id.made_at(),
            ),
        };
        Resource {
            id,
            tenant,
            kind,
            name: name.clone(),
            definition,
            revision: 0,
            created_at: made_at,
            updated_at: made_at,
            deleted_at: None,
        }
    }

    /// What stays of it when its plugins cannot be used.
    fn resting(&self) -> Made {
        match self {
            Self::Source(_) | Self::Rule(_) | Self::EventType(_) | Self::Alert(_) | Self::Tenant(_) => {
                Made::Nothing
            }
            Self::Endpoint(endpoint) => Made::Resting(Arc::new(endpoint.clone())),
        }
    }
}

/// What stays of a definition that does not read any more, since the rules have changed: an
/// endpoint is still routed to, as far as that part of its definition reads.
fn routed(config: &Config, resource: &Resource) -> Made {
    let read = match resource.kind {
        Kind::Source | Kind::Rule | Kind::EventType | Kind::Alert | Kind::Tenant => None,
        Kind::Endpoint => definition::routing(config, &resource.definition.keys),
    };
    let called = |endpoint| Checked::Endpoint(endpoint).called(resource.id, resource.tenant);
    read.map_or(Made::Nothing, |endpoint| called(endpoint).resting())
}

/// A resource of the store whose name the configuration file declares, too: that one counts.
pub(super) fn shadowed(resource: Resource) -> Entry {
    let kind = resource.kind.word();
    let why = format!(
        "the configuration file declares the {kind} {:?}, which counts",
        resource.name
    );
    tracing::warn!(
        kind,
        name = resource.name,
        "{why}; the one that was made by the API rests"
    );
    Entry {
        resource,
        origin: Origin::Api,
        made: Made::Nothing,
        unusable: Some(why),
    }
}

/// The snapshot of all that is in force.
pub(super) fn directory(shelf: &Shelf) -> Result<Directory, Unusable> {
    let (mut targets, mut resting) = (Vec::new(), Vec::new());
    for entry in shelf.entries() {
        match &entry.made {
            Made::Target(target) => targets.push(Arc::clone(target)),
            Made::Resting(endpoint) => resting.push(Arc::clone(endpoint)),
            _ => {}
        }
    }
    Directory::new(doors(shelf), targets, resting, rules(shelf))
        .map(|directory| {
            directory
                .with_event_types(event_types(shelf))
                .with_tenants(tenants_of(shelf))
        })
        .map_err(Unusable::from)
}

/// How far a change of a resource reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Itself,
    /// With it others come into force, go out of it, or are made anew.
    Others,
}

/// The snapshot after a change of one resource: only what it belongs to is made anew. Endpoints and
/// tenants are many and change often, so that of them only the one is.
pub(super) fn changed(
    before: &Directory,
    shelf: &Shelf,
    resource: &Resource,
    reach: Reach,
) -> Result<Directory, Unusable> {
    let directory = before.clone();
    match resource.kind {
        Kind::Source => Ok(directory.with_doors(doors(shelf))),
        Kind::Rule => directory.with_rules(rules(shelf)).map_err(Unusable::from),
        Kind::EventType => Ok(directory.with_event_types(event_types(shelf))),
        Kind::Alert => Ok(directory),
        Kind::Tenant => match tenants::in_force(shelf, TenantId::from_raw(resource.id)) {
            Some(tenant) if reach == Reach::Itself => Ok(directory.with_tenant(tenant)),
            _ => self::directory(shelf),
        },
        Kind::Endpoint => {
            let id = EndpointId::from_raw(resource.id);
            let entry = shelf.get((resource.tenant, resource.kind, resource.id));
            let directory = match entry.map(|entry| &entry.made) {
                Some(Made::Target(target)) => directory.with_target(Arc::clone(target)),
                Some(Made::Resting(endpoint)) => directory.with_resting(Arc::clone(endpoint)),
                _ => Ok(directory.without_endpoint(id)),
            };
            directory.map_err(|malformed| Unusable::from(vec![malformed]))
        }
    }
}

fn doors(shelf: &Shelf) -> Vec<Arc<Door>> {
    all(shelf, |made| match made {
        Made::Door(door) => Some(door),
        _ => None,
    })
}

fn rules(shelf: &Shelf) -> Vec<Arc<Rule>> {
    all(shelf, |made| match made {
        Made::Rule(rule) => Some(rule),
        _ => None,
    })
}

fn event_types(shelf: &Shelf) -> Vec<Arc<EventType>> {
    all(shelf, |made| match made {
        Made::Described(event_type) => Some(event_type),
        _ => None,
    })
}

fn tenants_of(shelf: &Shelf) -> Vec<Arc<Tenant>> {
    all(shelf, |made| match made {
        Made::Tenant(tenant) => Some(tenant),
        _ => None,
    })
}

fn all<T>(shelf: &Shelf, wanted: impl Fn(&Made) -> Option<&Arc<T>>) -> Vec<Arc<T>> {
    let found = shelf.entries().filter_map(|entry| wanted(&entry.made));
    found.cloned().collect()
}

impl From<Vec<Malformed>> for Unusable {
    fn from(malformed: Vec<Malformed>) -> Self {
        Self(malformed.iter().map(ToString::to_string).collect())
    }
}
