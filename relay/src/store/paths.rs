//! Where sources are reached whose paths were rotated.

use async_trait::async_trait;

use super::Error;
use crate::model::audit::Deed;
use crate::model::id::{SourceId, TenantId};
use crate::model::path::Paths;

/// See the module.
#[async_trait]
pub trait SourcePaths: Send + Sync {
    /// Where a source is reached, if its path was ever rotated. Some of it may be past its time.
    async fn paths(&self, source: SourceId) -> Result<Option<Paths>, Error>;

    /// Replaces where a source of a tenant is reached, and notes the deed; both or neither.
    async fn set_paths(
        &self,
        tenant: TenantId,
        source: SourceId,
        paths: Paths,
        deed: Deed,
    ) -> Result<(), Error>;
}
