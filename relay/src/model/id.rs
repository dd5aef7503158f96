//! Identifiers: 63 sortable bits in the store, a prefixed word outside.
//!
//! The upper bits count milliseconds since 2020, so ids made later sort later and a range
//! of ids is a range of time. The lowest byte names the node, so several relays can make
//! ids without asking each other.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use super::time::Timestamp;

/// 2020-01-01T00:00:00Z in milliseconds since 1970.
const EPOCH_MS: i64 = 1_577_836_800_000;
/// Bits that count ids within one millisecond (16,384 of them).
const COUNTER_BITS: u32 = 14;
/// Bits that name the node.
const NODE_BITS: u32 = 8;
/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 13 digits of 5 bits hold 65 bits, more than the 63 in use.
const DIGITS: usize = 13;

/// What is wrong with the text of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form `{prefix}` followed by {DIGITS} letters and digits")]
pub struct ParseError {
    text: String,
    prefix: &'static str,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id stored under this number.
            pub const fn from_raw(raw: i64) -> Self {
                Self(raw)
            }

            /// The number to store; ids made later are larger.
            pub const fn raw(self) -> i64 {
                self.0
            }

            /// When the id was made, to the millisecond.
            pub const fn made_at(self) -> Timestamp {
                made_at(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(digits(self.0, &mut [0; DIGITS]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                text.strip_prefix($prefix)
                    .and_then(parse_digits)
                    .map(Self)
                    .ok_or_else(|| ParseError { text: text.chars().take(64).collect(), prefix: $prefix })
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "[0-7][0-9a-hjkmnp-tv-z]{12}$")))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type!(
    /// A tenant: everything else belongs to exactly one.
    TenantId, "tnt_"
);
id_type!(
    /// A source: the door where a sender posts.
    SourceId, "src_"
);
id_type!(
    /// An endpoint: where a consumer receives.
    EndpointId, "ep_"
);
id_type!(
    /// A rule: what the relay notices by itself over several events.
    RuleId, "rul_"
);
id_type!(
    /// An event type that is described.
    EventTypeId, "etp_"
);
id_type!(
    /// An event: what was received.
    EventId, "evt_"
);
id_type!(
    /// A delivery: the duty to bring one event to one endpoint.
    DeliveryId, "dlv_"
);
id_type!(
    /// An attempt: one try of a delivery.
    AttemptId, "atmpt_"
);
id_type!(
    /// Work over many deliveries or events.
    JobId, "job_"
);
id_type!(
    /// An inspector: a receiver within the relay.
    InspectorId, "insp_"
);
id_type!(
    /// A file that a plugin had the relay keep.
    MediaId, "med_"
);
id_type!(
    /// An API key.
    KeyId, "key_"
);

id_type!(
    /// An alert: a rule that tells when something is wrong.
    AlertId, "alr_"
);

impl TenantId {
    /// The tenant that is always there, and that the configuration file declares for.
    pub const DEFAULT: Self = Self(1);
}

impl SourceId {
    /// Where the samples of tests come from: no source has it, as ids begin with a time.
    pub const TEST: Self = Self(1);
}

impl EventId {
    /// The id of this event's delivery number `index`.
    ///
    /// An event and its deliveries take consecutive ids, so the event row alone tells which
    /// deliveries it has: no row is written for a delivery before there is something to say.
    pub const fn delivery(self, index: usize) -> DeliveryId {
        DeliveryId(self.0 + ((index as i64 + 1) << NODE_BITS))
    }
}

impl DeliveryId {
    /// The digits alone, from which the wire's `msg_…` id is made.
    pub fn digits(self) -> String {
        digits(self.0, &mut [0; DIGITS]).to_owned()
    }
}

/// Makes ids that only grow, from the time it is given.
#[derive(Debug)]
pub struct IdMaker {
    node: u8,
    /// The last tick handed out: milliseconds, then the counter, without the node.
    last: AtomicI64,
}

impl IdMaker {
    /// A maker for the node of that number.
    pub const fn new(node: u8) -> Self {
        Self {
            node,
            last: AtomicI64::new(0),
        }
    }

    /// Makes every later id larger than `raw`, even if the clock was set back.
    pub fn start_after(&self, raw: i64) {
        self.last.fetch_max(raw >> NODE_BITS, Ordering::Relaxed);
    }

    /// One id.
    pub fn next(&self, now: Timestamp) -> i64 {
        self.block(now, 1)
    }

    /// The first of `count` consecutive ids.
    pub fn block(&self, now: Timestamp, count: usize) -> i64 {
        let wanted = (now.as_millis() - EPOCH_MS).max(0) << COUNTER_BITS;
        let count = count as i64;
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let first = wanted.max(last + 1);
            match self.last.compare_exchange_weak(
                last,
                first + count - 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return first << NODE_BITS | i64::from(self.node),
                Err(seen) => last = seen,
            }
        }
    }

    /// An event id with room for `deliveries` delivery ids behind it.
    pub fn event(&self, now: Timestamp, deliveries: usize) -> EventId {
        EventId(self.block(now, deliveries + 1))
    }
}

/// The smallest raw id that can be made at `time`: turns a range of time into one of ids. Times
/// that no id can be made at are as good as the first or the last that one can.
pub const fn first_raw_at(time: Timestamp) -> i64 {
    let ms = time.as_millis().saturating_sub(EPOCH_MS);
    if ms <= 0 {
        0
    } else if ms > i64::MAX >> (COUNTER_BITS + NODE_BITS) {
        i64::MAX
    } else {
        ms << (COUNTER_BITS + NODE_BITS)
    }
}

const fn made_at(raw: i64) -> Timestamp {
    Timestamp::from_millis((raw >> (COUNTER_BITS + NODE_BITS)) + EPOCH_MS)
}

fn digits(raw: i64, buffer: &mut [u8; DIGITS]) -> &str {
    let mut rest = raw as u64;
    for slot in buffer.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    std::str::from_utf8(buffer).unwrap_or_default()
}

fn parse_digits(text: &str) -> Option<i64> {
    if text.len() != DIGITS {
        return None;
    }
    let mut raw: u64 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|&known| known == byte)? as u64;
        raw = raw.checked_mul(32)?.checked_add(digit)?;
    }
    i64::try_from(raw).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_round_trip() {
        for raw in [0, 1, 255, 1 << 40, i64::MAX] {
            let id = EventId::from_raw(raw);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn a_time_beyond_all_ids_is_as_good_as_the_last() {
        let far = Timestamp::from_millis(i64::MAX);
        let near = Timestamp::from_millis(EPOCH_MS + (1 << 41) - 1);
        assert_eq!(first_raw_at(far), i64::MAX);
        assert!(
            first_raw_at(near) < i64::MAX
                && first_raw_at(near) > first_raw_at(near - std::time::Duration::from_millis(1))
        );
        assert_eq!(first_raw_at(Timestamp::from_millis(i64::MIN)), 0);
    }

    #[test]
    fn later_ids_sort_later_as_numbers_and_as_text() {
        let maker = IdMaker::new(3);
        let now = Timestamp::from_millis(EPOCH_MS + 1000);
        let ids: Vec<_> = (0..20_000).map(|_| EventId::from_raw(maker.next(now))).collect();
        assert!(ids.is_sorted() && ids.iter().map(ToString::to_string).is_sorted());
        assert_eq!(ids[0].made_at(), now);
    }

    #[test]
    fn an_event_and_its_deliveries_take_consecutive_ids() {
        let maker = IdMaker::new(7);
        let now = Timestamp::from_millis(EPOCH_MS + 5);
        let event = maker.event(now, 2);
        let after = maker.event(now, 0);
        assert!(event.delivery(0).raw() < event.delivery(1).raw());
        assert!(event.delivery(1).raw() < after.raw());
    }

    #[test]
    fn other_prefixes_lengths_and_letters_are_refused() {
        for text in [
            "",
            "evt_",
            "dlv_0000000000000",
            "evt_000000000000",
            "evt_000000000000u",
            "evt_zzzzzzzzzzzzz",
        ] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}
