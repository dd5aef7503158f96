//! Removes what is older than it has to be kept, in small bites.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::time::Timestamp;
use crate::store::Store;

/// Events removed at once: small enough that no commit waits for long.
const BITE: usize = 500;
/// The longest rest when nothing is left to remove.
const ROUND_MAX: Duration = Duration::from_secs(30);
/// What is kept for a short time is looked after more often: so many times while it is kept.
const ROUNDS_WHILE_KEPT: u32 = 10;
/// How long to rest between bites, in proportion to how long the last one took: the writer
/// serves others first, and the busier it is, the longer a bite takes.
const BREATH_SHARE: u32 = 2;
const BREATH_MAX: Duration = Duration::from_millis(200);

/// How long what was deleted can be restored.
const RESTORABLE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many of one kind in one tenant can be restored: the latest.
const RESTORABLE_MAX: usize = 1000;

/// How long a request that its caller named is answered again.
const REPEATABLE: Duration = Duration::from_secs(24 * 3600);

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub events: Duration,
    pub dedupe_keys: Duration,
    pub audit: Duration,
}

/// How much was removed since the start; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Removed {
    pub events: Counter,
    pub deliveries: Counter,
}

/// Removes old events until `stop`.
pub async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keep: Keep,
    removed: Removed,
    stop: CancellationToken,
) {
    let round = (keep.events / ROUNDS_WHILE_KEPT).clamp(Duration::from_secs(1), ROUND_MAX);
    loop {
        let begun = Instant::now();
        let (now, steady) = (clock.now(), clock.steady());
        // A wall clock that was set forward must not make everything old at once.
        let oldest = now.min(steady) - keep.events;
        let mut is_busy = false;
        let pause = match store.prune(oldest, steady - keep.dedupe_keys, now, BITE).await {
            Ok(pruned) => {
                removed.events.inc_by(pruned.events as u64);
                removed.deliveries.inc_by(pruned.deliveries as u64);
                is_busy = pruned.more;
                if pruned.more {
                    breath(begun.elapsed())
                } else {
                    round
                }
            }
            Err(error) => {
                tracing::warn!(%error, "old events could not be removed; trying again");
                round
            }
        };
        // The rest can wait for a round without events to remove.
        if !is_busy {
            forget_rest(store.as_ref(), keep, now, steady).await;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What is removed besides events: at most a bite of each, for nobody makes so many.
async fn forget_rest(store: &dyn Store, keep: Keep, now: Timestamp, steady: Timestamp) {
    let oldest = now.min(steady) - RESTORABLE;
    if let Err(error) = store.forget_resources(oldest, RESTORABLE_MAX, BITE).await {
        tracing::warn!(%error, "what was deleted long ago could not be removed; trying again");
    }
    if let Err(error) = store.forget_keys(oldest, BITE).await {
        tracing::warn!(%error, "keys that ended long ago could not be removed; trying again");
    }
    let oldest = now.min(steady) - keep.audit;
    if let Err(error) = store.forget_notes(oldest, BITE).await {
        tracing::warn!(%error, "old audit entries could not be removed; trying again");
    }
    let oldest = now.min(steady) - REPEATABLE;
    if let Err(error) = store.forget_replies(oldest, BITE).await {
        tracing::warn!(%error, "old answers could not be removed; trying again");
    }
}

pub(super) fn breath(took: Duration) -> Duration {
    (took * BREATH_SHARE).clamp(Duration::from_millis(1), BREATH_MAX)
}
