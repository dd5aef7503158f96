//! `/v1/sources`: the doors where senders post.

use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::auth::{Manager, Reader};
use super::managed::Shown;
use super::resource::{self, Request, Served};
use crate::manage::Entry;
use crate::model::id::SourceId;
use crate::model::resource::Kind;
use crate::model::time::Timestamp;

/// Every route of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    resource::routes::<Sources>(&Request::ALL)
}

/// What a source shows besides its definition and what every resource shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SourceAddress)]
pub(super) struct Address {
    /// Where senders post; left out of those deleted.
    #[schema(required = false)]
    path: String,
    /// Until when what the path replaced leads there, too; `null` if nothing does.
    #[schema(required = false)]
    path_overlap_until: Option<Timestamp>,
}

impl Address {
    /// Where a source is reached.
    pub(super) fn of(api: &Api, entry: &Entry) -> Self {
        let id = || SourceId::from_raw(entry.resource.id).to_string();
        let path = entry.door().map_or_else(id, |door| door.path());
        let paths = entry.door().and_then(|door| door.paths.as_ref());
        Self {
            path: format!("/in/{path}"),
            path_overlap_until: paths.and_then(|paths| paths.overlap_until(api.clock.now())),
        }
    }
}

/// Sources, each with the path that nobody guesses beside the one that everybody may know.
pub(super) struct Sources;

impl Served for Sources {
    const KIND: Kind = Kind::Source;
    type Reader = Reader;
    type Manager = Manager;

    fn show(api: &Api, entry: &Entry) -> Shown {
        let mut shown = Shown::of(entry);
        shown.add(&Address::of(api, entry));
        shown
    }
}
