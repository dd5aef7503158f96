//! Rules about work over many deliveries and events.

use std::sync::Arc;

use bytes::Bytes;

use super::kit::{
    ENDPOINT, Maker, OTHER_ENDPOINT, OTHER_TENANT, TENANT, accept, at, attempt, done, due, failure, messages,
    record, success, with,
};
use crate::model::attempt::Trigger;
use crate::model::delivery::State;
use crate::model::id::{DeliveryId, EventId, JobId};
use crate::model::page::Page;
use crate::store::{
    Bite, Deliveries, DeliveryFilter, EventFilter, Job, JobState, NewEvent, Record, Span, Started, Step,
    Store, Work,
};

const ALL: Span = Span {
    after: 0,
    before: i64::MAX,
};

/// A failure that is final.
fn failed(new: &NewEvent, index: usize, status: u16) -> Record {
    let mut record = record(new, index, 1, State::Failed, None);
    record.progress.attempt = Some(attempt(1, 5, status));
    record.progress.messages = Some(messages());
    record
}

fn saying(new: NewEvent, data: &'static str) -> NewEvent {
    with(new, |event| event.data = Bytes::from_static(data.as_bytes()))
}

pub(super) fn job(id: i64, work: Work) -> Job {
    Job {
        id: JobId::from_raw(id),
        tenant: TENANT,
        work,
        state: JobState::Running,
        total: Some(3),
        done: 0,
        failed: 0,
        rate: Some(1.5),
        cursor: 0,
        before: i64::MAX,
        created_at: at(1),
        updated_at: at(1),
        ended_at: None,
    }
}

pub(super) fn retry_all() -> Work {
    Work::Retry {
        which: Deliveries::Matching(DeliveryFilter {
            states: vec![State::Failed],
            ..DeliveryFilter::default()
        }),
    }
}

fn step(from: i64, to: i64, bite: Bite) -> Step {
    Step {
        job: JobId::from_raw(9),
        from,
        to,
        bite,
        failed: 0,
        ends: false,
        now: at(50),
        steady: at(60),
    }
}

async fn start(store: &Arc<dyn Store>, work: Work) {
    let started = store.start_job(job(9, work), 10, at(0), None).await;
    assert_eq!(done(started), Started::Done);
}

async fn stored(store: &Arc<dyn Store>) -> Job {
    done(store.job(TENANT, JobId::from_raw(9)).await).expect("the job is kept")
}

/// Replays the event to [`ENDPOINT`] as a delivery made at `ms`.
async fn replay(store: &Arc<dyn Store>, maker: &Maker, event: EventId, ms: u64) -> DeliveryId {
    let id = DeliveryId::from_raw(maker.event(ms, &[]).event.id.raw());
    let made = store.replay(TENANT, event, vec![(id, ENDPOINT)], at(ms)).await;
    assert!(done(made), "the event is there");
    id
}

pub(super) async fn walks_go_from_the_oldest_in_parts(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let events: Vec<_> = (0..5).map(|ms| maker.event(ms, &[ENDPOINT])).collect();
    accept(&store, &events.iter().collect::<Vec<_>>()).await;
    let records: Vec<_> = events.iter().map(|new| success(new, 0, 1, 5)).collect();
    done(store.record(&records).await);

    let walked = done(store.events_after(TENANT, EventFilter::default(), ALL, 3).await);
    let ids =
        |from: usize, to: usize| -> Vec<_> { events[from..to].iter().map(|new| new.event.id).collect() };
    assert_eq!(
        walked.items.iter().map(|event| event.id).collect::<Vec<_>>(),
        ids(0, 3)
    );
    let rest = Span {
        after: walked.next.expect("there is more"),
        before: events[4].event.id.raw(),
    };
    let walked = done(store.events_after(TENANT, EventFilter::default(), rest, 3).await);
    assert_eq!(
        walked.items.iter().map(|event| event.id).collect::<Vec<_>>(),
        ids(3, 4)
    );
    assert_eq!(walked.next, None);

    let since = DeliveryFilter {
        since: Some(at(1)),
        until: Some(at(4)),
        ..DeliveryFilter::default()
    };
    let walked = done(store.deliveries_after(TENANT, since, ALL, 10).await);
    let events: Vec<_> = walked.items.iter().map(|delivery| delivery.event).collect();
    assert_eq!(events, ids(1, 4));
    let of_one = DeliveryFilter {
        event: Some(ids(2, 3)[0]),
        ..DeliveryFilter::default()
    };
    let walked = done(store.deliveries_after(TENANT, of_one, ALL, 10).await);
    assert_eq!(walked.items.len(), 1);
    let other = store
        .deliveries_after(OTHER_TENANT, DeliveryFilter::default(), ALL, 10)
        .await;
    assert_eq!(done(other).items, []);
}

