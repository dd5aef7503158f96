//! `/v1/plugins/{name}/rollout`: a version is tried before it becomes current.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::refused;
use super::shown::Turned;
use super::tags::unknown_version;
use crate::api::Api;
use crate::api::auth::{Manager, Reader};
use crate::api::body::Body;
use crate::api::errors::Failure;
use crate::api::managed::undisturbed;
use crate::api::params::PathId;
use crate::http::problem::{Flaw, Problem};
use crate::manage::{PluginRefused, UnderWay, WantedRollout};
use crate::model::id::KeyId;
use crate::model::plugin::{NoPin, Pin, Version};
use crate::model::rollout::{FAULT_RATE_MAX, MIN_CALLS, MIN_CALLS_MAX, Mode, Rollout, WINDOW, WINDOW_MAX};
use crate::model::time::{Timestamp, parse_duration};
use crate::plugins::rollout::Counted;

/// A roll-out that is wanted.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRollout)]
pub(super) struct Asked {
    /// `sha256:` and at least twelve digits of it.
    #[schema(pattern = "^sha256:[0-9a-f]{12,64}$")]
    version: String,
    mode: Mode,
    /// Of the deliveries; without it, all are compared, or a tenth is delivered with it.
    #[schema(minimum = 1, maximum = 100)]
    percent: Option<u8>,
    /// The share of its calls that may break before it is taken back.
    #[schema(minimum = 0, maximum = 1, default = 0.05)]
    fault_rate_max: Option<f64>,
    /// Calls that are looked at together, the last ones; with fewer it is not taken back.
    #[schema(minimum = 1, maximum = 10_000, default = 50)]
    min_calls: Option<u32>,
    /// For how long it is watched once it was promoted, such as `10m`; `0s`: not at all.
    #[schema(default = "10m")]
    window: Option<String>,
}

/// A roll-out under way.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Rollout)]
pub(super) struct Shown {
    /// The candidate.
    version: Version,
    /// What it is to replace, or has replaced.
    before: Version,
    mode: Mode,
    percent: u8,
    fault_rate_max: f64,
    min_calls: u32,
    window: String,
    begun_at: Timestamp,
    /// The key that it was begun with.
    begun_by: Option<KeyId>,
    /// When the candidate became current; `null`: it has not.
    promoted_at: Option<Timestamp>,
    /// Until when it is taken back if it fails; `null`: it was not promoted yet.
    watched_until: Option<Timestamp>,
}

impl Shown {
    pub(super) fn of(rollout: &Rollout, before: Version) -> Self {
        Self {
            version: rollout.version,
            before,
            mode: rollout.mode,
            percent: rollout.percent,
            fault_rate_max: rollout.fault_rate_max,
            min_calls: rollout.min_calls,
            window: format!("{}s", rollout.window_s),
            begun_at: rollout.begun_at,
            begun_by: rollout.begun_by,
            promoted_at: rollout.promoted.map(|promoted| promoted.at),
            watched_until: rollout.promoted.map(|promoted| promoted.until),
        }
    }
}

/// A roll-out, with what it has shown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = RolloutUnderWay)]
pub(super) struct Standing {
    name: String,
    #[serde(flatten)]
    rollout: Shown,
    /// `null`: nobody follows the plugin.
    counted: Option<Counted>,
}

impl Standing {
    fn of(name: String, under_way: UnderWay) -> Self {
        Self {
            name,
            rollout: Shown::of(&under_way.rollout, under_way.before),
            counted: under_way.counted,
        }
    }
}

/// Begins to try a version of a plugin
///
/// With `shadow` it runs beside the version in use, on the same events, and what it makes of them is
/// compared and not used. With `canary` it has a share of the deliveries, chosen by the delivery's id.
/// It concerns the endpoints that follow what is current.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/rollout",
    params(("name" = String, Path)),
    request_body = Asked,
    responses(
        (status = 201, body = Standing),
        (status = 409, description = "`rollout_under_way`, `same_version`: it is current; `ambiguous_version`"),
        (status = 422, description = "`invalid_rollout`, `unknown_version`, or `unusable`: who could not use it"),
    )
)]
pub(super) async fn begin_rollout(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(name): PathId,
    Body(asked): Body<Asked>,
) -> Result<(StatusCode, Json<Standing>), Failure> {
    let wanted = wanted(&asked)?;
    let (manager, plugin, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.begin_rollout(caller.tenant, &plugin, &wanted, by).await
    });
    let done = done.await?.map_err(|why| match why {
        PluginRefused::UnknownVersion => unknown_version("is no version of this plugin".to_owned()),
        why => refused(why, &name),
    })?;
    let (version, mode) = (done.rollout.version, asked.mode.word());
    tracing::info!(by = %caller.key, plugin = name, %version, mode, "roll-out begun");
    Ok((StatusCode::CREATED, Json(Standing::of(name, done))))
}

