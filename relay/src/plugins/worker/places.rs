//! The plugins of a worker, and the calls that it has under way.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use tokio::task::AbortHandle;
use wasmtime::component::Component;

use super::asker::{Asker, Out, WithRelay, say};
use super::calls::{CallSent, DoneSent};
use super::message::{self, Finished, FromWorker, Place};
use crate::clock::SystemClock;
use crate::model::attempt::FaultKind;
use crate::model::id::TenantId;
use crate::plugins::Owner;
use crate::plugins::engine::Runtime;
use crate::plugins::fault::Fault;
use crate::plugins::here::Here;
use crate::plugins::instance::Code;
use crate::plugins::services::{Fetch, Judge, Media, Services};
use crate::plugins::v0_1::HookIndices;
use crate::plugins::visit::{Grants, Notes};
use crate::store::Scope;

/// See the module.
pub(super) struct Places {
    runtime: Arc<Runtime>,
    asker: Arc<Asker>,
    out: Out,
    /// By digest; what cannot be used has the reason.
    codes: HashMap<[u8; 32], Result<Arc<Code>, String>>,
    places: HashMap<u64, Known>,
    calls: Arc<Calls>,
}

struct Known {
    digest: [u8; 32],
    here: Result<Here, String>,
}

/// What ends calls.
#[derive(Default)]
struct Calls(Mutex<HashMap<u64, AbortHandle>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    pub(super) fn new(runtime: Runtime, asker: Arc<Asker>, out: Out) -> Self {
        Self {
            runtime: Arc::new(runtime),
            asker,
            out,
            codes: HashMap::new(),
            places: HashMap::new(),
            calls: Arc::default(),
        }
    }

    pub(super) fn take_code(&mut self, sent: &message::Code) {
        let code = link(&self.runtime, &sent.code).map(Arc::new);
        let code = code.map_err(|error| format!("{error:#}"));
        self.codes.insert(sent.digest, code);
    }

    pub(super) fn place(&mut self, place: Place) {
        let (number, digest) = (place.place, place.digest);
        let code = match self.codes.get(&digest) {
            Some(code) => code.clone(),
            None => Err("its code was not sent".to_owned()),
        };
        let here = code.map(|code| {
            let (runtime, may_wait) = (self.runtime.clone(), place.may_wait);
            Here::new(runtime, code, Arc::new(self.grants(place)), may_wait)
        });
        self.places.insert(number, Known { digest, here });
    }

    /// Also the code, with the last place that has it: the relay sends it again if need be.
    pub(super) fn forget(&mut self, place: u64) {
        let Some(Known { digest, .. }) = self.places.remove(&place) else {
            return;
        };
        if !self.places.values().any(|known| known.digest == digest) {
            self.codes.remove(&digest);
        }
    }

    pub(super) fn call(&self, sent: CallSent) {
        let call = sent.call;
        let here = match self.places.get(&sent.place).map(|known| &known.here) {
            Some(Ok(here)) => here.with_time(sent.time),
            Some(Err(why)) => return self.unable(call, why.clone()),
            None => return self.unable(call, "it was not sent".to_owned()),
        };
        let (calls, out) = (self.calls.clone(), self.out.clone());
        // Held until the call is in it: it may end at once.
        let mut under_way = self.calls.lock();
        let task = tokio::spawn(async move {
            let finished = run(&here, sent).await;
            calls.lock().remove(&call);
            say(&out, &FromWorker::Done(Box::new(finished)));
        });
        under_way.insert(call, task.abort_handle());
    }

    pub(super) fn call_off(&self, call: u64) {
        if let Some(task) = self.calls.lock().remove(&call) {
            task.abort();
        }
    }

    fn unable(&self, call: u64, why: String) {
        let fault = Fault::new(FaultKind::Unloadable, why);
        let finished = finished(call, Err(fault), Notes::default());
        say(&self.out, &FromWorker::Done(Box::new(finished)));
    }

    fn grants(&self, place: Place) -> Grants {
        let with_relay = Arc::new(WithRelay {
            asker: self.asker.clone(),
            place: place.place,
        });
        Grants {
            turns: self.runtime.turns.for_another(),
            scope: Scope {
                tenant: TenantId::DEFAULT,
                owner: 0,
                plugin: place.plugin.clone(),
            },
            plugin: place.plugin,
            // The relay knows which tenant and owner it is; plugins are told names.
            owner: Owner {
                tenant: TenantId::DEFAULT,
                tenant_name: place.tenant_name,
                kind: place.kind.into(),
                id: 0,
                name: place.owner,
            },
            config: place.config,
            secrets: Vec::new(),
            keys: Some(with_relay.clone()),
            granted: place.granted,
            services: Services {
                http: place.offered.http.then(|| with_relay.clone() as Arc<dyn Fetch>),
                judge: place.offered.judge.then(|| with_relay.clone() as Arc<dyn Judge>),
                media: place.offered.media.then(|| with_relay.clone() as Arc<dyn Media>),
            },
            limits: place.limits,
            // The relay has the room, for it knows whose each call is.
            room: None,
            store: with_relay,
            clock: Arc::new(SystemClock),
        }
    }
}

async fn run(here: &Here, sent: CallSent) -> Finished {
    let call = sent.call;
    let (job, origin) = sent.open();
    let subject = job.subject();
    let output_bytes = here.grants.limits.output_bytes;
    let sendable = |done| DoneSent::of(done, &subject)?.within(output_bytes);
    // An error of the relay's own ends the call and not the worker, as it would in the relay.
    match AssertUnwindSafe(here.run(job, origin)).catch_unwind().await {
        Ok((done, notes)) => finished(call, done.and_then(sendable), notes),
        Err(_) => {
            let fault = Fault::new(
                FaultKind::Unavailable,
                "the process that runs plugins panicked over it".to_owned(),
            );
            finished(call, Err(fault), Notes::default())
        }
    }
}

fn finished(call: u64, done: Result<DoneSent, Fault>, notes: Notes) -> Finished {
    Finished {
        call,
        done: done.map_err(Into::into),
        log: notes.log,
        waited: notes.waited,
        waited_elsewhere: notes.waited_elsewhere,
    }
}

fn link(runtime: &Runtime, code: &[u8]) -> wasmtime::Result<Code> {
    #[expect(unsafe_code, reason = "loading compiled code is what it was compiled for")]
    // SAFETY: the code comes from the relay, which had it compiled or found it in its cache.
    let component = unsafe { Component::deserialize(&runtime.engine, code) }?;
    Ok(Code {
        pre: runtime.linker.instantiate_pre(&component)?,
        hooks: HookIndices::of(&component),
    })
}
