//! `limit` and `cursor`, and the shape of a list.

use serde::Serialize;

use super::errors::Failure;
use crate::http::problem::Problem;
use crate::model::page::{LIMIT_DEFAULT, LIMIT_MAX, Listed, Page};
use crate::model::time::Timestamp;

/// Reads the page asked for. Cursors are the answers' own `next_cursor`.
pub(super) fn page(limit: Option<&str>, cursor: Option<&str>) -> Result<Page, Failure> {
    let limit = match limit {
        None => LIMIT_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| bad("limit", format!("is {text:?}; use 1 to {LIMIT_MAX}")))?,
    };
    let before = match cursor {
        None => None,
        Some(text) => Some(
            Some(text)
                .filter(|text| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
                .and_then(|text| i64::from_str_radix(text, 16).ok())
                .ok_or_else(|| {
                    bad(
                        "cursor",
                        "is none; pass on `next_cursor` of the page before".to_owned(),
                    )
                })?,
        ),
    };
    Ok(Page { limit, before })
}

/// Reads an optional parameter.
pub(super) fn parameter<T: std::str::FromStr>(
    name: &str,
    text: Option<&str>,
    wanted: &str,
) -> Result<Option<T>, Failure> {
    text.map(|text| {
        text.parse()
            .map_err(|_| bad(name, format!("is {text:?}; {wanted}")))
    })
    .transpose()
}

/// Reads an optional time.
pub(super) fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    parameter(name, text, "use a time such as 2026-01-31T15:00:00Z")
}

pub(super) fn bad(name: &str, problem: String) -> Failure {
    Failure(Problem::new(
        400,
        "bad_parameter",
        "Bad parameter",
        format!("the parameter {name} {problem}"),
    ))
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    /// Passed on as `cursor` it gives the next page; `null` at the end.
    pub(super) next_cursor: Option<String>,
}

impl<T> List<T> {
    /// Shows each entry of a page.
    pub(super) fn of<U>(listed: Listed<U>, show: impl FnMut(U) -> T) -> Self {
        Self {
            data: listed.items.into_iter().map(show).collect(),
            next_cursor: listed.next.map(|raw| format!("{raw:x}")),
        }
    }
}
