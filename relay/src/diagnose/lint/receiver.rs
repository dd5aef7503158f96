//! The way to the receiver, and the receiver itself.

use std::time::Duration;

use super::{Found, Severity};
use crate::deliver::address::LOCAL_SCHEME;
use crate::deliver::mail::is_mail;
use crate::diagnose::{Facts, Surroundings};
use crate::model::policy::PLAIN_HTTP;

/// A certificate that ends sooner is told of.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// Receivers that take longer are refused by many platforms, and hold up their own senders.
const SLOW: Duration = Duration::from_secs(3);
/// Attempts that have to be known before anything is said of a receiver's pace.
const ATTEMPTS_MIN: usize = 5;

pub(super) fn unusable(facts: &Facts, _: &Surroundings) -> Option<Found> {
    let why = facts.unusable.as_ref()?;
    Some(Found {
        code: "unusable",
        severity: Severity::Error,
        text: format!("its definition cannot be used: {why}"),
        remedy: "change it, or put back what is gone; its deliveries wait",
    })
}

pub(super) fn disabled(facts: &Facts, _: &Surroundings) -> Option<Found> {
    let why = facts.disabled.as_ref()?;
    Some(Found {
        code: "disabled",
        severity: Severity::Error,
        text: format!("nothing is sent to it since {}: {}", why.at, why.reason),
        remedy: "try it with a test, then enable it: what waits is sent then",
    })
}

pub(super) fn plain_http(facts: &Facts, around: &Surroundings) -> Option<Found> {
    let url = &facts.endpoint.url;
    let (severity, text) = match around.policy.forbids(url) {
        true => (Severity::Error, format!("nothing is sent to it: {PLAIN_HTTP}")),
        false => (
            Severity::Warning,
            "its URL is plain HTTP: whoever is on the way reads what is sent".to_owned(),
        ),
    };
    (url.scheme() == "http").then_some(Found {
        code: "plain_http",
        severity,
        text,
        remedy: "use https",
    })
}

pub(super) fn certificate(facts: &Facts, around: &Surroundings) -> Option<Found> {
    let ends = facts.certificate_ends.filter(|ends| *ends < around.now + SOON)?;
    let (severity, verb) = match ends <= around.now {
        true => (Severity::Error, "expired"),
        false => (Severity::Warning, "expires"),
    };
    Some(Found {
        code: "certificate_ends",
        severity,
        text: format!("when it was last diagnosed, its receiver showed a certificate that {verb} at {ends}"),
        remedy: "have the receiver's certificate renewed, then diagnose the endpoint again",
    })
}

pub(super) fn slow(facts: &Facts, around: &Surroundings) -> Option<Found> {
    let mut durations = facts.activity.durations.clone();
    // Mail takes its time, and nobody waits for it.
    if durations.len() < ATTEMPTS_MIN || is_mail(&facts.endpoint.url) {
        return None;
    }
    durations.sort_unstable();
    let typical = durations[durations.len() / 2];
    let timeout = around.policy.timeout(facts.endpoint.timeout);
    if typical < SLOW.min(timeout / 2) {
        return None;
    }
    Some(Found {
        code: "slow",
        severity: Severity::Warning,
        text: format!(
            "half of its newest attempts took {typical:.1?} or more, with a timeout of {timeout:?}"
        ),
        remedy: "have the receiver answer first and work afterwards, or set a longer timeout",
    })
}

/// The relay signs always; whether the receiver looks is known only once somebody has sent it
/// something forged.
pub(super) fn signature(facts: &Facts, _: &Surroundings) -> Option<Found> {
    let url = &facts.endpoint.url;
    if facts.endpoint.is_polled || url.scheme() == LOCAL_SCHEME || is_mail(url) {
        return None;
    }
    match facts.refuses_forgeries {
        Some(true) => None,
        Some(false) => Some(Found {
            code: "signature_not_verified",
            severity: Severity::Warning,
            text: "its receiver took a test with a wrong signature: it would take anybody's".to_owned(),
            remedy: "have the receiver verify the signature; GET /v1/endpoints/{id}/secret says with what",
        }),
        None => Some(Found {
            code: "signature_unchecked",
            severity: Severity::Notice,
            text: "since the relay started, nobody has looked whether its receiver verifies signatures"
                .to_owned(),
            remedy: "send a test with \"forge\": true: a receiver that verifies refuses it",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::codes;
    use super::*;
    use crate::diagnose::facts::tests::{NOW, ago, around, days, facts};
    use crate::store::Disabled;

    const URL: &str = "https://a.example";

    #[test]
    fn what_keeps_events_from_arriving_is_an_error() {
        let mut facts = facts(1, URL);
        facts.unusable = Some("the plugin is gone".to_owned());
        facts.disabled = Some(Disabled {
            at: NOW,
            reason: "gone".to_owned(),
        });
        facts.certificate_ends = Some(ago(days(1)));
        assert_eq!(
            codes(&facts, &around()),
            ["unusable", "disabled", "certificate_ends"]
        );
    }

    #[test]
    fn a_certificate_is_told_of_a_fortnight_before_it_ends() {
        for (left, codes_of) in [(13, vec!["certificate_ends"]), (15, vec![])] {
            let mut facts = facts(1, URL);
            facts.certificate_ends = Some(NOW + days(left));
            assert_eq!(codes(&facts, &around()), codes_of, "{left} days");
        }
    }

    #[test]
    fn what_a_policy_forbids_is_an_error() {
        let facts = facts(1, "http://a.example");
        let mut around = around();
        for (https_only, severity) in [(false, Severity::Warning), (true, Severity::Error)] {
            around.policy.https_only = https_only;
            let found = plain_http(&facts, &around).expect("plain HTTP");
            assert_eq!(found.severity, severity);
        }
    }

    #[test]
    fn a_receiver_is_slow_at_three_seconds_or_half_its_timeout() {
        for (ms, timeout, count, is_slow) in [
            (2_900, 15, 5, false),
            (3_000, 15, 5, true),
            (3_000, 15, 4, false),
            (1_000, 2, 20, true),
            (900, 2, 20, false),
        ] {
            let mut facts =
                facts(1, URL).with(|endpoint| endpoint.timeout = Some(Duration::from_secs(timeout)));
            facts.activity.durations = vec![Duration::from_millis(ms); count];
            facts.activity.last_delivery = Some(NOW);
            facts.activity.last_success = Some(NOW);
            let found = codes(&facts, &around());
            assert_eq!(
                found.contains(&"slow"),
                is_slow,
                "{ms} ms of {timeout} s: {found:?}"
            );
        }
    }

    #[test]
    fn a_receiver_that_takes_forgeries_is_told_of() {
        for (url, refuses, codes_of) in [
            (URL, Some(true), vec![]),
            (URL, Some(false), vec!["signature_not_verified"]),
            (URL, None, vec!["signature_unchecked"]),
            ("http://a.example", Some(true), vec!["plain_http"]),
            ("inspector://abc", None, vec![]),
            ("mailto:ops@acme.example", None, vec![]),
        ] {
            let mut facts = facts(1, url);
            facts.refuses_forgeries = refuses;
            assert_eq!(codes(&facts, &around()), codes_of, "{url} {refuses:?}");
        }
        let mut polled = facts(1, "relay:poll").with(|endpoint| endpoint.is_polled = true);
        polled.refuses_forgeries = None;
        assert!(codes(&polled, &around()).is_empty());
    }
}
