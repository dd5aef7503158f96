//! Rules about what is due, in flight or asked for again.

use std::collections::HashSet;
use std::sync::Arc;

use super::kit::{
    ENDPOINT, Maker, OTHER_ENDPOINT, OTHER_TENANT, TENANT, accept, at, done, due, failure, ids, messages,
    record, success,
};
use crate::model::attempt::Trigger;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EventId};
use crate::store::{Retried, Store};

pub(super) async fn waiting_deliveries_are_due_at_once(store: Arc<dyn Store>) {
    let new = Maker::new().waiting(5, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    let batch = due(&store, 5).await;
    let due = &batch.due[0];
    assert_eq!(
        (due.delivery, due.endpoint, due.due),
        (new.event.id.delivery(0), ENDPOINT, at(5))
    );
    assert_eq!(
        (due.attempts, due.trigger, &due.messages),
        (0, Trigger::Scheduled, &None)
    );
    assert_eq!(due.event, new.event);
    assert_eq!(batch.next, None);
}

pub(super) async fn due_is_in_order_of_time_then_acceptance(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..3).map(|_| maker.event(0, &[ENDPOINT])).collect();
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    let records = [(0, 30), (1, 20), (2, 20)].map(|(index, due)| failure(&events[index], 0, 1, 0, due));
    done(store.record(&records).await);
    let wanted: Vec<_> = [1, 2, 0]
        .map(|index: usize| events[index].event.id.delivery(0))
        .to_vec();
    assert_eq!(ids(&due(&store, 30).await.due), wanted);
}

pub(super) async fn due_leaves_out_what_is_skipped_or_later(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..4).map(|ms| maker.waiting(ms, &[ENDPOINT])).collect();
    for new in &events {
        accept(&store, &[new]).await;
    }
    done(store.record(&[failure(&events[3], 0, 1, 0, 500)]).await);
    let id = |index: usize| events[index].event.id.delivery(0);
    let batch = done(store.due(ENDPOINT, at(100), HashSet::from([id(1)]), 10).await);
    assert_eq!((ids(&batch.due), batch.next), (vec![id(0), id(2)], Some(at(500))));
    let batch = done(
        store
            .due(ENDPOINT, at(100), HashSet::from([id(0), id(1), id(2), id(3)]), 10)
            .await,
    );
    assert_eq!((ids(&batch.due), batch.next), (vec![], None));
    let batch = done(store.due(OTHER_ENDPOINT, at(100), HashSet::new(), 10).await);
    assert_eq!((ids(&batch.due), batch.next), (vec![], None));
}

pub(super) async fn due_counts_to_its_limit_and_tells_what_is_next(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..3).map(|ms| maker.waiting(ms, &[ENDPOINT])).collect();
    for new in &events {
        accept(&store, &[new]).await;
    }
    for (limit, next) in [(0, Some(at(0))), (2, Some(at(2))), (3, None)] {
        let batch = done(store.due(ENDPOINT, at(100), HashSet::new(), limit).await);
        assert_eq!((batch.due.len(), batch.next), (limit, next));
    }
}

pub(super) async fn due_carries_attempts_and_frozen_messages(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    let mut first = failure(&new, 0, 1, 0, 10);
    first.progress.messages = Some(messages());
    done(store.record(&[first]).await);
    done(store.record(&[failure(&new, 0, 2, 10, 20)]).await);
    let batch = due(&store, 20).await;
    assert_eq!(
        (batch.due[0].attempts, &batch.due[0].messages),
        (2, &Some(messages()))
    );
    let advanced = crate::model::message::Messages {
        sent: 2,
        ..messages()
    };
    let mut third = failure(&new, 0, 3, 20, 30);
    third.progress.messages = Some(advanced.clone());
    done(store.record(&[third]).await);
    assert_eq!(due(&store, 30).await.due[0].messages, Some(advanced));
}

