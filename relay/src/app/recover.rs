//! After a start: takes up what was in flight at the last stop.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flow::Flow;
use crate::model::id::EventId;
use crate::queue::Admission;
use crate::store::{self, Unfinished};

/// Events looked at in one read.
const PAGE: usize = 500;
/// How long to wait when the store does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes up waiting rows, then events up to `last` whose deliveries have no row yet; only
/// then may the checkpoint move. While the store fails it tries again: what is not taken up now
/// would wait for the next start.
pub(super) async fn run(flow: Arc<Flow>, last: EventId, stop: CancellationToken) {
    let mut progress = Progress::default();
    while let Err(error) = progress.go_on(&flow, last, &stop).await {
        tracing::error!(%error, "what was in flight at the last stop cannot be taken up yet; trying again");
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
    if stop.is_cancelled() {
        return;
    }
    if progress.taken_up > 0 {
        let count = progress.taken_up;
        tracing::info!(count, "deliveries in flight at the last stop were taken up again");
    }
    flow.queue.recovered();
}

/// How far it has come, so that after an error nothing is taken up twice.
#[derive(Default)]
struct Progress {
    waiting_known: bool,
    /// The last event that was looked at.
    looked_at: Option<EventId>,
    taken_up: usize,
}

impl Progress {
    async fn go_on(
        &mut self,
        flow: &Arc<Flow>,
        last: EventId,
        stop: &CancellationToken,
    ) -> Result<(), store::Error> {
        if !self.waiting_known {
            for (endpoint, due) in flow.store.waiting().await? {
                flow.queue.stored(endpoint, due);
            }
            self.waiting_known = true;
        }
        let mut after = match self.looked_at {
            Some(event) => Some(event),
            None => Some(flow.store.checkpoint().await?),
        };
        while let Some(from) = after.filter(|from| *from < last && !stop.is_cancelled()) {
            let page = flow.store.unfinished(from, PAGE).await?;
            let up_to_last = page.events.into_iter().filter(|found| found.event.id <= last);
            for unfinished in up_to_last {
                let (event, count) = (unfinished.event.id, unfinished.deliveries.len());
                push(flow, unfinished).await?;
                self.looked_at = Some(event);
                self.taken_up += count;
            }
            flow.queue.ring();
            after = page.next;
            self.looked_at = after.or(self.looked_at);
        }
        Ok(())
    }
}

/// Into memory where there is room, else as pending rows, as for a fresh event.
async fn push(flow: &Arc<Flow>, unfinished: Unfinished) -> Result<(), store::Error> {
    let Unfinished { event, deliveries } = unfinished;
    let endpoints = deliveries.iter().map(|(_, endpoint)| *endpoint);
    let (_, admissions) = flow.queue.admit(|| event.id, event.weight(), endpoints);
    let admitted: Vec<_> = deliveries
        .into_iter()
        .zip(admissions)
        .map(|((delivery, endpoint), admission)| (delivery, endpoint, admission))
        .collect();
    let now = flow.clock.steady();
    let waiting = admitted
        .iter()
        .filter(|(_, _, admission)| *admission == Admission::Store)
        .map(|(delivery, endpoint, _)| store::Record::waiting(*delivery, &event, *endpoint, now))
        .collect::<Vec<_>>();
    if !waiting.is_empty()
        && let Err(error) = flow.store.record(&waiting).await
    {
        let admitted = admitted
            .iter()
            .map(|(_, endpoint, admission)| (*endpoint, *admission));
        flow.queue.cancel(&event, admitted);
        return Err(error);
    }
    flow.queue.push(&event, admitted);
    Ok(())
}
