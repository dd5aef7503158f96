//! What a receiver would be sent, for whoever fetches it instead.

use bytes::Bytes;

use super::header::{self, Parsed};
use super::message;
use super::sign::Signer;
use crate::model::draft::Draft;
use crate::model::endpoint::Endpoint;
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

/// The headers and the body of a delivery, in the endpoint's format and signed now. `None` never: an
/// event that no plugin has seen is one message.
pub fn request(
    endpoint: &Endpoint,
    event: &Event,
    delivery: DeliveryId,
    signer: &Signer,
    now: Timestamp,
) -> Option<(Vec<Parsed>, Bytes)> {
    let mut messages = message::build(endpoint, event, delivery, vec![Draft::of(event)]);
    let message = messages.list.pop()?;
    let timestamp = now.as_secs();
    let signature = signer.sign(&message.id, timestamp, &message.body);
    Some((header::head(&message, &[], timestamp, signature), message.body))
}
