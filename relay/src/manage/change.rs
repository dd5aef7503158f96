//! One change at a time: checked whole, kept, put in force.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::assemble::{self, Checked, Reach};
use super::audit::{self, Change};
use super::entry::{Entry, Origin};
use super::shelf::Shelf;
use super::{Manager, Prepared, Usages, tenants};
use crate::config::key_path::KeyPath;
use crate::config::reader::Fault;
use crate::config::{Config, definition};
use crate::flow::Flow;
use crate::model::alert::Alert;
use crate::model::audit::{By, Deed};
use crate::model::id::{DeliveryId, EndpointId, RuleId, TenantId};
use crate::model::policy::{self, Policy};
use crate::model::quota::Reached;
use crate::model::resource::{Definition, Kind, Resource, merge};
use crate::queue::{Job, Terms};
use crate::store::{self, Saved};

/// Living resources of one kind in one tenant.
const RESOURCES_MAX: usize = 20_000;
/// The same of rules: an event may have to be held against each.
const RULES_MAX: usize = 1_000;
/// Bytes of a definition as JSON.
const DEFINITION_BYTES_MAX: usize = 256 << 10;

/// What becomes of a definition.
#[derive(Debug, Clone)]
pub enum Write {
    /// These keys and no others.
    Replace(Map<String, Value>),
    /// A JSON Merge Patch (RFC 7396).
    Patch(Map<String, Value>),
}

impl Write {
    /// The keys that it makes of a definition; secrets that it leaves sealed stay as they are.
    fn apply(self, before: &Definition) -> Map<String, Value> {
        let mut keys = match self {
            Self::Replace(keys) => keys,
            Self::Patch(patch) => {
                let mut keys = before.keys.clone();
                merge(&mut keys, patch);
                keys
            }
        };
        before.lend_secrets(&mut keys);
        keys
    }
}

/// What is noted of a change.
#[derive(Clone, Copy)]
pub(super) struct Done<'a> {
    pub(super) by: By,
    pub(super) change: Change,
    pub(super) before: Option<&'a Definition>,
}

/// Why a change was not made.
#[derive(Debug)]
pub enum Refused {
    /// What is wrong with the definition.
    Invalid(Vec<Fault>),
    /// It reads well but cannot be used: a plugin that is not there, or does not take its
    /// configuration.
    Unusable(String),
    NameTaken(String),
    /// It is not of the revision that the caller knows.
    Changed {
        revision: u64,
    },
    Unknown,
    /// The configuration file declares it.
    Declared(String),
    /// There are as many as there may be.
    TooMany(usize),
    TooLarge(usize),
    /// The tenant has as many as it may have.
    Quota(Reached),
    /// The default tenant is always there.
    Permanent,
    /// So many of its secrets sign beside the newest already.
    Retiring(usize),
    Store(store::Error),
}