pub(super) async fn filters_look_into_payloads_and_at_last_attempts(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let ada = saying(
        maker.event(0, &[ENDPOINT]),
        r#"{"email":"ada@example.com","order":"A-1"}"#,
    );
    let ada = with(ada, |event| {
        event.envelope.subject = Some("order-1".to_owned());
        event.envelope.id = Some("own-1".to_owned());
    });
    let bob = saying(
        maker.event(1, &[ENDPOINT]),
        r#"{"email":"bob@example.com","order":"B-2"}"#,
    );
    let bob = with(bob, |event| {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        event.headers = vec![("traceparent".to_owned(), trace.to_owned())];
    });
    accept(&store, &[&ada, &bob]).await;
    done(
        store
            .record(&[failed(&ada, 0, 503), success(&bob, 0, 2, 5)])
            .await,
    );

    let by_event = |change: fn(&mut EventFilter)| {
        let mut filter = EventFilter::default();
        change(&mut filter);
        let store = Arc::clone(&store);
        async move {
            let listed = done(store.events(TENANT, filter.clone(), Page::default()).await).items;
            let walked = done(store.events_after(TENANT, filter, ALL, 10).await).items;
            assert_eq!(listed.iter().rev().cloned().collect::<Vec<_>>(), walked);
            walked.iter().map(|event| event.id).collect::<Vec<_>>()
        }
    };
    let text = |words: &str| words.parse().ok();
    assert_eq!(
        by_event(|f| f.text = "EXAMPLE b-2".parse().ok()).await,
        [bob.event.id]
    );
    assert_eq!(by_event(|f| f.text = "example.com".parse().ok()).await.len(), 2);
    assert_eq!(by_event(|f| f.text = "carol".parse().ok()).await, []);
    assert_eq!(
        by_event(|f| f.subject = Some("order-1".to_owned())).await,
        [ada.event.id]
    );
    assert_eq!(
        by_event(|f| f.sender_id = Some("own-1".to_owned())).await,
        [ada.event.id]
    );
    assert_eq!(by_event(|f| f.trace_id = Some("none".to_owned())).await, []);

    let trace = |filter: &mut EventFilter| {
        filter.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
    };
    assert_eq!(by_event(trace).await, [bob.event.id]);

    let none = DeliveryFilter::default();
    for (filter, wanted) in [
        (
            DeliveryFilter {
                text: text("ada"),
                ..none.clone()
            },
            vec![&ada],
        ),
        (
            DeliveryFilter {
                error_class: Some("http_5xx".to_owned()),
                ..none.clone()
            },
            vec![&ada],
        ),
        (
            DeliveryFilter {
                status_code: Some(200),
                ..none.clone()
            },
            vec![&bob],
        ),
        (
            DeliveryFilter {
                status_code: Some(503),
                states: vec![State::Succeeded, State::Failed],
                ..none.clone()
            },
            vec![&ada],
        ),
        (
            DeliveryFilter {
                attempts_min: Some(2),
                ..none.clone()
            },
            vec![&bob],
        ),
        (
            DeliveryFilter {
                states: vec![State::Failed, State::Cancelled, State::Pending],
                ..none.clone()
            },
            vec![&ada],
        ),
        (
            DeliveryFilter {
                error_class: Some("timeout".to_owned()),
                ..none.clone()
            },
            vec![],
        ),
        (
            DeliveryFilter {
                event: Some(ada.event.id),
                status_code: Some(503),
                text: text("ada"),
                ..none.clone()
            },
            vec![&ada],
        ),
    ] {
        let listed = done(store.deliveries(TENANT, filter.clone(), Page::default()).await);
        let found: Vec<_> = listed.items.iter().map(|delivery| delivery.event).collect();
        let wanted: Vec<_> = wanted.iter().map(|new| new.event.id).collect();
        assert_eq!(found, wanted, "{filter:?}");
    }
}

