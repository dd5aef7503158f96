//! The seam below the deadline and above the network.

use async_trait::async_trait;

use super::{Answer, Outgoing};
use crate::deliver::outcome::Failure;

/// Carries requests to receivers.
///
/// A relay has none and speaks HTTP over sockets, whose addresses the guard checks. A simulation
/// puts its scripted receivers here: deadline, outcome and everything above stay the relay's own.
#[async_trait]
pub trait Wire: std::fmt::Debug + Send + Sync {
    /// Brings the request to its receiver, and back what it answers.
    async fn exchange(&self, request: &Outgoing<'_>) -> Result<Answer, Failure>;
}