impl From<Reached> for Refused {
    fn from(reached: Reached) -> Self {
        Self::Quota(reached)
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// Which one, and what the caller knows of it.
#[derive(Debug, Clone, Copy)]
pub struct Handle {
    pub tenant: TenantId,
    pub kind: Kind,
    pub id: i64,
    /// The revision that the change is meant for; `None`: whichever it is.
    pub revision: Option<u64>,
}

/// What is left of one that was deleted.
pub struct Left {
    pub entry: Arc<Entry>,
    /// What waited in memory, for each endpoint that went: to be cancelled, with what waits in the
    /// store.
    pub jobs: Vec<(EndpointId, Vec<Job>)>,
    /// Deliveries made later have larger ids.
    pub before: DeliveryId,
}

impl Manager {
    /// Makes a new one.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn create(
        &self,
        tenant: TenantId,
        kind: Kind,
        keys: Map<String, Value>,
        by: By,
    ) -> Result<Arc<Entry>, Refused> {
        let config = self.lock().await;
        self.check_room(tenant, kind)?;
        let now = self.workshop.clock.now();
        let resource = Resource {
            id: self.workshop.store.fresh_id(now),
            tenant,
            kind,
            name: String::new(),
            definition: Definition::default(),
            revision: 0,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        let done = Done {
            by,
            change: Change::Created,
            before: None,
        };
        self.write(&config, resource, keys, done).await
    }

    /// Changes one.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn change(&self, handle: Handle, write: Write, by: By) -> Result<Arc<Entry>, Refused> {
        let config = self.lock().await;
        let entry = self.of_the_api(handle)?;
        let before = &entry.resource.definition;
        let keys = write.apply(before);
        let done = Done {
            by,
            change: Change::Changed,
            before: Some(before),
        };
        self.write(&config, entry.resource.clone(), keys, done).await
    }

    /// What a change would make of one, checked as the change itself would be; keeps nothing.
    ///
    /// # Errors
    /// Why the change would not be made.
    pub async fn would_be(&self, handle: Handle, write: Write) -> Result<Entry, Refused> {
        let config = self.lock().await;
        let entry = self.of_the_api(handle)?;
        let keys = write.apply(&entry.resource.definition);
        self.ready(&config, entry.resource.clone(), keys).await
    }

    /// Deletes one: it is no longer in force, and can be restored.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn delete(&self, handle: Handle, flow: &Flow, by: By) -> Result<Left, Refused> {
        let _config = self.lock().await;
        let entry = self.of_the_api(handle)?;
        if entry
            .tenant()
            .is_some_and(|tenant| tenant.id == TenantId::DEFAULT)
        {
            return Err(Refused::Permanent);
        }
        let now = self.workshop.clock.now();
        let mut resource = entry.resource.clone();
        resource.revision += 1;
        resource.updated_at = now;
        resource.deleted_at = Some(now);
        let key = (resource.tenant, resource.kind, resource.id);
        let before = self.shelf();
        let (kind, id) = (resource.kind, resource.id);
        let mut shelf = Shelf::clone(&before);
        shelf.remove(key);
        if kind == Kind::Tenant {
            shelf.remove_all(TenantId::from_raw(id));
        }
        let deed = audit::of_change(by, Change::Deleted, &resource, Some(&resource.definition));
        self.keep(resource, shelf, deed, Reach::Others).await?;
        // Still under the lock: were it restored first, what comes after would be cancelled.
        let jobs = match kind {
            Kind::Endpoint => {
                let endpoint = EndpointId::from_raw(id);
                vec![(endpoint, self.queue.retire(endpoint))]
            }
            Kind::Tenant => self.retire_all(&before, TenantId::from_raw(id)),
            Kind::Source | Kind::Rule | Kind::EventType | Kind::Alert => Vec::new(),
        };
        if kind == Kind::Rule {
            self.forget_rule(RuleId::from_raw(id), None).await;
        }
        let before = DeliveryId::from_raw(flow.ids.next(now));
        Ok(Left { entry, jobs, before })
    }

