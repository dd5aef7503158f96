//! Which traces are sent.
//!
//! Decided by the trace's id, so that every relay on its way, and every other sampler that follows
//! OpenTelemetry's probability sampling, decides alike: a trace is taken if the last 56 bits of its
//! id are not below a threshold.
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::model::id::EventId;
use crate::model::trace::TraceParent;

/// The bits of a trace's id that are made by chance (W3C Trace Context, level 2).
const RANDOM_BITS: u32 = 56;
const RANDOM: u128 = (1 << RANDOM_BITS) - 1;

/// See the module.
#[derive(Debug)]
pub(super) struct Sampler {
    /// The lowest that is taken; beyond all of them if none is.
    threshold: u128,
    /// What trace ids are made with beside the event's, by chance.
    salt: u128,
}

impl Sampler {
    /// Takes this share of traces, 0 to 1.
    pub(super) fn new(share: f64, salt: u128) -> Self {
        let refused = (1.0 - share.clamp(0.0, 1.0)) * (RANDOM + 1) as f64;
        Self {
            threshold: refused as u128,
            salt,
        }
    }

    /// Whether a trace is taken that somebody else began.
    pub(super) fn takes(&self, parent: TraceParent) -> bool {
        parent.is_sampled() || self.takes_id(parent.trace())
    }

    /// The trace that begins with an event, if it is taken. Costs two hashes and nothing else.
    pub(super) fn begin(&self, event: EventId) -> Option<TraceParent> {
        let trace = self.draw(event);
        self.takes_id(trace)
            .then(|| TraceParent::begin(trace, event.raw().unsigned_abs()))
    }

    const fn takes_id(&self, trace: u128) -> bool {
        trace & RANDOM >= self.threshold
    }

    /// Hashed, not drawn: to draw would take a lock for each event.
    fn draw(&self, event: EventId) -> u128 {
        let half = |half: u8| {
            let mut hasher = DefaultHasher::new();
            (self.salt, event.raw(), half).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(share: f64) -> usize {
        let sampler = Sampler::new(share, 7);
        (1..=10_000)
            .filter(|id| sampler.begin(EventId::from_raw(*id)).is_some())
            .count()
    }

    #[test]
    fn the_share_is_kept() {
        assert_eq!((taken(0.0), taken(1.0)), (0, 10_000));
        assert!((50..200).contains(&taken(0.01)), "{}", taken(0.01));
        assert!((4_500..5_500).contains(&taken(0.5)), "{}", taken(0.5));
    }

    #[test]
    fn what_begins_here_is_taken_elsewhere_too() {
        let (here, there) = (Sampler::new(0.1, 1), Sampler::new(0.1, 2));
        let begun = (1..1_000).find_map(|id| here.begin(EventId::from_raw(id)));
        let begun = begun.expect("one of a thousand");
        assert!(begun.is_sampled() && there.takes_id(begun.trace()));
    }

    #[test]
    fn a_senders_decision_counts_and_else_the_trace_decides() {
        let parent = |random: &str, flags: &str| {
            let text = format!("00-0af7651916cd43dd8{random}-b7ad6b7169203331-{flags}");
            TraceParent::parse(&text).expect("a traceparent")
        };
        let sampler = Sampler::new(0.5, 0);
        for (random, flags, is_taken) in [
            ("400000000000001", "01", true),
            ("400000000000001", "00", false),
            ("480000000000000", "00", true),
            ("47fffffffffffff", "02", false),
        ] {
            assert_eq!(sampler.takes(parent(random, flags)), is_taken, "{random} {flags}");
        }
    }
}
