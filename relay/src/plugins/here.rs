//! Visits to plugins that run in this process.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Runtime;
use super::fault::Fault;
use super::instance::{Code, Instance};
use super::job::{Done, Job};
use super::pool::Pool;
use super::rooms::Taken;
use super::subject::Subject;
use super::ticker::Ticking;
use super::visit::{Grants, Notes, Origin};
use crate::model::plugin::Limits;

/// A plugin at its place, and what runs it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Here {
    pub(super) runtime: Arc<Runtime>,
    pub(super) code: Arc<Code>,
    pub(super) grants: Arc<Grants>,
    /// Where instances wait, if the author allows that.
    pub(super) pool: Option<Arc<Pool>>,
}

impl Here {
    /// With a pool of instances that wait if they `may_wait`.
    pub(super) fn new(runtime: Arc<Runtime>, code: Arc<Code>, grants: Arc<Grants>, may_wait: bool) -> Self {
        let pool = may_wait.then(|| {
            let pool = Arc::new(Pool::default());
            runtime.pools.add(Arc::downgrade(&pool));
            pool
        });
        Self {
            runtime,
            code,
            grants,
            pool,
        }
    }

    /// The same with this much time for a call. If that is another, its instances do not wait.
    pub(super) fn with_time(&self, time: Duration) -> Self {
        if self.grants.limits.time == time {
            return self.clone();
        }
        let limits = Limits {
            time,
            ..self.grants.limits
        };
        Self {
            grants: Arc::new(Grants {
                limits,
                ..Grants::clone(&self.grants)
            }),
            pool: None,
            ..self.clone()
        }
    }

    /// Does a job in one visit; also what is kept of the visit.
    pub(super) async fn run(&self, job: Job, origin: Origin) -> (Result<Done, Fault>, Notes) {
        let mut visiting = match self.visit(job.subject(), origin).await {
            Ok(visiting) => visiting,
            Err(fault) => return (Err(fault), Notes::default()),
        };
        let done = job.run(visiting.instance(), &self.grants.config).await;
        (done, visiting.leave())
    }

    /// How long calls of `filter` take within one visit; of each pair the second is wasmtime's part.
    #[cfg(feature = "testing")]
    pub(super) async fn time_filter(
        &self,
        event: &super::subject::Working,
        times: usize,
    ) -> Result<Vec<[Duration; 2]>, Fault> {
        let stamps = event.stamps();
        let mut visiting = self
            .visit(Subject::Event(event.clone()), Origin::default())
            .await?;
        let mut spans = Vec::with_capacity(times);
        for _ in 0..times {
            spans.push(visiting.instance().time_filter(event, &stamps).await?);
        }
        Ok(spans)
    }

    /// Goes to an instance: a waiting one if there is one, else a fresh one.
    pub(super) async fn visit(&self, subject: Subject, origin: Origin) -> Result<Visiting<'_>, Fault> {
        let room = self.grants.enter(&subject).await?;
        let ticking = self.runtime.ticker.enter();
        let waiting = self.pool.as_ref().and_then(|pool| pool.take());
        let mut instance = match waiting {
            Some(instance) => instance,
            None => Instance::start(&self.runtime, &self.code, &self.grants).await?,
        };
        instance.turn_to(subject, origin);
        Ok(Visiting {
            instance,
            pool: self.pool.as_deref(),
            runtime: &self.runtime,
            _ticking: ticking,
            _room: room,
        })
    }
}

/// An instance being visited.
pub(super) struct Visiting<'b> {
    instance: Instance,
    pool: Option<&'b Pool>,
    runtime: &'b Runtime,
    _ticking: Ticking<'b>,
    _room: Option<Taken>,
}

impl Visiting<'_> {
    pub(super) fn instance(&mut self) -> &mut Instance {
        &mut self.instance
    }

    /// Goes away; answers with what is kept of the visit. Without this, as when a visit is called off
    /// in its middle, the instance is taken down.
    pub(super) fn leave(mut self) -> Notes {
        let (notes, is_fit) = self.instance.leave();
        if is_fit
            && let Some(pool) = self.pool
            && !self.runtime.is_waited_for()
        {
            pool.put(self.instance);
            // Whoever began to wait for a place meanwhile has not seen this one.
            if self.runtime.is_waited_for() {
                self.runtime.give_way();
            }
        }
        notes
    }
}
