//! Waits for something to become true, with a bound.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long a test waits for what has to happen. Only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks again and again until `look` finds what it looks for.
///
/// # Panics
/// After [`PATIENCE`], with what was seen last.
pub async fn eventually<T, Seen, Look>(what: &str, mut look: impl FnMut() -> Look) -> T
where
    Seen: Debug,
    Look: Future<Output = Result<T, Seen>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= deadline => panic!("not in time: {what}; last seen: {seen:#?}"),
            Err(_) => sleep(INTERVAL).await,
        }
    }
}

/// Waits for a future that has to end.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}
