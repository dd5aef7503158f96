//! The trace that an event belongs to: W3C Trace Context, level 2.
//!
//! <https://www.w3.org/TR/trace-context-2/>

use std::fmt;

use super::event::Header;

/// The header, and the CloudEvents extension, that names a trace and the step before.
pub const TRACEPARENT: &str = "traceparent";
/// The header, and the extension, with what tracing systems add.
pub const TRACESTATE: &str = "tracestate";
/// Longest `tracestate` that is passed on, in bytes; at least so many have to be.
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// Most entries of one.
const ENTRIES_MAX: usize = 32;
/// Longest key or value of an entry.
const PART_BYTES_MAX: usize = 256;
/// The flags of this level: sampled, and a trace id made by chance.
const FLAGS: u8 = 0b11;
/// Says that the step before was recorded, and that the next ones should be.
const SAMPLED: u8 = 0b01;

/// A step of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    step: u64,
    flags: u8,
}

impl TraceParent {
    /// Reads `00-{trace}-{step}-{flags}`, all in lower-case hex; of a later version, what stands
    /// there as in this one. Nothing else is one: zeros, other cases, other lengths.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.split_at_checked(55)?;
        let mut parts = head.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = hex(parts.next()?, 32)?;
        let step = hex(parts.next()?, 16)?;
        let flags = hex(parts.next()?, 2)?;
        let is_end = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        (parts.next().is_none() && is_end && trace != 0 && step != 0).then_some(Self {
            trace,
            step: u64::try_from(step).ok()?,
            flags: u8::try_from(flags).ok()? & FLAGS,
        })
    }

    /// The first step of a trace that begins here, by chance, to be recorded.
    #[must_use]
    pub fn begin(trace: u128, step: u64) -> Self {
        Self {
            trace: trace.max(1),
            step: step.max(1),
            flags: FLAGS,
        }
    }

    /// The trace, as a number.
    pub const fn trace(self) -> u128 {
        self.trace
    }

    /// The step before, as a number.
    pub const fn step(self) -> u64 {
        self.step
    }

    /// The flags.
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// Whether the step before was recorded.
    pub const fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same step, known to be recorded.
    #[must_use]
    pub const fn sampled(self) -> Self {
        Self {
            flags: self.flags | SAMPLED,
            ..self
        }
    }

    /// The trace's id.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The next step of the same trace.
    #[must_use]
    pub fn child(self, step: u64) -> Self {
        Self {
            // Zero would be no step.
            step: step.max(1),
            ..self
        }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.step, self.flags)
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_hex))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

/// The trace of an event, and its `tracestate` if that can be passed on: the CloudEvents
/// extensions count before headers.
pub fn of<'h>(extensions: &'h [Header], headers: &'h [Header]) -> Option<(TraceParent, Option<&'h str>)> {
    [extensions, headers].into_iter().find_map(|carried| {
        let parent = TraceParent::parse(value(carried, TRACEPARENT)?)?;
        let state = value(carried, TRACESTATE).filter(|state| is_state(state));
        Some((parent, state))
    })
}

/// The value of a name that stands there once: of two, neither is to be believed.
fn value<'h>(carried: &'h [Header], wanted: &str) -> Option<&'h str> {
    let mut found = carried.iter().filter(|(name, _)| name == wanted);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value.as_str())
}

