//! Where the path tells a collector of itself: nothing of it is done for an event that is not
//! sampled.

use tokio::time::Instant;

use super::{Arrival, Flow};
use crate::directory::Target;
use crate::model::attempt::Attempt;
use crate::model::delivery::State;
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::model::message::Messages;
use crate::model::time::Timestamp;
use crate::otlp::{About, Begun, Step};

/// When an attempt began, how long it took, and which step of a sampled trace it was.
pub(super) struct Timed {
    pub(super) started_at: Timestamp,
    pub(super) duration_us: u64,
    pub(super) step: Option<Box<Step>>,
}

impl Timed {
    /// An attempt that is over now.
    pub(super) fn new(started_at: Timestamp, watch: Instant, step: Option<Box<Step>>) -> Self {
        Self {
            started_at,
            duration_us: u64::try_from(watch.elapsed().as_micros()).unwrap_or(u64::MAX),
            step,
        }
    }
}

impl Flow {
    /// Begins the span of an event that has its id, if it is sampled.
    pub(super) fn begin_span(&self, event: &mut Event, arrival: Arrival<'_>) -> Option<Box<Begun>> {
        let source = arrival.origin.map(|(_, name)| name);
        self.traces.as_ref()?.begin(event, source, arrival.hops == 0)
    }

    /// An event is durable.
    pub(super) fn event_span(&self, event: &Event, begun: &Begun) {
        if let Some(traces) = &self.traces {
            traces.accepted(event, begun);
        }
    }

    /// Which step of a trace the attempt is that is about to be made, if its event is sampled.
    pub(super) fn step(&self, event: &Event) -> Option<Box<Step>> {
        self.traces
            .as_ref()?
            .step(event, || self.ids.next(self.clock.now()))
    }

    /// An attempt of a sampled event is over, and its delivery stands so.
    pub(super) fn end_span(
        &self,
        step: Option<Box<Step>>,
        target: &Target,
        (event, delivery): (&Event, DeliveryId),
        attempt: &Attempt,
        state: State,
    ) {
        let Some((traces, step)) = self.traces.as_ref().zip(step) else {
            return;
        };
        let about = About {
            event,
            delivery,
            endpoint: &target.endpoint,
            state,
        };
        traces.attempted(&step, &about, attempt);
    }
}

/// Has the messages of a sampled event name the attempt, while they are sent.
pub(super) fn show(step: Option<&Step>, delivery: DeliveryId, messages: &mut Messages) {
    if let Some(step) = step {
        step.show(delivery, messages);
    }
}

/// Has them be as they were frozen again.
pub(super) fn hide(step: Option<&Step>, delivery: DeliveryId, messages: &mut Messages) {
    if let Some(step) = step {
        step.hide(delivery, messages);
    }
}
