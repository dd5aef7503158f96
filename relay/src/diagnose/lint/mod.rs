//! What is likely to go wrong with an endpoint, before somebody misses an event.

use std::collections::HashMap;

use serde::Serialize;

use super::{Facts, Surroundings};
use crate::model::id::EndpointId;

mod activity;
mod pairs;
mod receiver;
mod subscription;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Likely not what was meant.
    Warning,
    /// Events do not arrive, or soon will not.
    Error,
}

impl std::str::FromStr for Severity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "notice" => Ok(Self::Notice),
            "warning" => Ok(Self::Warning),
            "error" => Ok(Self::Error),
            _ => Err(()),
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Finding {
    /// Stable, for programs.
    pub code: &'static str,
    pub severity: Severity,
    pub endpoint: EndpointId,
    pub endpoint_name: String,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// A rule: what it finds of one endpoint.
type Rule = fn(&Facts, &Surroundings) -> Option<Found>;

/// What a rule finds.
struct Found {
    code: &'static str,
    severity: Severity,
    text: String,
    remedy: &'static str,
}

const RULES: [Rule; 11] = [
    receiver::unusable,
    receiver::disabled,
    receiver::plain_http,
    receiver::certificate,
    receiver::slow,
    receiver::signature,
    activity::no_success,
    activity::never_matched,
    activity::stale,
    subscription::unknown_source,
    subscription::unseen_types,
];

/// Everything that is found of the endpoints of a tenant, in their order.
pub fn all(endpoints: &[Facts], around: &Surroundings) -> Vec<Finding> {
    let mut by_url: HashMap<&str, Vec<&Facts>> = HashMap::new();
    for facts in endpoints {
        by_url.entry(facts.endpoint.url.as_str()).or_default().push(facts);
    }
    let mut findings = Vec::new();
    for facts in endpoints {
        let same = by_url
            .get(facts.endpoint.url.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        findings.extend(of_one(facts, same, around));
    }
    findings
}

/// What is found of one of them.
pub fn one(endpoints: &[Facts], id: EndpointId, around: &Surroundings) -> Vec<Finding> {
    let Some(own) = endpoints.iter().find(|facts| facts.endpoint.id == id) else {
        return Vec::new();
    };
    let same = endpoints
        .iter()
        .filter(|other| other.endpoint.url == own.endpoint.url);
    of_one(own, &same.collect::<Vec<_>>(), around)
}

/// What is found of one endpoint; `same` are those with its URL, itself included.
fn of_one(facts: &Facts, same: &[&Facts], around: &Surroundings) -> Vec<Finding> {
    let found = RULES.iter().filter_map(|rule| rule(facts, around));
    found
        .chain(pairs::same_url(facts, same))
        .map(|found| Finding {
            code: found.code,
            severity: found.severity,
            endpoint: facts.endpoint.id,
            endpoint_name: facts.endpoint.name.clone(),
            text: found.text,
            remedy: found.remedy,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::{around, facts};
    use super::*;

    /// The codes of what is found of one endpoint.
    pub(super) fn codes(facts: &Facts, around: &Surroundings) -> Vec<&'static str> {
        let findings = all(std::slice::from_ref(facts), around);
        findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn nothing_is_found_of_a_fresh_endpoint() {
        assert_eq!(codes(&facts(1, "https://a.example"), &around()), [""; 0]);
    }
}
