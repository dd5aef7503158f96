//! What stands in a URL: what is malformed or unknown there is a problem like any other.

use axum::extract::{FromRequestParts, Path, Query};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::{Api, Failure};
use crate::http::problem::Problem;

/// The parameters of a request.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, api).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(Problem::new(400, "bad_parameter", "Bad parameter", error.body_text()).into()),
        }
    }
}

/// The id or name at the end of a path.
pub(super) struct PathId(pub(super) String);

impl FromRequestParts<Api> for PathId {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, api).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(error) => Err(Problem::new(400, "bad_path", "Bad path", error.body_text()).into()),
        }
    }
}
