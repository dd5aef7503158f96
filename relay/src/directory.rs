//! Everything the path needs to know of sources, endpoints and rules: an immutable snapshot that is
//! swapped whole when the configuration or a plugin changes.
//!
//! What is under way keeps the snapshot it began with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rpds::HashTrieMapSync;
use tokio::sync::Notify;

use crate::crypto::standard_webhooks::SigningKey;
use crate::deliver::send::Sender;
use crate::deliver::{Outlet, OutletError};
use crate::model::catalogue::EventType;
use crate::model::endpoint::Endpoint;
use crate::model::id::{EndpointId, SourceId, TenantId};
use crate::model::path::Paths;
use crate::model::policy::Policy;
use crate::model::rule::Rule;
use crate::model::secret::Secret;
use crate::model::source::Source;
use crate::model::tenant::Tenant;
use crate::model::time::Timestamp;
use crate::plugins::{Bound, Chain};
use crate::route::table::Table;
use crate::rules::Rulebook;
use crate::store::{Retiring, SigningSecrets};
use crate::{route, rules};

/// A source in use.
pub struct Door {
    pub source: Source,
    /// Plugins with the hook `authenticate`, asked in order after the source's own scheme.
    pub authenticators: Vec<Bound>,
    /// What takes out of a post what nobody may see.
    pub redactor: Chain,
    /// Plugins that filter or reshape before the event is stored.
    pub chain: Chain,
    /// Where it is reached, if that is no longer by its id and name alone.
    pub paths: Option<Paths>,
}

impl Door {
    /// The same source, reached by other paths.
    pub fn moved(&self, paths: Paths) -> Self {
        Self {
            source: self.source.clone(),
            authenticators: self.authenticators.clone(),
            redactor: self.redactor.clone(),
            chain: self.chain.clone(),
            paths: Some(paths),
        }
    }

    /// The last segment of the path that its sender is told.
    pub fn path(&self) -> String {
        match &self.paths {
            Some(paths) => paths.current.reveal().to_owned(),
            None => self.source.id.to_string(),
        }
    }

    fn is_open(&self, path: Option<&str>, now: Timestamp) -> bool {
        self.paths.as_ref().is_none_or(|paths| paths.is_open(path, now))
    }
}

/// An endpoint in use.
pub struct Target {
    pub endpoint: Arc<Endpoint>,
    pub chain: Chain,
    /// Plugins with the hook `respond`, which turn the receiver's answer to a call, in order.
    pub responders: Vec<Bound>,
    pub outlet: Outlet,
    /// What receivers verify with: the endpoint's own or the relay's.
    secrets: Vec<Secret>,
    /// What was replaced, and signs beside them for a while.
    retiring: Vec<Retiring>,
}

impl Target {
    /// An endpoint with its plugins, signing with its own secrets or else with the relay's `own`, and
    /// with those that retire.
    ///
    /// # Errors
    /// What of the endpoint cannot be used.
    pub fn new(
        endpoint: Endpoint,
        bound: Vec<Bound>,
        own: Option<&SigningSecrets>,
        mut retiring: Vec<Retiring>,
        sender: &Sender,
    ) -> Result<Self, OutletError> {
        let secrets = match (endpoint.secrets.as_slice(), own) {
            ([], Some(own)) => own_secrets(&endpoint, own),
            (given, _) => given.to_vec(),
        };
        retiring.retain(|retiring| !secrets.contains(&retiring.secret));
        let outlet = Outlet::new(&endpoint, &secrets, &retiring, sender)?;
        let responders = bound.iter().filter(|bound| bound.hooks().respond);
        Ok(Self {
            responders: responders.cloned().collect(),
            chain: Chain::new(bound, endpoint.on_fault),
            endpoint: Arc::new(endpoint),
            outlet,
            secrets,
            retiring,
        })
    }

    /// The same endpoint, signing with other secrets of the relay's.
    ///
    /// # Errors
    /// A secret that is no key.
    pub fn resigned(
        &self,
        own: &SigningSecrets,
        retiring: Vec<Retiring>,
        sender: &Sender,
    ) -> Result<Self, OutletError> {
        let secrets = own_secrets(&self.endpoint, own);
        Ok(Self {
            endpoint: Arc::clone(&self.endpoint),
            chain: self.chain.clone(),
            responders: self.responders.clone(),
            outlet: Outlet::new(&self.endpoint, &secrets, &retiring, sender)?,
            secrets,
            retiring,
        })
    }