pub(super) async fn a_replay_is_a_new_delivery_of_an_old_event(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let old = maker.event(0, &[OTHER_ENDPOINT]);
    let later = maker.event(1, &[OTHER_ENDPOINT]);
    accept(&store, &[&old, &later]).await;
    done(
        store
            .record(&[success(&old, 0, 1, 5), success(&later, 0, 1, 5)])
            .await,
    );
    let id = replay(&store, &maker, old.event.id, 20).await;

    let batch = due(&store, 20).await;
    let [replayed] = &batch.due[..] else {
        panic!("one is due: {batch:?}");
    };
    assert_eq!((replayed.delivery, replayed.trigger), (id, Trigger::Replay));
    assert_eq!(replayed.event.id, old.event.id);
    assert_eq!(replayed.owed_since, at(20));
    let delivery = done(store.delivery(TENANT, id).await).expect("it is known");
    assert_eq!((delivery.event, delivery.endpoint), (old.event.id, ENDPOINT));
    let of_event = DeliveryFilter {
        event: Some(old.event.id),
        ..DeliveryFilter::default()
    };
    let listed = done(store.deliveries(TENANT, of_event, Page::default()).await).items;
    let ids: Vec<_> = listed.iter().map(|delivery| delivery.id).collect();
    assert_eq!(ids, [id, old.event.id.delivery(0)]);
    assert_eq!(done(store.last_raw_id().await), id.raw());
    assert_eq!(
        done(store.unfinished(EventId::from_raw(0), 10).await)
            .events
            .len(),
        0
    );

    let foreign = vec![(DeliveryId::from_raw(id.raw() + 256), ENDPOINT)];
    assert!(!done(
        store.replay(OTHER_TENANT, old.event.id, foreign, at(30)).await
    ));
}

pub(super) async fn a_replay_goes_with_its_event_and_not_before(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let (first, second) = (maker.event(0, &[ENDPOINT]), maker.event(1, &[ENDPOINT]));
    accept(&store, &[&first, &second]).await;
    let id = replay(&store, &maker, first.event.id, 2).await;
    let third = maker.event(3, &[ENDPOINT]);
    accept(&store, &[&third]).await;
    let all = [&first, &second, &third];
    done(store.record(&all.map(|new| success(new, 0, 1, 5))).await);

    let pruned = done(store.prune(at(100), at(0), at(0), 10).await);
    assert_eq!(pruned.events, 2, "the first waits for its replay");
    assert!(done(store.delivery(TENANT, id).await).is_some());
    let mut sent = success(&first, 0, 1, 6);
    sent.delivery = id;
    done(store.record(&[sent]).await);
    let pruned = done(store.prune(at(100), at(0), at(0), 10).await);
    assert_eq!((pruned.events, pruned.deliveries), (1, 2));
    assert_eq!(done(store.delivery(TENANT, id).await), None);
    assert_eq!(done(store.last_raw_id().await), third.event.id.delivery(0).raw());
}

pub(super) async fn what_is_called_off_is_not_made_pending_again(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let new = maker.event(0, &[ENDPOINT, OTHER_ENDPOINT]);
    let ended = maker.event(1, &[ENDPOINT]);
    accept(&store, &[&new, &ended]).await;
    done(
        store
            .record(&[failure(&new, 0, 1, 5, 9), success(&ended, 0, 1, 5)])
            .await,
    );
    let (with_row, without) = (new.event.id.delivery(0), new.event.id.delivery(1));
    let all = vec![with_row, without, ended.event.id.delivery(0)];
    let foreign = store.cancel(OTHER_TENANT, all.clone(), "no", at(10)).await;
    assert_eq!(done(foreign), []);
    let cancelled = done(store.cancel(TENANT, all, "called off", at(10)).await);
    assert_eq!(cancelled, [(with_row, ENDPOINT), (without, OTHER_ENDPOINT)]);

    // Of each an attempt was under way.
    let records = [failure(&new, 0, 2, 11, 99), success(&new, 1, 1, 11)];
    done(store.record(&records).await);
    let stands = async |id| done(store.delivery(TENANT, id).await).expect("it is known");
    let called_off = stands(with_row).await;
    assert_eq!(
        (called_off.state, called_off.due, called_off.attempts),
        (State::Cancelled, None, 2)
    );
    assert_eq!(called_off.reason.as_deref(), Some("called off"));
    assert_eq!(stands(without).await.state, State::Succeeded);
    assert_eq!(due(&store, 200).await.due.len(), 0);
    assert_eq!(
        done(store.unfinished(EventId::from_raw(0), 10).await)
            .events
            .len(),
        0
    );
}

