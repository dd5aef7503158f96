//! Endpoints with the same URL: one event may arrive there twice.

use super::{Found, Severity};
use crate::diagnose::Facts;
use crate::model::endpoint::Endpoint;

/// Names of others that are told.
const NAMES_MAX: usize = 5;

pub(super) fn same_url(facts: &Facts, same: &[&Facts]) -> Option<Found> {
    let own = &facts.endpoint;
    // What is polled, or looked at within the relay, has no receiver that something arrives at twice.
    if !matches!(own.url.scheme(), "http" | "https") {
        return None;
    }
    let others = same.iter().map(|other| &*other.endpoint);
    let others: Vec<&Endpoint> = others.filter(|other| other.id != own.id).collect();
    if others.is_empty() {
        return None;
    }
    let overlapping: Vec<&Endpoint> = others
        .iter()
        .copied()
        .filter(|other| overlap(own, other))
        .collect();
    if overlapping.is_empty() {
        return Some(Found {
            code: "duplicate_url",
            severity: Severity::Notice,
            text: format!("{} lead to the same URL, for other events", names(&others)),
            remedy: "one endpoint with both subscriptions is easier to keep an eye on",
        });
    }
    Some(Found {
        code: "overlap",
        severity: Severity::Warning,
        text: format!(
            "{} lead to the same URL and want some of the same events: these arrive there more than once",
            names(&overlapping)
        ),
        remedy: "delete what is left of an old registration, or narrow event_types, sources or filter",
    })
}

/// Whether some event is wanted by both. Filters may still tell them apart.
fn overlap(one: &Endpoint, two: &Endpoint) -> bool {
    let types = one.event_types.is_empty()
        || two.event_types.is_empty()
        || one
            .event_types
            .iter()
            .any(|left| two.event_types.iter().any(|right| left.overlaps(right)));
    let sources = one.sources.is_empty()
        || two.sources.is_empty()
        || one.sources.iter().any(|source| two.sources.contains(source));
    // What is switched off gets nothing.
    types && sources && one.enabled && two.enabled
}

fn names(endpoints: &[&Endpoint]) -> String {
    let mut names: Vec<&str> = endpoints
        .iter()
        .take(NAMES_MAX)
        .map(|endpoint| endpoint.name.as_str())
        .collect();
    let more = format!("{} more", endpoints.len().saturating_sub(NAMES_MAX));
    if endpoints.len() > NAMES_MAX {
        names.push(&more);
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::all;
    use crate::diagnose::Facts;
    use crate::diagnose::facts::tests::{around, facts};

    const CODES: [&str; 2] = ["overlap", "duplicate_url"];

    fn wanting(number: i64, types: &[&str], sources: &[&str]) -> Facts {
        facts(number, "https://a.example/hook").with(|endpoint| {
            endpoint.event_types = types
                .iter()
                .map(|text| text.parse().expect("a pattern"))
                .collect();
            endpoint.sources = sources.iter().map(|name| (*name).to_owned()).collect();
        })
    }

    #[test]
    fn endpoints_with_one_url_overlap_or_are_duplicates() {
        for (one, two, code) in [
            (wanting(1, &[], &[]), wanting(2, &["a.b"], &[]), "overlap"),
            (
                wanting(1, &["a.*"], &[]),
                wanting(2, &["a.b", "c"], &[]),
                "overlap",
            ),
            (
                wanting(1, &["a.*"], &[]),
                wanting(2, &["c"], &[]),
                "duplicate_url",
            ),
            (wanting(1, &[], &["s"]), wanting(2, &[], &["t"]), "duplicate_url"),
        ] {
            let mut around = around();
            around.sources = ["s", "t"].map(str::to_owned).into();
            let findings = all(&[one, two], &around);
            let codes: Vec<_> = findings.iter().map(|finding| finding.code).collect();
            assert_eq!(codes, [code, code], "{findings:?}");
        }
        for url in ["relay:poll", "inspector://0a1b"] {
            let others = [1, 2].map(|number| facts(number, url));
            let findings = all(&others, &around());
            assert!(
                findings.iter().all(|found| !CODES.contains(&found.code)),
                "{findings:?}"
            );
        }
        let off = wanting(2, &[], &[]).with(|endpoint| endpoint.enabled = false);
        assert_eq!(
            all(&[wanting(1, &[], &[]), off], &around())[0].code,
            "duplicate_url"
        );
    }
}
