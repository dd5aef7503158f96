//! The hooks, and what they answer.

use crate::{Answer, Edits, Event, Fault, Message, Request};

/// A plugin: what `#[plugin]` writes for an author's struct, hook by hook.
///
/// A hook that the author left out is not exported, and answers here with a fault.
pub trait Plugin: 'static {
    /// The manifest that the component carries, as JSON.
    const MANIFEST: &'static str;
    /// The names of the hooks it has.
    const HOOKS: &'static [&'static str];

    /// Decides whether a request to a source is genuine.
    ///
    /// # Errors
    /// The plugin's own faults; the request is refused.
    fn authenticate(request: &Request) -> Result<Verdict, Fault> {
        absent("authenticate", request)
    }

    /// Keeps or drops an event.
    ///
    /// # Errors
    /// The plugin's own faults.
    fn filter(event: &Event) -> Result<Decision, Fault> {
        absent("filter", event)
    }

    /// Turns one event into no message, one, or several.
    ///
    /// # Errors
    /// The plugin's own faults.
    fn transform(event: &Event) -> Result<Outcome, Fault> {
        absent("transform", event)
    }

    /// Turns the destination's answer into the answer for a platform that waits for it.
    ///
    /// # Errors
    /// The plugin's own faults.
    fn respond(event: &Event, answer: &Answer) -> Result<Reply, Fault> {
        absent("respond", (event, answer))
    }

    /// Looks at a configuration (JSON text) when it is saved.
    fn check(config: &str) -> Vec<Problem> {
        let _: &str = config;
        Vec::new()
    }
}

fn absent<I, T>(hook: &str, _: I) -> Result<T, Fault> {
    Err(Fault::misconfigured(format!("the plugin has no hook `{hook}`")))
}

/// Whether an event goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes on.
    Keep,
    /// It ends here; the reason is shown in the delivery's log.
    Drop(String),
}

impl Decision {
    /// Drops the event for this reason.
    pub fn drop(reason: impl Into<String>) -> Self {
        Self::Drop(reason.into())
    }

    /// Keeps the event if the condition holds, else drops it for this reason.
    pub fn keep_if(condition: bool, reason: impl Into<String>) -> Self {
        if condition {
            Self::Keep
        } else {
            Self::Drop(reason.into())
        }
    }
}

impl From<bool> for Decision {
    fn from(keep: bool) -> Self {
        Self::keep_if(keep, "the plugin's filter said no")
    }
}

/// What becomes of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It stays as it is.
    Keep,
    /// It ends here; the reason is shown in the delivery's log.
    Drop(String),
    /// These messages go out in its place, in this order.
    Emit(Vec<Message>),
}

impl Outcome {
    /// Drops the event for this reason.
    pub fn drop(reason: impl Into<String>) -> Self {
        Self::Drop(reason.into())
    }
}

/// Whether a request is genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accept(Identity),
    /// It is not.
    Reject {
        /// 400 to 499.
        status: u16,
        /// Goes to the relay's log, never to the caller.
        reason: String,
    },
    /// It is a handshake or challenge: answered here, without making an event.
    Answer(Handshake),
}

impl Verdict {
    /// Accepts, with nothing to say about the sender.
    pub fn accept() -> Self {
        Self::Accept(Identity::default())
    }

    /// Refuses with a status (400 to 499) and a reason for the relay's log.
    pub fn reject(status: u16, reason: impl Into<String>) -> Self {
        Self::Reject {
            status,
            reason: reason.into(),
        }
    }

    /// Answers a handshake with this text.
    pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(Handshake {
            status,
            headers: Vec::new(),
            body: body.into(),
        })
    }
}

impl From<Identity> for Verdict {
    fn from(identity: Identity) -> Self {
        Self::Accept(identity)
    }
}

/// What an accepted request tells of its sender.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// An account, an installation, the id of a key.
    pub principal: Option<String>,
    /// Reserved; leave it `None`.
    pub tenant: Option<String>,
    /// Attributes for the event, by CloudEvents name.
    pub attributes: Vec<(String, String)>,
}

/// The answer to a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The answer for a platform that waits for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) message: Message,
}

/// Something wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A JSON Pointer into the configuration.
    pub at: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem with the value at a JSON Pointer.
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            message: message.into(),
        }
    }
}

/// What a hook may return for an answer `A`: the answer, what turns into it, or a `Result` of
/// either.
#[diagnostic::on_unimplemented(
    message = "a hook that answers with `{A}` cannot return `{Self}`",
    label = "not an answer of this hook",
    note = "return `Result<{A}, Fault>`, or something that `{A}` is made from"
)]
pub trait IntoAnswer<A> {
    /// The answer or fault.
    ///
    /// # Errors
    /// The hook's fault.
    fn into_answer(self) -> Result<A, Fault>;
}

impl<A, T: Into<A>, E: Into<Fault>> IntoAnswer<A> for Result<T, E> {
    fn into_answer(self) -> Result<A, Fault> {
        self.map(Into::into).map_err(Into::into)
    }
}

macro_rules! answers {
    ($($from:ty => $answer:ty,)*) => {$(
        impl IntoAnswer<$answer> for $from {
            fn into_answer(self) -> Result<$answer, Fault> {
                Ok(self.into())
            }
        }
    )*};
}

answers! {
    Decision => Decision,
    bool => Decision,
    Outcome => Outcome,
    Edits => Outcome,
    Message => Outcome,
    Vec<Message> => Outcome,
    Verdict => Verdict,
    Identity => Verdict,
    Reply => Reply,
    Edits => Reply,
    Message => Reply,
}

/// What `check` may return.
#[doc(hidden)]
pub trait IntoProblems {
    fn into_problems(self) -> Vec<Problem>;
}

impl IntoProblems for Vec<Problem> {
    fn into_problems(self) -> Vec<Problem> {
        self
    }
}

impl IntoProblems for Result<(), Problem> {
    fn into_problems(self) -> Vec<Problem> {
        self.err().into_iter().collect()
    }
}

#[doc(hidden)]
pub fn answer<A>(given: impl IntoAnswer<A>) -> Result<A, Fault> {
    given.into_answer()
}

/// Reads the configuration for `check`; what does not even fit the type is its one problem.
#[doc(hidden)]
pub fn problems<C, P>(document: &str, check: impl FnOnce(C) -> P) -> Vec<Problem>
where
    C: serde::de::DeserializeOwned,
    P: IntoProblems,
{
    match crate::config::parse(document) {
        Ok(config) => check(config).into_problems(),
        Err(misfit) => vec![Problem::new(misfit.at, misfit.message)],
    }
}

#[doc(hidden)]
pub const fn used<P: Plugin>() {}
