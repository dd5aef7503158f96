//! `/v1/keys`: made, listed and revoked by an admin.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Admin, fresh_key, key_record};
use super::errors::{self, Failure};
use super::params::PathId;
use crate::http::problem::Problem;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;
use crate::store::{Key, Role};

/// Longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 100;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
enum RoleWord {
    Admin,
    Manage,
    Send,
    Read,
}

impl From<Role> for RoleWord {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Manage => Self::Manage,
            Role::Send => Self::Send,
            Role::Read => Self::Read,
        }
    }
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Admin => Self::Admin,
            RoleWord::Manage => Self::Manage,
            RoleWord::Send => Self::Send,
            RoleWord::Read => Self::Read,
        }
    }
}

/// A key without the key itself.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Key)]
pub(super) struct Shown {
    id: KeyId,
    name: String,
    role: RoleWord,
    created_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct KeyList {
    data: Vec<Shown>,
}

/// Lists every key, oldest first
#[utoipa::path(get, path = "/v1/keys", responses((status = 200, body = KeyList)))]
pub(super) async fn list(_: Admin, State(api): State<Api>) -> Result<Json<KeyList>, Failure> {
    let keys = api.store.keys().await?;
    Ok(Json(KeyList {
        data: keys.into_iter().map(show).collect(),
    }))
}

fn show(key: Key) -> Shown {
    Shown {
        id: key.id,
        name: key.name,
        role: key.role.into(),
        created_at: key.created_at,
        revoked_at: key.revoked_at,
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
pub(super) struct New {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    role: RoleWord,
}

/// A key just made: the only time that it is shown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = MadeKey)]
pub(super) struct Made {
    #[serde(flatten)]
    shown: Shown,
    key: String,
}

/// Makes a key
#[utoipa::path(post, path = "/v1/keys", request_body = New, responses((status = 201, body = Made)))]
pub(super) async fn create(
    Admin(caller): Admin,
    State(api): State<Api>,
    new: Result<Json<New>, axum::extract::rejection::JsonRejection>,
) -> Result<(StatusCode, Json<Made>), Failure> {
    let Json(new) = new.map_err(|error| errors::of_body(&error))?;
    let length = new.name.chars().count();
    if !(1..=NAME_CHARS_MAX).contains(&length) {
        let detail = format!("the name has {length} characters; use 1 to {NAME_CHARS_MAX}");
        return Err(Problem::new(400, "bad_body", "Bad body", detail).into());
    }
    let now = api.clock.now();
    let secret = fresh_key().map_err(|_| {
        Problem::new(
            503,
            "no_randomness",
            "No randomness",
            "the system has no randomness to give; try again",
        )
    })?;
    let key = key_record(
        KeyId::from_raw(api.ids.next(now)),
        &new.name,
        new.role.into(),
        &secret,
        now,
    );
    api.store.add_key(key.clone()).await?;
    tracing::info!(by = %caller.key, key = %key.id, name = key.name, "key made");
    api.keys.refresh(api.store.as_ref()).await?;
    Ok((
        StatusCode::CREATED,
        Json(Made {
            shown: show(key),
            key: secret.reveal().to_owned(),
        }),
    ))
}

/// Revokes a key
///
/// It stops working at once.
#[utoipa::path(
    delete,
    path = "/v1/keys/{id}",
    params(("id" = String, Path)),
    responses((status = 204, description = "revoked"))
)]
pub(super) async fn revoke(
    Admin(caller): Admin,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<StatusCode, Failure> {
    let unknown = || Failure(Problem::not_found(format!("there is no key {id:?} in force")));
    let parsed: KeyId = id.parse().map_err(|_| unknown())?;
    if !api.store.revoke_key(parsed, api.clock.now()).await? {
        return Err(unknown());
    }
    tracing::info!(by = %caller.key, key = %parsed, "key revoked");
    api.keys.refresh(api.store.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}
