//! `/v1/plugins`: the plugins that a tenant can use, and the versions of those that it has uploaded.

mod run;
mod shown;
mod tags;
mod rollout;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::{Caller, Manager, Reader};
use super::body::Body;
use super::errors::{self, Failure};
use super::idempotency::unreadable;
use super::managed::undisturbed;
use super::page::List;
use super::params::PathId;
use crate::http::problem::{Flaw, Problem};
use crate::manage::{PluginRefused, Usable, User};
use crate::model::plugin::{NoPin, Pin};
use crate::model::publisher::Signatures;
use crate::plugins::{BindError, COMPONENT_BYTES_MAX, LoadError, Place};
use shown::{Inspected, Shown, ShownVersion, Turned};

/// The media type of a component.
const WASM: &str = "application/wasm";
/// How long an upload may wait until it is compiled.
const COMPILE_MAX: Duration = Duration::from_secs(120);

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(versions, upload))
        .routes(routes!(component, delete))
        .routes(routes!(promote))
        .routes(routes!(run::run))
        .routes(routes!(roll_back))
        .routes(routes!(tags::list_tags))
        .routes(routes!(tags::put_tag, tags::delete_tag))
        .routes(routes!(
            rollout::begin_rollout,
            rollout::show_rollout,
            rollout::abort_rollout
        ))
        .routes(routes!(rollout::promote_rollout))
}

/// How large a body to that path may be whatever is usual, and for how much more than the body its
/// sender may wait.
pub(crate) fn allowance(path: &str) -> (usize, Duration) {
    let is_upload = path.starts_with("/v1/plugins/") && path.ends_with("/versions");
    match is_upload {
        true => (COMPONENT_BYTES_MAX, COMPILE_MAX),
        false => (0, Duration::ZERO),
    }
}

// ---- asking ----------------------------------------------------------------------------

/// Lists every plugin that the tenant can use, by name
///
/// Those that come with the relay, those of the operator's folder, and those that the tenant has
/// uploaded; all of them at once.
#[utoipa::path(get, path = "/v1/plugins", responses((status = 200, body = List<Shown>)))]
async fn list(Reader(caller): Reader, State(api): State<Api>) -> Result<Json<List<Shown>>, Failure> {
    let usable = api.manager.plugins(caller.tenant).await?;
    Ok(Json(List {
        data: usable.into_iter().map(Shown::of).collect(),
        next_cursor: None,
    }))
}

/// Shows a plugin: its configuration, its versions, who uses it
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}",
    params(("name" = String, Path)),
    responses((status = 200, body = Inspected))
)]
async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(name): PathId,
) -> Result<Json<Inspected>, Failure> {
    let usable = find(&api, &caller, &name).await?;
    Ok(Json(Inspected::of(usable)))
}

/// Lists the versions of a plugin, newest first
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}/versions",
    params(("name" = String, Path)),
    responses((status = 200, body = List<ShownVersion>))
)]
async fn versions(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(name): PathId,
) -> Result<Json<List<ShownVersion>>, Failure> {
    let usable = find(&api, &caller, &name).await?;
    Ok(Json(List {
        data: ShownVersion::all_of(&usable),
        next_cursor: None,
    }))
}

/// Gives the component that a version of a plugin is
///
/// Of a plugin that comes with the relay, or is in the operator's folder, there is the one version
/// that it has now.
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}/versions/{version}",
    params(
        ("name" = String, Path),
        ("version" = String, Path, pattern = "^sha256:[0-9a-f]{12,64}$"),
    ),
    responses(
        (status = 200, body = [u8], content_type = "application/wasm"),
        (status = 409, description = "`ambiguous_version`"),
        (status = 422, description = "`unusable_component`: it cannot be read"),
    )
)]
async fn component(
    Reader(caller): Reader,
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Failure> {
    let (name, pin) = named(path)?;
    let component = api.manager.component(caller.tenant, &name, Some(&pin)).await;
    let component = component.map_err(|why| refused(why, &name))?;
    let headers = [
        (header::CONTENT_TYPE, WASM),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_DISPOSITION, "attachment"),
    ];
    Ok((headers, component).into_response())
}

