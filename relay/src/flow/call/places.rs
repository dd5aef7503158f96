//! How many calls may be under way.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::id::TenantId;

/// Calls under way at once.
const CALLS_MAX: usize = 1024;
/// Calls of one tenant under way at once.
const CALLS_OF_TENANT_MAX: usize = 256;

/// Calls under way, so that there are not too many.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<TenantId, usize>>);

impl Places {
    pub(super) fn take(&self, tenant: TenantId) -> Option<Place<'_>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= CALLS_MAX {
            return None;
        }
        let own = taken.entry(tenant).or_default();
        (*own < CALLS_OF_TENANT_MAX).then(|| {
            *own += 1;
            Place { places: self, tenant }
        })
    }
}

/// One call's place; free again once it is dropped.
pub(super) struct Place<'p> {
    places: &'p Places,
    tenant: TenantId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_leaves_room_for_the_others() {
        let places = Places::default();
        let tenant = |raw| TenantId::from_raw(raw);
        let mut taken: Vec<_> = (0..CALLS_OF_TENANT_MAX)
            .map_while(|_| places.take(tenant(1)))
            .collect();
        assert_eq!(taken.len(), CALLS_OF_TENANT_MAX);
        assert!(places.take(tenant(1)).is_none());
        assert!(places.take(tenant(2)).is_some());
        taken.pop();
        assert!(places.take(tenant(1)).is_some());
    }
}
