//! What is known of one endpoint, and of what is around it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::endpoint::Endpoint;
use crate::model::policy::Policy;
use crate::model::time::Timestamp;
use crate::queue::Condition;
use crate::store::{Activity, Disabled, Recent};

/// What is known of one endpoint.
#[derive(Debug, Clone)]
pub struct Facts {
    pub endpoint: Arc<Endpoint>,
    /// Why the definition as it stands is not in force.
    pub unusable: Option<String>,
    /// Why the relay sends nothing, if it stopped by itself or somebody switched it off.
    pub disabled: Option<Disabled>,
    pub condition: Condition,
    /// What it has been doing, as far back as was looked.
    pub activity: Activity,
    /// Whether its receiver has consented; `None`: it need not.
    pub consented: Option<bool>,
    /// When its receiver's certificate ends, if anybody looked.
    pub certificate_ends: Option<Timestamp>,
    /// Whether its receiver refused a request with a wrong signature, if anybody tried.
    pub refuses_forgeries: Option<bool>,
}

/// What is around the endpoints of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub now: Timestamp,
    /// The names of all sources.
    pub sources: HashSet<String>,
    /// What the newest deliveries and events told.
    pub recent: Arc<Recent>,
    /// What the tenant lays down.
    pub policy: Policy,
}

impl Facts {
    /// Since when the endpoint exists.
    pub(super) fn made_at(&self) -> Timestamp {
        self.endpoint.id.made_at()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::model::endpoint::{RetryPolicy, Signatures};
    use crate::model::id::{EndpointId, TenantId, first_raw_at};
    use crate::model::plugin::OnFault;

    pub(in crate::diagnose) const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);

    pub(in crate::diagnose) const fn days(count: u64) -> Duration {
        Duration::from_secs(count * 24 * 3600)
    }

    pub(in crate::diagnose) fn ago(span: Duration) -> Timestamp {
        Timestamp::from_millis(NOW.as_millis() - i64::try_from(span.as_millis()).expect("a short span"))
    }

    /// A fresh endpoint of which nothing bad is known.
    pub(in crate::diagnose) fn facts(number: i64, url: &str) -> Facts {
        let endpoint = Endpoint {
            id: EndpointId::from_raw(first_raw_at(NOW) + number * 256),
            tenant: TenantId::DEFAULT,
            name: format!("e{number}"),
            is_polled: false,
            url: url.parse().expect("a URL"),
            method: http::Method::POST,
            event_types: Vec::new(),
            sources: Vec::new(),
            filter: None,
            plugins: Vec::new(),
            on_fault: OnFault::Retry,
            format: None,
            headers: Vec::new(),
            secrets: Vec::new(),
            signatures: Signatures::default(),
            timeout: Some(Duration::from_secs(15)),
            retry: RetryPolicy::default(),
            rate_limit: None,
            concurrency: NonZeroU32::MIN,
            query: Vec::new(),
            batch: None,
            consent_origin: None,
            sample: None,
            success_statuses: Vec::new(),
            disable_after: days(5),
            reply: None,
            digest: None,
            enabled: true,
        };
        Facts {
            endpoint: Arc::new(endpoint),
            unusable: None,
            disabled: None,
            condition: Condition::default(),
            activity: Activity::default(),
            consented: None,
            certificate_ends: None,
            refuses_forgeries: Some(true),
        }
    }

    pub(in crate::diagnose) fn around() -> Surroundings {
        Surroundings {
            now: NOW,
            recent: Arc::new(Recent {
                has_all_types: true,
                ..Recent::default()
            }),
            ..Surroundings::default()
        }
    }

    impl Facts {
        pub(in crate::diagnose) fn with(mut self, change: impl FnOnce(&mut Endpoint)) -> Self {
            change(Arc::make_mut(&mut self.endpoint));
            self
        }
    }
}
