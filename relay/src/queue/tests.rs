use std::num::NonZeroU32;

use bytes::Bytes;

use super::*;
use crate::clock::ManualClock;
use crate::model::delivery::{Progress, State};
use crate::model::endpoint::Batch;
use crate::model::event::Envelope;
use crate::model::id::TenantId;
use crate::store::memory::MemoryStore;
use crate::store::{Begins, Failing, NewEvent, Planned, Record};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct Bench {
    queue: Arc<Queue>,
    clock: ManualClock,
    events: i64,
}

const fn endpoint(raw: i64) -> EndpointId {
    EndpointId::from_raw(raw)
}

const fn terms(concurrency: usize) -> Terms {
    Terms {
        concurrency,
        rate_limit: None,
        enabled: true,
        asks_consent: false,
        disable_after: Duration::from_secs(5 * 24 * 3600),
        batch: None,
    }
}

fn by_hand() -> Disabled {
    Disabled {
        at: START,
        reason: "by hand".to_owned(),
    }
}

impl Bench {
    fn new(terms: impl IntoIterator<Item = (EndpointId, Terms)>) -> Self {
        let settings = Settings {
            endpoint_deliveries_max: 3,
            memory_bytes_max: 1 << 20,
            concurrency_max: 100,
        };
        Self::with(settings, terms)
    }

    fn with(settings: Settings, terms: impl IntoIterator<Item = (EndpointId, Terms)>) -> Self {
        let clock = ManualClock::starting_at(START);
        let queue = Queue::new(settings, Arc::new(clock.clone()), EventId::from_raw(0));
        queue.recovered();
        queue.configure(terms);
        Self {
            queue: Arc::new(queue),
            clock,
            events: 0,
        }
    }

    /// Accepts an event for these endpoints; tells where its deliveries wait.
    fn accept(&mut self, endpoints: &[i64]) -> (Arc<Event>, Vec<Admission>) {
        self.events += 1_000_000;
        let event = Arc::new(Event {
            id: EventId::from_raw(self.events),
            tenant: TenantId::DEFAULT,
            source: None,
            received_at: START,
            envelope: Envelope::default(),
            headers: Vec::new(),
            data: Bytes::from_static(b"{}"),
        });
        let ids: Vec<EndpointId> = endpoints.iter().map(|raw| endpoint(*raw)).collect();
        let (_, admissions) = self.queue.admit(|| event.id, event.weight(), ids.iter().copied());
        let deliveries = ids.iter().zip(&admissions).enumerate();
        self.queue.push(
            &event,
            deliveries.map(|(index, (id, admission))| (event.id.delivery(index), *id, *admission)),
        );
        (event, admissions)
    }

    /// Takes whatever can go now.
    fn take_all(&self) -> Vec<Job> {
        std::iter::from_fn(|| self.queue.take()).collect()
    }

    fn finish(&self, job: &Job) {
        self.queue.release(job.endpoint, Sign::Took);
        self.queue.settle(job, None);
    }
}

fn endpoints(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|job| job.endpoint.raw()).collect()
}

#[test]
fn endpoints_take_turns() {
    let mut bench = Bench::new([(endpoint(1), terms(10)), (endpoint(2), terms(10))]);
    for _ in 0..3 {
        bench.accept(&[1]);
    }
    bench.accept(&[2]);
    assert_eq!(endpoints(&bench.take_all()), [1, 2, 1, 1]);
}

#[test]
fn no_more_than_its_permits_are_under_way_for_an_endpoint() {
    let mut bench = Bench::new([(endpoint(1), terms(2))]);
    for _ in 0..3 {
        bench.accept(&[1]);
    }
    let taken = bench.take_all();
    assert_eq!(taken.len(), 2);
    bench.finish(&taken[0]);
    assert_eq!(bench.take_all().len(), 1);
}

#[test]
fn what_exceeds_a_lane_waits_in_the_store_and_nothing_overtakes_it() {
    let mut bench = Bench::new([(endpoint(1), terms(1))]);
    for _ in 0..3 {
        assert_eq!(bench.accept(&[1]).1, [Admission::Memory]);
    }
    assert_eq!(bench.accept(&[1]).1, [Admission::Store]);
    let first = bench.queue.take().expect("one is ready");
    bench.finish(&first);
    assert_eq!(
        bench.accept(&[1]).1,
        [Admission::Store],
        "there is room, but one waits already"
    );
}

