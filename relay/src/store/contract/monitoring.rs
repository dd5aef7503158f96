//! Rules about counts, alerts that fire, and what should have come.

use std::sync::Arc;

use super::kit::{
    ENDPOINT, Maker, OTHER_ENDPOINT, OTHER_TENANT, TENANT, accept, at, done, record, success, with,
};
use crate::model::counts::Counts;
use crate::model::delivery::State;
use crate::model::id::{AlertId, EventId};
use crate::store::Store;
use crate::store::monitoring::{Bucket, By, CountsAsked, Expected, ExpectedAsked, Firing, Pending, Step};

fn bucket(subject: i64, minute: u64, kind: &str) -> Bucket {
    Bucket {
        tenant: TENANT,
        subject,
        step: Step::Minute,
        at: Step::Minute.floor(at(minute * 60_000)),
        kind: kind.to_owned(),
    }
}

fn matched(count: u64) -> Counts {
    Counts {
        matched: count,
        ..Counts::default()
    }
}

fn asked(subjects: &[i64], by: By) -> CountsAsked {
    CountsAsked {
        tenant: TENANT,
        subjects: subjects.to_vec(),
        types: Vec::new(),
        step: Step::Minute,
        since: at(0) - std::time::Duration::from_secs(60),
        until: at(3_600_000),
        by,
    }
}

async fn sums(store: &Arc<dyn Store>, asked: CountsAsked) -> Vec<(i64, u64)> {
    let sums = done(store.counts(asked).await);
    sums.into_iter()
        .map(|(key, counts)| (key, counts.matched))
        .collect()
}

pub(super) async fn counts_add_up_by_time_and_by_subject(store: Arc<dyn Store>) {
    let hour = Bucket {
        step: Step::Hour,
        ..bucket(7, 0, "a.b")
    };
    let foreign = Bucket {
        tenant: OTHER_TENANT,
        ..bucket(7, 0, "a.b")
    };
    let (first, second) = (bucket(7, 0, "a.b"), bucket(7, 1, "x.y"));
    for _ in 0..2 {
        done(
            store
                .add_counts(&[(first.clone(), matched(1)), (second.clone(), matched(10))])
                .await,
        );
    }
    done(
        store
            .add_counts(&[
                (bucket(8, 1, "a.b"), matched(100)),
                (hour, matched(5)),
                (foreign, matched(6)),
            ])
            .await,
    );
    let times = [first.at.as_millis(), second.at.as_millis()];
    assert_eq!(
        sums(&store, asked(&[7, 8], By::Time)).await,
        [(times[0], 2), (times[1], 120)]
    );
    assert_eq!(
        sums(&store, asked(&[7, 8, 9], By::Subject)).await,
        [(7, 22), (8, 100)]
    );
    let mut narrow = asked(&[7], By::Subject);
    narrow.types = vec!["x.*".parse().expect("a pattern")];
    assert_eq!(sums(&store, narrow.clone()).await, [(7, 20)]);
    narrow.until = second.at;
    assert_eq!(sums(&store, narrow).await, []);
}

pub(super) async fn counts_are_forgotten_by_step_and_age_in_bites(store: Arc<dyn Store>) {
    let buckets: Vec<_> = (0..5)
        .map(|minute| (bucket(7, minute, "a.b"), matched(1)))
        .collect();
    done(store.add_counts(&buckets).await);
    let before = buckets[3].0.at;
    assert_eq!(done(store.forget_counts(Step::Hour, before, 10).await), 0);
    assert_eq!(done(store.forget_counts(Step::Minute, before, 2).await), 2);
    assert_eq!(done(store.forget_counts(Step::Minute, before, 2).await), 1);
    assert_eq!(sums(&store, asked(&[7], By::Subject)).await, [(7, 2)]);
}

pub(super) async fn what_waits_is_counted_with_its_oldest(store: Arc<dyn Store>) {
    let maker = Maker::new();
    assert_eq!(done(store.pending(ENDPOINT).await), Pending::default());
    let (first, second) = (
        maker.waiting(1, &[ENDPOINT, OTHER_ENDPOINT]),
        maker.waiting(2, &[ENDPOINT]),
    );
    accept(&store, &[&first, &second]).await;
    let oldest = |new: &crate::store::NewEvent| Some(new.event.id.delivery(0));
    assert_eq!(
        done(store.pending(ENDPOINT).await),
        Pending {
            count: 2,
            oldest: oldest(&first)
        }
    );
    done(store.record(&[success(&first, 0, 1, 5)]).await);
    assert_eq!(
        done(store.pending(ENDPOINT).await),
        Pending {
            count: 1,
            oldest: oldest(&second)
        }
    );
}

