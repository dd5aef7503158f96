//! What goes wrong inside the store, and who is to blame.

use rusqlite::ErrorCode;

use super::Error;

/// What went wrong in one job or read.
#[derive(Debug)]
pub(super) enum Failure {
    Sql(rusqlite::Error),
    /// Something was read that was never written.
    Corrupt(String),
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

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        match error {
            Sql::FromSqlConversionFailure(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::Utf8Error(..) => Self::Corrupt(error.to_string()),
            error => Self::Sql(error),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Corrupt(what) => return Self::Corrupt(what),
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
pub(super) fn readable<T>(loaded: Result<Option<T>, Failure>, what: &str) -> Result<Option<T>, Failure> {
    match loaded {
        Err(Failure::Corrupt(problem)) => {
            tracing::error!(%problem, "{what} was left out: it does not read");
            Ok(None)
        }
        loaded => loaded,
    }
}