/// A plugin's name, and the version that is meant.
fn named(path: Result<Path<(String, String)>, PathRejection>) -> Result<(String, Pin), Failure> {
    let Path((name, version)) =
        path.map_err(|error| Problem::new(400, "bad_path", "Bad path", error.body_text()))?;
    let pin = version
        .parse()
        .map_err(|why: NoPin| Problem::not_found(format!("{version:?} {why}")))?;
    Ok((name, pin))
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<Usable, Failure> {
    let found = api.manager.plugin(caller.tenant, name).await?;
    found.ok_or_else(|| refused(PluginRefused::UnknownPlugin, name))
}

// ---- changing --------------------------------------------------------------------------

/// The bytes of a component, and who vouches for it.
struct Component(Bytes, Option<Signatures>);

/// The header in which signatures of a component come.
const SIGNATURE: &str = "relay-signature";

impl FromRequest<Api> for Component {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Api) -> Result<Self, Failure> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let essence = content_type.and_then(|value| value.to_str().ok()?.split(';').next());
        if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(WASM)) {
            let detail = format!("send the component's bytes as {WASM}");
            return Err(Problem::new(415, "unsupported_media_type", "Unsupported media type", detail).into());
        }
        let signatures = request.headers().get(SIGNATURE).map(|value| {
            let text = value.to_str().unwrap_or_default();
            text.parse::<Signatures>().map_err(|why| {
                let detail = format!("the header {SIGNATURE} {why}");
                Problem::new(422, "invalid_signature", "Invalid signature", detail)
            })
        });
        let signatures = signatures.transpose()?;
        let body = http_body_util::Limited::new(request.into_body(), COMPONENT_BYTES_MAX);
        let read = body.collect().await.map_err(|error| unreadable(&*error))?;
        Ok(Self(read.to_bytes(), signatures))
    }
}

/// Uploads a version of a plugin
///
/// The component is read and compiled before it is kept; nothing of it is run. The first version of a
/// name is current at once, later ones when they are promoted. A version that is there already is
/// answered with 200. `relay-signature` has the signatures of publishers, in base64: they are kept
/// with the version, also if it was there already.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/versions",
    params(("name" = String, Path), ("relay-signature" = Option<String>, Header)),
    request_body(content = [u8], content_type = "application/wasm"),
    responses(
        (status = 200, description = "it was there already", body = Turned),
        (status = 201, body = Turned),
        (status = 409, description = "`reserved_name`, `upload_in_progress` or `too_many`"),
        (status = 413, description = "`body_too_large`: a component has at most 24 MiB"),
        (status = 415, description = "`unsupported_media_type`"),
        (status = 422, description = "`unusable_component`, `unusable`, `invalid_name`, `invalid_signature`, or \
            `untrusted`: nobody has signed it whose plugins are taken"),
    )
)]
async fn upload(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(name): PathId,
    Component(component, signatures): Component,
) -> Result<(StatusCode, Json<Turned>), Failure> {
    let (manager, wanted, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager
            .upload(caller.tenant, &wanted, component, signatures, by)
            .await
    });
    let done = done.await?.map_err(|why| refused(why, &name))?;
    let status = match done.is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    tracing::info!(by = %caller.key, plugin = name, version = %done.kept.version, is_new = done.is_new, "plugin uploaded");
    Ok((status, Json(Turned::of(name, &done))))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PluginPromotion)]
struct Promotion {
    /// `sha256:` and at least twelve digits of it.
    #[schema(pattern = "^sha256:[0-9a-f]{12,64}$")]
    version: String,
}

/// Makes a version of a plugin current
///
/// Whatever follows the plugin's name has it at once, or, if one of them cannot be used with it, none.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/promote",
    params(("name" = String, Path)),
    request_body = Promotion,
    responses(
        (status = 200, body = Turned),
        (status = 409, description = "`ambiguous_version`"),
        (status = 422, description = "`unknown_version`, or `unusable`: who could not use it"),
    )
)]
async fn promote(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(name): PathId,
    Body(promotion): Body<Promotion>,
) -> Result<Json<Turned>, Failure> {
    let unknown = tags::unknown_version;
    let pin: Pin = promotion
        .version
        .parse()
        .map_err(|why: NoPin| unknown(why.to_string()))?;
    let (manager, wanted, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.promote(caller.tenant, &wanted, &pin, by).await
    });
    let done = done.await?.map_err(|why| match why {
        PluginRefused::UnknownVersion => unknown("is no version of this plugin".to_owned()),
        why => refused(why, &name),
    })?;
    tracing::info!(by = %caller.key, plugin = name, version = %done.kept.version, "plugin promoted");
    Ok(Json(Turned::of(name, &done)))
}

/// Makes the version of a plugin current again that was so before
///
/// As promoting it would, but for that a second rollback goes one more step back.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/rollback",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Turned),
        (status = 409, description = "`nothing_before`: no other version was current"),
        (status = 422, description = "`unusable`: who could not use it"),
    )
)]
async fn roll_back(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(name): PathId,
) -> Result<Json<Turned>, Failure> {
    let (manager, wanted, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.roll_back(caller.tenant, &wanted, by).await
    });
    let done = done.await?.map_err(|why| refused(why, &name))?;
    tracing::info!(by = %caller.key, plugin = name, version = %done.kept.version, "plugin rolled back");
    Ok(Json(Turned::of(name, &done)))
}

