//! Permits for calls: whoever waits for a receiver's answer keeps to the same pace as its
//! deliveries, and goes before them, because somebody waits.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Queue;
use super::lane::Lane;
use crate::model::id::EndpointId;
use crate::model::time::Timestamp;

/// Who may wait for a permit of one lane at once.
const CALLERS_MAX: usize = 256;

/// Someone who waits for a permit; told when it is theirs.
pub(super) type Caller = oneshot::Sender<()>;

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Its endpoint takes nothing at present.
    Disabled,
    /// Its receiver does not answer; nothing is tried before then.
    CutOff { wait: Duration },
    /// Its rate limit has no room, or its receiver wants to be left alone, for longer than the
    /// caller can wait.
    Paced { wait: Duration },
    /// As many are under way as may be, and none ended in time.
    Busy,
    /// The relay stops.
    Closed,
}

impl Queue {
    /// Waits for a permit of an endpoint's lane, up to `deadline`. It ends with
    /// [`Queue::release`]. Not to be dropped half way: the permit would be nobody's.
    ///
    /// # Errors
    /// Why there is none; at once where waiting would be in vain.
    pub async fn permit(&self, endpoint: EndpointId, deadline: Instant) -> Result<(), Denied> {
        let mut waiting = self.line_up(endpoint, deadline)?;
        self.ring_both();
        match tokio::time::timeout_at(deadline, &mut waiting).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Denied::Closed),
            Err(_) => {
                waiting.close();
                // It may have come in this very moment.
                waiting.try_recv().map_err(|_| self.excuse(endpoint))
            }
        }
    }

    /// Why nothing came in time.
    fn excuse(&self, endpoint: EndpointId) -> Denied {
        let now = self.clock.steady();
        let inner = self.lock();
        let lane = inner.lanes.get(&endpoint);
        lane.and_then(|lane| lane.denies(now, Duration::ZERO))
            .unwrap_or(Denied::Busy)
    }

    fn line_up(&self, endpoint: EndpointId, deadline: Instant) -> Result<oneshot::Receiver<()>, Denied> {
        let now = self.clock.steady();
        let patience = deadline.saturating_duration_since(Instant::now());
        let mut inner = self.lock();
        if inner.closed {
            return Err(Denied::Closed);
        }
        let lane = inner.lanes.get_mut(&endpoint).ok_or(Denied::Disabled)?;
        let waiting = lane.line_up(now, patience)?;
        inner.update(endpoint);
        Ok(waiting)
    }
}

impl Lane {
    fn line_up(&mut self, now: Timestamp, patience: Duration) -> Result<oneshot::Receiver<()>, Denied> {
        self.unblock(now);
        self.forget_callers_gone();
        self.denies(now, patience).map_or(Ok(()), Err)?;
        if self.callers.len() >= CALLERS_MAX {
            return Err(Denied::Busy);
        }
        let (caller, waiting) = oneshot::channel();
        self.callers.push_back(caller);
        Ok(waiting)
    }

    /// Drops whoever has not waited to the end.
    pub(super) fn forget_callers_gone(&mut self) {
        while self.callers.front().is_some_and(Caller::is_closed) {
            self.callers.pop_front();
        }
    }

    /// Gives a permit to the first who still waits; whether there was one.
    pub(super) fn admit_caller(&mut self) -> bool {
        while let Some(caller) = self.callers.pop_front() {
            if caller.send(()).is_ok() {
                return true;
            }
        }
        false
    }

    /// Tells all who wait that nothing will come.
    pub(super) fn dismiss_callers(&mut self) {
        self.callers.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::endpoint::RateLimit;
    use crate::model::id::EventId;
    use crate::queue::{Settings, Sign, Terms};
    use crate::store::Disabled;

    const ENDPOINT: EndpointId = EndpointId::from_raw(1);

    fn queue(concurrency: usize, per_minute: Option<u32>) -> Queue {
        let settings = Settings {
            endpoint_deliveries_max: 10,
            memory_bytes_max: 1 << 20,
            concurrency_max: 100,
        };
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_700_000_000_000));
        let queue = Queue::new(settings, Arc::new(clock), EventId::from_raw(0));
        let rate_limit = per_minute.and_then(NonZeroU32::new).map(|count| RateLimit {
            count,
            per: Duration::from_secs(60),
        });
        let terms = Terms {
            concurrency,
            rate_limit,
            enabled: true,
            asks_consent: false,
            disable_after: Duration::from_secs(3600),
            batch: None,
        };
        queue.configure([(ENDPOINT, terms)]);
        queue
    }

    /// Asks for a permit while something takes what is ready.
    async fn permit(queue: &Queue, within: Duration) -> Result<(), Denied> {
        let permit = queue.permit(ENDPOINT, Instant::now() + within);
        let serve = async {
            loop {
                queue.rung().await;
                assert!(queue.take().is_none(), "there is no delivery");
            }
        };
        tokio::select! {
            permit = permit => permit,
            () = serve => unreachable!("it serves for ever"),
        }
    }

    /// Only a failing test waits that long.
    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_caller_waits_for_a_permit_and_no_longer_than_it_can() {
        let queue = queue(1, None);
        assert_eq!(permit(&queue, LONG).await, Ok(()));
        assert_eq!(permit(&queue, SHORT).await, Err(Denied::Busy));
        queue.release(ENDPOINT, Sign::Took);
        assert_eq!(permit(&queue, LONG).await, Ok(()));
        assert_eq!(queue.in_flight(), 1);
        let (waited, ()) = tokio::join!(permit(&queue, LONG), async {
            tokio::task::yield_now().await;
            queue.release(ENDPOINT, Sign::Took);
            queue.ring();
        });
        assert_eq!(waited, Ok(()));
        queue.release(ENDPOINT, Sign::Took);
        assert_eq!(queue.in_flight(), 0);
    }

    #[tokio::test]
    async fn who_would_wait_in_vain_is_told_why() {
        let queue = queue(10, Some(1));
        assert_eq!(permit(&queue, LONG).await, Ok(()));
        let paced = permit(&queue, SHORT).await;
        assert!(matches!(paced, Err(Denied::Paced { .. })), "{paced:?}");
        let began = Instant::now();
        let paced = permit(&queue, LONG).await;
        assert!(matches!(paced, Err(Denied::Paced { .. })), "{paced:?}");
        let why = Disabled {
            at: Timestamp::from_millis(0),
            reason: "a test".to_owned(),
        };
        queue.set_disabled(ENDPOINT, Some(why));
        assert_eq!(permit(&queue, LONG).await, Err(Denied::Disabled));
        queue.close();
        assert_eq!(permit(&queue, LONG).await, Err(Denied::Closed));
        assert!(began.elapsed() < LONG, "nobody waits for what cannot come");
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_answer_is_not_called() {
        let queue = queue(64, None);
        for _ in 0..20 {
            assert_eq!(permit(&queue, LONG).await, Ok(()));
            queue.release(ENDPOINT, Sign::Silent);
        }
        let cut_off = permit(&queue, LONG).await;
        assert!(matches!(cut_off, Err(Denied::CutOff { .. })), "{cut_off:?}");
    }

    #[tokio::test]
    async fn whoever_waits_when_the_relay_stops_is_told() {
        let queue = queue(1, None);
        assert_eq!(permit(&queue, LONG).await, Ok(()));
        let (told, ()) = tokio::join!(permit(&queue, LONG), async {
            tokio::task::yield_now().await;
            queue.close();
        });
        assert_eq!(told, Err(Denied::Closed));
    }
}
