//! A two-way call: an event whose sender waits for what the receiver of one endpoint says.
//!
//! [`Flow::ask`] makes the event durable, then has it answered within one deadline, which covers
//! the wait for a permit, the plugins, the request, and the mapping of the answer. What came of
//! it is recorded like any attempt; nothing of it is tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::traced::Timed;
use super::{Arrival, Attempted, Flow, Receipt, Settled};
use crate::directory::{Directory, Target};
use crate::ingest::Post;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EndpointId, EventId, TenantId};
use crate::model::reply::{Answer, CALL_TIMEOUT_MAX};
use crate::model::source::Source;
use crate::queue::{Admission, Denied};
use crate::record::Finished;
use crate::reply::cache::Key;
use crate::reply::map;
use crate::store;

mod exchange;
mod places;
mod record;
mod under_way;

pub use places::Places;
pub use under_way::UnderWay;

/// How long an answer waits until what came of the call is recorded.
const RECORD_PATIENCE: Duration = Duration::from_millis(250);

/// Whose answer a sender waits for.
pub struct Asked {
    pub target: Arc<Target>,
    pub reach: Reach,
    /// For everything, from when the post was read to the answer.
    pub timeout: Duration,
    /// The same, as the operator has set it for that endpoint.
    pub usual: Duration,
}

/// Where an event goes whose sender waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To that endpoint alone, whatever it says it wants.
    Alone,
    /// Wherever it is routed to; the endpoint is called if it is among those.
    Routed,
}

/// What a sender who asked is told.
#[derive(Debug)]
pub struct Told {
    pub receipts: Vec<Receipt>,
    /// `None` if nobody was called: the endpoint does not want such an event, or there was none.
    pub called: Option<Called>,
}

/// What came of one call.
#[derive(Debug)]
pub struct Called {
    pub event: EventId,
    /// `None` for an event that was posted before.
    pub delivery: Option<DeliveryId>,
    /// Whether the endpoint says what becomes of answers.
    pub is_mapped: bool,
    pub answer: Result<Given, Missed>,
}

/// An answer, and where it comes from.
#[derive(Debug)]
pub struct Given {
    pub answer: Answer,
    pub origin: Origin,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Receiver,
    /// The endpoint's fallback, and why it was needed.
    Fallback(&'static str),
    Cache,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Missed {
    /// The time was over.
    Timeout,
    /// There is an answer, but it is no success and nobody said what becomes of it.
    Declined(Answer),
    Failed(String),
    Dropped {
        by: String,
        reason: String,
    },
    /// There was no permit to be had.
    Denied(Denied),
    /// The event was posted before, and its answer is not remembered.
    Duplicate,
}

impl Missed {
    /// The word for metrics, and for whoever gets the fallback.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Declined(_) | Self::Failed(_) => "failed",
            Self::Dropped { .. } => "dropped",
            Self::Denied(Denied::Disabled) => "disabled",
            Self::Denied(_) => "busy",
            Self::Duplicate => "duplicate",
        }
    }
}

impl Asked {
    /// How long a call of an endpoint may take if nobody says otherwise.
    pub fn usual(directory: &Directory, target: &Target) -> Duration {
        let policy = directory.policy(target.endpoint.tenant);
        policy.timeout(target.endpoint.timeout).min(CALL_TIMEOUT_MAX)
    }

    /// How long the operator lets the receiver take: of a call over the API, its caller decides.
    fn fair(&self) -> Duration {
        match self.reach {
            Reach::Alone => self.usual,
            Reach::Routed => self.timeout,
        }
    }

    /// Which endpoints an event goes to as ever, and which is called.
    pub(super) fn part(
        &self,
        routed: impl FnOnce() -> Vec<EndpointId>,
    ) -> (Vec<EndpointId>, Option<EndpointId>) {
        let own = self.target.endpoint.id;
        if self.reach == Reach::Alone {
            return (Vec::new(), Some(own));
        }
        let mut endpoints = routed();
        let place = endpoints.iter().position(|endpoint| *endpoint == own);
        let called = place.map(|place| endpoints.remove(place));
        (endpoints, called)
    }
}

/// An event whose answer someone waits for.
struct Question {
    event: Arc<Event>,
    delivery: DeliveryId,
    deadline: Instant,
    /// Whether the event may be posted again, and be known again.
    is_repeatable: bool,
}

/// What came of a question: what the caller gets, and what is recorded.
struct Came {
    answer: Result<Given, Missed>,
    attempted: Option<(Attempted, Timed)>,
}

