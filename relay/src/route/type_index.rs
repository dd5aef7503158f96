//! Finds the subscriptions to an event type without going through all of them.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::model::event_type::{self, Pattern};

/// Positions of subscribers in their table.
pub type Positions = SmallVec<[u32; 16]>;

/// Who wants which event types.
#[derive(Debug, Default)]
pub struct TypeIndex {
    /// Those who want every type.
    every: Vec<u32>,
    /// By the one type they want.
    exact: HashMap<String, Vec<u32>>,
    /// By what stands before `.*`, where that is the only star.
    below: HashMap<String, Vec<u32>>,
    /// Patterns with a star elsewhere; these are tried one by one.
    others: Vec<(Pattern, u32)>,
}

impl TypeIndex {
    /// Adds a subscriber to these patterns; none at all are a subscription to everything.
    pub fn add(&mut self, patterns: &[Pattern], position: u32) {
        if patterns.is_empty() {
            self.every.push(position);
        }
        for pattern in patterns {
            match pattern.as_str().strip_suffix(".*") {
                _ if pattern.as_str() == "*" => self.every.push(position),
                _ if pattern.exact().is_some() => push(&mut self.exact, pattern.as_str(), position),
                Some(prefix) if !prefix.contains('*') => push(&mut self.below, prefix, position),
                _ => self.others.push((pattern.clone(), position)),
            }
        }
    }

    /// Appends who wants that type; whoever wants it by several patterns comes several times.
    pub fn find(&self, kind: &str, found: &mut Positions) {
        // Whoever wants everything does not mean the relay's own events.
        if !event_type::is_own(kind) {
            found.extend_from_slice(&self.every);
        }
        extend(found, self.exact.get(kind));
        if !self.below.is_empty() {
            for (at, _) in kind.match_indices('.') {
                extend(found, self.below.get(&kind[..at]));
            }
        }
        let fits = self.others.iter().filter(|(pattern, _)| pattern.matches(kind));
        found.extend(fits.map(|(_, position)| *position));
    }
}

fn push(index: &mut HashMap<String, Vec<u32>>, key: &str, position: u32) {
    index.entry(key.to_owned()).or_default().push(position);
}

fn extend(found: &mut Positions, more: Option<&Vec<u32>>) {
    if let Some(more) = more {
        found.extend_from_slice(more);
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
        for (position, pattern) in (0..).zip(&patterns) {
            index.add(std::slice::from_ref(pattern), position);
        }
        for kind in [
            "a", "b", "a.b", "a.b.c", "a.x.c", "ab.c", "x.b", "a.b.c.d", "relay.b",
        ] {
            let mut found = Positions::new();
            index.find(kind, &mut found);
            found.sort_unstable();
            let expected: Vec<u32> = (0..)
                .zip(&patterns)
                .filter(|(_, pattern)| pattern.matches(kind))
                .map(|(at, _)| at)
                .collect();
            assert_eq!(found.as_slice(), expected, "{kind}");
        }
    }
}
