//! Rules about recording and showing deliveries.

use std::sync::Arc;

use super::kit::{
    ENDPOINT, Maker, OTHER_ENDPOINT, OTHER_TENANT, TENANT, accept, at, attempt, done, due, failure, messages,
    record, success, with,
};
use crate::model::delivery::{Delivery, State};
use crate::model::id::DeliveryId;
use crate::model::page::Page;
use crate::store::{DeliveryFilter, NewEvent, Store};

async fn delivery(store: &Arc<dyn Store>, id: DeliveryId) -> Delivery {
    done(store.delivery(TENANT, id).await).expect("a delivery")
}

async fn attempts(store: &Arc<dyn Store>, id: DeliveryId) -> Vec<u32> {
    done(store.attempts(TENANT, id).await)
        .iter()
        .map(|attempt| attempt.number)
        .collect()
}

pub(super) async fn a_planned_delivery_is_pending_before_it_has_a_row(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let new = maker.event(0, &[OTHER_ENDPOINT, ENDPOINT]);
    accept(&store, &[&new, &maker.event(0, &[])]).await;
    let id = new.event.id.delivery(1);
    let planned = Delivery {
        id,
        tenant: TENANT,
        event: new.event.id,
        endpoint: ENDPOINT,
        event_type: "invoice.paid".to_owned(),
        state: State::Pending,
        due: Some(at(0)),
        attempts: 0,
        reason: None,
        test: false,
        updated_at: at(0),
    };
    assert_eq!(delivery(&store, id).await, planned);
    assert_eq!(attempts(&store, id).await, Vec::<u32>::new());
    assert_eq!(
        done(store.delivery(TENANT, new.event.id.delivery(2)).await),
        None,
        "not planned"
    );
}

pub(super) async fn a_first_outcome_moves_a_delivery(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    accept(&store, &[&new]).await;
    let mut dropped = record(&new, 1, 0, State::Dropped, None);
    dropped.progress.reason = Some("test mode".to_owned());
    done(store.record(&[success(&new, 0, 1, 5), dropped]).await);

    let sent = delivery(&store, new.event.id.delivery(0)).await;
    assert_eq!((sent.state, sent.due, sent.attempts), (State::Succeeded, None, 1));
    assert_eq!(sent.updated_at, at(7), "when the attempt ended");
    assert_eq!(done(store.attempts(TENANT, sent.id).await), [attempt(1, 5, 200)]);
    let dropped = delivery(&store, new.event.id.delivery(1)).await;
    assert_eq!((dropped.state, dropped.attempts), (State::Dropped, 0));
    assert_eq!(dropped.reason.as_deref(), Some("test mode"));
}

pub(super) async fn attempts_are_kept_in_order(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    for number in 1..=11 {
        let ms = u64::from(number) * 10;
        done(store.record(&[failure(&new, 0, number, ms, ms + 10)]).await);
    }
    done(store.record(&[success(&new, 0, 12, 120)]).await);
    let id = new.event.id.delivery(0);
    assert_eq!(attempts(&store, id).await, (1..=12).collect::<Vec<_>>());
    let moved = delivery(&store, id).await;
    assert_eq!(
        (moved.state, moved.attempts, moved.due, moved.reason),
        (State::Succeeded, 12, None, None)
    );
}

pub(super) async fn recording_an_attempt_again_replaces_it(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    done(store.record(&[failure(&new, 0, 1, 0, 10)]).await);
    done(store.record(&[failure(&new, 0, 2, 10, 20)]).await);
    done(store.record(&[success(&new, 0, 2, 11)]).await);
    let kept = done(store.attempts(TENANT, new.event.id.delivery(0)).await);
    assert_eq!(kept, [attempt(1, 0, 503), attempt(2, 11, 200)]);
}

pub(super) async fn the_latest_attempts_are_kept(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    for number in 1..=110 {
        done(store.record(&[failure(&new, 0, number, 0, 0)]).await);
    }
    assert_eq!(
        attempts(&store, new.event.id.delivery(0)).await,
        (11..=110).collect::<Vec<_>>()
    );
}

pub(super) async fn only_to_wait_makes_a_row_but_never_changes_one(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    accept(&store, &[&new]).await;
    let mut first = failure(&new, 0, 1, 0, 10);
    first.progress.messages = Some(messages());
    done(store.record(&[first, success(&new, 1, 1, 5)]).await);
    let wait = |index| record(&new, index, 0, State::Pending, Some(at(50)));
    done(store.record(&[wait(0), wait(1)]).await);
    assert_eq!(attempts(&store, new.event.id.delivery(0)).await, [1]);
    let batch = due(&store, 50).await;
    assert_eq!(
        (batch.due[0].due, batch.due[0].messages.clone()),
        (at(10), Some(messages()))
    );
    assert_eq!(
        delivery(&store, new.event.id.delivery(1)).await.state,
        State::Succeeded
    );

    let other = Maker::new().event(1, &[ENDPOINT]);
    accept(&store, &[&other]).await;
    done(
        store
            .record(&[record(&other, 0, 0, State::Pending, Some(at(20)))])
            .await,
    );
    assert_eq!(due(&store, 50).await.due.len(), 2);
}

