//! The duty to bring one event to one endpoint, and the states it goes through.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::attempt::Attempt;
use super::id::{DeliveryId, EndpointId, EventId, TenantId};
use super::message::Messages;
use super::time::Timestamp;

/// Where a delivery stands. `docs/states.md` draws who moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its due time, its turn, or its endpoint.
    Pending,
    /// The receiver took it.
    Succeeded,
    /// Attempts are exhausted, or the failure was final: kept for a manual retry.
    Failed,
    /// A filter or plugin decided not to send it.
    Dropped,
    /// Someone called it off.
    Cancelled,
}

impl State {
    /// Every state, in the order of the numbers they are stored as.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Succeeded,
        Self::Failed,
        Self::Dropped,
        Self::Cancelled,
    ];

    /// The word used everywhere outside.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Cancelled => "cancelled",
        }
    }

    /// The number it is stored as.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The state stored as that number.
    pub fn from_code(code: i64) -> Option<Self> {
        usize::try_from(code)
            .ok()
            .and_then(|index| Self::ALL.get(index).copied())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(())
    }
}

/// One delivery as the log shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub tenant: TenantId,
    pub event: EventId,
    pub endpoint: EndpointId,
    /// Type of its event.
    pub event_type: String,
    pub state: State,
    /// When the next attempt is due, while pending.
    pub due: Option<Timestamp>,
    /// Attempts so far.
    pub attempts: u32,
    /// Why it is in this state: the plugin's reason, the last failure.
    pub reason: Option<String>,
    /// Whether somebody tried the endpoint out with a sample.
    pub test: bool,
    /// When the row last changed; for a delivery without a row, when its event came in.
    pub updated_at: Timestamp,
}

/// Where a delivery stands after an attempt, and when it goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    pub state: State,
    /// Set exactly while `state` is pending.
    pub due: Option<Timestamp>,
    pub reason: Option<String>,
    /// The attempt just made; `None` when the delivery only has to wait, or was dropped
    /// before anything was sent.
    pub attempt: Option<Attempt>,
    /// The frozen messages, written the first time an attempt fails. `None` leaves what is
    /// stored as it is.
    pub messages: Option<Messages>,
}