/// Deletes a version of a plugin that nobody uses
///
/// With the last version goes the plugin.
#[utoipa::path(
    delete,
    path = "/v1/plugins/{name}/versions/{version}",
    params(
        ("name" = String, Path),
        ("version" = String, Path, pattern = "^sha256:[0-9a-f]{12,64}$"),
    ),
    responses(
        (status = 204, description = "deleted"),
        (status = 409, description = "`version_in_use`: it is current, or tagged, or definitions name it; \
            `rollout_under_way` or `ambiguous_version`"),
    )
)]
async fn delete(
    Manager(caller): Manager,
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<StatusCode, Failure> {
    let (name, pin) = named(path)?;
    let version = pin.to_string();
    let (manager, wanted, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.delete_version(caller.tenant, &wanted, &pin, by).await
    });
    done.await?.map_err(|why| refused(why, &name))?;
    tracing::info!(by = %caller.key, plugin = name, version, "version of a plugin deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// The one place where a refusal of the manager becomes an answer.
fn refused(why: PluginRefused, name: &str) -> Failure {
    Failure(match why {
        PluginRefused::Name => {
            let detail = "a plugin's name has 1 to 64 letters, digits, `-`, `_` and `.`";
            Problem::new(422, "invalid_name", "Invalid name", detail)
        }
        PluginRefused::Reserved(place) => {
            let whose = match place {
                Place::Stock => "comes with the relay",
                Place::Folder => "is in the operator's plugin folder",
            };
            let detail = format!("a plugin {name:?} {whose}; choose another name");
            Problem::new(409, "reserved_name", "Reserved name", detail)
        }
        PluginRefused::Component(BindError::Load {
            reason: reason @ LoadError::TooLarge { .. },
            ..
        }) => Problem::new(413, "body_too_large", "Body too large", format!("it {reason}")),
        PluginRefused::Component(error) => {
            Problem::new(422, "unusable_component", "Unusable component", error.to_string())
        }
        PluginRefused::Unusable(faults) => {
            let flaws = faults.iter().map(|fault| Flaw::new("", "unusable", fault));
            let detail = "it stays as it is, for not all who follow it could use this version";
            Problem::new(422, "unusable", "Unusable", detail).with_errors(flaws)
        }
        PluginRefused::UnknownPlugin => Problem::not_found(format!("there is no plugin {name:?}")),
        PluginRefused::UnknownVersion => {
            Problem::not_found(format!("the plugin {name:?} has no such version"))
        }
        PluginRefused::Ambiguous => Problem::new(
            409,
            "ambiguous_version",
            "Ambiguous version",
            "several versions begin so; say more of it",
        ),
        PluginRefused::NothingBefore => Problem::new(
            409,
            "nothing_before",
            "Nothing before",
            format!("no other version of the plugin {name:?} was current before"),
        ),
        PluginRefused::InUse(users) => Problem::new(409, "version_in_use", "Version in use", in_use(&users)),
        PluginRefused::Untrusted(why) => {
            Problem::new(422, "untrusted", "Untrusted", format!("the component {why}"))
        }
        PluginRefused::UnknownTag => Problem::not_found(format!("the plugin {name:?} has no such tag")),
        PluginRefused::ReservedTag => Problem::new(
            409,
            "reserved_tag",
            "Reserved tag",
            "`current` is the version in use; promote another, or roll back",
        ),
        PluginRefused::Tagged(tag) => {
            let detail = format!("the tag {tag} stands for it; move the tag first");
            Problem::new(409, "version_in_use", "Version in use", detail)
        }
        PluginRefused::RollingOut => Problem::new(
            409,
            "rollout_under_way",
            "Roll-out under way",
            "a version of this plugin is being rolled out; promote or end that first",
        ),
        PluginRefused::NoRollout => {
            Problem::not_found(format!("no version of the plugin {name:?} is being rolled out"))
        }
        PluginRefused::SameVersion => Problem::new(
            409,
            "same_version",
            "Same version",
            "it is current already; there is nothing to try",
        ),
        PluginRefused::Busy => Problem::new(
            409,
            "upload_in_progress",
            "Upload in progress",
            "another component of this tenant is being compiled; try again",
        ),
        PluginRefused::TooMany(max, of) => Problem::new(
            409,
            "too_many",
            "Too many",
            format!("there may be {max} {of}; delete versions that nobody uses"),
        ),
        PluginRefused::Store(error) => errors::of_store(&error),
    })
}

/// Users that are named in one sentence.
const NAMED_MAX: usize = 10;

fn in_use(users: &[User]) -> String {
    if users.is_empty() {
        return "it is current; promote another version first".to_owned();
    }
    let named = users.iter().take(NAMED_MAX);
    let named: Vec<_> = named
        .map(|user| format!("{} {}", user.kind.word(), user.name))
        .collect();
    let more = match users.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("it is used by {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_may_be_large_and_late() {
        let usual = (0, Duration::ZERO);
        for path in [
            "/v1/plugins",
            "/v1/plugins/tidy",
            "/v1/plugins/tidy/promote",
            "/v1/plugins/tidy/versions/sha256:00",
            "/v1/events",
            "/in/versions",
        ] {
            assert_eq!(allowance(path), usual, "{path}");
        }
        let upload = allowance("/v1/plugins/tidy/versions");
        assert_eq!(upload, (COMPONENT_BYTES_MAX, COMPILE_MAX));
    }
}
