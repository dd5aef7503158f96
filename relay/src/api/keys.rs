//! `/v1/keys`: who may do what in a tenant; a key is shown once, when it is made.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Manager, fresh_key, key_record};
use super::body::{self, Body};
use super::errors::{self, Failure};
use super::managed::undisturbed;
use super::page::{List, page};
use super::params::{Params, PathId};
use super::{Api, audit};
use crate::http::problem::{Flaw, Problem};
use crate::model::audit::Deed;
use crate::model::id::{KeyId, TenantId};
use crate::model::quota::Reached;
use crate::model::time::Timestamp;
use crate::store::{Key, KeyFilter, Role};

/// Longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Keys of one tenant, with those that ended in the last 30 days.
const KEYS_MAX: u64 = 10_000;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, rename, revoke))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
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
struct Shown {
    id: KeyId,
    tenant: TenantId,
    name: String,
    role: RoleWord,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl From<Key> for Shown {
    fn from(key: Key) -> Self {
        Self {
            id: key.id,
            tenant: key.tenant,
            name: key.name,
            role: key.role.into(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// What is asked of the list of keys.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
    #[param(inline)]
    role: Option<RoleWord>,
    revoked: Option<bool>,
}

/// Lists keys
///
/// Those of admins are shown to admins alone.
#[utoipa::path(get, path = "/v1/keys", params(Asked), responses((status = 200, body = List<Shown>)))]
async fn list(
    Manager(caller): Manager,
    State(api): State<Api>,
    Params(asked): Params<Asked>,
) -> Result<Json<List<Shown>>, Failure> {
    let filter = KeyFilter {
        role: asked.role.map(Role::from),
        revoked: asked.revoked,
        without_admins: caller.role != Role::Admin,
    };
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let listed = api.store.keys_of(caller.tenant, filter, page).await?;
    Ok(Json(List::of(listed, Shown::from)))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
struct New {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    role: RoleWord,
    expires_at: Option<Timestamp>,
}

/// A key just made: the only time that it is shown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = MadeKey)]
struct Made {
    #[serde(flatten)]
    shown: Shown,
    key: String,
}

/// Makes a key
#[utoipa::path(
    post,
    path = "/v1/keys",
    request_body = New,
    responses(
        (status = 201, body = Made),
        (status = 403, description = "`forbidden`, or `quota_reached`: the tenant has as many as it may have"),
        (status = 409, description = "`too_many`"),
        (status = 422, description = "`invalid_key`"),
    )
)]
async fn create(
    Manager(caller): Manager,
    State(api): State<Api>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Made>), Failure> {
    check_name(&new.name)?;
    check_role(&caller, new.role.into())?;
    let now = api.clock.now();
    if new.expires_at.is_some_and(|end| end <= now) {
        let flaw = Flaw::new("/expires_at", "invalid", "is not in the future");
        return Err(invalid("this key would never work").with_errors([flaw]).into());
    }
    let made = undisturbed(&api.clone(), make(api, caller, new, now)).await??;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn make(api: Api, caller: Caller, new: New, now: Timestamp) -> Result<Made, Failure> {
    // Held until the key is in force: two at once must not both find the last room.
    let _change = api.keys.change().await;
    check_room(&api, caller.tenant, now).await?;
    let secret = fresh_key().map_err(|_| {
        let detail = "the system has no randomness to give; try again";
        Problem::new(503, "no_randomness", "No randomness", detail)
    })?;
    let key = Key {
        tenant: caller.tenant,
        expires_at: new.expires_at,
        ..key_record(
            KeyId::from_raw(api.ids.next(now)),
            &new.name,
            new.role.into(),
            &secret,
            now,
        )
    };
    let shown = json!({"name": key.name, "role": new.role, "expires_at": key.expires_at});
    let made = (key.id, Some(key.name.as_str()));
    audit::note(&api, &caller, "key.made", made, Some(shown)).await?;
    api.store.add_key(key.clone()).await?;
    api.keys.put_in_force(&key);
    tracing::info!(by = %caller.key, key = %key.id, name = key.name, "key made");
    Ok(Made {
        shown: key.into(),
        key: secret.reveal().to_owned(),
    })
}

async fn check_room(api: &Api, tenant: TenantId, now: Timestamp) -> Result<(), Failure> {
    let count = api.store.count_keys(tenant, now).await?;
    if count.kept >= KEYS_MAX {
        let detail = format!(
            "there are {KEYS_MAX} keys, those included that ended in the last 30 days; no more may be"
        );
        return Err(Problem::new(409, "too_many", "Too many", detail).into());
    }
    let limited = api.manager.tenant(tenant);
    let max = limited.and_then(|tenant| tenant.quota.keys);
    Reached::check("keys", count.in_force, max).map_err(|reached| errors::quota(&reached).into())
}

/// A key is made for what its maker may do, and no more; an admin's is of no tenant.
fn check_role(caller: &Caller, role: Role) -> Result<(), Problem> {
    if role != Role::Admin {
        return Ok(());
    }
    if caller.role != Role::Admin {
        let detail = "only an admin makes keys for admins";
        return Err(Problem::new(403, "forbidden", "Forbidden", detail));
    }
    if caller.tenant != TenantId::DEFAULT {
        let flaw = Flaw::new("/role", "invalid", "an admin is one of all tenants");
        let problem = invalid("make the key without the header Relay-Tenant");
        return Err(problem.with_errors([flaw]));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Problem> {
    let length = name.chars().count();
    if (1..=NAME_CHARS_MAX).contains(&length) {
        return Ok(());
    }
    let problem = format!("has {length} characters; use 1 to {NAME_CHARS_MAX}");
    let flaw = Flaw::new("/name", "invalid", problem.clone());
    Err(body::bad(format!("/name {problem}")).with_errors([flaw]))
}

fn invalid(detail: &str) -> Problem {
    Problem::new(422, "invalid_key", "Invalid key", detail)
}

/// Shows a key, without the key itself
#[utoipa::path(
    get,
    path = "/v1/keys/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = Shown))
)]
async fn one(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Shown>, Failure> {
    Ok(Json(find(&api, &caller, &id).await?.into()))
}

/// A key that the caller may know of.
async fn find(api: &Api, caller: &Caller, asked: &str) -> Result<Key, Failure> {
    let unknown = || Failure(Problem::not_found(format!("there is no key {asked:?}")));
    let id: KeyId = asked.parse().map_err(|_| unknown())?;
    let found = api.store.key(caller.tenant, id).await?;
    found
        .filter(|key| caller.role == Role::Admin || key.role != Role::Admin)
        .ok_or_else(unknown)
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyName)]
struct Rename {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

/// Gives a key another name
#[utoipa::path(
    patch,
    path = "/v1/keys/{id}",
    params(("id" = String, Path)),
    request_body = Rename,
    responses((status = 200, body = Shown))
)]
async fn rename(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
    Body(Rename { name }): Body<Rename>,
) -> Result<Json<Shown>, Failure> {
    check_name(&name)?;
    let key = find(&api, &caller, &id).await?;
    let named = |name: &str| json!({"name": name}).as_object().cloned();
    let renamed = (key.id, Some(key.name.as_str()));
    let deed = Deed {
        before: named(&key.name),
        after: named(&name),
        ..audit::deed(&api, &caller, "key.renamed", renamed, None)
    };
    let (store, tenant, id, wanted) = (Arc::clone(&api.store), key.tenant, key.id, name.clone());
    undisturbed(&api, async move {
        store.note(deed).await?;
        store.rename_key(tenant, id, wanted).await
    })
    .await??;
    tracing::info!(by = %caller.key, key = %key.id, name, "key renamed");
    Ok(Json(Key { name, ..key }.into()))
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
async fn revoke(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<StatusCode, Failure> {
    let key = find(&api, &caller, &id).await?;
    let gone = (key.id, Some(key.name.as_str()));
    audit::note(&api, &caller, "key.revoked", gone, None).await?;
    let (keys, store, now) = (Arc::clone(&api.keys), Arc::clone(&api.store), api.clock.now());
    let revoked = undisturbed(&api, async move {
        let _change = keys.change().await;
        let revoked = store.revoke_key(key.tenant, key.id, now).await?;
        keys.put_out_of_force(key.id);
        Ok::<_, crate::store::Error>(revoked)
    });
    if !revoked.await?? {
        return Err(Problem::not_found(format!("there is no key {id:?} in force")).into());
    }
    tracing::info!(by = %caller.key, key = %key.id, "key revoked");
    Ok(StatusCode::NO_CONTENT)
}
