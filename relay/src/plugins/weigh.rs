//! What a call takes of a machine, whichever machine it is.

use std::sync::Arc;

use super::Call;
use super::bound::{Bound, Runner};
use super::fault::Fault;
use super::job::filter_and_transform;
use super::subject::{Subject, Working};
use super::visit::Origin;
use crate::model::attempt::FaultKind;
use crate::model::event::Event;

/// What an instance has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Bytes of all linear memories.
    pub memory_bytes: usize,
    /// WebAssembly instructions, near enough, from the instance's start; `None` if they are not
    /// counted.
    pub fuel: Option<u64>,
}

impl Bound {
    /// Weighs an instance before and after it has filtered and transformed an event.
    ///
    /// # Errors
    /// The plugin's fault.
    pub async fn weigh(&self, event: &Arc<Event>, call: Call<'_>) -> Result<(Weight, Weight), Fault> {
        let Runner::Here(here) = &self.0.runner else {
            return Err(Fault::new(
                FaultKind::Unloadable,
                "only what runs in this process can be weighed".to_owned(),
            ));
        };
        let working = Working::Event(event.clone());
        let subject = Subject::Event(working.clone());
        let mut visiting = here.visit(subject, Origin::of(&call)).await?;
        let before = visiting.instance().weight();
        filter_and_transform(visiting.instance(), &working, self.hooks()).await?;
        let after = visiting.instance().weight();
        visiting.leave();
        Ok((before, after))
    }
}