    /// Puts a deleted one in force again, as it was.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn restore(&self, handle: Handle, by: By) -> Result<Arc<Entry>, Refused> {
        let config = self.lock().await;
        let store = &self.workshop.store;
        let found = store.resource(handle.tenant, handle.kind, handle.id).await?;
        let mut resource = found
            .filter(|found| found.deleted_at.is_some())
            .ok_or(Refused::Unknown)?;
        expect(handle, resource.revision)?;
        self.check_room(handle.tenant, handle.kind)?;
        resource.deleted_at = None;
        let keys = resource.definition.keys.clone();
        let done = Done {
            by,
            change: Change::Restored,
            before: None,
        };
        self.write(&config, resource, keys, done).await
    }

    /// Checks a definition, keeps it as the next revision of a resource, and puts it in force.
    pub(super) async fn write(
        &self,
        config: &Config,
        resource: Resource,
        keys: Map<String, Value>,
        done: Done<'_>,
    ) -> Result<Arc<Entry>, Refused> {
        let before = self.find(resource.tenant, resource.kind, Some(resource.id), "");
        let entry = Arc::new(self.ready(config, resource, keys).await?);
        let next = entry.resource.clone();
        let reach = reach(&next, before.as_deref());
        let shelf = if reach == Reach::Others {
            let prepared = self.prepare_with(config, Some(&next)).await;
            let prepared = prepared.map_err(|fault| Refused::Unusable(format!("{fault:#}")))?;
            prepared.shelf
        } else {
            let mut shelf = Shelf::clone(&self.shelf());
            shelf.insert(Arc::clone(&entry));
            shelf
        };
        let deed = audit::of_change(done.by, done.change, &next, done.before);
        self.keep(next, shelf, deed, reach).await?;
        if let Some(rule) = entry.rule() {
            self.forget_rule(rule.id, rule.enabled.then_some(rule.version))
                .await;
        }
        Ok(entry)
    }

    /// Checks a definition and makes what it describes, as the next revision of a resource.
    async fn ready(
        &self,
        config: &Config,
        resource: Resource,
        keys: Map<String, Value>,
    ) -> Result<Entry, Refused> {
        let bytes = serde_json::to_vec(&keys).map_or(usize::MAX, |json| json.len());
        if bytes > DEFINITION_BYTES_MAX {
            return Err(Refused::TooLarge(bytes));
        }
        let stands = Some(&resource.definition.keys);
        let tenant = self.tenant(resource.tenant).ok_or(Refused::Unknown)?;
        let (checked, name, definition) = read(config, tenant.policy, resource.kind, &keys, stands)?;
        if let Checked::Alert(alert) = &checked {
            let faults = self.unknown_subjects(resource.tenant, alert, stands, &[]);
            if !faults.is_empty() {
                return Err(Refused::Invalid(faults));
            }
        }
        let next = Resource {
            name,
            definition,
            revision: resource.revision + 1,
            updated_at: self.workshop.clock.now(),
            ..resource
        };
        let rival = self.find(next.tenant, next.kind, None, &next.name);
        if rival.is_some_and(|rival| rival.resource.id != next.id) {
            return Err(Refused::NameTaken(next.name));
        }
        let before = self.find(next.tenant, next.kind, Some(next.id), "");
        let checked = checked.called(next.id, next.tenant);
        self.check_plugins(next.tenant, before.as_deref(), checked.plugin_uses())?;
        let made = self.workshop.make(config, checked, &tenant).await;
        let made = made.map_err(|fault| Refused::Unusable(format!("{fault:#}")))?;
        Ok(Entry {
            resource: next,
            origin: Origin::Api,
            made,
            unusable: None,
        })
    }

    /// What an alert looks at and is not there: it would never tell anything. What it has named before
    /// may be gone meanwhile, and what is in `to_come` is made with it.
    pub(super) fn unknown_subjects(
        &self,
        tenant: TenantId,
        alert: &Alert,
        stands: Option<&Map<String, Value>>,
        to_come: &[(Kind, String)],
    ) -> Vec<Fault> {
        let stood = |key: &str, name: &str| {
            let value = stands.and_then(|stands| stands.get(key));
            value.is_some_and(|value| {
                let list = value
                    .as_array()
                    .map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
                list.iter().any(|known| known == name)
            })
        };
        let is_there = |kind: Kind, name: &str| {
            let id = match kind {
                Kind::Endpoint => name.parse().ok().map(EndpointId::raw),
                _ => None,
            };
            to_come.iter().any(|(other, made)| *other == kind && made == name)
                || self.find(tenant, kind, id, name).is_some()
        };
        let fault = |kind: Kind, path: KeyPath, name: &str| Fault {
            path,
            problem: format!("names the {} {name:?}, which is not there", kind.word()),
            remedy: "make it first, or leave the name out".to_owned(),
        };
        let endpoints = alert.endpoints.iter().enumerate();
        let endpoints = endpoints
            .filter(|(_, name)| !stood("endpoints", name) && !is_there(Kind::Endpoint, name))
            .map(|(index, name)| {
                let path = KeyPath::default().key("endpoints").item(index);
                fault(Kind::Endpoint, path, name)
            });
        let source = alert.source.iter();
        let source = source
            .filter(|name| !stood("source", name) && !is_there(Kind::Source, name))
            .map(|name| fault(Kind::Source, KeyPath::default().key("source"), name));
        endpoints.chain(source).collect()
    }

    /// Keeps a resource with the note of what was done to it, and puts a shelf in force that has it, or has it no more.
    async fn keep(&self, resource: Resource, shelf: Shelf, deed: Deed, reach: Reach) -> Result<(), Refused> {
        let before = self.directories.current();
        let directory = assemble::changed(&before, &shelf, &resource, reach)
            .map_err(|unusable| Refused::Unusable(unusable.to_string()))?;
        let (kind, id, name) = (resource.kind, resource.id, resource.name.clone());
        let own = tenants::in_force(&shelf, TenantId::from_raw(id)).filter(|_| reach == Reach::Itself);
        // Asked for first: between keeping and putting in force nothing may fail.
        let usage = match (kind, own.as_deref()) {
            (Kind::Tenant, Some(own)) => self.quotas.count_for([own].into_iter()).await?,
            (Kind::Tenant, None) => self.quotas.count_for(directory.tenants()).await?,
            _ => Usages::new(),
        };
        match self.workshop.store.save(resource, Some(deed)).await? {
            Saved::Done => {}
            Saved::NameTaken => return Err(Refused::NameTaken(name)),
            Saved::Changed => return Err(Refused::Unknown),
        }
        match (kind, own) {
            (Kind::Tenant, Some(own)) => {
                self.quotas.set(&own, &usage);
                self.swap(shelf, directory);
                self.count_no_others().await;
            }
            // With it endpoints may have come or gone.
            (Kind::Tenant, None) => {
                let prepared = Prepared {
                    shelf,
                    directory,
                    usage,
                };
                self.put_in_force(prepared).await;
            }
            (Kind::Source | Kind::Rule | Kind::EventType | Kind::Alert, _) => self.swap(shelf, directory),
            (Kind::Endpoint, _) => {
                self.swap(shelf, directory);
                let endpoint = EndpointId::from_raw(id);
                let directory = self.directories.current();
                let terms = directory
                    .target(endpoint)
                    .map(|target| Terms::of(&target.endpoint));
                self.queue.set_terms(endpoint, terms);
            }
        }
        Ok(())
    }

    /// One that may be changed here.
    fn of_the_api(&self, handle: Handle) -> Result<Arc<Entry>, Refused> {
        let entry = self
            .find(handle.tenant, handle.kind, Some(handle.id), "")
            .ok_or(Refused::Unknown)?;
        if entry.origin == Origin::File {
            return Err(Refused::Declared(entry.resource.name.clone()));
        }
        expect(handle, entry.resource.revision)?;
        Ok(entry)
    }
}