#[test]
fn new_terms_leave_a_disabled_endpoint_disabled() {
    let mut bench = Bench::new([(endpoint(1), terms(1))]);
    bench.queue.set_disabled(endpoint(1), Some(by_hand()));
    bench.queue.set_disabled(endpoint(2), Some(by_hand()));
    bench
        .queue
        .configure([(endpoint(1), terms(2)), (endpoint(2), terms(2))]);
    assert_eq!(bench.accept(&[1, 2]).1, [Admission::Store; 2]);
    bench.queue.set_disabled(endpoint(2), None);
    assert_eq!(bench.queue.disabled(endpoint(1)), Some(by_hand()));
    assert_eq!(bench.queue.disabled(endpoint(2)), None);
}

#[test]
fn lanes_of_deleted_endpoints_are_forgotten_in_the_end() {
    let mut bench = Bench::new([(endpoint(1), terms(1)), (endpoint(2), terms(1))]);
    bench.accept(&[1]);
    let job = bench.queue.take().expect("one goes");
    bench.queue.retire(endpoint(1));
    bench.clock.advance(Duration::from_secs(3601));
    bench.queue.retire(endpoint(2));
    assert!(bench.queue.is_retired(endpoint(1)), "an attempt is under way");
    bench.queue.release(endpoint(1), Sign::Took);
    bench.queue.settle(&job, None);
    bench.queue.retire(endpoint(2));
    assert!(!bench.queue.is_retired(endpoint(1)) && bench.queue.is_retired(endpoint(2)));
    assert_eq!(bench.queue.lanes().len(), 1);
}

#[test]
fn a_disabled_endpoint_keeps_its_deliveries_in_the_store() {
    let mut bench = Bench::new([(endpoint(1), terms(1))]);
    bench.queue.set_disabled(endpoint(1), Some(by_hand()));
    assert_eq!(bench.accept(&[1]).1, [Admission::Store]);
    assert!(bench.queue.take().is_none());
}

#[test]
fn an_endpoint_that_does_not_answer_is_left_with_one_permit_until_it_does() {
    let mut bench = Bench::new([(endpoint(1), terms(3))]);
    for _ in 0..3 {
        bench.accept(&[1]);
    }
    for job in bench.take_all() {
        bench.queue.release(job.endpoint, Sign::Silent);
        bench.queue.settle(&job, None);
    }
    for _ in 0..3 {
        bench.accept(&[1]);
    }
    let alone = bench.take_all();
    assert_eq!(alone.len(), 1);
    bench.finish(&alone[0]);
    assert_eq!(bench.take_all().len(), 2, "an answer widens the lane again");
}

#[test]
fn what_comes_for_a_receiver_that_does_not_answer_waits_in_the_store() {
    let mut bench = Bench::new([(endpoint(1), terms(1))]);
    for attempt in 1..=20 {
        bench.accept(&[1]);
        let job = bench.queue.take().expect("still closed");
        let turn = bench.queue.release(job.endpoint, Sign::Silent);
        bench.queue.settle(&job, None);
        assert_eq!(turn.breaker, (attempt == 20).then_some(Turn::Opened));
    }
    assert_eq!(
        bench.accept(&[1]).1,
        [Admission::Store],
        "what comes now waits in the store"
    );
    assert!(bench.queue.take().is_none());
    bench.queue.asked_for(endpoint(1), START);
    assert_eq!(
        bench.accept(&[1]).1,
        [Admission::Store],
        "none overtakes what waits"
    );
}

#[test]
fn a_rate_limit_holds_back_what_exceeds_its_burst() {
    let limit = RateLimit {
        count: NonZeroU32::MIN,
        per: Duration::from_secs(3600),
    };
    let mut bench = Bench::new([
        (
            endpoint(1),
            Terms {
                rate_limit: Some(limit),
                ..terms(10)
            },
        ),
        (endpoint(2), terms(10)),
    ]);
    bench.accept(&[1, 2]);
    bench.accept(&[1, 2]);
    assert_eq!(endpoints(&bench.take_all()), [1, 2, 2]);
}

#[test]
fn room_that_was_reserved_in_vain_is_given_back() {
    let mut bench = Bench::new([(endpoint(1), terms(1))]);
    let (event, _) = bench.accept(&[]);
    for _ in 0..10 {
        let (_, admissions) = bench.queue.admit(|| event.id, event.weight(), [endpoint(1)]);
        assert_eq!(admissions, [Admission::Memory]);
        bench.queue.cancel(&event, [(endpoint(1), Admission::Memory)]);
    }
    let load = bench.queue.load();
    assert_eq!((load.deliveries, load.bytes), (0, 0));
}

