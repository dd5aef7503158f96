//! Named secrets that the operator granted.
//!
//! Prefer [`crate::crypto`], with which the secret does not enter the plugin at all.

use std::fmt;

use crate::host;

/// Why there is no secret.
///
/// No `std::error::Error`, so that `?` knows which [`Fault`](crate::Fault) it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretError {
    /// The secret of this name is not granted or not there: the two are not told apart.
    NotGranted(String),
    /// It cannot be read now.
    Unavailable(String),
}

impl fmt::Display for SecretError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted(name) => write!(
                formatter,
                "the secret `{name}` is not granted: grant it to this plugin"
            ),
            Self::Unavailable(reason) => {
                write!(formatter, "the secret cannot be read now: {reason}")
            }
        }
    }
}

/// The secret of this name.
///
/// # Errors
/// If it is not granted, or cannot be read now.
pub fn get(name: &str) -> Result<String, SecretError> {
    host::secret(name)
}
