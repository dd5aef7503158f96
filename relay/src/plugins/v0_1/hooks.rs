//! The hooks of a component: found once, called often.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Func, Instance, Lift, Lower, TypedFunc,
};

use super::bindings::exports::relay::plugin::{
    authenticate, filter, lean_filter, lean_transform, respond, setup, transform,
};
use super::bindings::relay::plugin::types;
use super::{answer, edited::Edited, lower::EventRecord};
use crate::plugins::Hooks;
use crate::plugins::changes::Change;
use crate::plugins::doors::{Authenticated, Identity, Problem};
use crate::plugins::fault::Fault;
use crate::plugins::instance::EXTRA_BYTES;
use crate::plugins::payload::Payload;
use crate::plugins::visit::Visit;

/// What a hook answered, or why there is no answer: the outer error is wasmtime's.
pub(in crate::plugins) type Called<T> = wasmtime::Result<Result<T, Fault>>;

type FilterParams<'a> = (EventRecord<'a>,);
type FilterResult = (Result<filter::Decision, types::Fault>,);
type TransformParams<'a> = (EventRecord<'a>,);
type TransformResult = (Result<transform::Outcome, types::Fault>,);
/// The number of the event's payload.
type LeanParams = (u32,);
type LeanFilterResult = (Result<lean_filter::Decision, types::Fault>,);
type LeanTransformResult = (Result<lean_transform::Outcome, types::Fault>,);
type AuthenticateParams<'a> = (&'a authenticate::Request,);
type AuthenticateResult = (Result<authenticate::Verdict, types::Fault>,);
type RespondParams<'a> = (EventRecord<'a>, respond::Answer);
type RespondResult = (Result<respond::Reply, types::Fault>,);
type CheckParams<'a> = (&'a str,);
type CheckResult = (Vec<setup::Problem>,);

/// What a transform decided.
#[derive(Debug)]
pub(in crate::plugins) enum Transformed {
    Keep,
    Drop(String),
    Emit(Vec<(Vec<Change>, Payload)>),
}

/// What a respond hook makes of an answer.
#[derive(Debug)]
pub(in crate::plugins) struct Reply {
    pub(in crate::plugins) status: Option<u16>,
    pub(in crate::plugins) changes: Vec<Change>,
    pub(in crate::plugins) payload: Payload,
}

/// Where the hooks of a component are.
#[derive(Debug)]
pub(in crate::plugins) struct HookIndices {
    setup: Option<ComponentExportIndex>,
    authenticate: Option<ComponentExportIndex>,
    filter: Option<ComponentExportIndex>,
    lean_filter: Option<ComponentExportIndex>,
    transform: Option<ComponentExportIndex>,
    lean_transform: Option<ComponentExportIndex>,
    respond: Option<ComponentExportIndex>,
    /// Whether the types of the hooks were compared with ours: once is enough, all
    /// instances of a component have the same.
    are_checked: AtomicBool,
}

impl HookIndices {
    /// Finds them; the names match by the rules of semantic versions.
    pub(in crate::plugins) fn of(component: &Component) -> Self {
        let find = |interface: &str, function: &str| {
            let name = format!("relay:plugin/{interface}@{}", super::VERSION);
            let instance = component.get_export_index(None, &name)?;
            component.get_export_index(Some(&instance), function)
        };
        Self {
            setup: find("setup", "check"),
            authenticate: find("authenticate", "authenticate"),
            filter: find("filter", "filter"),
            lean_filter: find("lean-filter", "filter"),
            transform: find("transform", "transform"),
            lean_transform: find("lean-transform", "transform"),
            respond: find("respond", "respond"),
            are_checked: AtomicBool::new(false),
        }
    }

    /// Which there are.
    pub(in crate::plugins) const fn present(&self) -> Hooks {
        Hooks {
            setup: self.setup.is_some(),
            authenticate: self.authenticate.is_some(),
            filter: self.filter.is_some() || self.lean_filter.is_some(),
            transform: self.transform.is_some() || self.lean_transform.is_some(),
            respond: self.respond.is_some(),
        }
    }

