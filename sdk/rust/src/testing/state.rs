//! State that lives as long as a test's host.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::state::{Page, StateError};

/// Keys, values and the time they live by.
#[derive(Debug, Default)]
pub(crate) struct State {
    entries: BTreeMap<String, Entry>,
    now: Duration,
}

#[derive(Debug)]
struct Entry {
    value: Vec<u8>,
    until: Option<Duration>,
}

impl State {
    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.live(key).map(|entry| entry.value.clone())
    }

    pub(crate) fn set(&mut self, key: &str, value: &[u8], ttl: Option<u32>) {
        let until = self.until(ttl);
        self.entries.insert(
            key.to_owned(),
            Entry {
                value: value.to_vec(),
                until,
            },
        );
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.entries.remove(key);
    }

    pub(crate) fn claim(&mut self, key: &str, ttl: u32) -> bool {
        self.compare_and_set(key, None, &[], Some(ttl))
    }

    pub(crate) fn add(&mut self, key: &str, delta: i64, ttl: Option<u32>) -> Result<i64, StateError> {
        let (before, until) = match self.live(key) {
            None => (0, self.until(ttl)),
            Some(entry) => (counter(&entry.value)?, entry.until),
        };
        let sum = before.saturating_add(delta);
        self.entries.insert(
            key.to_owned(),
            Entry {
                value: sum.to_string().into_bytes(),
                until,
            },
        );
        Ok(sum)
    }

    pub(crate) fn compare_and_set(
        &mut self,
        key: &str,
        expected: Option<&[u8]>,
        value: &[u8],
        ttl: Option<u32>,
    ) -> bool {
        let is_expected = self.live(key).map(|entry| entry.value.as_slice()) == expected;
        if is_expected {
            self.set(key, value, ttl);
        }
        is_expected
    }

    pub(crate) fn keys(&self, prefix: &str, cursor: Option<&str>, limit: u32) -> Page {
        let is_next =
            |key: &&String| key.starts_with(prefix) && cursor.is_none_or(|cursor| key.as_str() > cursor);
        let mut keys = self
            .entries
            .keys()
            .filter(is_next)
            .filter(|key| self.live(key).is_some())
            .cloned();
        let page: Vec<String> = keys.by_ref().take(limit as usize).collect();
        let cursor = keys.next().and_then(|_| page.last().cloned());
        Page { keys: page, cursor }
    }

    fn live(&self, key: &str) -> Option<&Entry> {
        self.entries
            .get(key)
            .filter(|entry| entry.until.is_none_or(|until| until > self.now))
    }

    fn until(&self, ttl: Option<u32>) -> Option<Duration> {
        ttl.map(|seconds| self.now + Duration::from_secs(seconds.into()))
    }
}

fn counter(value: &[u8]) -> Result<i64, StateError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| StateError::Unavailable("the value is not a counter".into()))
}
