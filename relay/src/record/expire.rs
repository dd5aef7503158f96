//! Removes what its tenant keeps for less time than the store keeps everything, in small bites.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::retain::{Removed, breath};
use crate::clock::Clock;
use crate::model::id::{EventId, TenantId};
use crate::model::time::Timestamp;
use crate::store::{self, Pruned, Store};

/// Events removed at once. Fewer than of those of everybody: between them stand others', so that
/// each goes by itself.
const BITE: usize = 100;
/// The longest rest between passes.
const ROUND_MAX: Duration = Duration::from_secs(30);
/// What is kept for a short time is looked after more often: so many times while it is kept.
const ROUNDS_WHILE_KEPT: u32 = 10;
/// Bites of what had to stay that one pass looks at again; the next goes on from there.
const OVERDUE_BITES: usize = 20;

/// Who keeps for how long.
pub struct Kept {
    /// The tenants that keep for less time than the store, always in the same order.
    pub terms: Box<dyn Fn() -> Vec<(TenantId, Duration)> + Send + Sync>,
    /// Rings when they may have changed.
    pub changed: Arc<Notify>,
}

/// What passes need, and where they left off.
struct Passes {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    removed: Removed,
    stop: CancellationToken,
    overdue_after: EventId,
}

/// Removes until `stop`: what changes is in force with the next pass, which begins at once.
pub async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    kept: Kept,
    removed: Removed,
    stop: CancellationToken,
) {
    let mut passes = Passes {
        store,
        clock,
        removed,
        stop: stop.clone(),
        overdue_after: EventId::from_raw(0),
    };
    let (mut known, mut next) = (Vec::new(), Instant::now());
    loop {
        let terms = (kept.terms)();
        if terms != known || Instant::now() >= next {
            if let Err(error) = passes.one(&terms).await {
                tracing::warn!(%error, "what tenants keep no longer could not be removed; trying again");
            }
            next = Instant::now() + round(&terms);
            known = terms;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = kept.changed.notified() => {}
            () = tokio::time::sleep_until(next), if !known.is_empty() => {}
        }
    }
}

fn round(terms: &[(TenantId, Duration)]) -> Duration {
    let shortest = terms.iter().map(|(_, kept)| *kept).min().unwrap_or(ROUND_MAX);
    (shortest / ROUNDS_WHILE_KEPT).clamp(Duration::from_secs(1), ROUND_MAX)
}

impl Passes {
    /// All that is old enough now, and some of what had to stay before.
    async fn one(&mut self, terms: &[(TenantId, Duration)]) -> Result<(), store::Error> {
        if terms.is_empty() {
            return Ok(());
        }
        // A wall clock that was set forward must not make everything old at once.
        let now = self.clock.now().min(self.clock.steady());
        let since: Vec<(TenantId, Timestamp)> = terms
            .iter()
            .map(|(tenant, kept)| (*tenant, now - *kept))
            .collect();
        loop {
            let begun = Instant::now();
            let pruned = self.store.expire(since.clone(), BITE).await?;
            self.count(pruned);
            if !pruned.more {
                break;
            }
            if self.rest(begun).await {
                return Ok(());
            }
        }
        for _ in 0..OVERDUE_BITES {
            let begun = Instant::now();
            let again = self.store.expire_overdue(since.clone(), self.overdue_after, BITE);
            let (pruned, after) = again.await?;
            self.count(pruned);
            self.overdue_after = after.unwrap_or(EventId::from_raw(0));
            if after.is_none() || self.rest(begun).await {
                break;
            }
        }
        Ok(())
    }

    fn count(&self, pruned: Pruned) {
        self.removed.events.inc_by(pruned.events as u64);
        self.removed.deliveries.inc_by(pruned.deliveries as u64);
    }

    /// Lets others write, the longer the longer they had to wait; whether it is to stop.
    async fn rest(&self, begun: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(breath(begun.elapsed())) => false,
        }
    }
}
