//! What the path lets others know: counts, watchers, operational events. None of it holds the
//! path up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Flow, Offered};
use crate::directory::Target;
use crate::feed::{Happening, SeenAttempt, SeenEvent};
use crate::model::attempt::Attempt;
use crate::model::delivery::State;
use crate::model::event_type;
use crate::notices::{About, Exhausted, GATHER, Gathering, Notice, Told};
use crate::queue::Job;
use crate::queue::health::Verdict;
use crate::store::Failing;

/// What was told may be told again within this and is known again: less than dedupe keys are
/// kept, if the configuration does not say otherwise.
const KNOWN_AGAIN: Duration = Duration::from_secs(6 * 24 * 3600);

impl Flow {
    /// An event was accepted as a new one.
    pub(super) fn saw_event(&self, offered: &Offered) {
        let event = &offered.event;
        let endpoints = || offered.waits.iter().map(|(endpoint, _)| *endpoint);
        self.stats.accepted(event, endpoints());
        if let Some(begun) = &offered.begun {
            self.event_span(event, begun);
        }
        if self.feed.is_watched() {
            self.feed.show(Happening::Event(SeenEvent {
                tenant: event.tenant,
                id: event.id,
                r#type: event.envelope.kind.clone(),
                source: event.envelope.source.clone(),
                subject: event.envelope.subject.clone(),
                at: event.received_at,
                endpoints: endpoints().collect(),
            }));
        }
    }

    /// An attempt is over, and its delivery stands so, for that reason.
    pub(super) fn saw_attempt(&self, target: &Target, job: &Job, attempt: &Attempt, state: State) {
        let (event, endpoint) = (&job.event, &target.endpoint);
        self.stats.attempted(event, endpoint.id, attempt, state);
        if self.feed.is_watched() {
            self.feed.show(Happening::Attempt(SeenAttempt {
                tenant: event.tenant,
                delivery: job.delivery,
                event: event.id,
                r#type: event.envelope.kind.clone(),
                endpoint: endpoint.id,
                endpoint_name: endpoint.name.clone(),
                attempt: attempt.number,
                status: state.as_str(),
                error_class: attempt.outcome.class(),
                summary: attempt.outcome.summary(),
                duration_ms: attempt.duration_us as f64 / 1000.0,
                at: attempt.started_at,
            }));
        }
        if state == State::Failed {
            self.tell_exhausted(target, job, attempt.number, &attempt.outcome.summary());
        }
    }

    /// Tells that a delivery has failed for good. That an operational event could not be delivered
    /// is in the log alone: two endpoints that fail would tell each other for ever.
    pub(super) fn tell_exhausted(&self, target: &Target, job: &Job, attempts: u32, reason: &str) {
        if event_type::is_own(&job.event.envelope.kind) {
            return;
        }
        self.notices.hand_in(Notice::Exhausted(Exhausted {
            endpoint: about(target),
            delivery: job.delivery,
            event: job.event.id,
            event_type: job.event.envelope.kind.clone(),
            attempts,
            reason: reason.to_owned(),
        }));
    }

    /// Tells what became clear of a receiver. That it was disabled is told once it is stored.
    pub(super) fn tell_verdict(&self, target: &Target, verdict: Verdict, reason: &str) {
        let endpoint = about(target);
        match verdict {
            Verdict::Failing { percent, failing } => self.notices.hand_in(Notice::Failing {
                endpoint,
                failing,
                percent,
                reason: reason.to_owned(),
            }),
            Verdict::Recovered(failing) => {
                self.notices.hand_in(Notice::Recovered { endpoint, failing });
            }
            Verdict::Failed(_) | Verdict::Gone => {}
        }
    }

    /// Makes events of notices until `stop`, and of what was handed in until then.
    pub async fn tell(self: Arc<Self>, mut notices: mpsc::Receiver<Notice>, stop: CancellationToken) {
        let mut gathering = Gathering::default();
        self.tell_again().await;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                notice = notices.recv() => {
                    let Some(notice) = notice else { break };
                    self.publish(gathering.take_in(notice, self.clock.now())).await;
                }
                () = tokio::time::sleep(GATHER / 10) => {}
            }
            self.publish(gathering.take_out(self.clock.now(), false)).await;
        }
        while let Ok(notice) = notices.try_recv() {
            self.publish(gathering.take_in(notice, self.clock.now())).await;
        }
        self.publish(gathering.take_out(self.clock.now(), true)).await;
    }

    /// Makes events of these. Whether that worked is not told to anyone but the log.
    pub async fn publish(self: &Arc<Self>, told: impl IntoIterator<Item = Told>) {
        for Told { tenant, post } in told {
            let kind = post.envelope.kind.clone();
            if let Err(error) = self.accept(tenant, None, vec![post]).await {
                tracing::warn!(%error, kind, "an operational event could not be stored");
            }
        }
    }

    /// What is stored may not have been told before a crash: it is told again, and known again if
    /// it was.
    async fn tell_again(self: &Arc<Self>) {
        let directory = self.directories.current();
        let now = self.clock.now();
        let mut gathering = Gathering::default();
        for (endpoint, disabled) in self.store.disabled().await.unwrap_or_default() {
            let is_by_hand = disabled.reason == BY_HAND;
            let is_news = now.since(disabled.at) < KNOWN_AGAIN;
            if let Some(target) = directory.target(endpoint).filter(|_| is_news && !is_by_hand) {
                let notice = Notice::Disabled {
                    endpoint: about(target),
                    at: disabled.at,
                    reason: disabled.reason,
                };
                self.publish(gathering.take_in(notice, now)).await;
            }
        }
        for (endpoint, failing) in self.store.failing().await.unwrap_or_default() {
            let is_news = failing.warned > 0 && now.since(failing.since) < KNOWN_AGAIN;
            if let Some(target) = directory.target(endpoint).filter(|_| is_news) {
                let Failing { failures, warned, .. } = failing;
                let notice = Notice::Failing {
                    endpoint: about(target),
                    failing,
                    percent: warned,
                    reason: format!("{failures} failures"),
                };
                self.publish(gathering.take_in(notice, now)).await;
            }
        }
    }
}

/// Why an endpoint is disabled that a person disabled.
pub const BY_HAND: &str = "disabled by hand";

/// Which endpoint that is.
pub(super) fn about(target: &Target) -> About {
    About {
        id: target.endpoint.id,
        name: target.endpoint.name.clone(),
        tenant: target.endpoint.tenant,
    }
}
