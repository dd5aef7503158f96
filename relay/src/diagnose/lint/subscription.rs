//! What an endpoint wants, and whether there is such a thing.

use super::{Found, Severity};
use crate::diagnose::{Facts, Surroundings};

pub(super) fn unknown_source(facts: &Facts, around: &Surroundings) -> Option<Found> {
    let mut unknown = facts.endpoint.sources.iter();
    let unknown = unknown.find(|name| !around.sources.contains(*name))?;
    Some(Found {
        code: "unknown_source",
        severity: Severity::Warning,
        text: format!("it wants events of the source {unknown:?}, and there is none of that name"),
        remedy: "correct its sources, or make that source",
    })
}

/// Says nothing while no event is known at all, or some of the types are not.
pub(super) fn unseen_types(facts: &Facts, around: &Surroundings) -> Option<Found> {
    if around.recent.types.is_empty() || !around.recent.has_all_types {
        return None;
    }
    let is_unseen = |pattern: &&_| {
        let pattern: &crate::model::event_type::Pattern = pattern;
        !around.recent.types.iter().any(|kind| pattern.matches(kind))
    };
    let unseen = facts.endpoint.event_types.iter().filter(is_unseen);
    let unseen: Vec<&str> = unseen.map(|pattern| pattern.as_str()).collect();
    let severity = match unseen.len() {
        0 => return None,
        count if count == facts.endpoint.event_types.len() => Severity::Warning,
        _ => Severity::Notice,
    };
    Some(Found {
        code: "unseen_types",
        severity,
        text: format!(
            "no event that is kept is of a type that {} stands for",
            unseen.join(", ")
        ),
        remedy: "compare the spelling with the types in GET /v1/events",
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::codes;
    use crate::diagnose::facts::tests::{around, facts};

    #[test]
    fn types_and_sources_that_do_not_exist_are_told_of() {
        let wanting = |types: &[&str], sources: &[&str]| {
            facts(1, "https://a.example").with(|endpoint| {
                endpoint.event_types = types
                    .iter()
                    .map(|text| text.parse().expect("a pattern"))
                    .collect();
                endpoint.sources = sources.iter().map(|name| (*name).to_owned()).collect();
            })
        };
        let mut around = around();
        assert_eq!(
            codes(&wanting(&["a.*"], &[]), &around),
            [""; 0],
            "nothing is known yet"
        );
        Arc::make_mut(&mut around.recent).types = ["a.b".to_owned()].into();
        around.sources = ["shop".to_owned()].into();
        assert_eq!(codes(&wanting(&["a.*"], &["shop"]), &around), [""; 0]);
        assert_eq!(codes(&wanting(&["a.c", "a.b"], &[]), &around), ["unseen_types"]);
        assert_eq!(codes(&wanting(&[], &["shp"]), &around), ["unknown_source"]);
        Arc::make_mut(&mut around.recent).has_all_types = false;
        assert_eq!(codes(&wanting(&["x"], &[]), &around), [""; 0]);
    }
}