pub(super) async fn what_is_expected_is_told_oldest_first_whatever_became_of_it(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let before = maker.event(1, &[ENDPOINT]);
    let (sent, other) = (
        maker.event(10, &[OTHER_ENDPOINT, ENDPOINT]),
        maker.event(11, &[OTHER_ENDPOINT]),
    );
    let (dropped, in_flight) = (maker.event(12, &[ENDPOINT]), maker.event(13, &[ENDPOINT]));
    let foreign = with(maker.event(14, &[ENDPOINT]), |event| event.tenant = OTHER_TENANT);
    let late = maker.event(50, &[ENDPOINT]);
    let all = [&before, &sent, &other, &dropped, &in_flight, &foreign, &late];
    accept(&store, &all).await;
    done(
        store
            .record(&[
                success(&sent, 1, 1, 20),
                record(&dropped, 0, 1, State::Dropped, None),
            ])
            .await,
    );
    let asked = |after, limit| ExpectedAsked {
        tenant: TENANT,
        endpoint: ENDPOINT,
        after,
        until: at(50),
        limit,
    };
    let expected = |new: &crate::store::NewEvent, index, state| Expected {
        delivery: new.event.id.delivery(index),
        event: new.event.id,
        kind: "invoice.paid".to_owned(),
        received_at: new.event.received_at,
        state,
    };
    let wanted = [
        expected(&sent, 1, State::Succeeded),
        expected(&dropped, 0, State::Dropped),
        expected(&in_flight, 0, State::Pending),
    ];
    let whole = done(store.expected(asked(before.event.id, 100)).await);
    assert_eq!((whole.items.as_slice(), whole.next), (wanted.as_slice(), None));
    let page = done(store.expected(asked(before.event.id, 2)).await);
    assert_eq!(page.items, wanted[..2]);
    let rest = done(store.expected(asked(page.next.expect("there is more"), 2)).await);
    assert_eq!(rest.items, wanted[2..]);
    let none = done(store.expected(asked(EventId::from_raw(i64::MAX), 2)).await);
    assert_eq!(none.items, []);
}

pub(super) async fn what_waits_is_fetched_until_it_is_acknowledged(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events = [1, 2, 3].map(|ms| maker.waiting(ms, &[ENDPOINT]));
    for new in &events {
        accept(&store, &[new]).await;
    }
    let ids = events.each_ref().map(|new| new.event.id.delivery(0));
    let first = done(store.unfetched(ENDPOINT, None, 2).await);
    assert_eq!(first.iter().map(|one| one.delivery).collect::<Vec<_>>(), ids[..2]);
    assert_eq!(first[0].event, events[0].event);
    let last = first.last().map(|one| (one.due, one.delivery));
    let rest = done(store.unfetched(ENDPOINT, last, 2).await);
    assert_eq!(rest.iter().map(|one| one.delivery).collect::<Vec<_>>(), ids[2..]);
    assert_eq!(done(store.fetched(OTHER_ENDPOINT, ids.to_vec(), at(9)).await), 0);
    assert_eq!(done(store.fetched(ENDPOINT, ids[..2].to_vec(), at(9)).await), 2);
    assert_eq!(done(store.fetched(ENDPOINT, ids[..2].to_vec(), at(9)).await), 0);
    let left = done(store.unfetched(ENDPOINT, None, 10).await);
    assert_eq!(left.iter().map(|one| one.delivery).collect::<Vec<_>>(), ids[2..]);
    let delivery = done(store.delivery(TENANT, ids[0]).await).expect("it has a row");
    assert_eq!((delivery.state, delivery.due), (State::Succeeded, None));
}

pub(super) async fn an_alert_fires_until_it_does_not(store: Arc<dyn Store>) {
    let of = (AlertId::from_raw(3), 7);
    let firing = |value| Firing {
        since: at(1),
        told_at: at(2),
        value,
    };
    done(store.set_firing(of, Some(firing(0.5))).await);
    done(store.set_firing(of, Some(firing(0.25))).await);
    done(store.set_firing((of.0, 0), Some(firing(1.0))).await);
    let all = done(store.firing().await);
    assert_eq!(all, [((of.0, 0), firing(1.0)), (of, firing(0.25))]);
    done(store.set_firing(of, None).await);
    assert_eq!(done(store.firing().await), [((of.0, 0), firing(1.0))]);
}
