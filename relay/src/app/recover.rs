//! After a start: takes up what was in flight at the last stop.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::flow::Flow;
use crate::model::id::EventId;
use crate::queue::Admission;
use crate::store::{self, Unfinished};

/// Events looked at in one read.
const PAGE: usize = 500;

/// Takes up waiting rows, then events up to `last` whose deliveries have no row yet; only
/// then may the checkpoint move.
pub(super) async fn run(flow: Arc<Flow>, last: EventId, stop: CancellationToken) {
    match take_up(&flow, last, &stop).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "deliveries in flight at the last stop were taken up again"),
        Err(error) => {
            // The checkpoint stays where it is, so the next start tries again.
            tracing::error!(%error, "what was in flight at the last stop could not be taken up");
            return;
        }
    }
    flow.queue.recovered();
}

async fn take_up(flow: &Arc<Flow>, last: EventId, stop: &CancellationToken) -> Result<usize, store::Error> {
    for (endpoint, due) in flow.store.waiting().await? {
        flow.queue.stored(endpoint, due);
    }
    let mut count = 0;
    let mut after = Some(flow.store.checkpoint().await?);
    while let Some(from) = after.filter(|from| *from < last && !stop.is_cancelled()) {
        let page = flow.store.unfinished(from, PAGE).await?;
        for unfinished in page
            .events
            .into_iter()
            .filter(|unfinished| unfinished.event.id <= last)
        {
            count += unfinished.deliveries.len();
            push(flow, unfinished).await?;
        }
        flow.queue.ring();
        after = page.next;
    }
    Ok(count)
}

/// Into memory where there is room, else as pending rows, as for a fresh event.
async fn push(flow: &Arc<Flow>, unfinished: Unfinished) -> Result<(), store::Error> {
    let Unfinished { event, deliveries } = unfinished;
    let admissions = flow
        .queue
        .admit(&event, deliveries.iter().map(|(_, endpoint)| *endpoint));
    let admitted: Vec<_> = deliveries
        .into_iter()
        .zip(admissions)
        .map(|((delivery, endpoint), admission)| (delivery, endpoint, admission))
        .collect();
    let waiting = admitted
        .iter()
        .filter(|(_, _, admission)| *admission == Admission::Store)
        .map(|(delivery, endpoint, _)| store::Record::waiting(*delivery, &event, *endpoint, flow.clock.now()))
        .collect::<Vec<_>>();
    if !waiting.is_empty() {
        flow.store.record(&waiting).await?;
    }
    flow.queue.push(&event, admitted);
    Ok(())
}
