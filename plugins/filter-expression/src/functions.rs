//! The functions that expressions may call: those of CEL, and what it has no small code for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use cel::common::types::{CelBool, CelInt, CelString};
use cel::{Env, ExecutionError};
use regex_lite::{Regex, RegexBuilder};
use relay_sdk::time::Time;

/// Every function there is.
pub(crate) const KNOWN: [&str; 14] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bool",
    "bytes",
    "type",
    "dyn",
    "unix",
];
/// Largest compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 256 << 10;
/// Compiled regular expressions that are kept; most expressions have one, written in them.
const REGEXES_MAX: usize = 16;

thread_local! {
    static REGEXES: RefCell<HashMap<String, Rc<Regex>>> = RefCell::default();
}

/// The standard environment with `matches` and `unix`.
///
/// CEL's own `matches` would bring a megabyte of Unicode tables and compile its expression on
/// every call; this one has the syntax of `regex-lite`: RE2's without Unicode classes. Its
/// times would bring another megabyte of time zones.
pub(crate) fn env() -> Env {
    let mut env = Env::stdlib();
    let declared = [
        cel::add_overload!(env, fn matches: (CelString<'_>, CelString<'_>) -> Result<CelBool>),
        cel::add_member_overload!(env, fn matches: (CelString<'_>, CelString<'_>) -> Result<CelBool>),
        cel::add_overload!(env, fn unix: (CelString<'_>) -> Result<CelInt>),
    ];
    assert!(declared.iter().all(Result::is_ok), "no name is taken");
    env
}

fn matches(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let regex = compiled(pattern.inner()).map_err(|error| {
        ExecutionError::function_error("matches", format!("has no regular expression: {error}"))
    })?;
    Ok(CelBool::from(regex.is_match(text.inner())))
}

fn compiled(pattern: &str) -> Result<Rc<Regex>, regex_lite::Error> {
    REGEXES.with_borrow_mut(|known| {
        if let Some(regex) = known.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = Rc::new(RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build()?);
        if known.len() >= REGEXES_MAX {
            known.clear();
        }
        known.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    })
}

/// Seconds since 1970 of a time in RFC 3339.
fn unix(text: &CelString<'_>) -> Result<CelInt, ExecutionError> {
    let time = Time::parse(text.inner())
        .ok_or_else(|| ExecutionError::function_error("unix", "was given something else than a time"))?;
    Ok(CelInt::from(time.unix_seconds()))
}