pub(super) async fn waiting_tells_the_earliest_of_each_endpoint(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let first = maker.event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    let second = maker.event(0, &[OTHER_ENDPOINT, ENDPOINT]);
    accept(&store, &[&first, &second]).await;
    assert_eq!(done(store.waiting().await), []);
    done(
        store
            .record(&[failure(&first, 1, 1, 0, 70), failure(&second, 0, 1, 0, 60)])
            .await,
    );
    done(
        store
            .record(&[failure(&first, 0, 1, 0, 80), success(&second, 1, 1, 0)])
            .await,
    );
    let mut waiting = done(store.waiting().await);
    waiting.sort();
    assert_eq!(waiting, [(ENDPOINT, at(80)), (OTHER_ENDPOINT, at(60))]);
}

pub(super) async fn unfinished_lists_deliveries_without_a_row(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let half = maker.event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    let whole = maker.event(0, &[ENDPOINT]);
    let rowless = maker.event(1, &[ENDPOINT]);
    accept(
        &store,
        &[
            &half,
            &maker.event(0, &[]),
            &whole,
            &rowless,
            &maker.waiting(1, &[ENDPOINT]),
        ],
    )
    .await;
    done(
        store
            .record(&[success(&half, 0, 1, 5), success(&whole, 0, 1, 5)])
            .await,
    );
    let page = done(store.unfinished(EventId::from_raw(0), 100).await);
    let found: Vec<_> = page
        .events
        .iter()
        .map(|unfinished| (&unfinished.event, unfinished.deliveries.clone()))
        .collect();
    let wanted = [
        (&half.event, vec![(half.event.id.delivery(1), OTHER_ENDPOINT)]),
        (&rowless.event, vec![(rowless.event.id.delivery(0), ENDPOINT)]),
    ];
    assert_eq!(found, wanted);
    assert_eq!(page.next, None);
    let page = done(store.unfinished(rowless.event.id, 100).await);
    assert!(page.events.is_empty());
}

pub(super) async fn unfinished_goes_on_after_a_page(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..5).map(|ms| maker.event(ms, &[ENDPOINT])).collect();
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    done(
        store
            .record(&[success(&events[0], 0, 1, 5), success(&events[1], 0, 1, 5)])
            .await,
    );
    let (mut after, mut found, mut pages) = (EventId::from_raw(0), Vec::new(), 0);
    loop {
        let page = done(store.unfinished(after, 2).await);
        found.extend(page.events.iter().map(|unfinished| unfinished.event.id));
        pages += 1;
        let Some(next) = page.next else { break };
        after = next;
    }
    assert_eq!(
        found,
        events[2..].iter().map(|new| new.event.id).collect::<Vec<_>>()
    );
    assert_eq!(pages, 3);
}

pub(super) async fn the_checkpoint_is_remembered(store: Arc<dyn Store>) {
    assert_eq!(done(store.checkpoint().await).raw(), 0);
    done(store.set_checkpoint(EventId::from_raw(1 << 50)).await);
    assert_eq!(done(store.checkpoint().await), EventId::from_raw(1 << 50));
}

pub(super) async fn how_far_the_clocks_are_apart_is_remembered(store: Arc<dyn Store>) {
    assert_eq!(done(store.clock_ahead().await), 0);
    for ms in [86_400_000, -3_600_000] {
        done(store.set_clock_ahead(ms).await);
        assert_eq!(done(store.clock_ahead().await), ms);
    }
}

pub(super) async fn a_retry_makes_any_delivery_with_a_row_due(store: Arc<dyn Store>) {
    let maker = Maker::new();
    for state in State::ALL {
        let new = maker.event(0, &[ENDPOINT]);
        accept(&store, &[&new]).await;
        let mut moved = record(&new, 0, 1, state, (state == State::Pending).then(|| at(900)));
        moved.progress.reason = Some("why".to_owned());
        moved.progress.messages = Some(messages());
        done(store.record(&[moved]).await);
        let id = new.event.id.delivery(0);
        assert_eq!(
            done(store.retry(TENANT, id, at(50)).await),
            Retried::Waits(ENDPOINT)
        );
        let batch = due(&store, 50).await;
        let due = batch
            .due
            .iter()
            .find(|due| due.delivery == id)
            .expect("the delivery is due");
        assert_eq!((due.due, due.trigger, due.attempts), (at(50), Trigger::Manual, 1));
        assert_eq!(due.messages, Some(messages()), "frozen messages stay frozen");
        let shown = done(store.delivery(TENANT, id).await).expect("the delivery");
        assert_eq!(
            (shown.state, shown.due, shown.updated_at),
            (State::Pending, Some(at(50)), at(50))
        );
    }
}

