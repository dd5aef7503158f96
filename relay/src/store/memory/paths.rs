//! Where sources are reached whose paths were rotated.

use async_trait::async_trait;

use super::MemoryStore;
use crate::model::audit::Deed;
use crate::model::id::{SourceId, TenantId};
use crate::model::path::Paths;
use crate::store::{Error, SourcePaths};

#[async_trait]
impl SourcePaths for MemoryStore {
    async fn paths(&self, source: SourceId) -> Result<Option<Paths>, Error> {
        Ok(self.tables().paths.get(&source).cloned())
    }

    async fn set_paths(
        &self,
        _tenant: TenantId,
        source: SourceId,
        paths: Paths,
        deed: Deed,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        tables.note(deed)?;
        tables.paths.insert(source, paths);
        Ok(())
    }
}
