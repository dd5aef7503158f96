//! A plugin at its place: one owner's configuration, secrets and state.

use std::sync::Arc;
use std::time::Duration;

use super::doors::{AuthRequest, Authenticated, Problem};
use super::edits::Bounds;
use super::fault::Fault;
use super::here::Here;
use super::job::{Done, Job};
use super::json::tree::WORK_MAX;
use super::limits::MESSAGES_MAX;
use super::manifest::Hooks;
use super::payload::Payload;
use super::rollout::Beside;
use super::subject::{Asked, Working};
use super::v0_1::{RequestLine, Transformed};
use super::visit::{Grants, Notes, Origin};
use super::worker::Away;
use super::{Call, changes::Change};
use crate::model::attempt::FaultKind;
use crate::model::event::Event;
use crate::model::reply::Answer;
use crate::model::time::Timestamp;

/// A plugin bound to one endpoint or source, ready to be called. Cheap to clone; lives on
/// when the file it came from changes, so calls in flight end on the version they began on.
#[derive(Clone)]
pub struct Bound(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) runner: Runner,
    pub(super) digest: blake3::Hash,
    /// The hooks that may be called.
    pub(super) hooks: Hooks,
    /// What else takes part while another version is rolled out.
    pub(super) beside: Option<Beside>,
}

/// Where it runs.
#[derive(Clone)]
pub(super) enum Runner {
    Here(Here),
    Away(Away),
}

impl Runner {
    fn grants(&self) -> &Arc<Grants> {
        match self {
            Self::Here(here) => &here.grants,
            Self::Away(away) => away.grants(),
        }
    }

    fn with_time(&self, time: Duration) -> Self {
        match self {
            Self::Here(here) => Self::Here(here.with_time(time)),
            Self::Away(away) => Self::Away(away.with_time(time)),
        }
    }

    async fn run(&self, job: Job, origin: Origin) -> (Result<Done, Fault>, Notes) {
        match self {
            Self::Here(here) => here.run(job, origin).await,
            // On the heap, so that calls here do not carry the room for one there.
            Self::Away(away) => Box::pin(away.run(job, origin)).await,
        }
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("name", &self.name())
            .field("digest", &self.digest())
            .finish()
    }
}

/// What one plugin makes of one event.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Keep,
    Drop(String),
    Emit(Vec<Working>),
}

impl Bound {
    /// The name it is used under.
    pub fn name(&self) -> &str {
        &self.grants().plugin
    }

    /// The BLAKE3 digest of the component, in hexadecimal.
    pub fn digest(&self) -> String {
        self.0.digest.to_hex().to_string()
    }

    /// The hooks that it has.
    pub fn hooks(&self) -> Hooks {
        let own = self.0.hooks;
        self.0.beside.as_ref().map_or(own, |beside| beside.hooks(own))
    }

    /// The same plugin with something that takes part in its calls.
    #[must_use]
    pub fn with(&self, beside: Beside) -> Self {
        Self(Arc::new(Inner {
            runner: self.0.runner.clone(),
            digest: self.0.digest,
            hooks: self.0.hooks,
            beside: Some(beside),
        }))
    }

    /// The time by its clock.
    pub(super) fn now(&self) -> Timestamp {
        self.grants().clock.now()
    }

    /// The same plugin with no hooks but these, for whoever looks at one of them by itself.
    #[must_use]
    pub fn only(&self, hooks: Hooks) -> Self {
        Self(Arc::new(Inner {
            runner: self.0.runner.clone(),
            digest: self.0.digest,
            hooks: self.0.hooks.and(hooks),
            beside: None,
        }))
    }

    /// Decides whether a request to a source is genuine. Whatever goes wrong is a
    /// [`Authenticated::Fault`], which refuses the request.
    pub async fn authenticate(&self, request: &AuthRequest<'_>) -> Authenticated {
        if !self.hooks().authenticate {
            return Authenticated::Fault(self.lacks("authenticate"));
        }
        let asked = Arc::new(Asked {
            headers: request.headers.to_vec(),
            body: request.body.clone(),
        });
        let line = RequestLine {
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            query: request.query.to_owned(),
            remote: request.remote.map(|address| address.to_string()),
        };
        let origin = Origin {
            attempt: 1,
            ..Origin::default()
        };
        let (done, _) = self.run(Job::Authenticate { asked, line }, origin).await;
        let verdict = done.and_then(Done::authenticated);
        let grants = self.grants();
        match verdict {
            Ok(verdict) => verdict.check(&grants.owner.tenant_name, grants.limits.output_bytes),
            Err(fault) => Authenticated::Fault(fault),
        }
    }

    /// Turns the destination's answer into the one for a platform that waits for it.
    ///
    /// # Errors
    /// The plugin broke, said that it cannot, or its answer cannot be applied.
    pub async fn respond(&self, event: &Arc<Event>, answer: Answer, call: Call<'_>) -> Result<Answer, Fault> {
        if !self.hooks().respond {
            return Err(self.lacks("respond"));
        }
        match &self.0.beside {
            None => self.respond_alone(event, answer, call).await,
            Some(beside) => beside.respond(self, event, answer, call).await,
        }
    }