/// Whether a `tracestate` is one: entries `key=value`, of bounded number and size.
pub fn is_state(text: &str) -> bool {
    let entries = || text.split(',').map(|entry| entry.trim_matches([' ', '\t']));
    let is_key = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let is_value = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=';
    let is_entry = |entry: &str| {
        entry.split_once('=').is_some_and(|(key, value)| {
            (1..=PART_BYTES_MAX).contains(&key.len())
                && (1..=PART_BYTES_MAX).contains(&value.len())
                && key.bytes().all(is_key)
                && value.bytes().all(is_value)
        })
    };
    (1..=TRACESTATE_BYTES_MAX).contains(&text.len())
        && entries().count() <= ENTRIES_MAX
        && entries().all(|entry| entry.is_empty() || is_entry(entry))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn header(name: &str, value: &str) -> Header {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_parent_is_read_and_written() {
        let parent = TraceParent::parse(PARENT).expect("the specification's example");
        assert_eq!(parent.to_string(), PARENT);
        assert_eq!(parent.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        let child = parent.child(0x1234);
        assert_eq!(
            child.to_string(),
            "00-0af7651916cd43dd8448eb211c80319c-0000000000001234-01"
        );
        assert!(TraceParent::parse(&parent.child(0).to_string()).is_some());
        assert!(TraceParent::parse(&TraceParent::begin(0, 0).to_string()).is_some());
        let unsampled = TraceParent::parse(&PARENT.replace("3331-01", "3331-02")).unwrap();
        assert!(parent.is_sampled() && !unsampled.is_sampled());
        assert_eq!(
            unsampled.sampled().to_string(),
            PARENT.replace("3331-01", "3331-03")
        );
    }

    #[test]
    fn later_versions_are_read_as_this_one() {
        let later = PARENT.replace("00-0af", "cc-0af");
        for text in [later.clone(), format!("{later}-what-the-future-will-be-like")] {
            let read = TraceParent::parse(&text).expect("a later version");
            assert_eq!(read.to_string(), PARENT);
        }
        let flags = PARENT.replace("3331-01", "3331-ff");
        assert_eq!(
            TraceParent::parse(&flags).unwrap().to_string(),
            PARENT.replace("3331-01", "3331-03")
        );
    }

    #[test]
    fn whatever_else_it_looks_like_is_none() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            PARENT[..54].to_owned(),
            format!("{PARENT}-"),
            format!("{PARENT} "),
            format!(" {}", &PARENT[..54]),
            PARENT.to_uppercase(),
            PARENT.replace("00-0af", "ff-0af"),
            PARENT.replace("0af7651916cd43dd8448eb211c80319c", &zeros),
            PARENT.replace("b7ad6b7169203331", &zeros[..16]),
            PARENT.replace('-', "_"),
            PARENT.replace("0af7", "0ag7"),
            PARENT.replace("00-0af", "+0-0af"),
            format!("{}x", PARENT.replace("00-0af", "cc-0af")),
            "é".repeat(55),
        ] {
            assert_eq!(TraceParent::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn a_state_is_bounded() {
        for text in [
            "a=1",
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            "a@b/c=x y , b=2",
            "a=1,,b=2",
        ] {
            assert!(is_state(text), "{text:?}");
        }
        for text in [
            "".to_owned(),
            "a".to_owned(),
            "a=".to_owned(),
            "=1".to_owned(),
            "A=1".to_owned(),
            "a=1=2".to_owned(),
            "a=\u{7f}".to_owned(),
            format!("a={}", "x".repeat(TRACESTATE_BYTES_MAX)),
            vec!["a=1"; ENTRIES_MAX + 1].join(","),
        ] {
            assert!(!is_state(&text), "{text:?}");
        }
    }

    #[test]
    fn extensions_count_before_headers_and_what_comes_twice_does_not() {
        let other = PARENT.replace("0af", "0be");
        let (a, b) = (header(TRACEPARENT, PARENT), header(TRACEPARENT, &other));
        let state = header(TRACESTATE, "a=1");
        let parent = TraceParent::parse(PARENT).unwrap();
        let one = [a.clone(), state];
        assert_eq!(of(&one, slice::from_ref(&b)), Some((parent, Some("a=1"))));
        assert_eq!(of(&[], slice::from_ref(&a)), Some((parent, None)));
        assert_eq!(
            of(&[header(TRACEPARENT, "00-1")], slice::from_ref(&a)),
            Some((parent, None))
        );
        assert_eq!(of(&[], &[a, b]), None);
    }
}