pub(super) async fn a_step_is_done_once(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let (first, second) = (maker.event(0, &[ENDPOINT]), maker.event(1, &[ENDPOINT]));
    accept(&store, &[&first, &second]).await;
    done(
        store
            .record(&[failed(&first, 0, 500), success(&second, 0, 1, 5)])
            .await,
    );
    start(&store, retry_all()).await;
    let ids = [&first, &second].map(|new| new.event.id.delivery(0));
    let retry = || {
        let mut step = step(
            0,
            ids[0].raw(),
            Bite::Retry(vec![ids[0], DeliveryId::from_raw(77)]),
        );
        step.failed = 1;
        step
    };
    let stepped = done(store.step(retry()).await).expect("it runs");
    assert_eq!(
        (stepped.done, stepped.failed, &stepped.endpoints[..]),
        (1, 2, &[ENDPOINT][..])
    );
    assert_eq!(
        done(store.step(retry()).await),
        None,
        "it stands elsewhere by now"
    );
    let batch = due(&store, 60).await;
    assert_eq!((batch.due.len(), batch.due[0].trigger), (1, Trigger::Manual));
    assert!(batch.due[0].messages.is_some(), "frozen messages stay frozen");
    let stands = stored(&store).await;
    assert_eq!((stands.done, stands.failed, stands.cursor), (1, 2, ids[0].raw()));

    let mut last = step(ids[0].raw(), i64::MAX, Bite::Count(4));
    last.ends = true;
    done(store.step(last).await).expect("it runs");
    let ended = stored(&store).await;
    assert_eq!(
        (ended.state, ended.done, ended.ended_at),
        (JobState::Done, 5, Some(at(50)))
    );
    assert_eq!(done(store.running_jobs().await), []);
}

pub(super) async fn a_tenant_has_no_more_jobs_than_it_may(store: Arc<dyn Store>) {
    let start = async |id, tenant| {
        let job = Job {
            tenant,
            ..job(id, retry_all())
        };
        done(store.start_job(job, 2, at(0), None).await)
    };
    assert_eq!(start(1, TENANT).await, Started::Done);
    assert_eq!(start(2, TENANT).await, Started::Done);
    assert_eq!(start(3, TENANT).await, Started::TooMany);
    assert_eq!(start(4, OTHER_TENANT).await, Started::Done);
    assert!(done(store.cancel_job(TENANT, JobId::from_raw(1), at(5)).await));
    assert_eq!(start(5, TENANT).await, Started::Done);
    let page = Page {
        limit: 2,
        before: None,
    };
    let listed = done(store.jobs(TENANT, page).await);
    let ids: Vec<_> = listed.items.iter().map(|job| job.id.raw()).collect();
    assert_eq!((ids, listed.next), (vec![5, 2], Some(2)));
    assert_eq!(listed.items[1], job(2, retry_all()));
    let running = done(store.running_jobs().await);
    assert_eq!(
        running.iter().map(|job| job.id.raw()).collect::<Vec<_>>(),
        [2, 4, 5]
    );
    assert_eq!(done(store.job(OTHER_TENANT, JobId::from_raw(2)).await), None);

    // The one that was cancelled is forgotten with the next that starts, once it is old.
    let next = store.start_job(job(6, retry_all()), 5, at(6), None).await;
    assert_eq!(done(next), Started::Done);
    assert_eq!(done(store.job(TENANT, JobId::from_raw(1)).await), None);
}

