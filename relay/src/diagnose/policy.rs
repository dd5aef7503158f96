//! What of the relay's own doing decides whether an endpoint is sent to.

use serde::Serialize;

use super::{Facts, Surroundings};
use crate::model::policy::PLAIN_HTTP;
use crate::model::time::Timestamp;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = PolicyOutcome)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// Nothing stands in the way, but somebody should look.
    Warning,
    /// Nothing, or little, is sent because of this.
    Holds,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = PolicyCheck)]
pub struct Check {
    /// `usable`, `https_only`, `enabled`, `disabled`, `breaker`, `rate`, `consent`, `last_success`,
    /// `last_failure`.
    pub check: &'static str,
    pub outcome: Verdict,
    pub detail: String,
    /// When that was, or until when it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Check {
    fn new(check: &'static str, outcome: Verdict, detail: impl Into<String>) -> Self {
        Self {
            check,
            outcome,
            detail: detail.into(),
            at: None,
        }
    }

    fn at(self, at: Option<Timestamp>) -> Self {
        Self { at, ..self }
    }
}

/// Every check of an endpoint, in order.
pub fn checks(facts: &Facts, around: &Surroundings) -> Vec<Check> {
    vec![
        usable(facts),
        https_only(facts, around),
        enabled(facts),
        disabled(facts),
        breaker(facts),
        rate(facts),
        consent(facts),
        last_success(facts, around),
        last_failure(facts),
    ]
}

fn usable(facts: &Facts) -> Check {
    match &facts.unusable {
        None => Check::new("usable", Verdict::Ok, "its definition is in force"),
        Some(why) => Check::new("usable", Verdict::Holds, why.clone()),
    }
}

fn https_only(facts: &Facts, around: &Surroundings) -> Check {
    match around.policy.forbids(&facts.endpoint.url) {
        false => Check::new(
            "https_only",
            Verdict::Ok,
            "the policy of its tenant lets its URL pass",
        ),
        true => Check::new("https_only", Verdict::Holds, PLAIN_HTTP),
    }
}

fn enabled(facts: &Facts) -> Check {
    match facts.endpoint.enabled {
        true => Check::new("enabled", Verdict::Ok, "its definition enables it"),
        false => Check::new(
            "enabled",
            Verdict::Holds,
            "its definition has `enabled = false`: its deliveries wait",
        ),
    }
}

fn disabled(facts: &Facts) -> Check {
    match &facts.disabled {
        None => Check::new("disabled", Verdict::Ok, "nobody has disabled it"),
        Some(why) => Check::new("disabled", Verdict::Holds, why.reason.clone()).at(Some(why.at)),
    }
}

fn breaker(facts: &Facts) -> Check {
    match facts.condition.is_cut_off {
        false => Check::new("breaker", Verdict::Ok, "closed"),
        true => Check::new(
            "breaker",
            Verdict::Holds,
            "the receiver does not answer: one delivery at a time probes it, the others wait",
        ),
    }
}

fn rate(facts: &Facts) -> Check {
    if let Some(until) = facts.condition.held_until {
        let detail = "the receiver asked to be left alone";
        return Check::new("rate", Verdict::Holds, detail).at(Some(until));
    }
    if let Some(rate) = facts.condition.rate {
        let detail = format!("the receiver asked for fewer: {rate:.1} attempts a second at most");
        return Check::new("rate", Verdict::Warning, detail);
    }
    let detail = match facts.endpoint.rate_limit {
        None => "no limit".to_owned(),
        Some(limit) => format!("at most {} in {:?}", limit.count, limit.per),
    };
    Check::new("rate", Verdict::Ok, detail)
}

fn consent(facts: &Facts) -> Check {
    match facts.consented {
        None => Check::new("consent", Verdict::Ok, "its receiver need not be asked"),
        Some(true) => Check::new("consent", Verdict::Ok, "its receiver has consented"),
        Some(false) => Check::new(
            "consent",
            Verdict::Warning,
            "its receiver has not consented yet; it is asked before the next delivery",
        ),
    }
}

fn last_success(facts: &Facts, around: &Surroundings) -> Check {
    match (facts.activity.last_success, around.recent.since) {
        (Some(at), _) => Check::new("last_success", Verdict::Ok, "it took a delivery").at(Some(at)),
        (None, None) => Check::new(
            "last_success",
            Verdict::Warning,
            "it has taken no delivery that is kept",
        ),
        (None, Some(back)) => Check::new(
            "last_success",
            Verdict::Warning,
            format!("none of the deliveries made since {back}"),
        ),
    }
}

fn last_failure(facts: &Facts) -> Check {
    let failing = facts.condition.failing;
    match (facts.activity.last_failure, failing) {
        (at, Some(failing)) => Check::new(
            "last_failure",
            Verdict::Warning,
            format!(
                "nothing but failures since {}, {} of them",
                failing.since, failing.failures
            ),
        )
        .at(at),
        (Some(at), None) => {
            Check::new("last_failure", Verdict::Ok, "it has taken deliveries since").at(Some(at))
        }
        (None, None) => Check::new("last_failure", Verdict::Ok, "none that is known"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{NOW, around, facts};
    use super::*;
    use crate::store::Disabled;

    #[test]
    fn each_reason_to_send_nothing_is_told() {
        let mut facts = facts(1, "https://a.example").with(|endpoint| endpoint.enabled = false);
        facts.unusable = Some("the plugin is gone".to_owned());
        facts.disabled = Some(Disabled {
            at: NOW,
            reason: "gone".to_owned(),
        });
        facts.condition.is_cut_off = true;
        facts.condition.held_until = Some(NOW);
        let holds: Vec<_> = checks(&facts, &around())
            .into_iter()
            .filter(|check| check.outcome == Verdict::Holds)
            .map(|check| check.check)
            .collect();
        assert_eq!(holds, ["usable", "enabled", "disabled", "breaker", "rate"]);
    }

    #[test]
    fn nothing_holds_a_fresh_endpoint() {
        let checks = checks(&facts(1, "https://a.example"), &around());
        assert!(
            checks.iter().all(|check| check.outcome != Verdict::Holds),
            "{checks:?}"
        );
    }
}