impl Flow {
    /// Accepts events, all or none, and brings what the endpoint's receiver says to the first of
    /// them. The event is durable before anything is sent; what came of the call is recorded
    /// before it is told, unless the store is slow. It goes on in a task of its own when the
    /// caller hangs up.
    ///
    /// # Errors
    /// If the store cannot take the events; then nothing was accepted, and nobody called.
    pub async fn ask(
        self: &Arc<Self>,
        tenant: TenantId,
        source: Option<&Source>,
        posts: Vec<Post>,
        asked: Asked,
    ) -> Result<Told, store::Error> {
        let watch = Instant::now();
        let deadline = watch + asked.timeout;
        let arrival = Arrival::of(tenant, source, self.clock.now());
        let directory = self.directories.current();
        let mut first = Some(&asked);
        let offered: Vec<_> = posts
            .into_iter()
            .map(|post| self.offer(&directory, arrival, post, first.take()))
            .collect();
        let question = offered.first().and_then(|offered| {
            let called = |(_, waits): &(EndpointId, Admission)| *waits == Admission::Caller;
            let index = offered.waits.iter().position(called)?;
            Some(Question {
                event: Arc::clone(&offered.event),
                delivery: offered.event.id.delivery(index),
                deadline,
                is_repeatable: offered.dedupe.is_some(),
            })
        });
        let (tell, told) = oneshot::channel();
        let flow = Arc::clone(self);
        let source = source.map(|source| source.name.clone());
        self.tasks.spawn(async move {
            let _way = question
                .as_ref()
                .map(|question| flow.under_way.begin(question.delivery));
            let receipts = flow.commit(offered).await;
            if let Ok(receipts) = &receipts {
                flow.count(watch.elapsed(), tenant, source.as_deref(), receipts);
            }
            let Some((receipts, question)) = receipts.as_ref().ok().zip(question) else {
                drop(tell.send(receipts.map(|receipts| Told {
                    receipts,
                    called: None,
                })));
                return;
            };
            let receipts = receipts.clone();
            flow.answer(&directory, &asked, question, receipts, tell).await;
        });
        let told = told.await;
        told.unwrap_or_else(|error| Err(store::Error::Unavailable(error.to_string())))
    }

    /// Answers a question whose event is durable.
    async fn answer(
        self: &Arc<Self>,
        directory: &Directory,
        asked: &Asked,
        question: Question,
        receipts: Vec<Receipt>,
        tell: oneshot::Sender<Result<Told, store::Error>>,
    ) {
        let target = &asked.target;
        let (event, is_duplicate) = receipts.first().map_or((question.event.id, false), |receipt| {
            (receipt.id, receipt.duplicate)
        });
        let (came, delivery) = if is_duplicate {
            (self.remembered(target, event), None)
        } else {
            let came = Box::pin(self.question(directory, asked, &question)).await;
            (came, Some(question.delivery))
        };
        let answer = came
            .answer
            .or_else(|missed| fall_back(target, &question.event, missed));
        self.metrics
            .called((&*target.endpoint).into(), record::word(&answer));
        let record = delivery.map(|_| self.recorded(target, &question, came.attempted, &answer));
        let told = Told {
            receipts,
            called: Some(Called {
                event,
                delivery,
                is_mapped: target.endpoint.reply.is_some(),
                answer,
            }),
        };
        let Some(record) = record else {
            drop(tell.send(Ok(told)));
            return;
        };
        let (waits, written) = oneshot::channel();
        let held = Settled::Call(waits);
        let writing = async {
            self.recorder.hand_in(Finished { record, held }).await;
            // It ends when it is written, or never will be.
            drop(written.await);
        };
        let mut writing = std::pin::pin!(writing);
        let in_time = tokio::time::timeout(RECORD_PATIENCE, &mut writing).await;
        drop(tell.send(Ok(told)));
        if in_time.is_err() {
            writing.await;
        }
    }

    /// The first answer to an event that is posted again.
    fn remembered(&self, target: &Target, event: EventId) -> Came {
        let now = self.clock.steady();
        let kept = self.replies.get(&Key::Event(event), &target.endpoint, now);
        Came {
            answer: kept.map(exchange::cached).ok_or(Missed::Duplicate),
            attempted: None,
        }
    }
}

/// The endpoint's fallback in place of an answer; not for what was dropped on purpose.
fn fall_back(target: &Target, event: &Event, missed: Missed) -> Result<Given, Missed> {
    let reply = target.endpoint.reply.as_ref();
    let fallback = reply.and_then(|reply| reply.fallback.as_ref());
    match (fallback, missed) {
        (None, missed) | (_, missed @ Missed::Dropped { .. }) => Err(missed),
        (Some(fallback), missed) => Ok(Given {
            answer: map::fall_back(fallback, event),
            origin: Origin::Fallback(missed.word()),
        }),
    }
}