pub(super) async fn a_job_that_was_cancelled_does_nothing_more(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let new = maker.event(0, &[ENDPOINT]);
    accept(&store, &[&new]).await;
    done(store.record(&[failed(&new, 0, 500)]).await);
    start(&store, retry_all()).await;
    let id = JobId::from_raw(9);
    assert!(!done(store.cancel_job(OTHER_TENANT, id, at(20)).await));
    assert!(done(store.cancel_job(TENANT, id, at(20)).await));
    assert!(!done(store.cancel_job(TENANT, id, at(30)).await), "only once");
    let retry = step(0, 1, Bite::Retry(vec![new.event.id.delivery(0)]));
    assert_eq!(done(store.step(retry).await), None);
    assert_eq!(stored(&store).await.state, JobState::Cancelled);
    assert_eq!(due(&store, 100).await.due.len(), 0);
}

pub(super) async fn erasing_takes_off_what_was_stored(store: Arc<dyn Store>) {
    let maker = Maker::new();
    done(store.meter(vec![TENANT], at(0)).await);
    let long = with(maker.event(0, &[]), |event| event.data = vec![b'a'; 5000].into());
    accept(&store, &[&long, &maker.event(1, &[])]).await;
    let bytes = async || done(store.usage().await)[0].1.bytes;
    let before = bytes().await;
    let which = EventFilter::default();
    start(&store, Work::Erase { which, member: None }).await;
    let mut erase = step(0, i64::MAX, Bite::Erase(vec![long.event.id]));
    erase.ends = true;
    assert_eq!(done(store.step(erase).await).expect("it runs").done, 1);
    let left = done(store.event(TENANT, long.event.id).await).expect("a tombstone");
    assert_eq!(bytes().await, before - 5000 + left.data.len() as u64);
}

pub(super) async fn erasing_leaves_ids_and_states_alone(store: Arc<dyn Store>) {
    let maker = Maker::new();
    let secret = saying(
        maker.event(0, &[ENDPOINT, OTHER_ENDPOINT]),
        r#"{"email":"ada@example.com"}"#,
    );
    let secret = with(secret, |event| {
        event.envelope.subject = Some("ada".to_owned());
        event.headers = vec![("x-name".to_owned(), "ada".to_owned())];
    });
    let other = maker.event(1, &[ENDPOINT]);
    accept(&store, &[&secret, &other]).await;
    let mut retried = failure(&secret, 1, 1, 5, 9);
    retried.progress.messages = Some(messages());
    done(store.record(&[failed(&secret, 0, 500), retried]).await);
    done(store.record(&[failure(&secret, 1, 2, 7, 12)]).await);
    let work = Work::Erase {
        which: EventFilter {
            text: "ada@example.com".parse().ok(),
            ..EventFilter::default()
        },
        member: None,
    };
    start(&store, work).await;
    let mut erase = step(0, i64::MAX, Bite::Erase(vec![secret.event.id]));
    erase.ends = true;
    assert_eq!(done(store.step(erase).await).expect("it runs").done, 1);

    let left = done(store.event(TENANT, secret.event.id).await).expect("its checksum is sound");
    let data = std::str::from_utf8(&left.data).unwrap_or_default();
    assert!(data.starts_with(r#"{"erased":true,"at":""#), "{data}");
    assert_eq!((&left.envelope.subject, &left.headers), (&None, &Vec::new()));
    assert_eq!(left.envelope.kind, secret.event.envelope.kind);
    let state = async |index| {
        let id = secret.event.id.delivery(index);
        done(store.delivery(TENANT, id).await).expect("it is known").state
    };
    assert_eq!(
        (state(0).await, state(1).await),
        (State::Failed, State::Cancelled)
    );
    for index in 0..2 {
        let attempts = done(store.attempts(TENANT, secret.event.id.delivery(index)).await);
        assert_eq!(attempts.len(), 1 + index);
        let said = format!("{attempts:?}");
        assert!(!said.contains("excerpt: \"ok\""), "{said}");
    }
    done(store.retry(TENANT, secret.event.id.delivery(0), at(20)).await);
    assert_eq!(due(&store, 20).await.due[0].messages, None);
    assert_eq!(
        stored(&store).await.work,
        Work::Erase {
            which: EventFilter::default(),
            member: None
        },
        "what was to be found is not kept"
    );
    let untouched = done(store.event(TENANT, other.event.id).await).expect("it is there");
    assert_eq!(untouched.data, other.event.data);
}
