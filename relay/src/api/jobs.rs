//! `/v1/jobs`: work over many deliveries or events, how far it has come, and its end.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Manager, Reader};
use super::errors::Failure;
use super::managed::undisturbed;
use super::page::{List, page};
use super::params::{Params, PathId};
use super::{Api, audit};
use crate::http::problem::Problem;
use crate::model::id::JobId;
use crate::model::time::Timestamp;
use crate::recovery::{RUNNING_MAX, Survey};
use crate::store::{Job, JobState, Work};

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(cancel))
}

/// A job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Job)]
pub(super) struct Shown {
    id: JobId,
    /// `retry`, `cancel`, `replay` or `erase`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// `running`, `done` or `cancelled`.
    #[schema(value_type = String)]
    state: &'static str,
    /// How many it is about; null if there were too many to count.
    total: Option<u32>,
    done: u32,
    /// How many could not be done, or not any more.
    failed: u32,
    /// Deliveries a second at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_second: Option<f64>,
    created_at: Timestamp,
    updated_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<Job> for Shown {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            kind: job.work.as_str(),
            state: job.state.as_str(),
            total: job.total,
            done: job.done,
            failed: job.failed,
            rate_per_second: job.rate,
            created_at: job.created_at,
            updated_at: job.updated_at,
            ended_at: job.ended_at,
        }
    }
}

/// What a job would be about.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = JobCount)]
pub(super) struct Counted {
    count: u32,
    /// When the oldest came in.
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    /// Bytes of the payloads, where it is about events.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Whether all were counted; else there are more.
    complete: bool,
}

/// What is answered to whoever asks for work: a job, or with `dry_run` what it would be about.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Asked {
    Started(Shown),
    Counted(Counted),
}

/// Starts work, or counts what there is to do.
pub(super) async fn ask(
    api: &Api,
    caller: &Caller,
    work: Work,
    rate: Option<f64>,
    dry_run: bool,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Asked>), Failure> {
    if dry_run {
        let is_of_events = matches!(work, Work::Replay { .. } | Work::Erase { .. });
        let Survey {
            count,
            oldest,
            newest,
            bytes,
            is_complete,
        } = api.recovery.survey(caller.tenant, &work, i64::MAX).await?;
        let counted = Counted {
            count,
            oldest,
            newest,
            bytes: is_of_events.then_some(bytes),
            complete: is_complete,
        };
        let headers = [(header::CACHE_CONTROL, "no-store".to_owned())];
        return Ok((StatusCode::OK, headers, Json(Asked::Counted(counted))));
    }
    let kind = work.as_str();
    let (recovery, tenant, by) = (Arc::clone(&api.recovery), caller.tenant, caller.by());
    let started = undisturbed(api, async move { recovery.start(tenant, work, rate, by).await }).await??;
    let job = started.map_err(|_| {
        let detail = format!("{RUNNING_MAX} jobs run already; wait for one to end, or cancel one");
        Problem::new(409, "too_many_jobs", "Too many jobs", detail)
    })?;
    tracing::info!(by = %caller.key, job = %job.id, kind, total = job.total, "a job was started");
    let headers = [(header::LOCATION, format!("/v1/jobs/{}", job.id))];
    Ok((StatusCode::ACCEPTED, headers, Json(Asked::Started(job.into()))))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[param(value_type = Option<u16>, minimum = 1, maximum = 250, default = 50)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{1,15}|[0-7][0-9a-f]{15})$")]
    cursor: Option<String>,
}

/// Lists jobs
#[utoipa::path(get, path = "/v1/jobs", params(Listed), responses((status = 200, body = List<Shown>)))]
async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Params(asked): Params<Listed>,
) -> Result<Json<List<Shown>>, Failure> {
    let page = page(asked.limit.as_deref(), asked.cursor.as_deref())?;
    let listed = api.store.jobs(caller.tenant, page).await?;
    Ok(Json(List::of(listed, Shown::from)))
}

/// Shows a job
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    params(("id" = String, Path)),
    responses((status = 200, body = Shown))
)]
async fn one(
    Reader(caller): Reader,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Shown>, Failure> {
    find(&api, &caller, &id).await.map(|job| Json(job.into()))
}

/// Calls a job off; what it has done stays
#[utoipa::path(
    post,
    path = "/v1/jobs/{id}/cancel",
    params(("id" = String, Path)),
    responses((status = 200, body = Shown))
)]
async fn cancel(
    Manager(caller): Manager,
    State(api): State<Api>,
    PathId(id): PathId,
) -> Result<Json<Shown>, Failure> {
    let job = find(&api, &caller, &id).await?;
    if job.state == JobState::Running {
        audit::note(&api, &caller, "job.cancelled", (job.id, None), None).await?;
    }
    if api
        .store
        .cancel_job(caller.tenant, job.id, api.clock.now())
        .await?
    {
        tracing::info!(by = %caller.key, job = %job.id, "a job was cancelled");
    }
    find(&api, &caller, &id).await.map(|job| Json(job.into()))
}

async fn find(api: &Api, caller: &Caller, id: &str) -> Result<Job, Failure> {
    let unknown = || Failure(Problem::not_found(format!("there is no job {id:?}")));
    let id: JobId = id.parse().map_err(|_| unknown())?;
    api.store.job(caller.tenant, id).await?.ok_or_else(unknown)
}
