//! What rules make of an event, and the events that they emit when their timers are due.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Arrival, Flow, Offered};
use crate::directory::Directory;
use crate::model::event::Event;
use crate::model::time::Timestamp;
use crate::rules::emission::{self, Cause};
use crate::rules::{Looked, Watcher};
use crate::store::{self, DueTimers, RuleEffects, Timer};

/// Timers that fire in one commit.
const BATCH: usize = 64;
/// How late a timer may be after the machine slept, and how soon a store that did not answer is
/// asked again.
const ROUND: Duration = Duration::from_secs(1);

impl Flow {
    /// What rules make of an event: nothing, for most.
    pub(super) fn apply_rules(
        &self,
        directory: &Directory,
        event: &Event,
        source: Option<&str>,
        hops: u8,
    ) -> Option<Box<RuleEffects>> {
        let Looked { effects, skipped } = directory.rules.look(event, source, hops);
        for (watcher, skip) in skipped {
            self.metrics.rule_skipped((&*watcher.rule).into(), skip.as_str());
        }
        effects
    }

    /// Fires timers as they become due, until `stop`. Those that became due while no relay ran
    /// fire at once.
    pub async fn fire_timers(self: Arc<Self>, stop: CancellationToken) {
        self.alarm.set(self.clock.steady());
        loop {
            let wait = self.time_to_alarm();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.alarm.rung() => {}
                () = tokio::time::sleep(wait.unwrap_or_default().min(ROUND)), if wait.is_some() => {}
            }
            while self.time_to_alarm() == Some(Duration::ZERO) && !stop.is_cancelled() {
                self.fire_due().await;
            }
        }
    }

    fn time_to_alarm(&self) -> Option<Duration> {
        self.alarm.due().map(|due| due.since(self.clock.steady()))
    }

    async fn fire_due(self: &Arc<Self>) {
        // Cleared before the look, so that what is armed after the look rings again.
        self.alarm.clear();
        let now = self.clock.steady();
        let fired = match self.store.due_timers(now, BATCH).await {
            Ok(timers) => {
                if let Some(next) = timers.next {
                    self.alarm.set(next);
                }
                self.fire(timers).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = fired {
            tracing::warn!(%error, "timers of rules did not fire; trying again");
            self.alarm.clear();
            self.alarm.set(now + ROUND);
        }
    }

    /// Accepts what due timers emit, each in the commit that takes the timer off.
    async fn fire(self: &Arc<Self>, timers: DueTimers) -> Result<(), store::Error> {
        let directory = self.directories.current();
        let now = self.clock.now();
        let mut gone = timers.damaged;
        let mut emitted = Vec::new();
        for (timer, event) in timers.due {
            match directory.rules.get(timer.id.of) {
                Some(watcher) => emitted.push((Arc::clone(watcher), timer, event)),
                None => gone.push(timer.id),
            }
        }
        self.store.cancel_timers(gone).await?;
        let offered = emitted
            .iter()
            .map(|(watcher, timer, event)| self.emit(&directory, watcher, timer, event, now))
            .collect();
        for (receipt, (watcher, _, _)) in self.commit(offered).await?.iter().zip(&emitted) {
            if !receipt.duplicate {
                self.metrics.emitted((&*watcher.rule).into());
            }
        }
        Ok(())
    }

    /// What a timer emits, offered like a post. It came in by the same source as the event that
    /// set it off, if that is still there.
    fn emit(
        &self,
        directory: &Directory,
        watcher: &Watcher,
        timer: &Timer,
        event: &Event,
        now: Timestamp,
    ) -> Offered {
        let cause = Cause {
            key: &timer.id.key,
            from: timer.from.as_deref(),
            to: timer.to.as_deref(),
        };
        let post = emission::post(&watcher.rule, event, cause);
        let origin = event
            .source
            .and_then(|source| directory.source_name(source).map(|name| (source, name)));
        let arrival = Arrival {
            tenant: event.tenant,
            origin,
            hops: timer.hops.saturating_add(1),
            now,
        };
        let mut offered = self.offer(directory, arrival, post, None);
        let rules = offered.rules.get_or_insert_default();
        rules.fires = Some(timer.id.clone());
        offered
    }
}
