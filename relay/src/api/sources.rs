//! `/v1/sources`: the doors where senders post.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use http::StatusCode;

use super::Api;
use super::auth::{Manager, Reader};
use super::errors::Failure;
use super::managed::{self, Asked, Keys, Patch, Shown};
use super::page::List;
use super::params::{Params, PathId};
use crate::manage::{Entry, Write};
use crate::model::resource::Kind;

const KIND: Kind = Kind::Source;

/// With the path that nobody guesses beside the one that everybody may know.
fn show(entry: &Entry) -> Shown {
    let mut shown = Shown::of(entry);
    let id = crate::model::id::SourceId::from_raw(entry.resource.id);
    shown.set("path", format!("/in/{id}").into());
    shown
}

pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    managed::list(&api, &caller, KIND, asked, show).await
}

pub(super) async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    managed::create(&api, &caller, KIND, keys, show).await
}

pub(super) async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    Ok(managed::one(&*managed::find(&api, &caller, KIND, &id)?, show))
}

pub(super) async fn replace(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Keys(keys): Keys,
) -> Result<Response, Failure> {
    let write = Write::Replace(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show).await
}

pub(super) async fn patch(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
    Patch(keys): Patch,
) -> Result<Response, Failure> {
    let write = Write::Patch(keys);
    managed::change(&api, &caller, (KIND, &id), &headers, write, show).await
}

pub(super) async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<StatusCode, Failure> {
    managed::delete(&api, &caller, (KIND, &id), &headers).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn restore(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Response, Failure> {
    managed::restore(&api, &caller, (KIND, &id), show).await
}
