//! What goes wrong inside the store, and who is to blame.

use std::fmt::Display;

use rusqlite::ErrorCode;

use super::Error;

/// What went wrong in one job or read.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(rusqlite::Error),
    /// Something was read that was never written.
    Corrupt(String),
    /// Something is in the way for the moment.
    Unavailable(String),
}

/// Who is to blame for a failed transaction, and so what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// One of its jobs: the others may be tried without it.
    Job,
    /// The disk is full: all fail, the connection is as good as before.
    Space,
    /// The file or the connection: nothing more may be told durable through it.
    Connection,
}

impl Failure {
    /// Who is to blame.
    pub(super) fn blame(&self) -> Blame {
        let Self::Sql(error) = self else { return Blame::Job };
        if failed_to_read(error) {
            return Blame::Job;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Blame::Space,
            None
            | Some(
                ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::Unknown,
            ) => Blame::Job,
            Some(_) => Blame::Connection,
        }
    }
}

/// A place that cannot be read concerns those who need it; nothing was written yet that might
/// be half there.
fn failed_to_read(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(SQLITE_IOERR_READ | SQLITE_IOERR_SHORT_READ))
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => Self::Corrupt(error.to_string()),
            error if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                Self::Corrupt(error.to_string())
            }
            error => Self::Sql(error),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Corrupt(what) => return Self::Corrupt(what),
            Failure::Unavailable(what) => return Self::Unavailable(what),
            Failure::Sql(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Leaves out what does not read, loudly: one bad row must not hold up those behind it. It
/// stays in the store as it is.
pub(super) fn readable<T>(
    loaded: Result<Option<T>, Failure>,
    what: impl Display,
) -> Result<Option<T>, Failure> {
    match loaded {
        Err(Failure::Corrupt(problem)) => {
            tracing::error!(%problem, "{what} was left out: it does not read");
            Ok(None)
        }
        loaded => loaded,
    }
}
