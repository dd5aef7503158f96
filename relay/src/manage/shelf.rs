//! Everything in force, by tenant, kind and id.
//!
//! A copy shares what it has in common with the original, so that one with one entry changed is
//! there at once, however many there are.

use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use super::entry::{self, Entry};
use crate::model::id::TenantId;
use crate::model::resource::Kind;

/// What an entry is found by.
pub(super) type Key = (TenantId, Kind, i64);

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    entries: RedBlackTreeMapSync<Key, Arc<Entry>>,
    /// The ids of names. If two have one name, that of the one that the file declares.
    names: HashTrieMapSync<(TenantId, Kind, String), i64>,
    counts: HashTrieMapSync<(TenantId, Kind), usize>,
}

impl Shelf {
    /// Takes up an entry, in place of the one of its kind and id.
    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        let resource = &entry.resource;
        let key = (resource.tenant, resource.kind, resource.id);
        self.remove(key);
        let name = entry::called(resource);
        let rival = self.names.get(&name).and_then(|id| self.get((key.0, key.1, *id)));
        if rival.is_none_or(|rival| entry.origin < rival.origin) {
            self.names.insert_mut(name, key.2);
        }
        self.counts
            .insert_mut((key.0, key.1), self.count(key.0, key.1) + 1);
        self.entries.insert_mut(key, entry);
    }

    /// Takes out an entry, if it is there.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(entry) = self.entries.get(&key).cloned() else {
            return;
        };
        self.entries.remove_mut(&key);
        let name = entry::called(&entry.resource);
        if self.names.get(&name) == Some(&key.2) {
            self.names.remove_mut(&name);
        }
        let left = self.count(key.0, key.1).saturating_sub(1);
        self.counts.insert_mut((key.0, key.1), left);
    }

    /// Takes out all that a tenant has.
    pub(super) fn remove_all(&mut self, tenant: TenantId) {
        let resources = self.of_tenant(tenant).map(|entry| &entry.resource);
        let keys: Vec<Key> = resources
            .map(|resource| (tenant, resource.kind, resource.id))
            .collect();
        for key in keys {
            self.remove(key);
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<&Arc<Entry>> {
        self.entries.get(&key)
    }

    /// The one of that name; if two have it, the one that the file declares.
    pub(super) fn named(&self, tenant: TenantId, kind: Kind, name: &str) -> Option<&Arc<Entry>> {
        let id = self.names.get(&(tenant, kind, name.to_owned()))?;
        self.get((tenant, kind, *id))
    }

    /// How many a tenant has of a kind.
    pub(super) fn count(&self, tenant: TenantId, kind: Kind) -> usize {
        self.counts.get(&(tenant, kind)).copied().unwrap_or(0)
    }

    /// Those of a tenant and kind with smaller ids, oldest first.
    pub(super) fn below(
        &self,
        tenant: TenantId,
        kind: Kind,
        id: i64,
    ) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        let range = self.entries.range((tenant, kind, i64::MIN)..(tenant, kind, id));
        range.map(|(_, entry)| entry)
    }

    /// All that a tenant has; tenants are nobody's.
    pub(super) fn of_tenant(&self, tenant: TenantId) -> impl Iterator<Item = &Arc<Entry>> {
        Kind::ALL
            .into_iter()
            .flat_map(move |kind| self.below(tenant, kind, i64::MAX))
    }

    /// All of them.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::Origin;
    use crate::manage::entry::Made;
    use crate::model::resource::{Definition, Resource};
    use crate::model::time::Timestamp;

    fn entry(id: i64, name: &str, origin: Origin) -> Arc<Entry> {
        let at = Timestamp::from_millis(0);
        Arc::new(Entry {
            resource: Resource {
                id,
                tenant: TenantId::DEFAULT,
                kind: Kind::Endpoint,
                name: name.to_owned(),
                definition: Definition::default(),
                revision: 1,
                created_at: at,
                updated_at: at,
                deleted_at: None,
            },
            origin,
            made: Made::Nothing,
            unusable: None,
        })
    }

    fn named(shelf: &Shelf, name: &str) -> Option<i64> {
        let found = shelf.named(TenantId::DEFAULT, Kind::Endpoint, name)?;
        Some(found.resource.id)
    }

    #[test]
    fn a_renamed_entry_is_found_by_its_new_name_alone_and_a_copy_keeps_the_old() {
        let mut shelf = Shelf::default();
        shelf.insert(entry(1, "a", Origin::Api));
        let before = shelf.clone();
        shelf.insert(entry(1, "b", Origin::Api));
        assert_eq!((named(&shelf, "a"), named(&shelf, "b")), (None, Some(1)));
        assert_eq!((named(&before, "a"), named(&before, "b")), (Some(1), None));
        assert_eq!(shelf.count(TenantId::DEFAULT, Kind::Endpoint), 1);
    }

    #[test]
    fn of_two_with_one_name_the_declared_one_counts_in_either_order() {
        for origins in [[Origin::File, Origin::Api], [Origin::Api, Origin::File]] {
            let mut shelf = Shelf::default();
            for (id, origin) in (1..).zip(origins) {
                shelf.insert(entry(id, "a", origin));
            }
            let declared = named(&shelf, "a").expect("one of both");
            assert_eq!(
                origins[usize::try_from(declared - 1).expect("an index")],
                Origin::File
            );
            shelf.remove((TenantId::DEFAULT, Kind::Endpoint, 3 - declared));
            assert_eq!(named(&shelf, "a"), Some(declared));
            assert_eq!(shelf.count(TenantId::DEFAULT, Kind::Endpoint), 1);
            shelf.remove((TenantId::DEFAULT, Kind::Endpoint, declared));
            assert_eq!(named(&shelf, "a"), None);
        }
    }
}
