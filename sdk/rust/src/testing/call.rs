//! The call in progress on this thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::host::Line;
use super::state::State;
use crate::call::Context;

/// What the host functions see while a plugin runs.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) context: Context,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) extensions: Vec<(String, String)>,
    pub(crate) answer_headers: Vec<(String, String)>,
    /// The event or request, then the answer.
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) config: String,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) shared: Rc<Shared>,
}

/// What outlives a call.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) state: RefCell<State>,
    pub(crate) lines: RefCell<Vec<Line>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Call>>> = const { RefCell::new(None) };
}

impl Call {
    /// Runs `work` as a plugin's hook; a call inside a call ends before the outer one goes on.
    pub(super) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        let _outer = Restore(CURRENT.replace(Some(Rc::new(self))));
        work()
    }

    /// Hands the call in progress to a host function.
    ///
    /// # Panics
    /// If there is none: the test calls a hook by itself.
    pub(crate) fn with<R>(answer: impl FnOnce(&Self) -> R) -> R {
        let call = CURRENT.with_borrow(Clone::clone);
        answer(&call.expect("no call in progress: run the hook through relay_sdk::testing::Host"))
    }

    pub(crate) fn payload(&self, number: u32) -> &[u8] {
        &self.payloads[number as usize]
    }
}

/// Puts the outer call back, also when a test panics.
struct Restore(Option<Rc<Call>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.replace(self.0.take());
    }
}
