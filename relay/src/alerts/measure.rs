//! What alerts are held against.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Alerts, Reading};
use crate::manage::{Entry, Limit};
use crate::model::alert::{Alert, Limits, VolumeLimit, When};
use crate::model::counts::Counts;
use crate::model::endpoint::Endpoint;
use crate::model::event_type::Pattern;
use crate::model::resource::Kind;
use crate::model::time::Timestamp;
use crate::stats::MINUTES_KEPT;
use crate::store;
use crate::store::monitoring::{By, CountsAsked, Step};

/// Days whose same hour a volume is compared with.
const DAYS_COMPARED: u32 = 7;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Alerts {
    /// What is so at each endpoint.
    pub(super) async fn read_endpoints(
        &self,
        alert: &Alert,
        endpoints: &[&Arc<Endpoint>],
        now: Timestamp,
    ) -> Result<BTreeMap<i64, Reading>, store::Error> {
        let mut readings = BTreeMap::new();
        let counted = match &alert.when {
            When::SuccessRateBelow { window, .. } | When::P95Above { window, .. } => {
                Some((window.span, &alert.event_types))
            }
            When::FailedType { types, window, .. } => Some((*window, types)),
            _ => None,
        };
        let mut counts = match counted {
            Some((span, types)) => {
                let subjects = endpoints.iter().map(|endpoint| endpoint.id.raw()).collect();
                self.counted(alert, subjects, types, span, now).await?
            }
            None => BTreeMap::new(),
        };
        for endpoint in endpoints {
            let counts = counts.remove(&endpoint.id.raw()).unwrap_or_default();
            let reading = match &alert.when {
                When::ConsecutiveFailures(limit) => {
                    let failing = self.flow.queue.condition(endpoint.id).failing;
                    at_least(failing.map_or(0, |failing| u64::from(failing.failures)), *limit)
                }
                When::PendingAbove(limit) => at_least(self.pending(endpoint).await?, limit + 1),
                When::OldestPendingAbove(limit) => {
                    let age = self.oldest_pending(endpoint, now).await?;
                    compared(age.as_secs_f64(), age > *limit)
                }
                when => reading(when, &counts),
            };
            readings.insert(endpoint.id.raw(), reading);
        }
        Ok(readings)
    }

    async fn pending(&self, endpoint: &Endpoint) -> Result<u64, store::Error> {
        let stored = self.flow.store.pending(endpoint.id).await?;
        Ok(stored.count + self.flow.queue.held(endpoint.id).waiting as u64)
    }

    async fn oldest_pending(&self, endpoint: &Endpoint, now: Timestamp) -> Result<Duration, store::Error> {
        let stored = self.flow.store.pending(endpoint.id).await?.oldest;
        let held = self.flow.queue.held(endpoint.id).oldest;
        let oldest = stored.into_iter().chain(held).min();
        Ok(oldest.map_or(Duration::ZERO, |oldest| now.since(oldest.made_at())))
    }

    /// What was counted of each subject within a span up to now.
    async fn counted(
        &self,
        alert: &Alert,
        subjects: Vec<i64>,
        types: &[Pattern],
        span: Duration,
        now: Timestamp,
    ) -> Result<BTreeMap<i64, Counts>, store::Error> {
        let step = step_for(span);
        let asked = CountsAsked {
            tenant: alert.tenant,
            subjects,
            types: types.to_vec(),
            step,
            since: step.floor(now - span),
            until: Timestamp::from_millis(i64::MAX),
            by: By::Subject,
        };
        self.flow.store.counts(asked).await
    }

    /// How many events come in.
    pub(super) async fn read_volume(
        &self,
        entry: &Entry,
        alert: &Alert,
        now: Timestamp,
    ) -> Result<Reading, store::Error> {
        let When::Volume {
            is_above,
            limit,
            window,
        } = alert.when
        else {
            return Ok(Reading::default());
        };
        let sources = self.manager.list(alert.tenant, Kind::Source, None);
        let of_source = |entry: &&Arc<Entry>| {
            let name = &entry.resource.name;
            alert.source.as_ref().is_none_or(|wanted| wanted == name)
        };
        let mut subjects: Vec<i64> = sources
            .iter()
            .filter(of_source)
            .map(|entry| entry.resource.id)
            .collect();
        if alert.source.is_none() {
            subjects.push(0);
        }
        // Its own operational events are no volume: `*` leaves them out.
        let types = match alert.event_types.as_slice() {
            [] => "*".parse().into_iter().collect(),
            some => some.to_vec(),
        };
        match limit {
            VolumeLimit::Events(limit) => {
                let counts = self.counted(alert, subjects, &types, window, now).await?;
                let count: u64 = counts.values().map(|counts| counts.accepted).sum();
                // Nothing may have come because nobody looked yet.
                let is_old_enough = now.since(entry.resource.created_at) >= window;
                Ok(Reading {
                    value: count as f64,
                    is_wrong: match is_above {
                        true => Some(count > limit),
                        false => is_old_enough.then_some(count < limit),
                    },
                    limit: None,
                })
            }
            VolumeLimit::Factor(factor) => {
                let asked = CountsAsked {
                    tenant: alert.tenant,
                    subjects,
                    types,
                    step: Step::Hour,
                    since: Step::Hour.floor(now) - DAY * (DAYS_COMPARED + 1),
                    until: Step::Hour.floor(now),
                    by: By::Time,
                };
                let hours = self.flow.store.counts(asked).await?;
                let hours = hours
                    .into_iter()
                    .map(|(at, counts)| (at, counts.accepted))
                    .collect();
                Ok(against_the_same_hour(
                    &hours,
                    Step::Hour.floor(now),
                    is_above,
                    factor,
                ))
            }
        }
    }
}

