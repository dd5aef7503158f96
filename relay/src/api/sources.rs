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
}

/// Sources, each with the path that nobody guesses beside the one that everybody may know.
pub(super) struct Sources;

impl Served for Sources {
    const KIND: Kind = Kind::Source;
    type Reader = Reader;
    type Manager = Manager;

    fn show(_: &Api, entry: &Entry) -> Shown {
        let mut shown = Shown::of(entry);
        let id = SourceId::from_raw(entry.resource.id);
        shown.add(&Address {
            path: format!("/in/{id}"),
        });
        shown
    }
}
