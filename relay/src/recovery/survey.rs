//! How much there is to do, before it is done.

use std::time::Duration;

use tokio::time::Instant;

use super::{Recovery, START, these, widen};
use crate::model::id::TenantId;
use crate::model::time::Timestamp;
use crate::store::{self, Deliveries, Span, Work};

/// How long counting may take.
const COUNT_FOR: Duration = Duration::from_secs(5);
/// Counted at once.
const BITE: usize = 1000;

/// What a job would be about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    pub count: u32,
    /// When the oldest came in, and the newest.
    pub oldest: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    /// Bytes of their payloads, where it is about events.
    pub bytes: u64,
    /// Whether all were counted: counting ends after a few seconds.
    pub is_complete: bool,
}

impl Recovery {
    /// Counts what some work would be about, among what has ids below `before`.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn survey(&self, tenant: TenantId, work: &Work, before: i64) -> Result<Survey, store::Error> {
        let begun = Instant::now();
        let mut survey = Survey::default();
        let mut after = START;
        loop {
            match self
                .count(tenant, work, Span { after, before }, &mut survey)
                .await?
            {
                None => {
                    survey.is_complete = true;
                    return Ok(survey);
                }
                Some(_) if begun.elapsed() > COUNT_FOR => return Ok(survey),
                Some(next) => after = next,
            }
        }
    }

    async fn count(
        &self,
        tenant: TenantId,
        work: &Work,
        span: Span,
        survey: &mut Survey,
    ) -> Result<Option<i64>, store::Error> {
        let mut add = |at| {
            survey.count = survey.count.saturating_add(1);
            widen(&mut survey.oldest, &mut survey.newest, at);
        };
        match work {
            Work::Retry { which } | Work::Cancel { which } => {
                if let Some(walked) = these(which, span.after, BITE) {
                    walked.items.iter().for_each(|id| add(id.made_at()));
                    return Ok(walked.next);
                }
                let Deliveries::Matching(filter) = which else {
                    return Ok(None);
                };
                let walked = self
                    .store
                    .deliveries_after(tenant, filter.clone(), span, BITE)
                    .await?;
                walked
                    .items
                    .iter()
                    .for_each(|delivery| add(delivery.id.made_at()));
                Ok(walked.next)
            }
            Work::Replay { .. } | Work::Erase { .. } => {
                let walked = self.events(tenant, work, span, BITE).await?;
                walked.items.iter().for_each(|event| add(event.received_at));
                survey.bytes += walked
                    .items
                    .iter()
                    .map(|event| event.data.len() as u64)
                    .sum::<u64>();
                Ok(walked.next)
            }
        }
    }
}
