//! Removes files whose time is over, in small bites.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Keeper;
use crate::store;

/// Files removed at once.
const BITE: usize = 100;
/// The longest rest when nothing is left to remove.
const ROUND_MAX: Duration = Duration::from_secs(30);
/// What is kept for a short time is looked after more often: so many times while it is kept.
const ROUNDS_WHILE_KEPT: u32 = 10;
/// The rest between two bites.
const BREATH: Duration = Duration::from_millis(20);

/// Removes until `stop`.
pub async fn run(keeper: Arc<Keeper>, stop: CancellationToken) {
    let round = (keeper.settings.ttl / ROUNDS_WHILE_KEPT).clamp(Duration::from_secs(1), ROUND_MAX);
    loop {
        let pause = match keeper.sweep().await {
            // What could not be removed must not be tried without end.
            Ok(BITE) => BREATH,
            Ok(_) => round,
            Err(error) => {
                tracing::warn!(%error, "files that are over could not be removed; trying again");
                round
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Keeper {
    /// Removes a bite of what is over; how many went.
    pub(super) async fn sweep(&self) -> Result<usize, store::Error> {
        // A wall clock that was set forward must not end everything at once.
        let now = self.clock.now().min(self.clock.steady());
        let ended = self.store.end_media(now, BITE).await?;
        if ended.is_empty() {
            return Ok(0);
        }
        Ok(self.discard(ended.into_iter().map(|(_, id)| id).collect()).await)
    }
}