fn wanted(asked: &Asked) -> Result<WantedRollout, Failure> {
    let version: Pin = asked
        .version
        .parse()
        .map_err(|why: NoPin| unknown_version(why.to_string()))?;
    let percent = asked.percent.unwrap_or(match asked.mode {
        Mode::Shadow => 100,
        Mode::Canary => 10,
    });
    let fault_rate_max = asked.fault_rate_max.unwrap_or(FAULT_RATE_MAX);
    let min_calls = asked.min_calls.unwrap_or(MIN_CALLS);
    let window: Option<Duration> = match &asked.window {
        None => Some(WINDOW),
        Some(text) => parse_duration(text).filter(|window| *window <= WINDOW_MAX),
    };
    let flaws = [
        (
            (1..=100).contains(&percent),
            "/percent",
            "is no number from 1 to 100",
        ),
        (
            (0.0..=1.0).contains(&fault_rate_max),
            "/fault_rate_max",
            "is no share from 0 to 1",
        ),
        (
            (1..=MIN_CALLS_MAX).contains(&min_calls),
            "/min_calls",
            "is no number from 1 to 10000",
        ),
        (
            window.is_some(),
            "/window",
            "is no span of time up to 7d, such as 10m",
        ),
    ];
    let flaws: Vec<_> = flaws
        .into_iter()
        .filter(|(is_fine, ..)| !is_fine)
        .map(|(_, at, why)| Flaw::new(at, "invalid", why))
        .collect();
    match window {
        Some(window) if flaws.is_empty() => Ok(WantedRollout {
            version,
            mode: asked.mode,
            percent,
            fault_rate_max,
            min_calls,
            window,
        }),
        _ => {
            let problem = Problem::new(422, "invalid_rollout", "Invalid roll-out", "see each error");
            Err(Failure(problem.with_errors(flaws)))
        }
    }
}

/// Shows the roll-out of a plugin that is under way, with what was counted and what differed
///
/// It is counted since the relay began, and in its memory.
#[utoipa::path(
    get,
    path = "/v1/plugins/{name}/rollout",
    params(("name" = String, Path)),
    responses((status = 200, body = Standing))
)]
pub(super) async fn show_rollout(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(name): PathId,
) -> Result<Json<Standing>, Failure> {
    let under_way = api.manager.rollout(caller.tenant, &name);
    let under_way = under_way.map_err(|why| refused(why, &name))?;
    Ok(Json(Standing::of(name, under_way)))
}

/// Makes the candidate of a roll-out current
///
/// It is watched for the roll-out's window, and taken back by itself if it fails.
#[utoipa::path(
    post,
    path = "/v1/plugins/{name}/rollout/promote",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Turned),
        (status = 422, description = "`unusable`: who could not use it"),
    )
)]
pub(super) async fn promote_rollout(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(name): PathId,
) -> Result<Json<Turned>, Failure> {
    let (manager, plugin, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.promote_rollout(caller.tenant, &plugin, by).await
    });
    let done = done.await?.map_err(|why| refused(why, &name))?;
    tracing::info!(by = %caller.key, plugin = name, version = %done.kept.version, "candidate promoted");
    Ok(Json(Turned::of(name, &done)))
}

/// Ends the roll-out of a plugin
///
/// What is current stays so: before the candidate was promoted, the version before it; afterwards the
/// candidate, which is not watched any more.
#[utoipa::path(
    delete,
    path = "/v1/plugins/{name}/rollout",
    params(("name" = String, Path)),
    responses((status = 204, description = "ended"))
)]
pub(super) async fn abort_rollout(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(name): PathId,
) -> Result<StatusCode, Failure> {
    let (manager, plugin, by) = (Arc::clone(&api.manager), name.clone(), caller.by());
    let done = undisturbed(&api, async move {
        manager.abort_rollout(caller.tenant, &plugin, by).await
    });
    done.await?.map_err(|why| refused(why, &name))?;
    tracing::info!(by = %caller.key, plugin = name, "roll-out ended");
    Ok(StatusCode::NO_CONTENT)
}