    /// Whether these of `filter` and `transform` are lean: given the payload's number alone.
    pub(in crate::plugins) const fn are_lean(&self, hooks: Hooks) -> bool {
        (!hooks.filter || self.lean_filter.is_some()) && (!hooks.transform || self.lean_transform.is_some())
    }

    /// Whether edits may come as one text, in which values are written twice as JSON.
    pub(in crate::plugins) const fn has_lean_transform(&self) -> bool {
        self.lean_transform.is_some()
    }

    /// Compares the types of the hooks with ours, if that was not done yet.
    pub(in crate::plugins) fn check(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
    ) -> wasmtime::Result<()> {
        if self.are_checked.load(Ordering::Acquire) {
            return Ok(());
        }
        check::<CheckParams<'_>, CheckResult>(store, instance, self.setup.as_ref())?;
        check::<AuthenticateParams<'_>, AuthenticateResult>(store, instance, self.authenticate.as_ref())?;
        check::<FilterParams<'_>, FilterResult>(store, instance, self.filter.as_ref())?;
        check::<LeanParams, LeanFilterResult>(store, instance, self.lean_filter.as_ref())?;
        check::<TransformParams<'_>, TransformResult>(store, instance, self.transform.as_ref())?;
        check::<LeanParams, LeanTransformResult>(store, instance, self.lean_transform.as_ref())?;
        check::<RespondParams<'_>, RespondResult>(store, instance, self.respond.as_ref())?;
        self.are_checked.store(true, Ordering::Release);
        Ok(())
    }

    pub(in crate::plugins) async fn filter(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        event: EventRecord<'_>,
    ) -> Called<Option<String>> {
        if let Some(lean) = &self.lean_filter {
            return self.lean_filter(store, instance, lean, event.data).await;
        }
        let (answer,): FilterResult = self.call(store, instance, self.filter.as_ref(), (event,)).await?;
        Ok(match answer {
            Ok(filter::Decision::Keep) => Ok(None),
            Ok(filter::Decision::Drop(reason)) => Ok(Some(reason)),
            Err(fault) => Err(fault.into()),
        })
    }

