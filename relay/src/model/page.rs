//! Pages of a list, newest first.

/// Most entries one page may hold.
pub const LIMIT_MAX: usize = 250;
/// Entries of a page when nothing is asked.
pub const LIMIT_DEFAULT: usize = 50;

/// Which page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Entries at most, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Only entries with an id below this one: the last id of the page before.
    pub before: Option<i64>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: LIMIT_DEFAULT,
            before: None,
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// What to pass as [`Page::before`] for the next page; `None` at the end.
    pub next: Option<i64>,
}
