//! The small durable state of plugins.

use std::ops::Bound;

use async_trait::async_trait;

use super::{MemoryStore, Tables, Value};
use crate::model::time::Timestamp;
use crate::store::{Error, PluginState, STATE_BYTES_MAX, Scope, Written};

#[async_trait]
impl PluginState for MemoryStore {
    async fn state_value(&self, scope: &Scope, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, Error> {
        Ok(self
            .tables()
            .live(scope, key, now)
            .map(|value| value.bytes.clone()))
    }

    async fn set_state(
        &self,
        scope: &Scope,
        key: &str,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<()>, Error> {
        Ok(self.tables().put(
            scope,
            key,
            Value {
                bytes: value,
                expires,
            },
            now,
            (),
        ))
    }

    async fn delete_state(&self, scope: &Scope, key: &str) -> Result<(), Error> {
        if let Some(values) = self.tables().state.get_mut(scope) {
            values.remove(key);
        }
        Ok(())
    }

    async fn claim_state(
        &self,
        scope: &Scope,
        key: &str,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written<bool>, Error> {
        self.swap_state(scope, key, None, Vec::new(), Some(expires), now)
            .await
    }

    async fn add_state(
        &self,
        scope: &Scope,
        key: &str,
        delta: i64,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<i64>, Error> {
        let mut tables = self.tables();
        let (count, expires) = match tables.live(scope, key, now) {
            Some(value) => (counter(&value.bytes), value.expires),
            None => (0, expires),
        };
        let count = count.saturating_add(delta);
        Ok(tables.put(
            scope,
            key,
            Value {
                bytes: count.to_le_bytes().to_vec(),
                expires,
            },
            now,
            count,
        ))
    }

    async fn swap_state(
        &self,
        scope: &Scope,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<bool>, Error> {
        let mut tables = self.tables();
        if tables.live(scope, key, now).map(|present| &present.bytes) != expected.as_ref() {
            return Ok(Written::Done(false));
        }
        Ok(tables.put(
            scope,
            key,
            Value {
                bytes: value,
                expires,
            },
            now,
            true,
        ))
    }

    async fn state_keys(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<String>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let tables = self.tables();
        let Some(values) = tables.state.get(scope) else {
            return Ok(Vec::new());
        };
        let begin = match &after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let keys = values.range::<str, _>((begin, Bound::Unbounded));
        let keys = keys
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, value)| value.is_live(now));
        Ok(keys.map(|(key, _)| key.clone()).take(limit).collect())
    }
}

fn counter(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}

impl Tables {
    fn live(&self, scope: &Scope, key: &str, now: Timestamp) -> Option<&Value> {
        self.state.get(scope)?.get(key).filter(|value| value.is_live(now))
    }

    /// Writes a value unless the scope would hold too much; then answers `done`.
    fn put<T>(&mut self, scope: &Scope, key: &str, value: Value, now: Timestamp, done: T) -> Written<T> {
        let values = self.state.entry(scope.clone()).or_default();
        let others = size(
            values
                .iter()
                .filter(|(other, value)| *other != key && value.is_live(now)),
        );
        if others + key.len() + value.bytes.len() > STATE_BYTES_MAX {
            return Written::QuotaExceeded;
        }
        values.insert(key.to_owned(), value);
        Written::Done(done)
    }
}

fn size<'a>(values: impl Iterator<Item = (&'a String, &'a Value)>) -> usize {
    values.map(|(key, value)| key.len() + value.bytes.len()).sum()
}
