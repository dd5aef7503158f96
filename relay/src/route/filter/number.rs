//! Numbers compared as numbers: whole ones exactly, others as floating point.

use std::cmp::Ordering;

/// A number of a pattern or an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Other(f64),
}

impl Number {
    /// The number of a pattern.
    pub(super) fn of(number: &serde_json::Number) -> Option<Self> {
        let whole = number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from));
        whole
            .map(Self::Whole)
            .or_else(|| number.as_f64().map(Self::Other))
    }

    /// How the two compare; `None` only for what is no number.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.as_float().partial_cmp(&b.as_float()),
        }
    }

    pub(super) const fn as_float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Other(number) => number,
        }
    }
}

/// One comparison of a `numeric` chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) comparison: Comparison,
    pub(super) limit: Number,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// What the operators are called.
    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("=", Self::Equal),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
    ];
}

impl Bound {
    pub(super) fn holds(self, number: Number) -> bool {
        let Some(ordering) = number.compare(self.limit) else {
            return false;
        };
        match self.comparison {
            Comparison::Equal => ordering.is_eq(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
