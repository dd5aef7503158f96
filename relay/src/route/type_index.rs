//! Finds the subscriptions to an event type without going through all of them.
//!
//! A copy shares what it has in common with the original, so that an index with one subscriber more
//! costs what that subscriber does, not what all do.

use std::sync::Arc;

use rpds::HashTrieMapSync;
use smallvec::SmallVec;

use crate::model::event_type::{self, Pattern};

/// Subscribers that were found.
pub type Found<'t, T> = SmallVec<[&'t T; 16]>;

/// Who wants which event types. Subscribers are told apart by their order.
#[derive(Debug, Clone)]
pub struct TypeIndex<T> {
    /// Those who want every type.
    every: Arc<Vec<T>>,
    /// By the one type they want.
    exact: HashTrieMapSync<String, Vec<T>>,
    /// By what stands before `.*`, where that is the only star.
    below: HashTrieMapSync<String, Vec<T>>,
    /// Patterns with a star elsewhere; these are tried one by one.
    others: Arc<Vec<(Pattern, T)>>,
}

impl<T> Default for TypeIndex<T> {
    fn default() -> Self {
        Self {
            every: Arc::default(),
            exact: HashTrieMapSync::new_sync(),
            below: HashTrieMapSync::new_sync(),
            others: Arc::default(),
        }
    }
}

/// Where a pattern is kept.
enum Place<'p> {
    Every,
    Exact(&'p str),
    Below(&'p str),
    Others,
}

impl<'p> Place<'p> {
    fn of(pattern: &'p Pattern) -> Self {
        match pattern.as_str().strip_suffix(".*") {
            _ if pattern.as_str() == "*" => Self::Every,
            _ if pattern.exact().is_some() => Self::Exact(pattern.as_str()),
            Some(prefix) if !prefix.contains('*') => Self::Below(prefix),
            _ => Self::Others,
        }
    }
}

impl<T: Ord + Clone> TypeIndex<T> {
    /// Adds a subscriber to these patterns; none at all are a subscription to everything.
    pub fn add(&mut self, patterns: &[Pattern], subscriber: &T) {
        if patterns.is_empty() {
            enter(Arc::make_mut(&mut self.every), subscriber);
        }
        for pattern in patterns {
            match Place::of(pattern) {
                Place::Every => enter(Arc::make_mut(&mut self.every), subscriber),
                Place::Exact(kind) => enter_at(&mut self.exact, kind, subscriber),
                Place::Below(prefix) => enter_at(&mut self.below, prefix, subscriber),
                Place::Others => {
                    Arc::make_mut(&mut self.others).push((pattern.clone(), subscriber.clone()));
                }
            }
        }
    }

    /// Takes out a subscriber who was added with these patterns.
    pub fn remove(&mut self, patterns: &[Pattern], subscriber: &T) {
        if patterns.is_empty() {
            leave(Arc::make_mut(&mut self.every), subscriber);
        }
        for pattern in patterns {
            match Place::of(pattern) {
                Place::Every => leave(Arc::make_mut(&mut self.every), subscriber),
                Place::Exact(kind) => leave_at(&mut self.exact, kind, subscriber),
                Place::Below(prefix) => leave_at(&mut self.below, prefix, subscriber),
                Place::Others => {
                    Arc::make_mut(&mut self.others).retain(|(_, other)| other != subscriber);
                }
            }
        }
    }

    /// Whether nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.every.is_empty() && self.exact.is_empty() && self.below.is_empty() && self.others.is_empty()
    }

    /// Finds who wants that type, in order, each once.
    pub fn find(&self, kind: &str) -> Found<'_, T> {
        let mut found = Found::new();
        self.find_more(kind, &mut found);
        in_order(found)
    }

    /// Appends who wants that type; whoever wants it by several patterns comes several times.
    pub fn find_more<'t>(&'t self, kind: &str, found: &mut Found<'t, T>) {
        // Whoever wants everything does not mean the relay's own events.
        if !event_type::is_own(kind) {
            found.extend(self.every.iter());
        }
        found.extend(self.exact.get(kind).into_iter().flatten());
        if !self.below.is_empty() {
            for (at, _) in kind.match_indices('.') {
                found.extend(self.below.get(&kind[..at]).into_iter().flatten());
            }
        }
        let fits = self.others.iter().filter(|(pattern, _)| pattern.matches(kind));
        found.extend(fits.map(|(_, subscriber)| subscriber));
    }
}

/// The same, in order, each once.
pub fn in_order<T: Ord>(mut found: Found<'_, T>) -> Found<'_, T> {
    found.sort_unstable();
    found.dedup();
    found
}

/// Enters a subscriber in a list that is in order, so that sorting what is found costs little.
fn enter<T: Ord + Clone>(list: &mut Vec<T>, subscriber: &T) {
    if let Err(place) = list.binary_search(subscriber) {
        list.insert(place, subscriber.clone());
    }
}

fn leave<T: Ord>(list: &mut Vec<T>, subscriber: &T) {
    if let Ok(place) = list.binary_search(subscriber) {
        list.remove(place);
    }
}

fn enter_at<T: Ord + Clone>(index: &mut HashTrieMapSync<String, Vec<T>>, key: &str, subscriber: &T) {
    match index.get_mut(key) {
        Some(list) => enter(list, subscriber),
        None => index.insert_mut(key.to_owned(), vec![subscriber.clone()]),
    }
}

fn leave_at<T: Ord + Clone>(index: &mut HashTrieMapSync<String, Vec<T>>, key: &str, subscriber: &T) {
    let Some(list) = index.get_mut(key) else { return };
    leave(list, subscriber);
    if list.is_empty() {
        index.remove_mut(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERNS: [&str; 10] = [
        "*", "a", "a.*", "a.b", "a.b.*", "*.b", "a.*.c", "*.*", "ab.*", "relay.*",
    ];

    #[test]
    fn finds_exactly_what_the_patterns_say() {
        let patterns = PATTERNS.map(|pattern| pattern.parse::<Pattern>().expect("a valid pattern"));
        let mut index = TypeIndex::default();
        for (number, pattern) in (0..).zip(&patterns) {
            index.add(std::slice::from_ref(pattern), &number);
        }
        for kind in [
            "a", "b", "a.b", "a.b.c", "a.x.c", "ab.c", "x.b", "a.b.c.d", "relay.b",
        ] {
            let expected: Vec<u32> = (0..)
                .zip(&patterns)
                .filter(|(_, pattern)| pattern.matches(kind))
                .map(|(at, _)| at)
                .collect();
            let found: Vec<u32> = index.find(kind).into_iter().copied().collect();
            assert_eq!(found, expected, "{kind}");
        }
    }

    #[test]
    fn what_is_taken_out_of_a_copy_is_still_in_the_original() {
        let patterns = PATTERNS.map(|pattern| pattern.parse::<Pattern>().expect("a valid pattern"));
        let mut index = TypeIndex::default();
        index.add(&patterns, &1);
        index.add(&[], &2);
        index.add(&patterns, &3);
        let mut copy = index.clone();
        copy.remove(&patterns, &1);
        copy.remove(&[], &2);
        for kind in ["a.b", "a.b.c", "x.b", "ab.c", "a"] {
            assert_eq!(copy.find(kind).as_slice(), [&3], "{kind}");
            assert_eq!(index.find(kind).as_slice(), [&1, &2, &3], "{kind}");
        }
        copy.remove(&patterns, &3);
        assert!(copy.find("a.b").is_empty() && copy.exact.is_empty() && copy.below.is_empty());
    }
}
