//! What the newest deliveries and events tell, kept for a moment: looking costs some ten
//! milliseconds on a large store, and whoever shows an endpoint asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;

use crate::api::Api;
use crate::model::id::TenantId;
use crate::store::{Error, Recent};

/// A look is good for so many times as long as it took: looking takes no more than a fiftieth of a
/// processor, and on a small store what is shown is never older than it takes to ask twice.
const REST: u32 = 50;
/// After so many times as long it is no longer shown while another look is taken, but waited for.
const OLD: u32 = 4 * REST;
/// Tenants whose look is kept.
const TENANTS_MAX: usize = 256;

/// The last look at each tenant.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<HashMap<TenantId, Arc<Place>>>);

#[derive(Debug, Default)]
struct Place {
    /// Held while somebody looks.
    turn: Turn<()>,
    look: Mutex<Option<Look>>,
}

/// What was seen, when, and how long it took.
#[derive(Debug, Clone)]
struct Look {
    seen: Arc<Recent>,
    at: Instant,
    took: Duration,
}

impl Look {
    fn is_within(&self, times: u32) -> bool {
        self.at.elapsed() <= self.took * times
    }
}

impl Place {
    fn last(&self) -> Option<Look> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks, if nobody has just done so.
    async fn look(&self, api: &Api, tenant: TenantId) -> Result<Arc<Recent>, Error> {
        let _turn = self.turn.lock().await;
        if let Some(look) = self.last().filter(|look| look.is_within(REST)) {
            return Ok(look.seen);
        }
        let at = Instant::now();
        let seen = Arc::new(api.store.recent(tenant).await?);
        let look = Look {
            seen: Arc::clone(&seen),
            took: at.elapsed(),
            at: Instant::now(),
        };
        *self.look.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
        Ok(seen)
    }
}

impl Lately {
    fn place(&self, tenant: TenantId) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= TENANTS_MAX && !places.contains_key(&tenant) {
            places.clear();
        }
        Arc::clone(places.entry(tenant).or_default())
    }
}

/// What the newest deliveries and events of a tenant tell, or told a moment ago.
pub(super) async fn lately(api: &Api, tenant: TenantId) -> Result<Arc<Recent>, Error> {
    let place = api.testing.lately.place(tenant);
    let Some(last) = place.last().filter(|last| last.is_within(OLD)) else {
        return place.look(api, tenant).await;
    };
    if !last.is_within(REST) && place.turn.try_lock().is_ok() {
        let own = api.clone();
        let look = async move {
            if let Err(error) = place.look(&own, tenant).await {
                tracing::debug!(%error, "nobody saw what happened lately");
            }
        };
        api.flow.tasks.spawn(look);
    }
    Ok(last.seen)
}