pub(super) async fn deliveries_are_listed_newest_first_in_pages(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..3)
        .map(|ms| maker.waiting(ms, &[ENDPOINT, OTHER_ENDPOINT]))
        .collect();
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    let mut page = Page {
        limit: 4,
        before: None,
    };
    loop {
        let list = done(store.deliveries(TENANT, DeliveryFilter::default(), page).await);
        seen.extend(list.items.iter().map(|delivery| delivery.id));
        page.before = list.next;
        if page.before.is_none() {
            break;
        }
    }
    let ids = |new: &NewEvent| [new.event.id.delivery(1), new.event.id.delivery(0)];
    assert_eq!(seen, events.iter().rev().flat_map(ids).collect::<Vec<_>>());
}

pub(super) async fn delivery_filters_restrict(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events = [
        maker.waiting(0, &[ENDPOINT]),
        maker.waiting(10, &[OTHER_ENDPOINT]),
        with(maker.waiting(20, &[ENDPOINT]), |event| {
            event.envelope.kind = "push".to_owned()
        }),
        maker.event(30, &[ENDPOINT]),
    ];
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    done(store.record(&[success(&events[0], 0, 1, 40)]).await);
    let nothing = DeliveryFilter::default();
    for (filter, wanted) in [
        (nothing.clone(), vec![2, 1, 0]),
        (
            DeliveryFilter {
                endpoint: Some(ENDPOINT),
                ..nothing.clone()
            },
            vec![2, 0],
        ),
        (
            DeliveryFilter {
                states: vec![State::Pending],
                ..nothing.clone()
            },
            vec![2, 1],
        ),
        (
            DeliveryFilter {
                kind: "push".parse().ok(),
                ..nothing.clone()
            },
            vec![2],
        ),
        (
            DeliveryFilter {
                kind: "invoice.*".parse().ok(),
                ..nothing.clone()
            },
            vec![1, 0],
        ),
        (
            DeliveryFilter {
                kind: "*.paid".parse().ok(),
                event: Some(events[3].event.id),
                ..nothing.clone()
            },
            vec![3],
        ),
        (
            DeliveryFilter {
                since: Some(at(10)),
                ..nothing.clone()
            },
            vec![2, 1],
        ),
        (
            DeliveryFilter {
                until: Some(at(20)),
                ..nothing.clone()
            },
            vec![1, 0],
        ),
        (
            DeliveryFilter {
                event: Some(events[3].event.id),
                ..nothing.clone()
            },
            vec![3],
        ),
        (
            DeliveryFilter {
                event: Some(events[3].event.id),
                states: vec![State::Failed],
                ..nothing.clone()
            },
            vec![],
        ),
    ] {
        let list = done(store.deliveries(TENANT, filter.clone(), Page::default()).await);
        let found: Vec<_> = list.items.iter().map(|delivery| delivery.event).collect();
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|index: usize| events[index].event.id)
            .collect();
        assert_eq!((found, list.next), (wanted, None), "{filter:?}");
    }
}

pub(super) async fn the_deliveries_of_an_event_are_listed_with_and_without_row(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let new = maker.event(0, &[ENDPOINT, OTHER_ENDPOINT, ENDPOINT]);
    accept(&store, &[&new, &maker.waiting(0, &[ENDPOINT])]).await;
    done(store.record(&[success(&new, 1, 1, 5)]).await);
    let filter = DeliveryFilter {
        event: Some(new.event.id),
        ..DeliveryFilter::default()
    };
    let first = done(
        store
            .deliveries(
                TENANT,
                filter.clone(),
                Page {
                    limit: 2,
                    before: None,
                },
            )
            .await,
    );
    let states: Vec<_> = first
        .items
        .iter()
        .map(|delivery| (delivery.id, delivery.state))
        .collect();
    let id = |index| new.event.id.delivery(index);
    assert_eq!(states, [(id(2), State::Pending), (id(1), State::Succeeded)]);
    let rest = done(
        store
            .deliveries(
                TENANT,
                filter,
                Page {
                    limit: 2,
                    before: first.next,
                },
            )
            .await,
    );
    assert_eq!(
        rest.items.iter().map(|delivery| delivery.id).collect::<Vec<_>>(),
        [id(0)]
    );
    assert_eq!(rest.next, None);
}

pub(super) async fn deliveries_of_another_tenant_are_unknown(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT, ENDPOINT]);
    accept(&store, &[&new]).await;
    done(store.record(&[success(&new, 0, 1, 5)]).await);
    for index in [0, 1] {
        let id = new.event.id.delivery(index);
        assert_eq!(done(store.delivery(OTHER_TENANT, id).await), None);
        assert_eq!(done(store.attempts(OTHER_TENANT, id).await), []);
    }
    for event in [None, Some(new.event.id)] {
        let filter = DeliveryFilter {
            event,
            ..DeliveryFilter::default()
        };
        assert_eq!(
            done(store.deliveries(OTHER_TENANT, filter, Page::default()).await).items,
            []
        );
    }
}
