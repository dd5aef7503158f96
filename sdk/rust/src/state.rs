//! Small durable state, private to one plugin on one endpoint or source.

use std::fmt;
use std::time::Duration;

use crate::host;

/// Why state cannot be read or written.
///
/// No `std::error::Error`, so that `?` knows which [`Fault`](crate::Fault) it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// The owner has not granted it.
    Denied(String),
    /// The key or value is larger than this many bytes.
    TooLarge(u32),
    /// There is no room left for this plugin.
    QuotaExceeded,
    /// The store cannot be reached now.
    Unavailable(String),
}

impl fmt::Display for StateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(reason) => formatter.write_str(reason),
            Self::TooLarge(bytes) => {
                write!(formatter, "the key or value has more than {bytes} bytes")
            }
            Self::QuotaExceeded => write!(formatter, "the plugin's state is full"),
            Self::Unavailable(reason) => {
                write!(formatter, "the plugin's state cannot be reached: {reason}")
            }
        }
    }
}

/// Keys, a page at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In byte order.
    pub keys: Vec<String>,
    /// Pass it back to go on; `None` at the end.
    pub cursor: Option<String>,
}

/// The value of a key.
///
/// # Errors
/// If the store cannot be reached.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, StateError> {
    host::state_get(key)
}

/// Writes a value, for good or for `ttl` (whole seconds).
///
/// # Errors
/// If it is too large, the quota is used up or the store cannot be reached.
pub fn set(key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StateError> {
    host::state_set(key, value, seconds(ttl))
}

/// Takes a key away; an absent one is no error.
///
/// # Errors
/// If the store cannot be reached.
pub fn delete(key: &str) -> Result<(), StateError> {
    host::state_delete(key)
}

/// True for the first caller within the `ttl`: deduplication in one step.
///
/// # Errors
/// If the key is too large, the quota is used up or the store cannot be reached.
pub fn claim(key: &str, ttl: Duration) -> Result<bool, StateError> {
    host::state_claim(key, whole_seconds(ttl))
}

/// Adds to a counter and answers its new value. The `ttl` starts with the first add.
///
/// # Errors
/// If the key is too large, the quota is used up or the store cannot be reached.
pub fn add(key: &str, delta: i64, ttl: Option<Duration>) -> Result<i64, StateError> {
    host::state_add(key, delta, seconds(ttl))
}

/// Writes `value` if the present one is `expected` (`None`: absent); whether it did.
///
/// # Errors
/// If it is too large, the quota is used up or the store cannot be reached.
pub fn compare_and_set(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
    ttl: Option<Duration>,
) -> Result<bool, StateError> {
    host::state_compare_and_set(key, expected, value, seconds(ttl))
}

/// Keys that begin with `prefix`, in byte order.
///
/// # Errors
/// If the store cannot be reached.
pub fn keys(prefix: &str, cursor: Option<&str>, limit: u32) -> Result<Page, StateError> {
    host::state_keys(prefix, cursor, limit)
}

fn seconds(ttl: Option<Duration>) -> Option<u32> {
    ttl.map(whole_seconds)
}

/// Rounds up: a claim must not end before its time.
fn whole_seconds(ttl: Duration) -> u32 {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    seconds.try_into().unwrap_or(u32::MAX)
}
