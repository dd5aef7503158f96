//! Lines for the delivery's log and the relay's own.
//!
//! ```
//! # use relay_sdk::{log, testing::{Host, event}};
//! # Host::new().run(event("a"), |_| {
//! log::info!("rendered {} rows", 3);
//! log::warn!(pointer = "/a", kept = 2, "no such value");
//! # });
//! ```
//!
//! Never log a payload or a secret: logs live longer than either should.

use crate::host;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For the author, while developing.
    Debug,
    /// For the operator.
    Info,
    /// Something is odd, the work goes on.
    Warn,
    /// Something went wrong.
    Error,
}

/// Whether a line at this level would be kept. The macros ask before they format.
pub fn enabled(level: Level) -> bool {
    host::log_enabled(level)
}

/// Writes a line with fields. The macros of this module are shorter.
pub fn write(level: Level, message: &str, fields: Vec<(String, String)>) {
    host::log(level, message, fields);
}

pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_trace as trace, __log_warn as warn,
};

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    (@ $level:expr, [$($name:ident = $value:expr,)*] $next:ident = $given:expr, $($rest:tt)+) => {
        $crate::__log!(@ $level, [$($name = $value,)* $next = $given,] $($rest)+)
    };
    (@ $level:expr, [$($name:ident = $value:expr,)*] $($message:tt)+) => {
        if $crate::log::enabled($level) {
            $crate::log::write(
                $level,
                &::std::format!($($message)+),
                ::std::vec![$((::std::stringify!($name).to_owned(), ::std::string::ToString::to_string(&$value)),)*],
            );
        }
    };
}

/// Writes a line at [`Level::Trace`].
#[doc(hidden)]
#[macro_export]
macro_rules! __log_trace {
    ($($line:tt)+) => { $crate::__log!(@ $crate::log::Level::Trace, [] $($line)+) };
}

/// Writes a line at [`Level::Debug`].
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($line:tt)+) => { $crate::__log!(@ $crate::log::Level::Debug, [] $($line)+) };
}

/// Writes a line at [`Level::Info`].
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($line:tt)+) => { $crate::__log!(@ $crate::log::Level::Info, [] $($line)+) };
}

/// Writes a line at [`Level::Warn`].
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($line:tt)+) => { $crate::__log!(@ $crate::log::Level::Warn, [] $($line)+) };
}

/// Writes a line at [`Level::Error`].
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($line:tt)+) => { $crate::__log!(@ $crate::log::Level::Error, [] $($line)+) };
}