impl Alerts {
    /// How much is used of the limit that is nearest to being used up.
    pub(super) async fn read_quota(
        &self,
        alert: &Alert,
        above: f64,
        limits: &Limits,
    ) -> Result<Reading, store::Error> {
        let Some((_, known)) = self.manager.usage(alert.tenant).await? else {
            return Ok(Reading::default());
        };
        // Where nobody may keep files, nothing is being used up.
        let is_off = |limit: &Limit| limit.name == "media_bytes" && limit.max == Some(0);
        let known = known
            .iter()
            .filter(|limit| limits.has(limit.name) && !is_off(limit));
        let shares = known.filter_map(|limit| Some((limit.share()?, limit.name)));
        let fullest = shares.max_by(|(one, _), (other, _)| one.total_cmp(other));
        let (share, name) = fullest.unzip();
        let share = share.unwrap_or(0.0);
        Ok(Reading {
            limit: name,
            ..compared(share, share > above)
        })
    }
}

/// Minutes where those are kept for long enough, else hours.
fn step_for(span: Duration) -> Step {
    if span + Duration::from_secs(120) < MINUTES_KEPT {
        Step::Minute
    } else {
        Step::Hour
    }
}

fn at_least(count: u64, limit: u64) -> Reading {
    compared(count as f64, count >= limit)
}

/// A reading that says something.
pub(super) const fn compared(value: f64, is_wrong: bool) -> Reading {
    Reading {
        value,
        limit: None,
        is_wrong: Some(is_wrong),
    }
}

/// What was counted at one endpoint, held against a condition.
fn reading(when: &When, counts: &Counts) -> Reading {
    let attempts = counts.successes() + counts.failures();
    // With none at all there is nothing wrong any more; with a few there is nothing to say.
    let judged = |is_wrong: bool, min_count: u64| match attempts {
        0 => Some(false),
        some => (some >= min_count).then_some(is_wrong),
    };
    match when {
        When::SuccessRateBelow { share, window } => {
            let rate = counts.success_rate().unwrap_or(1.0);
            Reading {
                value: rate,
                limit: None,
                is_wrong: judged(rate < *share, window.min_count),
            }
        }
        When::P95Above { span, window } => {
            let p95 = counts.durations.percentile(0.95).unwrap_or_default();
            Reading {
                value: p95.as_secs_f64(),
                limit: None,
                is_wrong: judged(p95 > *span, window.min_count),
            }
        }
        When::FailedType { count, .. } => at_least(counts.failures(), *count),
        _ => compared(0.0, false),
    }
}

