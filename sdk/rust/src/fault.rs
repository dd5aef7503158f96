//! Why a hook could not do its work.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::http::HttpError;
use crate::judge::{self, JudgeError};
use crate::media::MediaError;
use crate::secrets::SecretError;
use crate::state::StateError;

/// Why a hook could not do its work. The case decides what the relay does next.
///
/// `?` turns every error of the standard library and of other crates into
/// [`Invalid`](Self::Invalid), a missing secret into [`Misconfigured`](Self::Misconfigured) and
/// unreachable state into [`Unavailable`](Self::Unavailable). [`OrFault`] chooses the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This event can never be handled: give up on it, keep it for a manual retry.
    Invalid(String),
    /// The configuration or a secret is wrong: other events would fail likewise.
    Misconfigured(String),
    /// It may work later: retry by the endpoint's schedule.
    Unavailable {
        /// What is not available.
        message: String,
        /// The next attempt comes no sooner than this.
        after: Option<Duration>,
    },
}

impl Fault {
    /// This event can never be handled.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// The configuration or a secret is wrong.
    pub fn misconfigured(message: impl Into<String>) -> Self {
        Self::Misconfigured(message.into())
    }

    /// It may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            after: None,
        }
    }

    /// It may work later, but no sooner than `after`.
    pub fn unavailable_for(message: impl Into<String>, after: Duration) -> Self {
        Self::Unavailable {
            message: message.into(),
            after: Some(after),
        }
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        match self {
            Self::Invalid(message) | Self::Misconfigured(message) | Self::Unavailable { message, .. } => {
                message
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let case = match self {
            Self::Invalid(_) => "invalid",
            Self::Misconfigured(_) => "misconfigured",
            Self::Unavailable { .. } => "unavailable",
        };
        write!(formatter, "{case}: {}", self.message())
    }
}

/// `Fault` is no [`Error`] itself, which is what makes room for this.
impl<E: Error> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<SecretError> for Fault {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::NotGranted(_) => Self::Misconfigured(error.to_string()),
            SecretError::Unavailable(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Denied(_) => Self::Misconfigured(error.to_string()),
            StateError::TooLarge(_) => Self::Invalid(error.to_string()),
            StateError::QuotaExceeded | StateError::Unavailable(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(_) => Self::Misconfigured(error.to_string()),
            HttpError::Invalid(_) | HttpError::TooLarge(_) => Self::Invalid(error.to_string()),
            HttpError::Timeout | HttpError::Failed(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<MediaError> for Fault {
    fn from(error: MediaError) -> Self {
        match error {
            MediaError::Denied(_) => Self::Misconfigured(error.to_string()),
            MediaError::TooLarge(_) => Self::Invalid(error.to_string()),
            MediaError::QuotaExceeded | MediaError::Unavailable(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<JudgeError> for Fault {
    fn from(error: JudgeError) -> Self {
        let message = error.to_string();
        match error {
            JudgeError::Denied(_) | JudgeError::NotConfigured => Self::Misconfigured(message),
            JudgeError::Invalid(_) => Self::Invalid(message),
            JudgeError::BudgetSpent => Self::unavailable_for(message, judge::until_tomorrow()),
            JudgeError::Timeout | JudgeError::Unavailable(_) => Self::unavailable(message),
        }
    }
}

/// Says which fault a missing value or an error is.
pub trait OrFault<T>: Sized {
    /// [`Fault::Invalid`] with this message.
    ///
    /// # Errors
    /// When there is no value.
    fn or_invalid(self, message: impl Into<String>) -> Result<T, Fault> {
        self.or_fault(Fault::Invalid, message)
    }

    /// [`Fault::Misconfigured`] with this message.
    ///
    /// # Errors
    /// When there is no value.
    fn or_misconfigured(self, message: impl Into<String>) -> Result<T, Fault> {
        self.or_fault(Fault::Misconfigured, message)
    }

    /// [`Fault::Unavailable`] with this message.
    ///
    /// # Errors
    /// When there is no value.
    fn or_unavailable(self, message: impl Into<String>) -> Result<T, Fault> {
        self.or_fault(Fault::unavailable, message)
    }

    /// The fault made from this message.
    ///
    /// # Errors
    /// When there is no value.
    fn or_fault(self, fault: fn(String) -> Fault, message: impl Into<String>) -> Result<T, Fault>;
}

impl<T> OrFault<T> for Option<T> {
    fn or_fault(self, fault: fn(String) -> Fault, message: impl Into<String>) -> Result<T, Fault> {
        self.ok_or_else(|| fault(message.into()))
    }
}

impl<T, E: fmt::Display> OrFault<T> for Result<T, E> {
    fn or_fault(self, fault: fn(String) -> Fault, message: impl Into<String>) -> Result<T, Fault> {
        self.map_err(|error| fault(format!("{}: {error}", message.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_mark_picks_the_case_that_fits() {
        fn number(text: &str) -> Result<u8, Fault> {
            Ok(text.parse::<u8>()?)
        }
        fn secret() -> Result<(), Fault> {
            Err(SecretError::NotGranted("token".into()))?
        }
        assert_eq!(number("7"), Ok(7));
        assert_eq!(number("x"), Err(Fault::invalid("invalid digit found in string")));
        assert!(matches!(secret(), Err(Fault::Misconfigured(message)) if message.contains("token")));
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(matches!(
            JudgeError::BudgetSpent.into(),
            Fault::Unavailable { after: Some(after), .. } if after <= day
        ));
        assert!(matches!(
            JudgeError::NotConfigured.into(),
            Fault::Misconfigured(_)
        ));
        assert!(matches!(
            StateError::QuotaExceeded.into(),
            Fault::Unavailable { after: None, .. }
        ));
    }

    #[test]
    fn or_fault_keeps_the_cause() {
        assert_eq!(
            "x".parse::<u8>().or_invalid("the count"),
            Err(Fault::invalid("the count: invalid digit found in string"))
        );
        assert_eq!(
            None::<u8>
                .or_misconfigured("no list")
                .map_err(|fault| fault.to_string()),
            Err("misconfigured: no list".into())
        );
    }
}
