//! How a refusal looks on the wire: a problem as RFC 9457 has it.

use std::borrow::Cow;

use serde::Serialize;

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Most single faults that one problem lists.
pub const ERRORS_MAX: usize = 50;

/// One refusal. The `code` is stable and meant for programs, the rest for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    pub status: u16,
    pub code: &'static str,
    pub title: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub detail: String,
    /// What is wrong with the input, one entry per fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 50)]
    pub errors: Vec<Flaw>,
}

/// One fault of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Flaw {
    /// A JSON Pointer (RFC 6901) into the request's body; empty for all of it, or for what
    /// stands in a header.
    pub pointer: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String, required = false)]
    pub code: Cow<'static, str>,
    pub message: String,
}

impl Problem {
    /// A problem without single faults.
    pub fn new(status: u16, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Nothing there, or nothing that this caller may know of.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not_found", "Not found", detail)
    }

    /// The same problem with the faults of the input, the first [`ERRORS_MAX`] of them.
    #[must_use]
    pub fn with_errors(mut self, errors: impl IntoIterator<Item = Flaw>) -> Self {
        self.errors.extend(errors.into_iter().take(ERRORS_MAX));
        self
    }

    /// The body to answer with, under [`CONTENT_TYPE`].
    pub fn to_json(&self) -> Vec<u8> {
        // Strings and numbers alone: there is nothing here that JSON cannot write.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Flaw {
    /// A fault at a JSON Pointer.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code: Cow::Borrowed(code),
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_left_out() {
        let problem = Problem::new(404, "unknown_source", "Unknown source", "");
        assert_eq!(
            String::from_utf8(problem.to_json()).expect("JSON is UTF-8"),
            r#"{"status":404,"code":"unknown_source","title":"Unknown source"}"#
        );
    }

    #[test]
    fn the_list_of_faults_is_bounded() {
        let flaws = (0..1000).map(|at| Flaw::new(format!("/{at}"), "missing", "is missing"));
        let problem = Problem::new(400, "invalid_event", "Invalid event", "x").with_errors(flaws);
        assert_eq!(problem.errors.len(), ERRORS_MAX);
    }
}
