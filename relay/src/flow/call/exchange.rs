//! From a question to its answer: permit, plugins, request, and what becomes of the reply.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::{Asked, Came, Given, Missed, Origin, Question};
use crate::deliver::outcome;
use crate::directory::{Directory, Target};
use crate::flow::prepare::prepare;
use crate::flow::traced::{Timed, hide, show};
use crate::flow::{Attempted, Flow, Turned, sign};
use crate::model::attempt::{Cause, Outcome, PluginCost};
use crate::model::policy::Policy;
use crate::model::reply::{ANSWER_BYTES_MAX, Answer};
use crate::otlp::Step;
use crate::plugins::Call;
use crate::queue::{Denied, Sign};
use crate::reply::cache::Key;
use crate::reply::map;

/// How long the answer to an event is remembered for whoever posts the event again.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

impl Flow {
    /// From the cache, or from the receiver.
    pub(super) async fn question(&self, directory: &Directory, asked: &Asked, question: &Question) -> Came {
        let target = &asked.target;
        let (endpoint, event) = (&target.endpoint, &question.event);
        let caching = endpoint.reply.as_ref().and_then(|reply| reply.cache.as_ref());
        let key = caching.map(|caching| (Key::question(endpoint.id, caching, event), caching.ttl));
        let kept = key
            .as_ref()
            .and_then(|(key, _)| self.replies.get(key, endpoint, self.clock.steady()));
        if let Some(answer) = kept {
            return Came {
                answer: Ok(cached(answer)),
                attempted: None,
            };
        }
        let Some(_place) = self.calls.take(event.tenant) else {
            return Came::denied(Denied::Busy);
        };
        if let Err(denied) = self.queue.permit(endpoint.id, question.deadline).await {
            return Came::denied(denied);
        }
        let came = self.send(directory, asked, question).await;
        if let Ok(given) = &came.answer
            && given.answer.is_success()
        {
            let now = self.clock.steady();
            let keep = |key, ttl| self.replies.keep(key, given.answer.clone(), endpoint, ttl, now);
            if let Some((key, ttl)) = key {
                keep(key, ttl);
            }
            if question.is_repeatable {
                keep(Key::Event(event.id), REMEMBERED_FOR);
            }
        }
        came
    }

    /// Chain, request, and what becomes of the answer; gives the permit back.
    async fn send(&self, directory: &Directory, asked: &Asked, question: &Question) -> Came {
        let target = &asked.target;
        let step = self.step(&question.event);
        let started_at = self.clock.now();
        let watch = Instant::now();
        let call = Call {
            source: question.event.source.and_then(|id| directory.source_name(id)),
            delivery: Some(question.delivery),
            attempt: 1,
        };
        let policy = directory.policy(question.event.tenant);
        let made =
            AssertUnwindSafe(self.request(target, question, call, policy, step.as_deref())).catch_unwind();
        let (attempted, answer, had) = made
            .await
            .unwrap_or_else(|_| (Attempted::panicked(), None, Duration::ZERO));
        let timed = Timed::new(started_at, watch, step);
        if let Some(grant) = target.outlet.granted() {
            self.queue.consented(target.endpoint.id, grant.pace);
        }
        let sign = match &attempted.outcome {
            // A receiver that had less than half of its time is not known to be silent.
            Outcome::Unreachable {
                cause: Cause::Timeout,
                ..
            } if had * 2 < asked.fair() => Sign::Nothing,
            outcome => sign(outcome),
        };
        let turned = self.queue.release(target.endpoint.id, sign);
        self.queue.ring();
        if turned != Turned::default() {
            let span = tracing::info_span!("call", delivery = %question.delivery, event = %question.event.id);
            self.turn(target, turned, &attempted.outcome)
                .instrument(span)
                .await;
        }
        let mut attempted = attempted;
        let answer = match answer {
            Some(answer) if attempted.outcome.class() == Some("http_2xx") => Err(Missed::Declined(answer)),
            Some(answer) => {
                self.reply(target, question, call, answer, &mut attempted.plugins)
                    .await
            }
            None => Err(missed(&attempted.outcome)),
        };
        Came {
            answer,
            attempted: Some((attempted, timed)),
        }
    }

    /// What is sent, what came back, and how long the receiver had for it.
    async fn request(
        &self,
        target: &Target,
        question: &Question,
        call: Call<'_>,
        policy: Policy,
        step: Option<&Step>,
    ) -> (Attempted, Option<Answer>, Duration) {
        let preparing = prepare(target, &question.event, question.delivery, call);
        let prepared = match timeout_at(question.deadline, preparing).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(ended)) => return (ended, None, Duration::ZERO),
            Err(_) => {
                let ended = Attempted {
                    outcome: outcome::late("its plugins had ended"),
                    messages: None,
                    plugins: Vec::new(),
                    log: Vec::new(),
                };
                return (ended, None, Duration::ZERO);
            }
        };
        let had = question.deadline.saturating_duration_since(Instant::now());
        let mut messages = prepared.messages;
        show(step, question.delivery, &mut messages);
        let clock = self.clock.as_ref();
        let sending = target
            .outlet
            .call(&self.sender, &mut messages, clock, policy, question.deadline);
        let (outcome, answer) = sending.await;
        hide(step, question.delivery, &mut messages);
        let attempted = Attempted {
            outcome,
            messages: Some(messages),
            plugins: prepared.plugins,
            log: prepared.log,
        };
        (attempted, answer, had)
    }

    /// From the receiver's answer to the caller's: plugins, then the mapping.
    async fn reply(
        &self,
        target: &Target,
        question: &Question,
        call: Call<'_>,
        mut answer: Answer,
        costs: &mut Vec<PluginCost>,
    ) -> Result<Given, Missed> {
        if answer.body.len() > ANSWER_BYTES_MAX {
            let why = format!("the receiver's answer is larger than {ANSWER_BYTES_MAX} bytes");
            return Err(Missed::Failed(why));
        }
        for responder in &target.responders {
            let watch = Instant::now();
            let turned = responder.respond(&question.event, answer, call);
            let turned = timeout_at(question.deadline, turned).await;
            costs.push(PluginCost {
                name: responder.name().to_owned(),
                duration_us: u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX),
            });
            answer = match turned {
                Ok(Ok(answer)) => answer,
                Ok(Err(fault)) => {
                    self.metrics.plugin_fault(responder.name(), fault.kind);
                    let (name, kind) = (responder.name(), fault.kind.as_str());
                    return Err(Missed::Failed(format!("plugin {name} {kind}: {}", fault.message)));
                }
                Err(_) => return Err(Missed::Timeout),
            };
        }
        if !answer.is_success() {
            return Err(Missed::Declined(answer));
        }
        let answer = match &target.endpoint.reply {
            Some(mapping) => map::map(mapping, &question.event, &answer),
            None => answer,
        };
        Ok(Given {
            answer,
            origin: Origin::Receiver,
        })
    }
}

impl Came {
    const fn denied(denied: Denied) -> Self {
        Self {
            answer: Err(Missed::Denied(denied)),
            attempted: None,
        }
    }
}

pub(super) const fn cached(answer: Answer) -> Given {
    Given {
        answer,
        origin: Origin::Cache,
    }
}

/// What an attempt without an answer tells the caller.
fn missed(outcome: &Outcome) -> Missed {
    match outcome {
        Outcome::Dropped { by, reason } => Missed::Dropped {
            by: by.clone(),
            reason: reason.clone(),
        },
        Outcome::Unreachable {
            cause: Cause::Timeout,
            ..
        } => Missed::Timeout,
        other => Missed::Failed(other.summary()),
    }
}