pub(super) async fn giving_up_fails_what_is_pending(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    accept(&store, &[&new]).await;
    done(
        store
            .record(&[failure(&new, 0, 1, 10, 20), success(&new, 1, 1, 10)])
            .await,
    );
    let ids = [0, 1].map(|number| new.event.id.delivery(number));
    done(store.give_up(ids.to_vec(), "damaged", at(30)).await);
    assert!(due(&store, 100).await.due.is_empty());
    let failed = done(store.delivery(TENANT, ids[0]).await).expect("the delivery");
    assert_eq!(
        (failed.state, failed.reason.as_deref()),
        (State::Failed, Some("damaged"))
    );
    assert_eq!((failed.due, failed.updated_at), (None, at(30)));
    let other = done(store.delivery(TENANT, ids[1]).await).expect("the delivery");
    assert_eq!(other.state, State::Succeeded);
}

pub(super) async fn cancelling_ends_what_waits_for_one_endpoint_in_bites(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..3)
        .map(|ms| maker.waiting(ms, &[ENDPOINT, OTHER_ENDPOINT]))
        .collect();
    for new in &events {
        accept(&store, &[new]).await;
    }
    done(store.record(&[success(&events[0], 0, 1, 5)]).await);
    let cancel =
        async |before, limit| done(store.cancel_all(ENDPOINT, before, limit, "deleted", at(9)).await);
    let end = DeliveryId::from_raw(i64::MAX);
    let first = events[1].event.id.delivery(0);
    assert_eq!(cancel(first, 5).await, 0, "the bound is not among them");
    assert_eq!(
        [cancel(end, 1).await, cancel(end, 5).await, cancel(end, 5).await],
        [1, 1, 0]
    );
    let state = async |event: usize, number| {
        let id = events[event].event.id.delivery(number);
        done(store.delivery(TENANT, id).await).expect("a delivery").state
    };
    assert_eq!(
        [
            state(0, 0).await,
            state(1, 0).await,
            state(2, 0).await,
            state(2, 1).await
        ],
        [
            State::Succeeded,
            State::Cancelled,
            State::Cancelled,
            State::Pending
        ]
    );
    assert!(due(&store, 100).await.due.is_empty());
}

pub(super) async fn a_retry_of_what_is_in_flight_or_unknown_says_so(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    accept(&store, &[&new]).await;
    done(store.record(&[success(&new, 0, 1, 5)]).await);
    let id = |index| new.event.id.delivery(index);
    for (tenant, id, answer) in [
        (TENANT, id(1), Retried::InFlight),
        (TENANT, id(2), Retried::Unknown),
        (OTHER_TENANT, id(0), Retried::Unknown),
        (OTHER_TENANT, id(1), Retried::Unknown),
    ] {
        assert_eq!(
            done(store.retry(tenant, id, at(9)).await),
            answer,
            "{tenant} {id}"
        );
    }
    assert_eq!(done(store.waiting().await), [], "nothing was moved");
}

pub(super) async fn an_attempt_ends_a_manual_retry(store: Arc<dyn Store>) {
    let new = Maker::new().event(0, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    done(store.record(&[success(&new, 0, 1, 5)]).await);
    done(store.retry(TENANT, new.event.id.delivery(0), at(50)).await);
    assert_eq!(due(&store, 60).await.due[0].trigger, Trigger::Manual);
    done(store.record(&[failure(&new, 0, 2, 60, 70)]).await);
    assert_eq!(
        due(&store, 70).await.due[0].trigger,
        Trigger::Scheduled,
        "the attempt was made"
    );
}
