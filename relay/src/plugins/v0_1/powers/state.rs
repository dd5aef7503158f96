//! `state`: small durable state, private to one plugin on one endpoint or source.

use std::time::Duration;

use crate::model::plugin::Power;
use crate::model::time::Timestamp;
use crate::plugins::v0_1::bindings::relay::plugin::state::{Host, Page, StateError};
use crate::plugins::visit::Visit;
use crate::store::{self, Written};

/// Longest key, in bytes.
pub(in crate::plugins) const KEY_BYTES_MAX: usize = 256;
/// Largest value, in bytes.
pub(in crate::plugins) const VALUE_BYTES_MAX: usize = 64 << 10;
/// Keys of one page at most.
pub(in crate::plugins) const PAGE_KEYS_MAX: usize = 1000;

type Answer<T> = wasmtime::Result<Result<T, StateError>>;

impl Host for Visit {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        self.count_host_call()?;
        if let Err(error) = granted(self).and_then(|()| check_key(&key)) {
            return Ok(Err(error));
        }
        let grants = self.grants.clone();
        let value = grants
            .store
            .state_value(&grants.scope, &key, grants.clock.now())
            .await;
        Ok(value.map_err(Into::into))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_seconds: Option<u32>) -> Answer<()> {
        self.count_host_call()?;
        let checked = granted(self)
            .and_then(|()| check_key(&key))
            .and_then(|()| check_value(&value));
        if let Err(error) = checked {
            return Ok(Err(error));
        }
        let grants = self.grants.clone();
        let now = grants.clock.now();
        let written = grants
            .store
            .set_state(&grants.scope, &key, value, expiry(now, ttl_seconds), now)
            .await;
        Ok(finish(written))
    }

    async fn delete(&mut self, key: String) -> Answer<()> {
        self.count_host_call()?;
        if let Err(error) = granted(self).and_then(|()| check_key(&key)) {
            return Ok(Err(error));
        }
        let grants = self.grants.clone();
        Ok(grants
            .store
            .delete_state(&grants.scope, &key)
            .await
            .map_err(Into::into))
    }

    async fn claim(&mut self, key: String, ttl_seconds: u32) -> Answer<bool> {
        self.count_host_call()?;
        if let Err(error) = granted(self).and_then(|()| check_key(&key)) {
            return Ok(Err(error));
        }
        let grants = self.grants.clone();
        let now = grants.clock.now();
        let expires = now + Duration::from_secs(ttl_seconds.into());
        Ok(finish(
            grants.store.claim_state(&grants.scope, &key, expires, now).await,
        ))
    }

    async fn add(&mut self, key: String, delta: i64, ttl_seconds: Option<u32>) -> Answer<i64> {
        self.count_host_call()?;
        if let Err(error) = granted(self).and_then(|()| check_key(&key)) {
            return Ok(Err(error));
        }
        let grants = self.grants.clone();
        let now = grants.clock.now();
        let written = grants
            .store
            .add_state(&grants.scope, &key, delta, expiry(now, ttl_seconds), now)
            .await;
        Ok(finish(written))
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> Answer<bool> {
        self.count_host_call()?;
        let checked = granted(self)
            .and_then(|()| check_key(&key))
            .and_then(|()| check_value(&value));
        if let Err(error) = checked {
            return Ok(Err(error));
        }
        let grants = self.grants.clone();
        let now = grants.clock.now();
        let expires = expiry(now, ttl_seconds);
        Ok(finish(
            grants
                .store
                .swap_state(&grants.scope, &key, expected, value, expires, now)
                .await,
        ))
    }

    async fn keys(&mut self, prefix: String, cursor: Option<String>, limit: u32) -> Answer<Page> {
        self.count_host_call()?;
        let checked = granted(self)
            .and_then(|()| check_key(&prefix))
            .and_then(|()| check_key(cursor.as_deref().unwrap_or_default()));
        if let Err(error) = checked {
            return Ok(Err(error));
        }
        let limit = (limit as usize).clamp(1, PAGE_KEYS_MAX);
        let grants = self.grants.clone();
        let keys = grants
            .store
            .state_keys(&grants.scope, &prefix, cursor, limit, grants.clock.now())
            .await;
        Ok(match keys {
            Ok(keys) => Ok(Page {
                cursor: keys.last().filter(|_| keys.len() == limit).cloned(),
                keys,
            }),
            Err(error) => Err(error.into()),
        })
    }
}

fn granted(visit: &Visit) -> Result<(), StateError> {
    match visit.grants.denied(Power::State) {
        Some(why) => Err(StateError::Denied(why)),
        None => Ok(()),
    }
}

fn finish<T>(written: Result<Written<T>, store::Error>) -> Result<T, StateError> {
    match written? {
        Written::Done(value) => Ok(value),
        Written::QuotaExceeded => Err(StateError::QuotaExceeded),
    }
}

fn expiry(now: Timestamp, ttl_seconds: Option<u32>) -> Option<Timestamp> {
    ttl_seconds.map(|seconds| now + Duration::from_secs(seconds.into()))
}

fn check_key(key: &str) -> Result<(), StateError> {
    check_len(key.len(), KEY_BYTES_MAX)
}

fn check_value(value: &[u8]) -> Result<(), StateError> {
    check_len(value.len(), VALUE_BYTES_MAX)
}

fn check_len(len: usize, max: usize) -> Result<(), StateError> {
    if len > max {
        Err(StateError::TooLarge(u32::try_from(max).unwrap_or(u32::MAX)))
    } else {
        Ok(())
    }
}

impl From<store::Error> for StateError {
    fn from(error: store::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
