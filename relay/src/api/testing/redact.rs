//! Shows requests without the secrets in them.

use http::{HeaderName, HeaderValue};

use crate::directory::Target;
use crate::ingest::headers::looks_like_a_credential;
use crate::model::secret::Secret;

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "(hidden)";
/// A secret shorter than this is not looked for within texts: it would be found by chance.
const SECRET_LEN_MIN: usize = 8;

/// Knows the secrets of one endpoint: its own, and those that its plugins were given.
pub(super) struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// For the requests of an endpoint.
    pub(super) fn of(target: &Target) -> Self {
        let endpoint = &target.endpoint;
        let sent = endpoint.headers.iter().chain(&endpoint.query);
        let sent = sent.map(|(_, secret)| secret);
        let plugins = endpoint
            .plugins
            .iter()
            .flat_map(|used| used.secrets.iter().map(|(_, secret)| secret));
        let all = endpoint.secrets.iter().chain(sent).chain(plugins);
        Self {
            secrets: all
                .map(Secret::reveal)
                .filter(|secret| secret.len() >= SECRET_LEN_MIN)
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Headers as text.
    pub(super) fn headers(&self, headers: &[(HeaderName, HeaderValue)]) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), self.header(name, value)))
            .collect()
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue) -> String {
        // The signature proves the secret without telling it.
        let is_signature = name.as_str().starts_with("webhook-");
        if value.is_sensitive() || !is_signature && looks_like_a_credential(name.as_str(), value.as_bytes()) {
            return HIDDEN.to_owned();
        }
        self.text(value.as_bytes(), usize::MAX)
    }

    /// Bytes as text, the first `max` of them.
    pub(super) fn text(&self, bytes: &[u8], max: usize) -> String {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for secret in &self.secrets {
            text = text.replace(secret, HIDDEN);
        }
        text.truncate(text.floor_char_boundary(max));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let redactor = Redactor {
            secrets: vec!["s3cr3t-of-the-plugin".to_owned()],
        };
        let mut own = HeaderValue::from_static("anything");
        own.set_sensitive(true);
        let headers = [
            (HeaderName::from_static("x-own"), own),
            (
                HeaderName::from_static("x-api-key"),
                HeaderValue::from_static("k"),
            ),
            (
                HeaderName::from_static("x-note"),
                HeaderValue::from_static("by s3cr3t-of-the-plugin!"),
            ),
            (
                HeaderName::from_static("webhook-signature"),
                HeaderValue::from_static("v1,abc"),
            ),
        ];
        let shown: Vec<String> = redactor
            .headers(&headers)
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(shown, [HIDDEN, HIDDEN, "by (hidden)!", "v1,abc"]);
        assert_eq!(
            redactor.text(b"{\"token\":\"s3cr3t-of-the-plugin\"}", 14),
            "{\"token\":\"(hid"
        );
    }
}
