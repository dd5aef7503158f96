//! After a start: takes up what was in flight at the last stop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::flow::Flow;
use crate::flow::end::DELETED;
use crate::model::id::{DeliveryId, EventId};
use crate::queue::Admission;
use crate::store::{self, Store, Unfinished, UnfinishedPage};

/// Events looked at in one read.
const PAGE: usize = 500;
/// How long to wait for a store that does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes up waiting rows, then events up to `last` whose deliveries have no row yet; only
/// then may the checkpoint move.
pub(super) async fn run(flow: Arc<Flow>, last: EventId, stop: CancellationToken) {
    tokio::select! {
        count = take_up(&flow, last) => {
            if count > 0 {
                tracing::info!(count, "deliveries in flight at the last stop were taken up again");
            }
            flow.queue.recovered();
        }
        // The checkpoint stays where it is, so the next start goes on.
        () = stop.cancelled() => {}
    }
}

async fn take_up(flow: &Arc<Flow>, last: EventId) -> usize {
    let directory = flow.directories.current();
    for (endpoint, due) in patiently(|| flow.store.waiting()).await {
        if directory.table.endpoint(endpoint).is_none() {
            tracing::warn!(%endpoint, "deliveries wait for an endpoint that the configuration does not have");
        }
        flow.queue.stored(endpoint, due);
    }
    let mut count = 0;
    let mut after = Some(patiently(|| flow.store.checkpoint()).await);
    while let Some(from) = after.filter(|from| *from < last) {
        let page = read(flow.store.as_ref(), from, last).await;
        for unfinished in page
            .events
            .into_iter()
            .filter(|unfinished| unfinished.event.id <= last)
        {
            count += unfinished.deliveries.len();
            push(flow, unfinished).await;
        }
        flow.queue.ring();
        after = page.next;
    }
    cancel_of_deleted(flow).await;
    count
}

/// A stop may have come between the deletion of an endpoint and the end of its deliveries.
async fn cancel_of_deleted(flow: &Arc<Flow>) {
    let directory = flow.directories.current();
    for (endpoint, _) in patiently(|| flow.store.waiting()).await {
        if directory.table.endpoint(endpoint).is_some()
            || !patiently(|| flow.store.is_deleted(endpoint.raw())).await
        {
            continue;
        }
        let jobs = flow.queue.retire(endpoint);
        let before = DeliveryId::from_raw(flow.ids.next(flow.clock.now()));
        if let Err(error) = flow.cancel_waiting(endpoint, jobs, before, DELETED).await {
            tracing::warn!(%error, %endpoint, "deliveries of a deleted endpoint were not cancelled");
        }
    }
}

/// Calls until the store answers; says once that it does not.
async fn patiently<'a, T>(call: impl Fn() -> BoxFuture<'a, Result<T, store::Error>>) -> T {
    let mut is_failing = false;
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) if !is_failing => {
                tracing::error!(%error, "what was in flight at the last stop cannot be taken up; trying until it can");
            }
            Err(_) => {}
        }
        is_failing = true;
        tokio::time::sleep(PAUSE).await;
    }
}

/// A page of events, or what is behind a part of the store that is damaged.
async fn read(store: &dyn Store, from: EventId, last: EventId) -> UnfinishedPage {
    let read = || -> BoxFuture<'_, _> {
        Box::pin(async move {
            match store.unfinished(from, PAGE).await {
                Err(store::Error::Corrupt(problem)) => Ok(Err(problem)),
                read => read.map(Ok),
            }
        })
    };
    match patiently(read).await {
        Ok(page) => page,
        Err(problem) => {
            let next = behind_damage(store, from, last).await;
            tracing::error!(
                problem,
                "events after {from} up to {next} cannot be read: what was in flight of them is not taken up"
            );
            UnfinishedPage {
                events: Vec::new(),
                next: Some(next),
            }
        }
    }
}

/// The nearest id behind `from` after which the store can be read again: ever larger steps
/// forward, then halves back.
async fn behind_damage(store: &dyn Store, from: EventId, last: EventId) -> EventId {
    let (mut bad, mut good, mut step) = (from.raw(), last.raw(), 1_i64);
    while bad.saturating_add(step) < last.raw() {
        let next = bad + step;
        if is_readable(store, next).await {
            good = next;
            break;
        }
        bad = next;
        step = step.saturating_mul(2);
    }
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if is_readable(store, middle).await {
            good = middle;
        } else {
            bad = middle;
        }
    }
    EventId::from_raw(good)
}

async fn is_readable(store: &dyn Store, after: i64) -> bool {
    store.unfinished(EventId::from_raw(after), 1).await.is_ok()
}

/// Into memory where there is room, else as pending rows, as for a fresh event.
async fn push(flow: &Arc<Flow>, unfinished: Unfinished) {
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
    if !waiting.is_empty() {
        patiently(|| flow.store.record(&waiting)).await;
    }
    flow.queue.push(&event, admitted);
}
