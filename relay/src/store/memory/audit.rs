//! The audit log.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MemoryStore, Tables};
use crate::model::audit::{Deed, Entry};
use crate::model::id::TenantId;
use crate::model::page::{LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;
use crate::store::audit::PAGE_BYTES_MAX;
use crate::store::{Audit, AuditFilter, Chain, Chained, Error, Link, chain_hash};

/// The chain of a tenant.
#[derive(Debug, Default)]
pub(super) struct Notes {
    anchor: Link,
    entries: BTreeMap<u64, (Entry, Chained)>,
}

impl Tables {
    /// Appends a deed.
    pub(super) fn note(&mut self, deed: Deed) -> Result<(), Error> {
        let notes = self.audit.entry(deed.tenant).or_default();
        let last = notes.entries.last_key_value();
        let head = last.map_or(notes.anchor, |(_, (_, chained))| chained.link);
        let entry = Entry::new(head.number + 1, deed);
        let text = serde_json::to_string(&entry).map_err(|error| Error::Corrupt(error.to_string()))?;
        let link = Link {
            number: entry.number,
            hash: chain_hash(&head.hash, &text),
        };
        notes.entries.insert(link.number, (entry, Chained { link, text }));
        Ok(())
    }
}

#[async_trait]
impl Audit for MemoryStore {
    async fn note(&self, deed: Deed) -> Result<(), Error> {
        self.tables().note(deed)
    }

    async fn noted(&self, tenant: TenantId, filter: AuditFilter, page: Page) -> Result<Listed<Entry>, Error> {
        let limit = page.limit.clamp(1, LIMIT_MAX);
        let below = page.before.and_then(|before| u64::try_from(before).ok());
        let tables = self.tables();
        let wanted = tables
            .audit
            .get(&tenant)
            .into_iter()
            .flat_map(|notes| notes.entries.range(..below.unwrap_or(u64::MAX)).rev())
            .filter(|(_, (entry, _))| wants(&filter, entry));
        let wanted = wanted.map(|(_, (entry, chained))| (entry, chained.text.len()));
        let (items, has_more) = filled(wanted, limit);
        let last = items.last().and_then(|last| i64::try_from(last.number).ok());
        Ok(Listed {
            next: last.filter(|_| has_more),
            items,
        })
    }

    async fn chain(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Chain, Error> {
        let tables = self.tables();
        let notes = tables.audit.get(&tenant);
        let entries = notes
            .into_iter()
            .flat_map(|notes| notes.entries.range(after.saturating_add(1)..));
        let (entries, has_more) = filled(
            entries.map(|(_, (_, chained))| (chained, chained.text.len())),
            limit,
        );
        Ok(Chain {
            anchor: notes.map(|notes| notes.anchor).unwrap_or_default(),
            entries,
            has_more,
        })
    }

    async fn forget_notes(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        let mut forgotten = 0;
        for notes in self.tables().audit.values_mut() {
            for _ in 0..limit {
                let Some(oldest) = notes.entries.first_entry() else {
                    break;
                };
                if oldest.get().0.at >= before {
                    break;
                }
                notes.anchor = oldest.remove().1.link;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }
}

/// As many of the items, each with its bytes, as go into a page; and whether there are more.
fn filled<'i, T: Clone + 'i>(items: impl Iterator<Item = (&'i T, usize)>, limit: usize) -> (Vec<T>, bool) {
    let mut page = Vec::new();
    let mut bytes = 0;
    for (item, weight) in items {
        if page.len() == limit || bytes >= PAGE_BYTES_MAX {
            return (page, true);
        }
        bytes += weight;
        page.push(item.clone());
    }
    (page, false)
}

fn wants(filter: &AuditFilter, entry: &Entry) -> bool {
    let is_of = |wanted: &String| {
        entry
            .resource
            .as_ref()
            .is_some_and(|object| object.id == *wanted || object.name.as_ref() == Some(wanted))
    };
    filter.actor.is_none_or(|actor| entry.actor == Some(actor))
        && filter
            .action
            .as_ref()
            .is_none_or(|action| entry.action == *action)
        && filter.resource.as_ref().is_none_or(is_of)
        && filter.since.is_none_or(|since| entry.at >= since)
        && filter.until.is_none_or(|until| entry.at < until)
}