/// The hour that ended last, held against the average of the same hour of the days before, as far
/// back as anything was counted.
fn against_the_same_hour(
    hours: &BTreeMap<i64, u64>,
    this_hour: Timestamp,
    is_above: bool,
    factor: f64,
) -> Reading {
    let last = this_hour - HOUR;
    let count = hours.get(&last.as_millis()).copied().unwrap_or_default() as f64;
    let first = hours.keys().next().copied().unwrap_or(last.as_millis());
    let before: Vec<i64> = (1..=DAYS_COMPARED)
        .map(|days| (last - DAY * days).as_millis())
        .filter(|hour| *hour >= first)
        .collect();
    let sum: u64 = before.iter().filter_map(|hour| hours.get(hour)).sum();
    let average = sum as f64 / before.len().max(1) as f64;
    let is_wrong = if is_above {
        count > average * factor
    } else {
        count < average * factor
    };
    Reading {
        value: count,
        limit: None,
        // Nothing at all is never too much, so that what fired resolves in hours without any.
        is_wrong: (!before.is_empty() && (sum > 0 || is_above && count == 0.0)).then_some(is_wrong),
    }
}

/// What a condition is held against, and over which span.
pub(super) fn measure_of(when: &When) -> (f64, Option<Duration>) {
    match when {
        When::ConsecutiveFailures(limit) | When::PendingAbove(limit) => (*limit as f64, None),
        When::SuccessRateBelow { share, window } => (*share, Some(window.span)),
        When::FailedType { count, window, .. } => (*count as f64, Some(*window)),
        When::P95Above { span, window } => (span.as_secs_f64(), Some(window.span)),
        When::Volume { limit, window, .. } => match limit {
            VolumeLimit::Events(limit) => (*limit as f64, Some(*window)),
            VolumeLimit::Factor(factor) => (*factor, Some(*window)),
        },
        When::OldestPendingAbove(span) => (span.as_secs_f64(), None),
        When::QuotaAbove { share, .. } => (*share, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alert::Window;

    const NOW: Timestamp = Timestamp::from_millis(1_770_000_000_000);
    const HOUR_MS: i64 = Step::Hour.ms();
    const DAY_MS: i64 = 24 * HOUR_MS;

    fn counts(successes: u64, failures: u64) -> Counts {
        let mut counts = Counts::default();
        counts.attempts.insert("success".into(), successes);
        counts.attempts.insert("http_5xx".into(), failures);
        counts
    }

    #[test]
    fn a_rate_says_nothing_of_a_few_and_is_well_without_any() {
        let window = Window {
            span: Duration::from_secs(900),
            min_count: 20,
        };
        let when = When::SuccessRateBelow { share: 0.95, window };
        for (successes, failures, is_wrong) in [
            (0, 0, Some(false)),
            (10, 9, None),
            (19, 1, Some(false)),
            (18, 2, Some(true)),
        ] {
            let found = reading(&when, &counts(successes, failures)).is_wrong;
            assert_eq!(found, is_wrong, "{successes} {failures}");
        }
    }

    #[test]
    fn volumes_are_held_against_the_same_hour_of_the_days_before() {
        let this_hour = Step::Hour.floor(NOW);
        let last = this_hour.as_millis() - HOUR_MS;
        let days = |count: u64, of: i64| -> BTreeMap<i64, u64> {
            let before = (1..=of).map(|day| (last - day * DAY_MS, 100));
            before.chain([(last, count)]).collect()
        };
        let is_wrong = |hours: &BTreeMap<i64, u64>, is_above, factor| {
            against_the_same_hour(hours, this_hour, is_above, factor).is_wrong
        };
        assert_eq!(is_wrong(&days(301, 5), true, 3.0), Some(true));
        assert_eq!(is_wrong(&days(300, 5), true, 3.0), Some(false));
        assert_eq!(is_wrong(&days(20, 5), false, 0.3), Some(true));
        assert_eq!(is_wrong(&days(40, 1), false, 0.3), Some(false));
        assert_eq!(
            is_wrong(&days(1000, 0), true, 3.0),
            None,
            "nothing to compare with"
        );
        let quiet: BTreeMap<i64, u64> = (1..=5).map(|day| (last - day * DAY_MS, 0)).collect();
        assert_eq!(
            is_wrong(&quiet, true, 3.0),
            Some(false),
            "what fired before resolves"
        );
        assert_eq!(is_wrong(&quiet, false, 0.3), None);
        let mut silent = days(0, 5);
        silent.remove(&last);
        assert_eq!(is_wrong(&silent, false, 0.3), Some(true));
        let mut gaps = days(120, 4);
        gaps.remove(&(last - DAY_MS));
        assert_eq!(
            is_wrong(&gaps, true, 1.5),
            Some(true),
            "an hour of nothing counts"
        );
    }
}
