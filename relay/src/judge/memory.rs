//! What was answered, for a while, and who is being asked what: in memory alone, and bounded; what is
//! oldest goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::answer::Verdict;
use super::task::Key;
use crate::plugins::services::JudgeError;

/// Bytes of all answers that are kept.
const BYTES_MAX: usize = 32 << 20;
/// Bytes of an answer apart from its texts.
const ANSWER_BYTES: usize = 200;

/// What comes of a question; `None` as long as it is not known.
pub(super) type Told = Option<Result<Verdict, JudgeError>>;

/// See the module.
pub(super) struct Memory {
    inner: Mutex<Inner>,
    entries_max: usize,
    ttl: Duration,
}

#[derive(Default)]
struct Inner {
    kept: HashMap<Key, Kept>,
    /// In the order in which they came, each with its number.
    order: VecDeque<(Key, u64)>,
    bytes: usize,
    count: u64,
    under_way: HashMap<Key, watch::Receiver<Told>>,
}

struct Kept {
    verdict: Verdict,
    until: Instant,
    number: u64,
}

/// What is known of a question.
pub(super) enum Found {
    Known(Verdict),
    /// Somebody asks it at this moment.
    UnderWay(watch::Receiver<Told>),
    /// Nobody does: who finds this asks, and [settles](Memory::settle) it.
    New(watch::Receiver<Told>, watch::Sender<Told>),
}

impl Memory {
    pub(super) fn new(entries_max: usize, ttl: Duration) -> Self {
        Self {
            inner: Mutex::default(),
            entries_max,
            ttl,
        }
    }

    pub(super) fn find(&self, key: Key, now: Instant) -> Found {
        let mut inner = self.lock();
        if let Some(kept) = inner.kept.get(&key).filter(|kept| kept.until > now) {
            return Found::Known(kept.verdict.clone());
        }
        if let Some(told) = inner.under_way.get(&key) {
            // Whoever asked may be gone without a word, and then nobody would ever ask again.
            let is_alive = told.borrow().is_some() || told.has_changed().is_ok();
            if is_alive {
                return Found::UnderWay(told.clone());
            }
        }
        let (tell, told) = watch::channel(None);
        inner.under_way.insert(key, told.clone());
        Found::New(told, tell)
    }

    /// What was asked is answered: what was found out is kept, what went wrong is not.
    pub(super) fn settle(&self, key: Key, told: &Result<Verdict, JudgeError>, now: Instant) {
        let mut inner = self.lock();
        inner.under_way.remove(&key);
        let Ok(verdict) = told else { return };
        inner.count += 1;
        let number = inner.count;
        inner.bytes += ANSWER_BYTES + verdict.weight();
        inner.order.push_back((key, number));
        let kept = Kept {
            verdict: verdict.clone(),
            until: now + self.ttl,
            number,
        };
        if let Some(before) = inner.kept.insert(key, kept) {
            inner.bytes -= ANSWER_BYTES + before.verdict.weight();
        }
        inner.make_room(self.entries_max, now);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// All answers are kept for equally long: the oldest is the first whose time is over.
    fn make_room(&mut self, entries_max: usize, now: Instant) {
        while let Some((key, number)) = self.order.front().copied() {
            let kept = self.kept.get(&key).filter(|kept| kept.number == number);
            let is_over = kept.is_none_or(|kept| kept.until <= now);
            if !is_over && self.kept.len() <= entries_max && self.bytes <= BYTES_MAX {
                return;
            }
            if kept.is_some()
                && let Some(gone) = self.kept.remove(&key)
            {
                self.bytes -= ANSWER_BYTES + gone.verdict.weight();
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn filled(text: &str) -> Result<Verdict, JudgeError> {
        Ok(Verdict::Filled(text.to_owned()))
    }

    fn known(memory: &Memory, key: u8, now: Instant) -> bool {
        matches!(memory.find([key; 32], now), Found::Known(_))
    }

    #[tokio::test]
    async fn what_was_answered_is_known_for_its_time_and_as_long_as_there_is_room() {
        let (memory, now) = (Memory::new(2, TTL), Instant::now());
        for key in 1..=3 {
            memory.settle([key; 32], &filled("x"), now);
        }
        assert!(!known(&memory, 1, now) && known(&memory, 2, now) && known(&memory, 3, now));
        assert!(!known(&memory, 2, now + TTL));
        memory.settle([4; 32], &filled("x"), now + TTL);
        assert_eq!(memory.lock().kept.len(), 1, "what is over goes");
        memory.settle([5; 32], &filled(&"x".repeat(BYTES_MAX)), now + TTL);
        let (entries, bytes) = {
            let inner = memory.lock();
            (inner.kept.len(), inner.bytes)
        };
        assert_eq!((entries, bytes), (0, 0));
        memory.settle([6; 32], &Err(JudgeError::Timeout), now);
        assert!(!known(&memory, 6, now), "what went wrong is asked again");
    }

    #[tokio::test]
    async fn who_asks_the_same_at_the_same_moment_waits_for_the_first() {
        let (memory, now) = (Memory::new(2, TTL), Instant::now());
        let Found::New(_, tell) = memory.find([1; 32], now) else {
            panic!("nobody asks yet");
        };
        let Found::UnderWay(mut told) = memory.find([1; 32], now) else {
            panic!("it is being asked");
        };
        memory.settle([1; 32], &filled("x"), now);
        tell.send_replace(Some(filled("x")));
        assert_eq!(*told.wait_for(Option::is_some).await.unwrap(), Some(filled("x")));
        let Found::New(_, tell) = memory.find([2; 32], now) else {
            panic!("another question");
        };
        drop(tell);
        assert!(
            matches!(memory.find([2; 32], now), Found::New(..)),
            "who asked is gone"
        );
    }
}
