//! What would have to be done so that what is managed is as a document says: nothing is changed
//! here, and all that stands in the way is told at once.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Manager;
use super::assemble::Checked;
use super::change::{self, Refused};
use super::entry::{Entry, Origin};
use crate::config::Config;
use crate::config::key_path::KeyPath;
use crate::config::reader::Fault;
use crate::model::id::TenantId;
use crate::model::resource::Kind;

/// One definition of a document.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub kind: Kind,
    /// Which of its kind it is in the document.
    pub index: usize,
    pub keys: Map<String, Value>,
}

/// What is to be done about one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Create,
    /// These keys of it differ.
    Change(Vec<String>),
    Keep,
    Delete,
}

/// A resource, and what is to be done about it.
#[derive(Debug, Clone)]
pub struct Planned {
    pub kind: Kind,
    pub name: String,
    pub step: Step,
    /// Which of its kind it is in the document, if it is there.
    pub index: Option<usize>,
    /// Its id and revision, if it is managed already.
    pub stands: Option<(i64, u64)>,
}

impl Manager {
    /// Compares a document with what a tenant has. Of the kinds in `prune`, what the document does
    /// not have is to be deleted.
    ///
    /// # Errors
    /// Everything of the document that cannot be used, with its place there.
    pub async fn plan(
        &self,
        tenant: TenantId,
        wanted: Vec<Wanted>,
        prune: &[Kind],
    ) -> Result<Vec<Planned>, Vec<Fault>> {
        let config = self.lock().await;
        let (mut planned, mut faults) = (Vec::new(), Vec::new());
        let mut named = HashSet::new();
        let to_come: Vec<(Kind, String)> = wanted.iter().filter_map(subject).collect();
        for wanted in wanted {
            let place = KeyPath::default().key(wanted.kind.section()).item(wanted.index);
            match self.plan_one(&config, tenant, wanted, &to_come).await {
                Ok(one) if !named.insert((one.kind, one.name.clone())) => {
                    faults.push(fault(
                        place.key("name"),
                        format!("is {:?}, which is there already", one.name),
                    ));
                }
                Ok(one) => planned.push(one),
                Err(found) => faults.extend(found.into_iter().map(|fault| Fault {
                    path: place.at(&fault.path.pointer()),
                    ..fault
                })),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        for kind in prune {
            let entries = self.list(tenant, *kind, None).into_iter();
            let left = entries.filter(|entry| {
                entry.origin == Origin::Api && !named.contains(&(*kind, entry.resource.name.clone()))
            });
            planned.extend(left.map(|entry| Planned {
                kind: *kind,
                name: entry.resource.name.clone(),
                step: Step::Delete,
                index: None,
                stands: Some((entry.resource.id, entry.resource.revision)),
            }));
        }
        Ok(planned)
    }

    async fn plan_one(
        &self,
        config: &Config,
        tenant: TenantId,
        wanted: Wanted,
        to_come: &[(Kind, String)],
    ) -> Result<Planned, Vec<Fault>> {
        let Wanted {
            kind,
            index,
            mut keys,
        } = wanted;
        let name = keys.get("name").and_then(Value::as_str).unwrap_or_default();
        let entry = self.find(tenant, kind, None, name);
        if let Some(entry) = &entry {
            entry.resource.definition.lend_secrets(&mut keys);
        }
        let differing = entry.as_deref().map(|entry| differing(entry, &keys));
        if entry.as_deref().is_some_and(|entry| entry.origin == Origin::File) {
            return match differing {
                Some(differing) if differing.is_empty() => Ok(planned(kind, index, entry.as_deref(), &keys)),
                _ => Err(vec![fault(
                    KeyPath::default().key("name"),
                    "is declared in the relay's configuration file; change it there".to_owned(),
                )]),
            };
        }
        let stands = entry.as_deref().map(|entry| &entry.resource.definition.keys);
        let Some(tenant) = self.tenant(tenant) else {
            let problem = "is of a tenant that was deleted just now".to_owned();
            return Err(vec![fault(KeyPath::default(), problem)]);
        };
        let read = change::read(config, tenant.policy, kind, &keys, stands);
        let (checked, _, _) = read.map_err(|refused| match refused {
            Refused::Invalid(faults) => faults,
            other => vec![fault(KeyPath::default(), format!("{other:?}"))],
        })?;
        if let Checked::Alert(alert) = &checked {
            let faults = self.unknown_subjects(tenant.id, alert, stands, to_come);
            if !faults.is_empty() {
                return Err(faults);
            }
        }
        self.workshop.try_out(&checked, &tenant).await.map_err(|error| {
            vec![fault(
                KeyPath::default().key("plugins"),
                format!("cannot be used: {error:#}"),
            )]
        })?;
        Ok(planned(kind, index, entry.as_deref(), &keys))
    }
}

/// What a document has that an alert of it may look at.
fn subject(wanted: &Wanted) -> Option<(Kind, String)> {
    let name = wanted.keys.get("name")?.as_str()?;
    matches!(wanted.kind, Kind::Endpoint | Kind::Source).then(|| (wanted.kind, name.to_owned()))
}

fn fault(path: KeyPath, problem: String) -> Fault {
    Fault {
        path,
        problem,
        remedy: String::new(),
    }
}

fn planned(kind: Kind, index: usize, entry: Option<&Entry>, keys: &Map<String, Value>) -> Planned {
    let step = match entry.map(|entry| differing(entry, keys)) {
        None => Step::Create,
        Some(differing) if differing.is_empty() => Step::Keep,
        Some(differing) => Step::Change(differing),
    };
    let name = keys.get("name").and_then(Value::as_str).unwrap_or_default();
    Planned {
        kind,
        name: name.to_owned(),
        step,
        index: Some(index),
        stands: entry.map(|entry| (entry.resource.id, entry.resource.revision)),
    }
}

/// The keys that have another value; null is as good as none.
fn differing(entry: &Entry, keys: &Map<String, Value>) -> Vec<String> {
    let old = &entry.resource.definition.keys;
    fn said<'a>(keys: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
        keys.get(key).filter(|value| !value.is_null())
    }
    let gone = old.keys().filter(|key| !keys.contains_key(*key));
    let all = keys.keys().chain(gone);
    all.filter(|key| said(old, key) != said(keys, key))
        .cloned()
        .collect()
}
