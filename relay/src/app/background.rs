//! What runs beside the doors, until the relay stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{App, certificates, recover};
use crate::alerts::Alerts;
use crate::clock::Clock;
use crate::digests;
use crate::flow::Flow;
use crate::manage::Manager;
use crate::model::id::EventId;
use crate::notices::Notice;
use crate::record::{expire, retain};

/// Counts by the hour are kept for as long as events are, and for what volumes are compared with.
const HOURS_KEPT_MIN: Duration = Duration::from_secs(9 * 24 * 3600);

impl App {
    pub(super) fn start_background(&self, flow: &Arc<Flow>, clock: &Arc<dyn Clock>, last: EventId) {
        let keep = retain::Keep {
            events: self.config.store.retention,
            dedupe_keys: self.config.store.dedupe_window,
            audit: self.config.store.audit_retention,
        };
        self.doors.spawn(retain::run(
            Arc::clone(&self.store),
            Arc::clone(clock),
            keep,
            flow.metrics.removed.clone(),
            self.stop.clone(),
        ));
        let (directories, most) = (Arc::clone(&self.directories), keep.events);
        let kept = expire::Kept {
            changed: directories.changed(),
            terms: Box::new(move || directories.current().kept_for_less_than(most)),
        };
        self.doors.spawn(expire::run(
            Arc::clone(&self.store),
            Arc::clone(clock),
            kept,
            flow.metrics.removed.clone(),
            self.stop.clone(),
        ));
        self.doors.spawn(Arc::clone(flow).run(self.stop.clone()));
        self.doors.spawn(Arc::clone(flow).fire_timers(self.stop.clone()));
        self.doors
            .spawn(recover::run(Arc::clone(flow), last, self.stop.clone()));
        self.doors
            .spawn(Arc::clone(&self.reload.manager).follow_plugins(self.stop.clone()));
        let manager = Arc::clone(&self.reload.manager);
        self.doors
            .spawn(manager.follow_rollouts(flow.notices.clone(), self.stop.clone()));
        self.doors
            .spawn(certificates::follow(Arc::clone(&self.reload), self.stop.clone()));
    }

    /// Starts what counts, and what tells that something is wrong.
    pub(super) fn start_watching(
        &self,
        flow: &Arc<Flow>,
        manager: &Arc<Manager>,
        noticed: mpsc::Receiver<Notice>,
    ) -> Arc<Alerts> {
        let hours_kept = self.config.store.retention.max(HOURS_KEPT_MIN);
        let alerts = Arc::new(Alerts::new(Arc::clone(manager), Arc::clone(flow)));
        self.doors
            .spawn(Arc::clone(&flow.stats).run(hours_kept, self.stop.clone()));
        self.doors
            .spawn(Arc::clone(flow).tell(noticed, self.stop.clone()));
        self.doors.spawn(Arc::clone(&alerts).run(self.stop.clone()));
        self.doors
            .spawn(digests::run(Arc::clone(flow), self.stop.clone()));
        alerts
    }
}
