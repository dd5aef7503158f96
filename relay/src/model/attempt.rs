//! One try of a delivery: what was done, what came back, what it cost.

use serde::{Deserialize, Serialize};

use super::id::AttemptId;
use super::time::Timestamp;

/// Longest excerpt of a receiver's answer that is kept, in bytes.
pub const EXCERPT_BYTES_MAX: usize = 1024;

/// One try of a delivery, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attempt {
    pub id: AttemptId,
    /// 1 for the first.
    pub number: u32,
    pub trigger: Trigger,
    pub started_at: Timestamp,
    /// From the start of the chain to the end of the answer, in microseconds.
    pub duration_us: u64,
    pub outcome: Outcome,
    /// What each plugin of the chain cost, in chain order; empty when frozen bytes were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginCost>,
    /// What plugins logged, bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl Attempt {
    /// What is left of it once its event is erased: how it ended, not what was said.
    #[must_use]
    pub fn erased(mut self) -> Self {
        self.log.clear();
        match &mut self.outcome {
            Outcome::Responded { excerpt, .. } => excerpt.clear(),
            Outcome::Unreachable { detail, .. } => detail.clear(),
            Outcome::Refused { reason } | Outcome::Dropped { reason, .. } => reason.clear(),
            Outcome::PluginFault { message, stderr, .. } => {
                message.clear();
                stderr.clear();
            }
        }
        self
    }
}

/// What set an attempt off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Scheduled,
    /// Someone asked for it.
    Manual,
    /// Someone asked for the event to be sent again.
    Replay,
    /// A call: its sender waited for the answer.
    Call,
}

impl Trigger {
    /// Whether a person asked for the attempt.
    pub const fn is_asked_for(self) -> bool {
        !matches!(self, Self::Scheduled)
    }

    /// The number it is stored as.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The trigger stored as that number.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Scheduled),
            1 => Some(Self::Manual),
            2 => Some(Self::Replay),
            3 => Some(Self::Call),
            _ => None,
        }
    }
}

/// What a plugin cost within one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PluginCost {
    pub name: String,
    pub duration_us: u64,
}