    /// The way out to another URL, as this endpoint would go it: what it sends and signs is the
    /// same.
    ///
    /// # Errors
    /// If nothing can be sent to the URL.
    pub fn outlet_to(&self, url: url::Url, sender: &Sender) -> Result<Outlet, OutletError> {
        let endpoint = Endpoint {
            url,
            ..Endpoint::clone(&self.endpoint)
        };
        Outlet::new(&endpoint, &self.secrets, &self.retiring, sender)
    }

    /// The same way out, but signing with secrets that nobody else knows.
    ///
    /// # Errors
    /// If nothing can be sent.
    pub fn forger(&self, sender: &Sender) -> Result<Outlet, OutletError> {
        let fresh = SigningKey::generate();
        let forge = |secret: &Secret| match secret.reveal().starts_with("whsec_") {
            true => fresh.symmetric.clone(),
            false => fresh.asymmetric.clone(),
        };
        let secrets: Vec<Secret> = self.secrets.iter().map(forge).collect();
        Outlet::new(&self.endpoint, &secrets, &[], sender)
    }

    /// What it signs with, newest first.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Until when secrets that were replaced sign, too; it may be over.
    pub fn overlap_until(&self) -> Option<Timestamp> {
        self.retiring.iter().map(|retiring| retiring.until).max()
    }

    /// `whsec_…`, if it signs with one.
    pub fn shared_secret(&self) -> Option<String> {
        shared_secret(&self.secrets)
    }

    /// `whpk_…`, if it signs with a key pair.
    pub fn public_key(&self) -> Option<String> {
        public_key(&self.secrets)
    }
}

/// The first `whsec_…` of these.
pub fn shared_secret(secrets: &[Secret]) -> Option<String> {
    let mut secrets = secrets.iter().map(Secret::reveal);
    let shared = secrets.find(|text| text.starts_with("whsec_"));
    shared.map(str::to_owned)
}

/// The `whpk_…` of the first key pair of these.
pub fn public_key(secrets: &[Secret]) -> Option<String> {
    let keys = secrets.iter().filter_map(|secret| SigningKey::parse(secret).ok());
    keys.into_iter().find_map(|key| key.public())
}

/// What an endpoint signs with that has no secrets but those that the relay made for it.
pub fn own_secrets(endpoint: &Endpoint, own: &SigningSecrets) -> Vec<Secret> {
    let v1 = endpoint.signatures.v1.then(|| own.symmetric.clone());
    let v1a = endpoint.signatures.v1a.then(|| own.asymmetric.clone());
    v1.into_iter().chain(v1a).collect()
}

/// The snapshot. A copy shares what it has in common with the original.
#[derive(Clone, Default)]
pub struct Directory {
    doors: Arc<Doors>,
    targets: HashTrieMapSync<EndpointId, Arc<Target>>,
    /// Those whose events are held against a schema when they come in.
    validated: Arc<HashMap<TenantId, HashMap<String, Arc<EventType>>>>,
    pub table: Table,
    pub rules: Arc<Rulebook>,
    tenants: Tenants,
}

#[derive(Default)]
struct Doors {
    by_id: HashMap<SourceId, Arc<Door>>,
    named: HashMap<(TenantId, String), Arc<Door>>,
    /// Those whose paths were rotated.
    by_path: HashMap<String, Arc<Door>>,
}

#[derive(Clone, Default)]
struct Tenants {
    by_id: HashTrieMapSync<TenantId, Arc<Tenant>>,
    named: HashTrieMapSync<String, TenantId>,
}

