//! A mail, whatever service sends it.

use crate::address::Address;

/// A mail, whatever service sends it. It has a text, HTML, or both.
pub(crate) struct Mail {
    pub(crate) from: Address,
    pub(crate) to: Vec<Address>,
    pub(crate) cc: Vec<Address>,
    pub(crate) bcc: Vec<Address>,
    pub(crate) reply_to: Option<Address>,
    pub(crate) subject: String,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    /// What the service counts it under.
    pub(crate) tag: Option<String>,
}
