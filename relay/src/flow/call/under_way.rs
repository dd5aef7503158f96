//! Which deliveries are calls under way: their rows say that they have failed until what came of them
//! is recorded, so that a crash leaves nothing behind that would be sent later.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::delivery::{Delivery, State};
use crate::model::id::DeliveryId;

/// What is said of a call that is under way.
const ASKED: &str = "its sender waits for the answer";

/// See the module.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashSet<DeliveryId>>);

impl UnderWay {
    /// Notes a call, before its event is durable, until what came of it is.
    pub(super) fn begin(&self, delivery: DeliveryId) -> Way<'_> {
        self.locked().insert(delivery);
        Way {
            under_way: self,
            delivery,
        }
    }

    /// Whether a delivery is a call whose sender waits.
    pub fn has(&self, delivery: DeliveryId) -> bool {
        self.locked().contains(&delivery)
    }

    /// A delivery as it stands, and not as its row is written in case of a crash.
    #[must_use]
    pub fn as_it_stands(&self, delivery: Delivery) -> Delivery {
        if delivery.state != State::Failed || !self.has(delivery.id) {
            return delivery;
        }
        Delivery {
            state: State::Pending,
            reason: Some(ASKED.to_owned()),
            ..delivery
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashSet<DeliveryId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call on its way; over once it is dropped.
pub(super) struct Way<'u> {
    under_way: &'u UnderWay,
    delivery: DeliveryId,
}

impl Drop for Way<'_> {
    fn drop(&mut self) {
        self.under_way.locked().remove(&self.delivery);
    }
}
