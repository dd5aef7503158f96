//! What a tenant lays down for everything that it has.

use std::time::Duration;

use url::Url;

/// How long an attempt may take where neither its endpoint nor its tenant says otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// What somebody is told whose URL a policy forbids.
pub const PLAIN_HTTP: &str = "plain `http` is refused by the policy of its tenant (`https_only`)";

/// The policy of a tenant. It binds what is there already as much as what is made later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether nothing is sent but by `https`. Only ever stricter than what the operator lets out.
    pub https_only: bool,
    /// How long an attempt may take at endpoints that do not say it themselves.
    pub timeout: Option<Duration>,
    /// How long events and their deliveries are kept, if that is shorter than the store keeps all of
    /// them.
    pub retention: Option<Duration>,
}

impl Policy {
    /// How long an attempt may take at an endpoint that says so itself, or does not.
    pub fn timeout(&self, own: Option<Duration>) -> Duration {
        own.or(self.timeout).unwrap_or(TIMEOUT_DEFAULT)
    }

    /// Whether nothing may be sent to a URL.
    pub fn forbids(&self, url: &Url) -> bool {
        self.https_only && url.scheme() == "http"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_own_timeout_counts_before_its_tenants() {
        let second = Duration::from_secs(1);
        let policy = Policy {
            timeout: Some(5 * second),
            ..Policy::default()
        };
        assert_eq!(policy.timeout(Some(second)), second);
        assert_eq!(policy.timeout(None), 5 * second);
        assert_eq!(Policy::default().timeout(None), TIMEOUT_DEFAULT);
    }

    #[test]
    fn only_plain_http_is_forbidden_and_only_where_the_policy_says_so() {
        let strict = Policy {
            https_only: true,
            ..Policy::default()
        };
        for (url, forbidden) in [
            ("http://a.example", true),
            ("https://a.example", false),
            ("inspector://abc", false),
            ("relay:poll", false),
        ] {
            let url = url.parse().expect("a URL");
            assert_eq!(strict.forbids(&url), forbidden, "{url}");
            assert!(!Policy::default().forbids(&url), "{url}");
        }
    }
}
