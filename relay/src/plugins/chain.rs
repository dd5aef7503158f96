//! Several plugins in order, over one event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Call;
use super::bound::{Bound, Step};
use super::fault::Fault;
use super::limits::MESSAGES_MAX;
use super::subject::Working;
use super::visit::Notes;
use crate::model::attempt::{FaultKind, PluginCost};
use crate::model::draft::Draft;
use crate::model::event::Event;
use crate::model::plugin::OnFault;

/// Longest reason for a drop that is kept, in bytes.
const REASON_BYTES_MAX: usize = 512;

/// The plugins of one endpoint or source, in the order they run.
#[derive(Debug, Clone)]
pub struct Chain {
    bound: Arc<[Bound]>,
    on_fault: OnFault,
}

/// What a chain made of an event, and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    pub result: Chained,
    /// One entry for each plugin that ran, in chain order.
    pub costs: Vec<PluginCost>,
    /// What plugins logged, bounded by their limits.
    pub log: Vec<String>,
}

/// What a chain made of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Chained {
    /// At least one message.
    Emit(Vec<Draft>),
    Drop {
        /// The plugin that decided so.
        by: String,
        reason: String,
    },
    Fault {
        plugin: String,
        fault: FaultKind,
        message: String,
        stderr: String,
        retry_after: Option<Duration>,
    },
}

impl Chain {
    /// Plugins without `filter` and `transform` may be in it; they are passed over.
    pub fn new(bound: Vec<Bound>, on_fault: OnFault) -> Self {
        let bound = bound
            .into_iter()
            .filter(|bound| bound.hooks().filter || bound.hooks().transform)
            .collect();
        Self { bound, on_fault }
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    /// Runs all plugins in order: of each, filter, then transform. Messages that one emits
    /// go through the rest one by one.
    pub async fn run(&self, event: &Arc<Event>, call: Call<'_>) -> Ran {
        let mut costs = Vec::with_capacity(self.bound.len());
        let mut notes = Notes::default();
        let mut messages = vec![Working::Event(event.clone())];
        for bound in &*self.bound {
            let (started, waited) = (Instant::now(), notes.waited);
            // On the heap, so that an attempt without plugins does not carry the room for one.
            let passed = Box::pin(self.pass(bound, messages, &call, &mut notes)).await;
            costs.push(cost(
                bound,
                started.elapsed().saturating_sub(notes.waited - waited),
            ));
            match passed {
                Ok(next) => messages = next,
                Err(result) => {
                    return Ran {
                        result,
                        costs,
                        log: notes.log,
                    };
                }
            }
        }
        let drafts = messages.into_iter().map(Working::into_draft).collect();
        Ran {
            result: Chained::Emit(drafts),
            costs,
            log: notes.log,
        }
    }

    /// Sends all messages through one plugin; an error ends the chain.
    async fn pass(
        &self,
        bound: &Bound,
        messages: Vec<Working>,
        call: &Call<'_>,
        notes: &mut Notes,
    ) -> Result<Vec<Working>, Chained> {
        let mut next = Vec::with_capacity(messages.len());
        let mut last_reason = None;
        for message in messages {
            match bound.pass(&message, call, notes).await {
                Ok(Step::Keep) => next.push(message),
                Ok(Step::Emit(emitted)) => next.extend(emitted),
                Ok(Step::Drop(reason)) => last_reason = Some(reason),
                Err(fault) if self.on_fault == OnFault::Pass && fault.kind.follows_policy() => {
                    notes.log.push(format!(
                        "{} warn: passed over: it {}: {}",
                        bound.name(),
                        fault.kind.as_str(),
                        fault.message
                    ));
                    next.push(message);
                }
                Err(fault) => return Err(broken(bound, fault)),
            }
        }
        if next.is_empty() {
            let reason = last_reason.unwrap_or_else(|| "it emitted no message".to_owned());
            return Err(Chained::Drop {
                by: bound.name().to_owned(),
                reason: shorten(reason),
            });
        }
        if next.len() > MESSAGES_MAX {
            let fault = Fault::over_limit(format!(
                "the chain made more than {MESSAGES_MAX} messages of one event"
            ));
            return Err(broken(bound, fault));
        }
        Ok(next)
    }
}

fn cost(bound: &Bound, took: Duration) -> PluginCost {
    PluginCost {
        name: bound.name().to_owned(),
        duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    }
}

fn broken(bound: &Bound, fault: Fault) -> Chained {
    Chained::Fault {
        plugin: bound.name().to_owned(),
        fault: fault.kind,
        message: fault.message,
        stderr: fault.stderr,
        retry_after: fault.retry_after,
    }
}

fn shorten(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason
}
