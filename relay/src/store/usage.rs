//! What tenants have used up of what is limited, and whose things are.

use async_trait::async_trait;

use super::Error;
use crate::model::id::{DeliveryId, EventId, InspectorId, JobId, KeyId, MediaId, TenantId};
use crate::model::time::Timestamp;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What a tenant has sent and has stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The day of UTC that `events` are of, counted from 1970.
    pub day: i64,
    /// Events accepted on that day.
    pub events: u64,
    /// Bytes of the payloads stored.
    pub bytes: u64,
}

impl Usage {
    /// The day of UTC that a moment is in, counted from 1970.
    pub const fn day_of(at: Timestamp) -> i64 {
        at.as_millis().div_euclid(DAY_MS)
    }

    /// When a day ends.
    pub const fn end_of(day: i64) -> Timestamp {
        Timestamp::from_millis((day + 1) * DAY_MS)
    }

    /// Counts an event.
    pub fn add(&mut self, received_at: Timestamp, bytes: u64) {
        let day = Self::day_of(received_at);
        if day != self.day {
            (self.day, self.events) = (day, 0);
        }
        self.events += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Something that has an id and belongs to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owned {
    Event(EventId),
    Delivery(DeliveryId),
    Key(KeyId),
    Job(JobId),
    Inspector(InspectorId),
    Media(MediaId),
    /// A resource or a name of the configuration file.
    Resource(i64),
}

/// See the module.
#[async_trait]
pub trait Metering: Send + Sync {
    /// Counts for these tenants too from now on, and says what all that are counted have used. What
    /// is there already is counted at once, in one pass for all of them, which takes about a second
    /// for a million events since the oldest of the tenants was made.
    async fn meter(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<Vec<(TenantId, Usage)>, Error>;

    /// Counts for these tenants alone from now on; one that was not counted before is not either.
    async fn meter_only(&self, tenants: Vec<TenantId>) -> Result<(), Error>;

    /// What the tenants that are counted have used.
    async fn usage(&self) -> Result<Vec<(TenantId, Usage)>, Error>;

    /// Whose that is, if it is there. What was deleted and can be restored counts as there.
    async fn owner(&self, owned: Owned) -> Result<Option<TenantId>, Error>;
}
