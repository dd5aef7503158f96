//! Finds the subscriptions to an event type without going through all of them.
//!
//! A copy shares what it has in common with the original, so that an index with one subscriber more
//! costs what that subscriber does, not what all do.

use std::sync::Arc;

use rpds::HashTrieMapSync;

use crate::model::event_type::{self, Pattern};

/// Those who want the same event types.
pub trait Bucket: Clone + Default {
    /// One of them; told from the others by its order.
    type Member;

    fn enter(&mut self, member: &Self::Member);

    fn leave(&mut self, member: &Self::Member);

    fn is_empty(&self) -> bool;
}

/// In order, so that sorting what is found costs little.
impl<T: Ord + Clone> Bucket for Vec<T> {
    type Member = T;

    fn enter(&mut self, member: &T) {
        if let Err(place) = self.binary_search(member) {
            self.insert(place, member.clone());
        }
    }

    fn leave(&mut self, member: &T) {
        if let Ok(place) = self.binary_search(member) {
            self.remove(place);
        }
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Who wants which event types.
#[derive(Debug, Clone)]
pub struct TypeIndex<B> {
    /// Those who want every type.
    every: Arc<B>,
    /// By the one type they want.
    exact: HashTrieMapSync<String, B>,
    /// By what stands before `.*`, where that is the only star.
    below: HashTrieMapSync<String, B>,
    /// By patterns with a star elsewhere; these are tried one by one.
    others: HashTrieMapSync<String, (Pattern, B)>,
}

impl<B: Default> Default for TypeIndex<B> {
    fn default() -> Self {
        Self {
            every: Arc::default(),
            exact: HashTrieMapSync::new_sync(),
            below: HashTrieMapSync::new_sync(),
            others: HashTrieMapSync::new_sync(),
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

impl<B: Bucket> TypeIndex<B> {
    /// Adds a subscriber to these patterns; none at all are a subscription to everything.
    pub fn add(&mut self, patterns: &[Pattern], member: &B::Member) {
        if patterns.is_empty() {
            Arc::make_mut(&mut self.every).enter(member);
        }
        for pattern in patterns {
            match Place::of(pattern) {
                Place::Every => Arc::make_mut(&mut self.every).enter(member),
                Place::Exact(kind) => enter_at(&mut self.exact, kind, member),
                Place::Below(prefix) => enter_at(&mut self.below, prefix, member),
                Place::Others => self.enter_other(pattern, member),
            }
        }
    }

    fn enter_other(&mut self, pattern: &Pattern, member: &B::Member) {
        match self.others.get_mut(pattern.as_str()) {
            Some((_, bucket)) => bucket.enter(member),
            None => {
                let mut bucket = B::default();
                bucket.enter(member);
                let key = pattern.as_str().to_owned();
                self.others.insert_mut(key, (pattern.clone(), bucket));
            }
        }
    }

    /// Takes out a subscriber who was added with these patterns.
    pub fn remove(&mut self, patterns: &[Pattern], member: &B::Member) {
        if patterns.is_empty() {
            Arc::make_mut(&mut self.every).leave(member);
        }
        for pattern in patterns {
            match Place::of(pattern) {
                Place::Every => Arc::make_mut(&mut self.every).leave(member),
                Place::Exact(kind) => leave_at(&mut self.exact, kind, member),
                Place::Below(prefix) => leave_at(&mut self.below, prefix, member),
                Place::Others => self.leave_other(pattern.as_str(), member),
            }
        }
    }

    fn leave_other(&mut self, pattern: &str, member: &B::Member) {
        let Some((_, bucket)) = self.others.get_mut(pattern) else {
            return;
        };
        bucket.leave(member);
        if bucket.is_empty() {
            self.others.remove_mut(pattern);
        }
    }

    /// Whether nobody wants anything.
    pub fn is_empty(&self) -> bool {
        self.every.is_empty() && self.exact.is_empty() && self.below.is_empty() && self.others.is_empty()
    }

    /// Shows those who want that type, bucket by bucket; whoever wants it by several patterns comes
    /// several times.
    pub fn find<'t>(&'t self, kind: &str, mut found: impl FnMut(&'t B)) {
        // Whoever wants everything does not mean the relay's own events.
        if !event_type::is_own(kind) {
            found(&self.every);
        }
        if let Some(bucket) = self.exact.get(kind) {
            found(bucket);
        }
        if !self.below.is_empty() {
            for (at, _) in kind.match_indices('.') {
                if let Some(bucket) = self.below.get(&kind[..at]) {
                    found(bucket);
                }
            }
        }
        for (pattern, bucket) in self.others.values() {
            if pattern.matches(kind) {
                found(bucket);
            }
        }
    }
}

fn enter_at<B: Bucket>(index: &mut HashTrieMapSync<String, B>, key: &str, member: &B::Member) {
    match index.get_mut(key) {
        Some(bucket) => bucket.enter(member),
        None => {
            let mut bucket = B::default();
            bucket.enter(member);
            index.insert_mut(key.to_owned(), bucket);
        }
    }
}

fn leave_at<B: Bucket>(index: &mut HashTrieMapSync<String, B>, key: &str, member: &B::Member) {
    let Some(bucket) = index.get_mut(key) else { return };
    bucket.leave(member);
    if bucket.is_empty() {
        index.remove_mut(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERNS: [&str; 10] = [
        "*", "a", "a.*", "a.b", "a.b.*", "*.b", "a.*.c", "*.*", "ab.*", "relay.*",
    ];

    fn found(index: &TypeIndex<Vec<u32>>, kind: &str) -> Vec<u32> {
        let mut found = Vec::new();
        index.find(kind, |bucket| found.extend(bucket));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn finds_exactly_what_the_patterns_say() {
        let patterns = PATTERNS.map(|pattern| pattern.parse::<Pattern>().expect("a valid pattern"));
        let mut index = TypeIndex::<Vec<u32>>::default();
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
            assert_eq!(found(&index, kind), expected, "{kind}");
        }
    }

    #[test]
    fn what_is_taken_out_of_a_copy_is_still_in_the_original() {
        let patterns = PATTERNS.map(|pattern| pattern.parse::<Pattern>().expect("a valid pattern"));
        let mut index = TypeIndex::<Vec<u32>>::default();
        index.add(&patterns, &1);
        index.add(&[], &2);
        index.add(&patterns, &3);
        let mut copy = index.clone();
        copy.remove(&patterns, &1);
        copy.remove(&[], &2);
        for kind in ["a.b", "a.b.c", "x.b", "ab.c", "a"] {
            assert_eq!(found(&copy, kind), [3], "{kind}");
            assert_eq!(found(&index, kind), [1, 2, 3], "{kind}");
        }
        copy.remove(&patterns, &3);
        assert!(copy.is_empty() && !index.is_empty());
    }
}