/// How far a change reaches: a tenant that is restored brings what it has, plugins see how theirs is
/// called, and those that it does not take any more go out of force.
fn reach(next: &Resource, before: Option<&Entry>) -> Reach {
    let publishers = |resource: &Resource| {
        let policy = resource.definition.keys.get("policy")?;
        policy.get("publishers").cloned()
    };
    let is_alone = match before {
        Some(before) => before.resource.name == next.name && publishers(&before.resource) == publishers(next),
        None => next.revision == 1,
    };
    match next.kind == Kind::Tenant && !is_alone {
        true => Reach::Others,
        false => Reach::Itself,
    }
}

/// Living resources that a tenant may have of a kind, whatever its quota says.
pub(super) const fn max(kind: Kind) -> usize {
    match kind {
        Kind::Source | Kind::Endpoint | Kind::EventType | Kind::Alert | Kind::Tenant => RESOURCES_MAX,
        Kind::Rule => RULES_MAX,
    }
}

pub(super) const fn expect(handle: Handle, revision: u64) -> Result<(), Refused> {
    match handle.revision {
        Some(expected) if expected != revision => Err(Refused::Changed { revision }),
        _ => Ok(()),
    }
}

/// Reads a definition of any kind, in place of the one that `stands`: what it describes, its name,
/// and itself.
pub(super) fn read(
    config: &Config,
    policy: Policy,
    kind: Kind,
    keys: &Map<String, Value>,
    stands: Option<&Map<String, Value>>,
) -> Result<(Checked, String, Definition), Refused> {
    match kind {
        Kind::Source => definition::source(config, keys).map(|read| {
            let name = read.item.name.clone();
            (Checked::Source(read.item), name, read.definition)
        }),
        Kind::Endpoint => definition::endpoint(config, keys).and_then(|read| {
            if policy.forbids(&read.item.url) {
                return Err(vec![plain_http()]);
            }
            let name = read.item.name.clone();
            Ok((Checked::Endpoint(read.item), name, read.definition))
        }),
        Kind::Rule => definition::rule(keys).map(|read| {
            let name = read.item.name.clone();
            (Checked::Rule(read.item), name, read.definition)
        }),
        Kind::EventType => definition::event_type(keys).map(|read| {
            let name = read.item.name.clone();
            (Checked::EventType(read.item), name, read.definition)
        }),
        Kind::Alert => definition::alert(keys).map(|read| {
            let name = read.item.name.clone();
            (Checked::Alert(read.item), name, read.definition)
        }),
        Kind::Tenant => {
            // A plan that has gone from the file is only a fault where it is named anew.
            let is_named_anew = keys.get("plan") != stands.and_then(|stands| stands.get("plan"));
            let read = if is_named_anew {
                definition::tenant(config, keys)
            } else {
                definition::kept_tenant(keys)
            };
            read.map(|read| {
                let name = read.item.name.clone();
                (Checked::Tenant(read.item), name, read.definition)
            })
        }
    }
    .map_err(Refused::Invalid)
}

/// What is wrong with an endpoint whose tenant has nothing sent in the clear.
fn plain_http() -> Fault {
    Fault {
        path: KeyPath::default().key("url"),
        problem: policy::PLAIN_HTTP.to_owned(),
        remedy: "use `https`".to_owned(),
    }
}
