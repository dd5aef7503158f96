//! `[[plan]]` and `[quota]`: how much tenants may have and send.

use std::collections::HashSet;

use super::judge::Judge;
use super::reader::Section;
use super::{Config, NAME_REMEDY, endpoint, is_name};
use crate::model::quota::Quota;
use crate::model::words::nearest;

/// More of anything than one relay holds.
pub(super) const COUNT_MAX: u64 = 1_000_000_000_000;
/// Plans that a file may have.
const PLANS_MAX: usize = 100;

/// `[[plan]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    pub quota: Quota,
}

/// `[quota]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuotaSettings {
    /// What tenants have that name no plan; `None`: no limits.
    pub default_plan: Option<String>,
}

impl Config {
    /// The limits of a tenant: its own, then those of its plan, then what `[judge]` gives everybody. A plan that is not there any more
    /// is as good as none named.
    pub fn limits(&self, own: Quota, plan: Option<&str>) -> Quota {
        let named = |name: &str| self.plans.iter().find(|plan| plan.name == name);
        let plan = plan.and_then(named);
        let plan = plan.or_else(|| self.quota.default_plan.as_deref().and_then(named));
        own.or(plan.map(|plan| plan.quota).unwrap_or_default()).or(self
            .judge
            .as_ref()
            .map(Judge::budget)
            .unwrap_or_default())
    }
}

/// Reads every `[[plan]]`.
pub(super) fn plans(root: &Section<'_>) -> Vec<Plan> {
    let sections = root.sections("plan");
    if sections.len() > PLANS_MAX {
        root.fault(
            "plan",
            format!("has {} plans", sections.len()),
            format!("use at most {PLANS_MAX}"),
        );
    }
    let mut names = HashSet::new();
    let read = sections.into_iter().filter_map(|section| {
        let name = section.required("name", "\"free\"").map(str::to_owned);
        if let Some(name) = &name {
            if !is_name(name) {
                section.fault("name", format!("is {name:?}"), NAME_REMEDY);
            } else if !names.insert(name.clone()) {
                section.fault(
                    "name",
                    format!("is {name:?}, which is used already"),
                    "give each its own name",
                );
            }
        }
        let quota = limits(&section);
        section.finish();
        Some(Plan { name: name?, quota })
    });
    read.collect()
}

/// Reads `[quota]`.
pub(super) fn settings(section: Option<Section<'_>>, plans: &[Plan]) -> QuotaSettings {
    let Some(section) = section else {
        return QuotaSettings::default();
    };
    let settings = QuotaSettings {
        default_plan: plan(&section, "default_plan", plans),
    };
    section.finish();
    settings
}

/// The name of a plan that is there.
pub(super) fn plan(section: &Section<'_>, key: &'static str, plans: &[Plan]) -> Option<String> {
    let name = section.string(key)?;
    let known: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
    if !known.contains(&name) {
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => "declare it as [[plan]] in the configuration file".to_owned(),
            None => format!("known: {}", known.join(", ")),
        };
        section.fault(key, format!("names the plan {name:?}, which is not there"), hint);
    }
    Some(name.to_owned())
}

/// Reads the limits that stand in a table.
pub(super) fn limits(section: &Section<'_>) -> Quota {
    Quota {
        endpoints: section.integer("endpoints", 0..=COUNT_MAX),
        sources: section.integer("sources", 0..=COUNT_MAX),
        keys: section.integer("keys", 0..=COUNT_MAX),
        plugins: section.integer("plugins", 0..=COUNT_MAX),
        events_per_second: endpoint::rate(section, "events_per_second"),
        events_per_day: section.integer("events_per_day", 0..=COUNT_MAX),
        stored_bytes: section
            .bytes("stored_bytes", 0..=usize::MAX)
            .and_then(|bytes| u64::try_from(bytes).ok()),
        judge_questions_per_day: section.integer("judge_questions_per_day", 0..=COUNT_MAX),
        judge_tokens_per_day: section.integer("judge_tokens_per_day", 0..=COUNT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Nowhere, faults};
    use super::*;

    const PLANS: &str = "[[plan]]\nname = \"free\"\nendpoints = 3\nevents_per_second = \"100/s\"\n\
                         stored_bytes = \"1MiB\"\n[[plan]]\nname = \"pro\"\nendpoints = 50\n";

    #[test]
    fn limits_are_a_tenants_own_then_its_plans_then_the_default_plans() {
        let text = format!("{PLANS}[quota]\ndefault_plan = \"free\"");
        let config = super::super::load(&text, &Nowhere).expect("valid");
        let own = Quota {
            endpoints: Some(7),
            ..Quota::default()
        };
        for (own, plan, endpoints) in [
            (own, Some("pro"), 7),
            (Quota::default(), Some("pro"), 50),
            (Quota::default(), None, 3),
            (Quota::default(), Some("gone"), 3),
        ] {
            assert_eq!(config.limits(own, plan).endpoints, Some(endpoints), "{plan:?}");
        }
        assert_eq!(config.plans[0].quota.stored_bytes, Some(1 << 20));
    }

    #[test]
    fn a_plan_that_is_not_there_is_a_fault() {
        let found = faults(&format!("{PLANS}[quota]\ndefault_plan = \"fre\""));
        assert!(found[0].contains("did you mean free?"), "{found:?}");
        let found = faults("[[plan]]\nname = \"a\"\nevents_per_second = \"many\"\n[[plan]]\nname = \"a\"");
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