    pub(in crate::plugins) async fn transform(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        event: EventRecord<'_>,
    ) -> Called<Transformed> {
        if let Some(lean) = &self.lean_transform {
            return self.lean_transform(store, instance, lean, event.data).await;
        }
        let (answer,): TransformResult = self
            .call(store, instance, self.transform.as_ref(), (event,))
            .await?;
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(fault) => return Ok(Err(fault.into())),
        };
        Ok(match outcome {
            transform::Outcome::Keep => Ok(Transformed::Keep),
            transform::Outcome::Drop(reason) => Ok(Transformed::Drop(reason)),
            transform::Outcome::Emit(messages) => {
                let messages = messages
                    .into_iter()
                    .map(|message| (message.changes, message.data));
                answer::messages(messages, store.data()).map(Transformed::Emit)
            }
        })
    }

    async fn lean_filter(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        index: &ComponentExportIndex,
        data: u32,
    ) -> Called<Option<String>> {
        let (answer,): LeanFilterResult = self.call(store, instance, Some(index), (data,)).await?;
        Ok(match answer {
            Ok(lean_filter::Decision::Keep) => Ok(None),
            Ok(lean_filter::Decision::Drop(reason)) => Ok(Some(reason)),
            Err(fault) => Err(fault.into()),
        })
    }

    async fn lean_transform(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        index: &ComponentExportIndex,
        data: u32,
    ) -> Called<Transformed> {
        let (answer,): LeanTransformResult = self.call(store, instance, Some(index), (data,)).await?;
        Ok(match answer {
            Ok(lean_transform::Outcome::Keep) => Ok(Transformed::Keep),
            Ok(lean_transform::Outcome::Drop(reason)) => Ok(Transformed::Drop(reason)),
            Ok(lean_transform::Outcome::Edited(steps)) => Edited::read(&steps, bytes_max(store.data()))
                .map(|made| Transformed::Emit(vec![(made.changes, Payload::Edited(made.edits))])),
            Ok(lean_transform::Outcome::Emit(messages)) => {
                let messages = messages
                    .into_iter()
                    .map(|message| (message.changes, message.data));
                answer::messages(messages, store.data()).map(Transformed::Emit)
            }
            Err(fault) => Err(fault.into()),
        })
    }

    pub(in crate::plugins) async fn respond(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        event: EventRecord<'_>,
        status: u16,
    ) -> Called<Reply> {
        let given = respond::Answer {
            status,
            body: store.data().answer_number(),
        };
        let (answer,): RespondResult = self
            .call(store, instance, self.respond.as_ref(), (event, given))
            .await?;
        Ok(match answer {
            Ok(reply) => answer::payload(reply.data, store.data()).map(|payload| Reply {
                status: reply.status,
                changes: answer::changes(reply.changes),
                payload,
            }),
            Err(fault) => Err(fault.into()),
        })
    }

    pub(in crate::plugins) async fn authenticate(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        request: RequestLine,
    ) -> Called<Authenticated> {
        let request = authenticate::Request {
            method: request.method,
            path: request.path,
            query: request.query,
            remote: request.remote,
            body: store.data().data_number(),
        };
        let (answer,): AuthenticateResult = self
            .call(store, instance, self.authenticate.as_ref(), (&request,))
            .await?;
        Ok(answer.map(Into::into).map_err(Into::into))
    }

    /// What `setup` objects to in a configuration.
    pub(in crate::plugins) async fn check_config(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        config: &str,
    ) -> wasmtime::Result<Vec<Problem>> {
        let (problems,): CheckResult = self.call(store, instance, self.setup.as_ref(), (config,)).await?;
        Ok(problems
            .into_iter()
            .map(|problem| Problem {
                at: problem.at,
                message: problem.message,
            })
            .collect())
    }

    /// Calls one hook; the types were checked when the instance was made.
    async fn call<Params, Answer>(
        &self,
        store: &mut Store<Visit>,
        instance: Instance,
        index: Option<&ComponentExportIndex>,
        params: Params,
    ) -> wasmtime::Result<Answer>
    where
        Params: ComponentNamedList + Lower + Send + Sync,
        Answer: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let function = function(store, instance, index)?;
        if !self.are_checked.load(Ordering::Acquire) {
            return Err(wasmtime::Error::msg(
                "the types of the plugin's hooks were not checked",
            ));
        }
        #[expect(
            unsafe_code,
            reason = "comparing the types on every call costs more than many a hook"
        )]
        // SAFETY: `check` has compared the types of this component's hooks with exactly these.
        let hook = unsafe { TypedFunc::<Params, Answer>::new_unchecked(function) };
        hook.call_async(store, params).await
    }
}

/// A request to a source, but for its headers and body, which stay with the relay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::plugins) struct RequestLine {
    pub(in crate::plugins) method: String,
    pub(in crate::plugins) path: String,
    pub(in crate::plugins) query: String,
    pub(in crate::plugins) remote: Option<String>,
}

/// What a list of steps may take.
fn bytes_max(visit: &Visit) -> usize {
    visit.grants.limits.output_bytes + EXTRA_BYTES
}

fn function(
    store: &mut Store<Visit>,
    instance: Instance,
    index: Option<&ComponentExportIndex>,
) -> wasmtime::Result<Func> {
    index
        .and_then(|index| instance.get_func(store, index))
        .ok_or_else(|| wasmtime::Error::msg("the plugin does not have this hook"))
}

fn check<Params, Answer>(
    store: &mut Store<Visit>,
    instance: Instance,
    index: Option<&ComponentExportIndex>,
) -> wasmtime::Result<()>
where
    Params: ComponentNamedList + Lower,
    Answer: ComponentNamedList + Lift,
{
    if index.is_some() {
        function(store, instance, index)?.typed::<Params, Answer>(store)?;
    }
    Ok(())
}

impl From<authenticate::Verdict> for Authenticated {
    fn from(verdict: authenticate::Verdict) -> Self {
        match verdict {
            authenticate::Verdict::Accept(identity) => Self::Accept(Identity {
                principal: identity.principal,
                tenant: identity.tenant,
                attributes: identity.attributes,
            }),
            authenticate::Verdict::Reject(rejection) => Self::Reject {
                status: rejection.status,
                reason: rejection.reason,
            },
            authenticate::Verdict::Answer(reply) => Self::Answer {
                status: reply.status,
                headers: reply.headers,
                body: reply.body.into(),
            },
        }
    }
}
