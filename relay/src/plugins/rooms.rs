//! Room for visits that may wait for an answer from elsewhere.
//!
//! An instance that waits keeps its place among all that may live at once. So plugins that can wait
//! have room of their own, which a visit enters before it takes an instance: half of all places at
//! most, of these a tenant half, and of a tenant's one use half. However slow somebody's service is,
//! others go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::fault::Fault;
use crate::model::attempt::FaultKind;
use crate::model::id::TenantId;

/// How long a visit may wait for room.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// The room there is.
pub(super) struct Rooms {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
    /// Visits of one tenant.
    tenant_max: usize,
}

impl Rooms {
    /// For a host with so many places.
    pub(super) fn new(places: u32) -> Self {
        let all = (places as usize / 2).max(1);
        Self {
            all: Arc::new(Semaphore::new(all)),
            tenants: Mutex::default(),
            tenant_max: (all / 2).max(1),
        }
    }

    /// That of one use of a plugin, by an owner of this tenant.
    pub(super) fn of(&self, tenant: TenantId) -> Room {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.get(&tenant).and_then(Weak::upgrade);
        let of_tenant = known.unwrap_or_else(|| {
            tenants.retain(|_, known| known.strong_count() > 0);
            let made = Arc::new(Semaphore::new(self.tenant_max));
            tenants.insert(tenant, Arc::downgrade(&made));
            made
        });
        Room {
            own: Arc::new(Semaphore::new((self.tenant_max / 2).max(1))),
            of_tenant,
            of_all: self.all.clone(),
        }
    }
}

/// The room of one use.
#[derive(Debug)]
pub(super) struct Room {
    own: Arc<Semaphore>,
    of_tenant: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

/// Room that a visit has taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Room {
    /// Takes some; waits for it if there is none.
    pub(super) async fn enter(&self) -> Result<Taken, Fault> {
        match tokio::time::timeout(WAIT_MAX, self.take()).await {
            Ok(Some(taken)) => Ok(taken),
            _ => Err(Fault::new(
                FaultKind::Unavailable,
                "too many plugins of this tenant wait for answers of others".to_owned(),
            )),
        }
    }

    /// One's own first: so each waits behind its own.
    async fn take(&self) -> Option<Taken> {
        let mut taken = Vec::with_capacity(3);
        for room in [&self.own, &self.of_tenant, &self.of_all] {
            taken.push(room.clone().acquire_owned().await.ok()?);
        }
        Some(Taken { _permits: taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room, if there is some without waiting.
    async fn enter(room: &Room) -> Option<Taken> {
        tokio::select! {
            biased;
            taken = room.take() => taken,
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn no_use_and_no_tenant_takes_all_the_room() {
        let rooms = Rooms::new(16);
        let (slow, other) = (TenantId::from_raw(5), TenantId::from_raw(6));
        let (one, two, three) = (rooms.of(slow), rooms.of(slow), rooms.of(slow));
        let first = [enter(&one).await, enter(&one).await];
        assert!(
            enter(&one).await.is_none(),
            "one use has half of its tenant's room"
        );
        let second = [enter(&two).await, enter(&two).await];
        assert!(enter(&three).await.is_none(), "a tenant has half of the room");
        let neighbour = rooms.of(other);
        assert!(enter(&neighbour).await.is_some());
        assert!(first.iter().chain(&second).all(Option::is_some));
        drop(first);
        assert!(
            enter(&three).await.is_some(),
            "what was left is there for the next"
        );
        drop(second);
    }
}
