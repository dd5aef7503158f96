//! From an event to what is sent of it: the endpoint's chain, then frozen bytes.

use std::sync::Arc;

use super::Attempted;
use crate::deliver::message;
use crate::directory::Target;
use crate::model::attempt::{Outcome, PluginCost};
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::model::message::Messages;
use crate::plugins::{Call, Chained};

/// What is to be sent, and what it cost to make.
pub(super) struct Prepared {
    pub(super) messages: Messages,
    pub(super) plugins: Vec<PluginCost>,
    pub(super) log: Vec<String>,
}

/// Runs the chain over an event and freezes what it made.
///
/// # Errors
/// The attempt that ends here, if there is nothing to send.
pub(super) async fn prepare(
    target: &Target,
    event: &Arc<Event>,
    delivery: DeliveryId,
    call: Call<'_>,
) -> Result<Prepared, Attempted> {
    let ran = target.chain.run(event, call).await;
    let outcome = match ran.result {
        Chained::Emit(drafts) => {
            return Ok(Prepared {
                messages: message::build(&target.endpoint, event, delivery, drafts),
                plugins: ran.costs,
                log: ran.log,
            });
        }
        Chained::Drop { by, reason } => Outcome::Dropped { by, reason },
        Chained::Fault {
            plugin,
            fault,
            message,
            stderr,
            retry_after,
        } => Outcome::PluginFault {
            plugin,
            fault,
            message,
            stderr,
            retry_after_ms: retry_after.and_then(|span| u64::try_from(span.as_millis()).ok()),
        },
    };
    Err(Attempted {
        outcome,
        messages: None,
        plugins: ran.costs,
        log: ran.log,
    })
}
