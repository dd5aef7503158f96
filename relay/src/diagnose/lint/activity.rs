//! What an endpoint has been doing, or has not.

use std::time::Duration;

use super::{Found, Severity};
use crate::diagnose::{Facts, Surroundings};
use crate::model::time::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// An endpoint that is younger may just not have had its first event yet.
const YOUNG: Duration = DAY;
/// An endpoint that nothing was routed to for so long is likely forgotten.
const STALE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A receiver that has taken nothing for so long, though something was sent, is told of.
const BARREN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Only failures: from the first one on if it never worked, else after a week.
pub(super) fn no_success(facts: &Facts, around: &Surroundings) -> Option<Found> {
    let failed_at = facts.activity.last_failure?;
    let since = match facts.activity.last_success {
        Some(success) if success > failed_at || around.now < success + BARREN => return None,
        Some(success) => format!("it has taken nothing since {success}"),
        None if looked_back(facts, around) => "it has never taken a delivery that is kept".to_owned(),
        None => return None,
    };
    Some(Found {
        code: "no_success",
        severity: Severity::Error,
        text: format!("{since}; the last failure was at {failed_at}"),
        remedy: "diagnose it and send it a test, or delete it",
    })
}

pub(super) fn never_matched(facts: &Facts, around: &Surroundings) -> Option<Found> {
    let is_young = around.now < facts.made_at() + YOUNG;
    if is_young || facts.activity.last_delivery.is_some() || !looked_back(facts, around) {
        return None;
    }
    Some(Found {
        code: "never_matched",
        severity: Severity::Warning,
        text: format!(
            "no event that is kept was for it, since it was made at {}",
            facts.made_at()
        ),
        remedy: "look with GET /v1/events/{id}/explain why an event that it should get is none for it",
    })
}

pub(super) fn stale(facts: &Facts, around: &Surroundings) -> Option<Found> {
    let last = facts.activity.last_delivery?;
    (around.now > last + STALE).then(|| Found {
        code: "stale",
        severity: Severity::Notice,
        text: format!("no event was for it since {last}"),
        remedy: "delete it if nobody needs it any more",
    })
}

/// Whether everything that the endpoint did was looked at.
fn looked_back(facts: &Facts, around: &Surroundings) -> bool {
    let is_before = |back: Timestamp| back <= facts.made_at();
    around.recent.since.is_none_or(is_before)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::codes;
    use super::*;
    use crate::diagnose::facts::tests::{NOW, ago, around, days, facts};
    use crate::model::id::{EndpointId, first_raw_at};

    fn aged(age: u64) -> Facts {
        let id = EndpointId::from_raw(first_raw_at(ago(days(age))));
        facts(1, "https://a.example").with(|endpoint| endpoint.id = id)
    }

    #[test]
    fn a_receiver_that_never_took_anything_is_told_of_at_once() {
        let mut facts = aged(0);
        facts.activity.last_delivery = Some(NOW);
        facts.activity.last_failure = Some(NOW);
        assert_eq!(codes(&facts, &around()), ["no_success"]);
        facts.activity.last_success = Some(ago(days(6)));
        assert_eq!(codes(&facts, &around()), [""; 0]);
        facts.activity.last_success = Some(ago(days(8)));
        assert_eq!(codes(&facts, &around()), ["no_success"]);
    }

    #[test]
    fn what_was_not_looked_at_is_not_claimed() {
        let mut around = around();
        for (back, codes_of) in [(3, vec!["never_matched"]), (1, vec![])] {
            Arc::make_mut(&mut around.recent).since = Some(ago(days(back)));
            assert_eq!(codes(&aged(2), &around), codes_of, "{back}");
        }
    }

    #[test]
    fn an_endpoint_is_stale_when_nothing_was_for_it_in_a_month() {
        for (age, found) in [(29, vec![]), (31, vec!["stale"])] {
            let mut facts = aged(60);
            facts.activity.last_delivery = Some(ago(days(age)));
            assert_eq!(codes(&facts, &around()), found, "{age}");
        }
        assert_eq!(codes(&aged(2), &around()), ["never_matched"]);
        assert_eq!(codes(&aged(0), &around()), [""; 0]);
    }
}
