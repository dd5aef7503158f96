//! Answers that are good for a while: to the same question, and to the same event posted again.
//!
//! In memory alone and bounded; what is oldest goes first. An answer counts only as long as the
//! definition that it was made under is in force.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::model::event::Event;
use crate::model::id::{EndpointId, EventId};
use crate::model::reply::{Answer, Caching};
use crate::model::time::Timestamp;

/// Answers that are kept.
const ANSWERS_MAX: usize = 4096;
/// Bytes of all answers that are kept.
const BYTES_MAX: usize = 16 << 20;
/// Bytes of an answer apart from its texts.
const ANSWER_BYTES: usize = 256;

/// What an answer is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// What was asked of an endpoint.
    Question(EndpointId, [u8; 32]),
    /// An event that was answered.
    Event(EventId),
}

/// See the module.
#[derive(Debug)]
pub struct Cache<Definition>(Mutex<Inner<Definition>>);

#[derive(Debug)]
struct Inner<Definition> {
    kept: HashMap<Key, Kept<Definition>>,
    /// In the order in which they came, each with its number.
    order: VecDeque<(Key, u64)>,
    bytes: usize,
    count: u64,
}

#[derive(Debug)]
struct Kept<Definition> {
    answer: Answer,
    until: Timestamp,
    made_under: Arc<Definition>,
    number: u64,
}

impl Key {
    /// The question that an event asks: its type, its subject, and its data or what of it counts.
    pub fn question(endpoint: EndpointId, caching: &Caching, event: &Event) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut word = |word: &[u8]| {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word);
        };
        word(event.envelope.kind.as_bytes());
        if caching.key.is_empty() {
            word(event.envelope.subject.as_deref().unwrap_or_default().as_bytes());
            word(&event.data);
        } else {
            let data: Value = serde_json::from_slice(&event.data).unwrap_or_default();
            for pointer in &caching.key {
                let value = data.pointer(pointer).unwrap_or(&Value::Null);
                word(value.to_string().as_bytes());
            }
        }
        Self::Question(endpoint, *hasher.finalize().as_bytes())
    }
}

impl<Definition> Default for Cache<Definition> {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            kept: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            count: 0,
        }))
    }
}

impl<Definition> Cache<Definition> {
    /// The answer kept under a key, by the endpoint's definition in force.
    pub fn get(&self, key: &Key, in_force: &Arc<Definition>, now: Timestamp) -> Option<Answer> {
        let inner = self.lock();
        let kept = inner.kept.get(key)?;
        let is_good = kept.until > now && Arc::ptr_eq(&kept.made_under, in_force);
        is_good.then(|| kept.answer.clone())
    }

    /// Keeps an answer for so long.
    pub fn keep(
        &self,
        key: Key,
        answer: Answer,
        made_under: &Arc<Definition>,
        ttl: Duration,
        now: Timestamp,
    ) {
        let mut inner = self.lock();
        inner.count += 1;
        let number = inner.count;
        inner.bytes += weight(&answer);
        inner.order.push_back((key.clone(), number));
        let kept = Kept {
            answer,
            until: now + ttl,
            made_under: Arc::clone(made_under),
            number,
        };
        if let Some(before) = inner.kept.insert(key, kept) {
            inner.bytes -= weight(&before.answer);
        }
        inner.make_room(now);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<Definition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Definition> Inner<Definition> {
    /// Forgets the oldest as long as they are too many, too large or past their time.
    fn make_room(&mut self, now: Timestamp) {
        while let Some((key, number)) = self.order.front() {
            let is_first = |kept: &&Kept<Definition>| kept.number == *number;
            let oldest = self.kept.get(key).filter(is_first);
            let is_full = self.order.len() > ANSWERS_MAX || self.bytes > BYTES_MAX;
            match oldest {
                Some(oldest) if !is_full && oldest.until > now => return,
                Some(oldest) => {
                    self.bytes -= weight(&oldest.answer);
                    self.kept.remove(key);
                }
                // Replaced by a later answer.
                None => {}
            }
            self.order.pop_front();
        }
    }
}

fn weight(answer: &Answer) -> usize {
    let headers = answer.headers.iter();
    let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
    ANSWER_BYTES + headers + answer.body.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn answer(bytes: usize) -> Answer {
        Answer {
            status: 200,
            headers: Vec::new(),
            body: Bytes::from(vec![0; bytes]),
        }
    }

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    const fn key(raw: i64) -> Key {
        Key::Event(EventId::from_raw(raw))
    }

    fn bytes(cache: &Cache<()>) -> usize {
        cache.lock().bytes
    }

    #[test]
    fn an_answer_is_good_for_its_time_and_under_its_definition() {
        let (cache, mine, other) = (Cache::default(), Arc::new(()), Arc::new(()));
        cache.keep(key(1), answer(1), &mine, TTL, at(0));
        assert!(cache.get(&key(1), &mine, at(29)).is_some());
        assert!(cache.get(&key(1), &mine, at(30)).is_none());
        assert!(cache.get(&key(1), &other, at(0)).is_none());
        assert!(cache.get(&key(2), &mine, at(0)).is_none());
    }

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let (cache, mine) = (Cache::default(), Arc::new(()));
        for raw in 0..100 {
            cache.keep(key(raw), answer(1 << 20), &mine, TTL, at(0));
            assert!(bytes(&cache) <= BYTES_MAX);
        }
        assert!(cache.get(&key(99), &mine, at(0)).is_some());
        assert!(cache.get(&key(0), &mine, at(0)).is_none());
        let small = i64::try_from(ANSWERS_MAX).expect("a small number");
        for raw in 0..2 * small {
            cache.keep(key(raw), answer(0), &mine, TTL, at(0));
        }
        assert_eq!(cache.lock().kept.len(), ANSWERS_MAX);
    }

    #[test]
    fn what_replaces_and_what_expires_leaves_nothing_behind() {
        let (cache, mine) = (Cache::default(), Arc::new(()));
        for _ in 0..10 {
            cache.keep(key(1), answer(10), &mine, TTL, at(0));
        }
        assert_eq!(bytes(&cache), weight(&answer(10)));
        cache.keep(key(2), answer(0), &mine, TTL, at(31));
        assert_eq!((bytes(&cache), cache.lock().order.len()), (weight(&answer(0)), 1));
    }
}