#[test]
fn the_checkpoint_stays_below_what_is_not_recorded() {
    let mut bench = Bench::new([(endpoint(1), terms(2))]);
    let (first, _) = bench.accept(&[1]);
    let (second, _) = bench.accept(&[1]);
    let jobs = bench.take_all();
    bench.finish(&jobs[1]);
    assert!(bench.queue.checkpoint() < first.id);
    bench.finish(&jobs[0]);
    assert_eq!(bench.queue.checkpoint(), second.id);
    let load = bench.queue.load();
    assert_eq!((load.deliveries, load.bytes), (0, 0));
}

#[test]
fn nothing_is_given_out_after_closing() {
    let mut bench = Bench::new([(endpoint(1), terms(1))]);
    bench.accept(&[1]);
    bench.queue.close();
    bench.clock.advance(Duration::from_secs(1));
    assert!(bench.queue.take().is_none());
}

#[test]
fn endpoints_that_hang_leave_permits_for_the_others() {
    let mut bench = Bench::with(
        Settings {
            endpoint_deliveries_max: 100,
            memory_bytes_max: 1 << 20,
            concurrency_max: 8,
        },
        [
            (endpoint(1), terms(100)),
            (endpoint(2), terms(100)),
            (endpoint(3), terms(100)),
        ],
    );
    for _ in 0..20 {
        bench.accept(&[1, 2]);
    }
    let hanging = bench.take_all();
    assert!(hanging.len() < 8, "not all permits go to two endpoints");
    bench.accept(&[3]);
    assert_eq!(endpoints(&bench.take_all()), [3]);
}

impl Bench {
    /// Lets the next delivery of an endpoint go, with that end.
    fn attempt(&mut self, sign: Sign) -> Option<Turned> {
        self.accept(&[1]);
        let job = self.queue.take()?;
        let turned = self.queue.release(job.endpoint, sign);
        self.queue.settle(&job, None);
        Some(turned)
    }
}

#[test]
fn a_receiver_that_asks_for_a_pause_is_left_alone_for_it() {
    let mut bench = Bench::new([(endpoint(1), terms(2)), (endpoint(2), terms(2))]);
    let turned = bench
        .attempt(Sign::Busy(Duration::from_secs(30)))
        .expect("one goes");
    assert!(turned.slowed);
    let condition = bench.queue.condition(endpoint(1));
    assert_eq!(condition.held_until, Some(START + Duration::from_secs(30)));
    bench.accept(&[2]);
    assert_eq!(bench.attempt(Sign::Took).map(|turned| turned.slowed), Some(false));
    let load = bench.queue.load();
    assert_eq!((load.slowed, load.failing), (1, 1));
    // A person who asks does not have to wait.
    bench.queue.asked_for(endpoint(1), START);
    assert_eq!(bench.queue.condition(endpoint(1)).held_until, None);
    assert_eq!(bench.queue.take().map(|job| job.endpoint), Some(endpoint(1)));
}

#[test]
fn no_receiver_can_ask_for_a_year() {
    let mut bench = Bench::new([(endpoint(1), terms(2))]);
    bench.attempt(Sign::Busy(Duration::from_secs(365 * 24 * 3600)));
    let held = bench.queue.condition(endpoint(1)).held_until;
    assert_eq!(held, Some(START + Duration::from_secs(3600)));
}

#[test]
fn what_a_receiver_failed_at_before_a_restart_counts() {
    let mut bench = Bench::new([(endpoint(1), terms(2))]);
    let failing = Failing {
        since: Timestamp::from_millis(0),
        failures: 19,
        warned: 80,
    };
    bench
        .queue
        .restore([], [(endpoint(1), failing), (endpoint(7), failing)]);
    let turned = bench.attempt(Sign::Declined).expect("one goes");
    assert!(turned.health.is_some_and(Verdict::is_enough), "{turned:?}");
    bench.queue.set_disabled(endpoint(1), Some(by_hand()));
    assert!(
        bench.queue.condition(endpoint(1)).failing.is_some(),
        "why it is disabled can be seen"
    );
    bench.queue.set_disabled(endpoint(1), None);
    assert_eq!(bench.queue.condition(endpoint(1)), Condition::default());
}

/// The queue's own loop runs until nothing is left for it to do now.
async fn tended(bench: &Bench, store: &Arc<dyn Store>) {
    bench.queue.chores.notify_one();
    let tending = Arc::clone(&bench.queue).tend(Arc::clone(store));
    drop(tokio::time::timeout(Duration::from_millis(20), tending).await);
}

fn record(job: &Job, state: State, due: Option<Timestamp>) -> Record {
    let waiting = Record::waiting(job.delivery, &job.event, job.endpoint, START);
    Record {
        attempts: 1,
        progress: Progress {
            state,
            due,
            ..waiting.progress.clone()
        },
        ..waiting
    }
}

