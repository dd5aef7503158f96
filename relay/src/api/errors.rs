//! The one place where the API's errors become answers.

use axum::response::{IntoResponse, Response};

use crate::http::answer;
use crate::http::problem::Problem;
use crate::model::quota::Reached;
use crate::store;

/// A problem on its way out of a handler.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Problem);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        answer::problem(&self.0).map(axum::body::Body::new)
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self(of_store(&error))
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

/// What a caller is told when a tenant has as many as it may have.
pub(super) fn quota(reached: &Reached) -> Problem {
    Problem::new(403, "quota_reached", "Quota reached", reached.to_string())
}

/// Something of the relay's own went wrong.
pub(super) fn broken(why: &str) -> Failure {
    tracing::error!(why, "a request could not be answered");
    Failure(Problem::new(500, "broken", "Broken", "the relay's log says why"))
}

/// What is asked for is there but cannot be used.
pub(super) fn unusable(why: &str) -> Failure {
    Failure(Problem::new(409, "unusable", "Unusable", why))
}

/// What a caller is told when the store does not answer. The cause is for the log.
pub(crate) fn of_store(error: &store::Error) -> Problem {
    tracing::error!(%error, "a request could not be answered");
    problem(error)
}

/// The same, without a line in the log.
pub(super) fn problem(error: &store::Error) -> Problem {
    match error {
        store::Error::Unavailable(_) => Problem::new(
            503,
            "store_unavailable",
            "Store unavailable",
            "the store does not answer; try again",
        ),
        store::Error::Full(_) => Problem::new(
            503,
            "store_full",
            "Store full",
            "the store has no room; try again later",
        ),
        store::Error::Corrupt(_) | store::Error::Schema { .. } | store::Error::Sealed { .. } => Problem::new(
            500,
            "store_broken",
            "Store broken",
            "the store cannot be read; the relay's log says why",
        ),
    }
}