/// How an attempt ended. A failed attempt is not an error of the relay but data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver answered; success is a 2xx.
    Responded {
        status: u16,
        /// The beginning of the answer's body, as text.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        excerpt: String,
        /// What the answer's `Retry-After` asked for, in milliseconds from its arrival.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// Whether it is a 2xx that the endpoint does not count as success.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        declined: bool,
        /// Whether a mail server answered: the status is a code of RFC 5321.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        by_mail: bool,
    },
    /// No complete answer came.
    Unreachable { cause: Cause, detail: String },
    /// Nothing was sent: the relay's own policy forbids it, or the receiver did not consent to it.
    Refused { reason: String },
    /// A plugin or filter decided not to send.
    Dropped { by: String, reason: String },
    /// A plugin of the chain failed.
    PluginFault {
        plugin: String,
        fault: FaultKind,
        message: String,
        /// What the plugin wrote to stderr, bounded.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        stderr: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl Outcome {
    /// Every [class](Self::class).
    pub const CLASSES: [&str; 17] = [
        "dns",
        "connect",
        "tls",
        "timeout",
        "reset",
        "protocol",
        "too_large",
        "http_2xx",
        "http_3xx",
        "http_4xx",
        "http_5xx",
        "http_other",
        "smtp_4xx",
        "smtp_5xx",
        "blocked",
        "dropped",
        "plugin",
    ];

    /// Whether the receiver took the message.
    pub const fn is_success(&self) -> bool {
        matches!(
            self,
            Self::Responded {
                status: 200..=299,
                declined: false,
                ..
            }
        )
    }

    /// The error class, for filters, counts and alerts; `None` for success.
    ///
    /// `dns`, `connect`, `tls`, `timeout`, `reset`, `protocol`, `too_large`, `http_2xx`, `http_3xx`,
    /// `http_4xx`, `http_5xx`, `http_other`, `smtp_4xx`, `smtp_5xx`, `blocked`, `dropped`, `plugin`.
    pub const fn class(&self) -> Option<&'static str> {
        match self {
            Self::Responded {
                status: 200..=299,
                declined: false,
                ..
            } => None,
            Self::Responded {
                status: 500..,
                by_mail: true,
                ..
            } => Some("smtp_5xx"),
            Self::Responded { by_mail: true, .. } => Some("smtp_4xx"),
            Self::Responded {
                status: 200..=299, ..
            } => Some("http_2xx"),
            Self::Responded {
                status: 300..=399, ..
            } => Some("http_3xx"),
            Self::Responded {
                status: 400..=499, ..
            } => Some("http_4xx"),
            Self::Responded {
                status: 500..=599, ..
            } => Some("http_5xx"),
            Self::Responded { .. } => Some("http_other"),
            Self::Unreachable { cause, .. } => Some(cause.as_str()),
            Self::Refused { .. } => Some("blocked"),
            Self::Dropped { .. } => Some("dropped"),
            Self::PluginFault { .. } => Some("plugin"),
        }
    }

    /// The status that was answered, if there was an answer.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Responded { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        match self {
            Self::Responded {
                status,
                declined: true,
                ..
            } => format!("the receiver answered {status}, which is no success for this endpoint"),
            Self::Responded {
                status,
                excerpt,
                by_mail: true,
                ..
            } => {
                let said = excerpt.replace(['\r', '\n'], " ");
                format!("the mail server answered {status} {said}")
            }
            Self::Responded { status, .. } => format!("the receiver answered {status}"),
            Self::Unreachable { cause, detail } => format!("{}: {detail}", cause.as_str()),
            Self::Refused { reason } => format!("blocked: {reason}"),
            Self::Dropped { by, reason } => format!("dropped by {by}: {reason}"),
            Self::PluginFault {
                plugin,
                fault,
                message,
                ..
            } => {
                format!("plugin {plugin} {}: {message}", fault.as_str())
            }
        }
    }
}

/// Why no complete answer came; named after the error codes of wasi-http.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The name did not resolve.
    Dns,
    /// No connection: refused, unreachable.
    Connect,
    /// The TLS handshake failed, or the certificate is not valid for the name.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// The answer was not HTTP.
    Protocol,
    /// The head of the answer was larger than allowed.
    TooLarge,
}

impl Cause {
    /// The error class.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
        }
    }
}

/// How a plugin failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It said that this event can never be handled.
    Invalid,
    /// It said that its configuration or a secret is wrong.
    Misconfigured,
    /// It said that it may work later.
    Unavailable,
    /// It trapped: panic, unreachable, out-of-bounds access, stack overflow.
    Trapped,
    /// It did not end before its deadline.
    TimedOut,
    /// It asked for more memory or tables than it may have.
    OutOfMemory,
    /// It gave or asked for more than allowed: output, log lines, host calls.
    OverLimit,
    /// Its answer cannot be applied: edits on what is no JSON, a malformed header.
    BadAnswer,
    /// It could not be loaded.
    Unloadable,
}

impl FaultKind {
    /// The word used in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "called the event invalid",
            Self::Misconfigured => "is misconfigured",
            Self::Unavailable => "is unavailable",
            Self::Trapped => "trapped",
            Self::TimedOut => "exceeded its deadline",
            Self::OutOfMemory => "exceeded its memory",
            Self::OverLimit => "exceeded a limit",
            Self::BadAnswer => "gave an answer that cannot be applied",
            Self::Unloadable => "could not be loaded",
        }
    }

    /// Whether the endpoint's `on_fault` decides what comes next; the three faults that a
    /// plugin states itself carry their own decision.
    pub const fn follows_policy(self) -> bool {
        !matches!(self, Self::Invalid | Self::Misconfigured | Self::Unavailable)
    }
}