/// What of a snapshot cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error(transparent)]
    Endpoint(#[from] route::table::MalformedFilter),
    #[error(transparent)]
    Rule(#[from] rules::MalformedFilter),
}

impl Directory {
    /// A snapshot of these. Events are routed to `resting` endpoints too, and wait there.
    ///
    /// # Errors
    /// Every filter that cannot be used.
    pub fn new(
        doors: Vec<Arc<Door>>,
        targets: Vec<Arc<Target>>,
        resting: Vec<Arc<Endpoint>>,
        rules: Vec<Arc<Rule>>,
    ) -> Result<Self, Vec<Malformed>> {
        let table = Table::build(
            targets
                .iter()
                .map(|target| Arc::clone(&target.endpoint))
                .chain(resting)
                .collect(),
        );
        let rules = Rulebook::build(rules);
        let (table, rules) = match (table, rules) {
            (Ok(table), Ok(rules)) => (table, rules),
            (table, rules) => {
                let endpoints = table.err().into_iter().flatten().map(Malformed::from);
                let rules = rules.err().into_iter().flatten().map(Malformed::from);
                return Err(endpoints.chain(rules).collect());
            }
        };
        let directory = Self {
            targets: targets
                .into_iter()
                .map(|target| (target.endpoint.id, target))
                .collect(),
            table,
            rules: Arc::new(rules),
            ..Self::default()
        };
        Ok(directory.with_doors(doors))
    }

    /// The same snapshot with these sources and no others.
    #[must_use]
    pub fn with_doors(mut self, doors: Vec<Arc<Door>>) -> Self {
        let name = |door: &Door| (door.source.tenant, door.source.name.clone());
        let named = doors.iter().map(|door| (name(door), Arc::clone(door))).collect();
        let by_path = doors.iter().flat_map(|door| {
            let paths = door.paths.iter().flat_map(Paths::all);
            paths.map(|path| (path.reveal().to_owned(), Arc::clone(door)))
        });
        let by_path = by_path.collect();
        let by_id = doors.into_iter().map(|door| (door.source.id, door)).collect();
        self.doors = Arc::new(Doors {
            by_id,
            named,
            by_path,
        });
        self
    }

    /// The same snapshot with these rules and no others.
    ///
    /// # Errors
    /// Every filter that cannot be used.
    pub fn with_rules(mut self, rules: Vec<Arc<Rule>>) -> Result<Self, Vec<Malformed>> {
        let rules = Rulebook::build(rules);
        let rules = rules.map_err(|faults| faults.into_iter().map(Malformed::from).collect::<Vec<_>>())?;
        self.rules = Arc::new(rules);
        Ok(self)
    }

    /// The same snapshot with these event types and no others.
    #[must_use]
    pub fn with_event_types(mut self, event_types: Vec<Arc<EventType>>) -> Self {
        let mut validated: HashMap<_, HashMap<_, _>> = HashMap::new();
        for event_type in event_types {
            if event_type.enforced().is_some() {
                let of_tenant = validated.entry(event_type.tenant).or_default();
                of_tenant.insert(event_type.name.clone(), event_type);
            }
        }
        self.validated = Arc::new(validated);
        self
    }

    /// The same snapshot with this endpoint, in place of the one with its id.
    ///
    /// # Errors
    /// Its filter cannot be used.
    pub fn with_target(mut self, target: Arc<Target>) -> Result<Self, Malformed> {
        self.table.put(Arc::clone(&target.endpoint))?;
        self.targets.insert_mut(target.endpoint.id, target);
        Ok(self)
    }

    /// The same snapshot with this endpoint, to which events are routed, and wait there.
    ///
    /// # Errors
    /// Its filter cannot be used.
    pub fn with_resting(mut self, endpoint: Arc<Endpoint>) -> Result<Self, Malformed> {
        self.targets.remove_mut(&endpoint.id);
        self.table.put(endpoint)?;
        Ok(self)
    }

    /// The same snapshot without the endpoint of that id.
    #[must_use]
    pub fn without_endpoint(mut self, id: EndpointId) -> Self {
        self.table.remove(id);
        self.targets.remove_mut(&id);
        self
    }

    /// The event type of that name, if its events are held against a schema.
    pub fn validated(&self, tenant: TenantId, name: &str) -> Option<&Arc<EventType>> {
        self.validated.get(&tenant)?.get(name)
    }

    /// The same with these tenants in force, and no others.
    #[must_use]
    pub fn with_tenants(mut self, tenants: Vec<Arc<Tenant>>) -> Self {
        self.tenants = Tenants::default();
        tenants.into_iter().fold(self, Self::with_tenant)
    }

    /// The same with this tenant, in place of the one with its id.
    #[must_use]
    pub fn with_tenant(mut self, tenant: Arc<Tenant>) -> Self {
        let Tenants { by_id, named } = &mut self.tenants;
        if let Some(before) = by_id.get(&tenant.id) {
            named.remove_mut(&before.name);
        }
        named.insert_mut(tenant.name.clone(), tenant.id);
        by_id.insert_mut(tenant.id, tenant);
        self
    }

    /// The tenant of that id, with its limits and its plan's.
    pub fn tenant(&self, id: TenantId) -> Option<&Arc<Tenant>> {
        self.tenants.by_id.get(&id)
    }

    /// What a tenant lays down; one that is not there lays nothing down.
    pub fn policy(&self, id: TenantId) -> Policy {
        self.tenant(id).map(|tenant| tenant.policy).unwrap_or_default()
    }

    /// The tenants that keep their events for less time than that, oldest first, and for how long.
    pub fn kept_for_less_than(&self, most: Duration) -> Vec<(TenantId, Duration)> {
        let terms = self.tenants().filter_map(|tenant| {
            let kept = tenant.policy.retention.filter(|kept| *kept < most)?;
            Some((tenant.id, kept))
        });
        let mut terms: Vec<_> = terms.collect();
        terms.sort_unstable();
        terms
    }

    /// The tenant of that name or id.
    pub fn tenant_called(&self, word: &str) -> Option<&Arc<Tenant>> {
        let id = word
            .parse()
            .ok()
            .or_else(|| self.tenants.named.get(word).copied());
        self.tenants.by_id.get(&id?)
    }

    /// Every tenant.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.by_id.values().map(AsRef::as_ref)
    }

    /// The source of that name in a tenant.
    pub fn source(&self, tenant: TenantId, name: &str) -> Option<&Arc<Door>> {
        self.doors.named.get(&(tenant, name.to_owned()))
    }

    /// The sources of a tenant, oldest first.
    pub fn doors_of(&self, tenant: TenantId) -> impl Iterator<Item = &Arc<Door>> {
        let own = self.doors.by_id.values();
        let mut own: Vec<_> = own.filter(|door| door.source.tenant == tenant).collect();
        own.sort_by_key(|door| door.source.id);
        own.into_iter()
    }

    /// The source that `/in/{word}` leads to: by a path that it was given, which nobody guesses; else
    /// one of any tenant by its id, or one of the default tenant by its name.
    pub fn door(&self, word: &str, now: Timestamp) -> Option<&Arc<Door>> {
        if let Some(door) = self.doors.by_path.get(word) {
            return Some(door).filter(|door| door.is_open(Some(word), now));
        }
        let by_id = word
            .parse()
            .ok()
            .and_then(|id: SourceId| self.doors.by_id.get(&id));
        let door = by_id.or_else(|| self.source(TenantId::DEFAULT, word));
        door.filter(|door| door.is_open(None, now))
    }

    /// What `/in/{word}` is called where it may be seen: a path that a source was given is told to
    /// its sender alone.
    pub fn door_called<'a>(&'a self, word: &'a str) -> &'a str {
        let door = self.doors.by_path.get(word);
        door.map_or(word, |door| door.source.name.as_str())
    }

    /// The name of a source.
    pub fn source_name(&self, id: SourceId) -> Option<&str> {
        self.doors.by_id.get(&id).map(|door| door.source.name.as_str())
    }

    /// The endpoint of that id.
    pub fn target(&self, id: EndpointId) -> Option<&Arc<Target>> {
        self.targets.get(&id)
    }

    /// The endpoint of that name in a tenant.
    pub fn endpoint_named(&self, tenant: TenantId, name: &str) -> Option<&Arc<Target>> {
        self.target(self.endpoint_called(tenant, name)?)
    }

    /// The id of the endpoint of that name in a tenant, whether or not anything is sent to it.
    pub fn endpoint_called(&self, tenant: TenantId, name: &str) -> Option<EndpointId> {
        self.table.named(tenant, name)
    }

    /// Every endpoint, oldest first.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        let mut targets: Vec<_> = self.targets.values().collect();
        targets.sort_by_key(|target| target.endpoint.id);
        targets.into_iter()
    }
}

/// Where the snapshot in force is found; empty at first.
#[derive(Default)]
pub struct Directories {
    current: ArcSwap<Directory>,
    changed: Arc<Notify>,
}

impl Directories {
    /// The snapshot in force.
    pub fn current(&self) -> Arc<Directory> {
        self.current.load_full()
    }

    /// Puts another in force.
    pub fn replace(&self, next: Directory) {
        self.current.store(Arc::new(next));
        self.changed.notify_one();
    }

    /// Rings for one listener when another is in force.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}
