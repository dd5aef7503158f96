//! `media`: files that the relay keeps for a time and serves under an address of its own.

use std::time::Duration;

use crate::model::plugin::Power;
use crate::plugins::services::{self, File};
use crate::plugins::v0_1::bindings::relay::plugin::media::{Host, Kept, MediaError};
use crate::plugins::visit::Visit;

impl Host for Visit {
    async fn keep(
        &mut self,
        of: u32,
        content_type: String,
        ttl_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<Kept, MediaError>> {
        self.count_host_call()?;
        let Some(bytes) = self.blob(of).cloned() else {
            let why = format!("there is no payload {of} in this call");
            return Err(wasmtime::Error::msg(why));
        };
        if let Some(why) = self.grants.denied(Power::Media) {
            return Ok(Err(MediaError::Denied(why)));
        }
        let grants = self.grants.clone();
        let Some(service) = &grants.services.media else {
            let why = "no files are kept here".to_owned();
            return Ok(Err(MediaError::Denied(why)));
        };
        let file = File {
            bytes,
            content_type,
            ttl: ttl_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        };
        // The disk's time is not the plugin's own.
        let kept = self.wait_for(service.keep(grants.owner.tenant, file)).await;
        Ok(kept.map(Into::into).map_err(Into::into))
    }
}

impl From<services::Kept> for Kept {
    fn from(kept: services::Kept) -> Self {
        Self {
            url: kept.url,
            expires: kept.expires.to_string(),
            size: kept.size,
        }
    }
}

impl From<services::MediaError> for MediaError {
    fn from(error: services::MediaError) -> Self {
        match error {
            services::MediaError::Denied(why) => Self::Denied(why),
            services::MediaError::TooLarge(bytes) => Self::TooLarge(u32::try_from(bytes).unwrap_or(u32::MAX)),
            services::MediaError::QuotaExceeded => Self::QuotaExceeded,
            services::MediaError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
