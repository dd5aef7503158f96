//! Endpoints that get nothing until someone enables them again.

use super::{Flow, watch};
use crate::directory::Target;
use crate::model::attempt::Outcome;
use crate::model::id::EndpointId;
use crate::notices::Notice;
use crate::queue::health::Verdict;
use crate::store::{self, Disabled};

impl Flow {
    /// Disables an endpoint, or with `None` takes that back: its deliveries wait meanwhile. One at
    /// a time, so that store and queue agree whoever asks at the same moment.
    ///
    /// # Errors
    /// If the store cannot write; then nothing has changed.
    pub async fn set_disabled(
        &self,
        endpoint: EndpointId,
        why: Option<Disabled>,
    ) -> Result<(), store::Error> {
        let _turn = self.disabling.lock().await;
        self.store.set_disabled(endpoint, why.clone()).await?;
        self.queue.set_disabled(endpoint, why);
        Ok(())
    }

    /// Disables an endpoint over what its receiver has failed at.
    pub(super) async fn disable(&self, target: &Target, verdict: Verdict, outcome: &Outcome) {
        let endpoint = &target.endpoint;
        let last = outcome.summary();
        let reason = match verdict {
            Verdict::Failed(failing) => format!(
                "nothing but failures since {}, {} of them; the last: {last}",
                failing.since, failing.failures
            ),
            _ => format!("{last} more than once in a row"),
        };
        tracing::warn!(
            endpoint = endpoint.name,
            reason,
            "endpoint disabled; its deliveries wait until someone enables it"
        );
        let at = self.clock.now();
        let why = Disabled {
            at,
            reason: reason.clone(),
        };
        // At once: nothing more goes out while the store writes, or cannot.
        self.queue.set_disabled(endpoint.id, Some(why.clone()));
        if let Err(error) = self.set_disabled(endpoint.id, Some(why)).await {
            tracing::error!(endpoint = endpoint.name, %error, "that it is disabled could not be stored");
        }
        self.notices.hand_in(Notice::Disabled {
            endpoint: watch::about(target),
            at,
            reason,
        });
    }
}