#[tokio::test]
async fn what_is_asked_for_while_its_record_is_on_its_way_is_not_forgotten() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut bench = Bench::new([(endpoint(1), terms(1))]);
    let (event, _) = bench.accept(&[1]);
    let new = NewEvent {
        event: Arc::clone(&event),
        deliveries: vec![Planned {
            endpoint: endpoint(1),
            begins: Begins::InMemory,
        }],
        dedupe: None,
        rules: None,
    };
    store.accept(vec![new], START).await.unwrap();
    let job = bench.queue.take().expect("it is ready");
    bench.queue.release(job.endpoint, Sign::Took);
    store.record(&[record(&job, State::Failed, None)]).await.unwrap();
    // Written, but the queue does not know yet: now someone asks for another attempt.
    let tenant = TenantId::DEFAULT;
    store.retry(tenant, job.delivery, START).await.unwrap();
    bench.queue.asked_for(job.endpoint, START);
    tended(&bench, &store).await;
    assert!(bench.queue.take().is_none(), "it is still held");
    bench.queue.settle(&job, None);
    tended(&bench, &store).await;
    assert_eq!(bench.queue.take().map(|again| again.delivery), Some(job.delivery));
}

#[test]
fn until_a_receiver_consents_one_delivery_at_a_time_asks_it() {
    let asking = Terms {
        asks_consent: true,
        ..terms(10)
    };
    let mut bench = Bench::new([(endpoint(1), asking)]);
    for _ in 0..3 {
        bench.accept(&[1]);
    }
    let asker = bench.take_all();
    assert_eq!(asker.len(), 1);
    // What it says of its pace counts the delivery that asked.
    let pace = RateLimit {
        count: NonZeroU32::MIN,
        per: Duration::from_secs(24 * 3600),
    };
    bench.queue.consented(endpoint(1), Some(pace));
    assert_eq!(bench.take_all().len(), 0, "a day has not passed");
    bench.queue.configure([(endpoint(1), asking)]);
    bench.queue.consented(endpoint(1), None);
    assert_eq!(bench.take_all().len(), 2, "it takes as many as may go");
}

fn batched(events_max: usize) -> Terms {
    Terms {
        batch: Some(Batch {
            events_max,
            wait: Duration::from_secs(10),
            body: Default::default(),
        }),
        ..terms(10)
    }
}

fn deliveries(jobs: &[Job]) -> Vec<DeliveryId> {
    jobs.iter().map(|job| job.delivery).collect()
}

#[test]
fn deliveries_go_together_once_there_are_enough() {
    let mut bench = Bench::new([(endpoint(1), batched(2))]);
    let accepted: Vec<DeliveryId> = (0..3).map(|_| bench.accept(&[1]).0.id.delivery(0)).collect();
    let taken = bench.take_all();
    assert_eq!(deliveries(&taken), accepted[..1], "the third waits for a fourth");
    assert!(taken[0].leads());
    let along = bench.queue.take_along(&taken[0]);
    assert_eq!(deliveries(&along), accepted[1..2]);
    assert!(bench.queue.take_along(&taken[0]).is_empty(), "handed out once");
    bench.queue.release(endpoint(1), Sign::Took);
    for job in taken.iter().chain(&along) {
        bench.queue.settle(job, None);
    }
    assert_eq!(bench.queue.in_flight(), 0, "one permit for both");
    bench.accept(&[1]);
    assert_eq!(deliveries(&bench.take_all()), accepted[2..]);
}

#[test]
fn what_did_not_go_comes_back_in_front() {
    let mut bench = Bench::new([(endpoint(1), batched(2))]);
    let accepted: Vec<DeliveryId> = (0..2).map(|_| bench.accept(&[1]).0.id.delivery(0)).collect();
    let taken = bench.take_all();
    let along = bench.queue.take_along(&taken[0]);
    assert!(bench.queue.give_back(along).is_empty());
    bench.accept(&[1]);
    let next = bench.take_all();
    assert_eq!(deliveries(&next), accepted[1..]);
    let along = bench.queue.take_along(&next[0]);
    bench.queue.retire(endpoint(1));
    assert_eq!(bench.queue.give_back(along).len(), 1, "its endpoint is gone");
}

#[tokio::test]
async fn a_delivery_waits_for_others_only_for_a_while() {
    let mut bench = Bench::new([(endpoint(1), batched(3))]);
    bench.accept(&[1]);
    bench.accept(&[1]);
    assert!(bench.take_all().is_empty());
    bench.clock.advance(Duration::from_secs(10));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    tended(&bench, &store).await;
    let taken = bench.take_all();
    assert_eq!(taken.len(), 1);
    assert_eq!(bench.queue.take_along(&taken[0]).len(), 1);
}
