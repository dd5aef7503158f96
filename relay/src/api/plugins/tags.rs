//! `/v1/plugins/{name}/tags`: names that stand for one version at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::shown::Turned;
use super::{find, refused};
use crate::api::Api;
use crate::api::auth::{Manager, Reader};
use crate::api::body::Body;
use crate::api::errors::Failure;
use crate::api::managed::undisturbed;
use crate::api::page::List;
use crate::api::params::PathId;
use crate::http::problem::{Flaw, Problem};
use crate::manage::{PluginRefused, Usable};
use crate::model::plugin::{NoPin, NoTag, Pin, Tag, Version};

/// A tag and what it stands for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = PluginTag)]
pub(super) struct ShownTag {
    /// `current`: what uses get that name nothing.
    tag: String,
    version: Version,
    /// How many definitions follow it.
    followed_by: usize,
}

impl ShownTag {
    /// Those of a plugin, the current version first.
    fn all_of(usable: &Usable) -> Vec<Self> {
        let tags = usable.tags().into_iter();
        let shown = tags.map(|(tag, version)| Self {
            followed_by: usable.followers(&tag),
            tag,
            version,
        });
        shown.collect()
    }
}

/// Lists the tags of a plugin, the current version first
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}/tags",
    params(("name" = String, Path)),
    responses((status = 200, body = List<ShownTag>))
)]
pub(super) async fn list_tags(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(name): PathId,
) -> Result<Json<List<ShownTag>>, Failure> {
    let usable = find(&api, &caller, &name).await?;
    Ok(Json(List {
        data: ShownTag::all_of(&usable),
        next_cursor: None,
    }))
}

/// What a tag is to stand for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PluginTagged)]
pub(super) struct Tagged {
    /// `sha256:` and at least twelve digits of it.
    #[schema(pattern = "^sha256:[0-9a-f]{12,64}$")]
    version: String,
}

/// Has a tag stand for a version of a plugin
///
/// Whatever follows the tag has the version at once, or, if one of them cannot be used with it, none.
/// The tag `current` is moved by promoting.
#[utoipa::path(
    put,
    path = "/v1/plugins/{name}/tags/{tag}",
    params(("name" = String, Path), ("tag" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,31}$")),
    request_body = Tagged,
    responses(
        (status = 200, description = "it was there already", body = Turned),
        (status = 201, body = Turned),
        (status = 409, description = "`ambiguous_version`, `reserved_tag` or `too_many`"),
        (status = 422, description = "`invalid_tag`, `unknown_version`, or `unusable`: who could not use it"),
    )
)]
pub(super) async fn put_tag(
    Manager(caller): Manager,
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
    Body(tagged): Body<Tagged>,
) -> Result<(StatusCode, Json<Turned>), Failure> {
    let (name, word) = named(path)?;
    let tag: Tag = word
        .parse()
        .map_err(|why: NoTag| Problem::new(422, "invalid_tag", "Invalid tag", format!("{word:?} {why}")))?;
    let pin: Pin = tagged
        .version
        .parse()
        .map_err(|why: NoPin| unknown_version(why.to_string()))?;
    let (manager, wanted, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.tag(caller.tenant, (&wanted, &tag), &pin, by).await
    });
    let done = done.await?.map_err(|why| match why {
        PluginRefused::UnknownVersion => unknown_version("is no version of this plugin".to_owned()),
        why => refused(why, &name),
    })?;
    tracing::info!(by = %caller.key, plugin = name, tag = word, version = %done.kept.version, "plugin tagged");
    let status = match done.is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(Turned::of(name, &done))))
}

/// Takes a tag of a plugin away that nobody follows
#[utoipa::path(
    delete,
    path = "/v1/plugins/{name}/tags/{tag}",
    params(("name" = String, Path), ("tag" = String, Path, pattern = "^[A-Za-z][A-Za-z0-9_-]{0,31}$")),
    responses(
        (status = 204, description = "taken away"),
        (status = 409, description = "`version_in_use`: definitions follow it; `reserved_tag`"),
    )
)]
pub(super) async fn delete_tag(
    Manager(caller): Manager,
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, Failure> {
    let (name, word) = named(path)?;
    let tag: Tag = word
        .parse()
        .map_err(|_| refused(PluginRefused::UnknownTag, &name))?;
    let (manager, wanted, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.untag(caller.tenant, &wanted, &tag, by).await
    });
    done.await?.map_err(|why| refused(why, &name))?;
    tracing::info!(by = %caller.key, plugin = name, tag = word, "tag of a plugin taken away");
    Ok(StatusCode::NO_CONTENT)
}

fn named(path: Result<Path<(String, String)>, PathRejection>) -> Result<(String, String), Failure> {
    let Path(named) = path.map_err(|error| Problem::new(400, "bad_path", "Bad path", error.body_text()))?;
    Ok(named)
}

/// A version in a body that the plugin does not have.
pub(super) fn unknown_version(why: String) -> Failure {
    let problem = Problem::new(422, "unknown_version", "Unknown version", "see each error");
    Failure(problem.with_errors([Flaw::new("/version", "invalid", why)]))
}
