//! What a delivery sends: frozen so that every attempt carries the same bytes.

use bytes::Bytes;

use super::event::Header;

/// One message: its wire id, headers and body. Timestamp and signature are made per attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `webhook-id`: the same on every attempt. Contains no full stop.
    pub id: String,
    pub headers: Vec<Header>,
    pub body: Bytes,
}

/// The messages of one delivery, and how many of them the receiver already took.
///
/// Mostly one; a chain that emits several has them sent in order, and a retry goes on
/// after the last one that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Messages {
    pub list: Vec<Message>,
    pub sent: usize,
}
