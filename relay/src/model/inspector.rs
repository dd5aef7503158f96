//! An inspector: a receiver within the relay, to look at what would be sent.

use super::id::{InspectorId, TenantId};
use super::time::Timestamp;

/// An inspector as it is kept; what it was sent is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspector {
    pub id: InspectorId,
    pub tenant: TenantId,
    pub name: String,
    /// What its addresses end with; nobody guesses it.
    pub token: String,
    /// What it answers with.
    pub status: u16,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}