    /// The same, whatever takes part.
    pub(super) async fn respond_alone(
        &self,
        event: &Arc<Event>,
        answer: Answer,
        call: Call<'_>,
    ) -> Result<Answer, Fault> {
        let Answer {
            status,
            mut headers,
            body,
        } = answer;
        let job = Job::Respond {
            event: Working::Event(event.clone()),
            answer: Arc::new(Asked {
                headers: headers.clone(),
                body: body.clone(),
            }),
            status,
        };
        let (done, _) = self.run(job, Origin::of(&call)).await;
        let reply = done.and_then(Done::replied)?;
        self.check_output(reply.payload.weight() + reply.changes.iter().map(Change::weight).sum::<usize>())?;
        for change in reply.changes {
            change.apply_to_headers(&mut headers).map_err(Fault::bad_answer)?;
        }
        let status = reply.status.unwrap_or(status);
        if !(200..600).contains(&status) {
            return Err(Fault::bad_answer(format!(
                "it answered with status {status}; use one of 200 to 599"
            )));
        }
        let body = reply.payload.apply(&body, self.bounds(1))?.unwrap_or(body);
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// How long a call of `filter` takes within one visit, so many times: the way into a plugin and back,
    /// without what a visit costs; and beside it wasmtime's part of that. For the benchmark.
    ///
    /// # Errors
    /// The plugin broke, dropped the event, or runs in a process of its own.
    #[cfg(feature = "testing")]
    pub async fn time_filter(&self, event: &Arc<Event>, times: usize) -> Result<Vec<[Duration; 2]>, Fault> {
        match &self.0.runner {
            Runner::Here(here) => here.time_filter(&Working::Event(event.clone()), times).await,
            Runner::Away(_) => Err(self.lacks("filter in this process")),
        }
    }

    fn lacks(&self, hook: &str) -> Fault {
        Fault::new(FaultKind::Unloadable, format!("it has no hook {hook}"))
    }

    /// The same plugin with this much time for a call.
    pub(super) fn with_time(&self, time: Duration) -> Self {
        Self(Arc::new(Inner {
            runner: self.0.runner.with_time(time),
            digest: self.0.digest,
            hooks: self.0.hooks,
            beside: None,
        }))
    }

    /// What `setup` objects to in the configuration.
    pub(super) async fn check_config(&self) -> Result<Vec<Problem>, Fault> {
        let (done, _) = self.run(Job::CheckConfig, Origin::default()).await;
        done.and_then(Done::checked)
    }

    /// Lets the plugin filter, then transform, one event. What is kept of the visit goes to `notes`.
    pub(super) async fn pass(
        &self,
        event: &Working,
        call: &Call<'_>,
        notes: &mut Notes,
    ) -> Result<Step, Fault> {
        match &self.0.beside {
            None => self.pass_alone(event, call, notes).await,
            Some(beside) => beside.pass(self, event, call, notes).await,
        }
    }

    /// The same, whatever takes part.
    pub(super) async fn pass_alone(
        &self,
        event: &Working,
        call: &Call<'_>,
        notes: &mut Notes,
    ) -> Result<Step, Fault> {
        let hooks = self.0.hooks;
        if !hooks.filter && !hooks.transform {
            return Ok(Step::Keep);
        }
        let origin = Origin {
            waited_elsewhere: notes.waited_elsewhere,
            ..Origin::of(call)
        };
        let job = Job::Pass {
            event: event.clone(),
            hooks,
        };
        let (done, kept) = self.run(job, origin).await;
        notes.add(kept);
        match done.and_then(Done::passed)? {
            Transformed::Keep => Ok(Step::Keep),
            Transformed::Drop(reason) => Ok(Step::Drop(reason)),
            Transformed::Emit(messages) => self.emit(event, messages).map(Step::Emit),
        }
    }

    /// Makes the messages that a plugin described.
    fn emit(&self, event: &Working, messages: Vec<(Vec<Change>, Payload)>) -> Result<Vec<Working>, Fault> {
        if messages.len() > MESSAGES_MAX {
            return Err(Fault::over_limit(format!(
                "it emitted more than {MESSAGES_MAX} messages"
            )));
        }
        let weight = |(changes, payload): &(Vec<Change>, Payload)| {
            payload.weight() + changes.iter().map(Change::weight).sum::<usize>()
        };
        self.check_output(messages.iter().map(weight).sum())?;
        let bounds = self.bounds(messages.len());
        messages
            .into_iter()
            .map(|(changes, payload)| message(event, changes, payload, bounds))
            .collect()
    }

    fn check_output(&self, bytes: usize) -> Result<(), Fault> {
        let max = self.grants().limits.output_bytes;
        if bytes > max {
            return Err(Fault::over_limit(format!(
                "it gave {bytes} bytes of output, {max} are allowed"
            )));
        }
        Ok(())
    }

    /// What the edits of each of several messages may cost.
    fn bounds(&self, messages: usize) -> Bounds {
        let messages = messages.max(1);
        Bounds {
            growth: self.grants().limits.output_bytes / messages,
            work: WORK_MAX / messages,
        }
    }

    fn grants(&self) -> &Arc<Grants> {
        self.0.runner.grants()
    }

    async fn run(&self, job: Job, origin: Origin) -> (Result<Done, Fault>, Notes) {
        self.0.runner.run(job, origin).await
    }
}

fn message(
    event: &Working,
    changes: Vec<Change>,
    payload: Payload,
    bounds: Bounds,
) -> Result<Working, Fault> {
    if changes.is_empty() && payload == Payload::Same {
        return Ok(event.clone());
    }
    let is_replacement = !matches!(payload, Payload::Same | Payload::Edited(_));
    let data = payload.apply(event.data(), bounds)?;
    let mut draft = event.draft();
    if let Some(data) = data {
        draft.data = data;
        draft.data_replaced |= is_replacement;
    }
    for change in changes {
        change.apply(&mut draft).map_err(Fault::bad_answer)?;
    }
    Ok(Working::Draft(Arc::new(draft)))
}
