//! Chat completions, as OpenAI and many others serve them: one request, and what it came to.
//!
//! What a tenant is told of a failure names no address and repeats nothing that the backend said; the
//! operator reads both in the relay's log, at a bounded rate.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{Error, Settings};
use crate::clock::Clock;
use crate::deliver::address::Guard;
use crate::deliver::header::Parsed;
use crate::deliver::outcome;
use crate::deliver::send::{Answer, Outgoing, Sender, SenderSettings, Target};
use crate::model::attempt::{Cause, Outcome};
use crate::model::secret::Secret;
use crate::plugins::services::JudgeError;

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// For how long a backend may ask to be left alone.
const HOLD_MAX: Duration = Duration::from_secs(300);
/// Characters of what a backend says that get into a log line.
const SAID_MAX: usize = 200;
/// Log lines about it in a minute.
const LINES_A_MINUTE: NonZeroU32 = NonZeroU32::new(6).expect("not zero");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("relay/", env!("CARGO_PKG_VERSION")));

/// See the module.
pub(super) struct Chat {
    sender: Sender,
    target: Target,
    headers: Vec<Parsed>,
    key: Option<Secret>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    /// Until when it wants to be left alone.
    held: Mutex<Option<Instant>>,
    lines: DefaultDirectRateLimiter,
}

/// What a model said.
pub(super) struct Said {
    pub(super) content: String,
    /// It gave no answer, and would give none again.
    pub(super) refused: Option<JudgeError>,
    /// What it took, if the backend says so.
    pub(super) tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<Content>,
    refusal: Option<String>,
}

/// Some write a text as a list of its parts.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Chat {
    pub(super) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        // The operator chose the address.
        let sender = Sender::new(SenderSettings {
            extra_roots: settings.extra_roots.clone(),
            idle_per_origin: settings.concurrency,
            ..SenderSettings::new(Guard::open(), Arc::clone(&clock))
        })?;
        let base = settings.url.as_str().trim_end_matches('/');
        let target = sender.target(&Url::parse(&format!("{base}/chat/completions"))?)?;
        let mut headers = vec![(CONTENT_TYPE, JSON), (USER_AGENT, AGENT)];
        if let Some(key) = &settings.key {
            let value = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
            let mut value = value.map_err(|_| Error::Key)?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        Ok(Self {
            sender,
            target,
            headers,
            key: settings.key.clone(),
            timeout: settings.timeout,
            clock,
            held: Mutex::default(),
            lines: RateLimiter::direct(Quota::per_minute(LINES_A_MINUTE)),
        })
    }

    /// Whether it may be asked at present.
    pub(super) fn check_held(&self) -> Result<(), JudgeError> {
        let left = self
            .held()
            .and_then(|until| until.checked_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) => Err(JudgeError::Unavailable(format!(
                "its backend wants fewer questions; it is asked again in {} s",
                left.as_secs() + 1
            ))),
            None => Ok(()),
        }
    }

    /// Makes one request.
    pub(super) async fn complete(&self, body: Vec<u8>) -> Result<Said, JudgeError> {
        let request = Outgoing {
            target: &self.target,
            method: &Method::POST,
            headers: &self.headers,
            body: body.into(),
            answer_bytes_max: ANSWER_BYTES_MAX,
            timeout: self.timeout,
        };
        let answer = match self.sender.ask(&request).await {
            Ok(answer) => answer,
            Err(outcome) => return Err(self.unreachable(&outcome)),
        };
        if !answer.status.is_success() {
            return Err(self.declined(&answer));
        }
        if answer.body.len() > ANSWER_BYTES_MAX {
            return Err(self.unavailable(
                format!("its backend answered with more than {ANSWER_BYTES_MAX} bytes"),
                "",
            ));
        }
        Ok(self.read(&answer.body))
    }

    fn unreachable(&self, outcome: &Outcome) -> JudgeError {
        match outcome {
            Outcome::Unreachable {
                cause: Cause::Timeout,
                detail,
            } => {
                self.tell(detail);
                JudgeError::Timeout
            }
            other => {
                let class = other.class().unwrap_or_default();
                self.unavailable(
                    format!("its backend cannot be reached ({class})"),
                    &other.summary(),
                )
            }
        }
    }

    /// An answer that says that there is none.
    fn declined(&self, answer: &Answer) -> JudgeError {
        let status = answer.status;
        let said = String::from_utf8_lossy(&answer.body);
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            self.hold(answer);
        }
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; the operator may look at judge.key",
            StatusCode::NOT_FOUND => "; the operator may look at judge.url and judge.model",
            StatusCode::TOO_MANY_REQUESTS => ": it wants fewer questions",
            _ => "",
        };
        let status = status.as_u16();
        self.unavailable(format!("its backend answered {status}{hint}"), &said)
    }

    fn hold(&self, answer: &Answer) {
        let told = outcome::responded(answer.status.as_u16(), &answer.headers, b"", self.clock.now());
        if let Outcome::Responded {
            retry_after_ms: Some(ms),
            ..
        } = told
        {
            *self.held() = Some(Instant::now() + Duration::from_millis(ms).min(HOLD_MAX));
        }
    }

    /// Reads what is said to be a completion. One that cannot be read is an answer without content,
    /// which is none to any question.
    fn read(&self, body: &[u8]) -> Said {
        let completion: Completion = match serde_json::from_slice(body) {
            Ok(completion) => completion,
            Err(error) => {
                self.tell(&format!("it answered with no completion: {error}"));
                return Said {
                    content: String::new(),
                    refused: None,
                    tokens: None,
                };
            }
        };
        let tokens = completion.usage.and_then(Usage::total);
        let first = completion.choices.into_iter().next();
        let refused = first.as_ref().and_then(Choice::refused);
        Said {
            content: first.and_then(Choice::text).unwrap_or_default(),
            refused,
            tokens,
        }
    }

    fn unavailable(&self, told: String, said: &str) -> JudgeError {
        self.tell(&format!("{told}: {said}"));
        JudgeError::Unavailable(told)
    }

    /// Tells the operator. Some backends repeat the key that they do not take.
    fn tell(&self, what: &str) {
        if self.lines.check().is_err() {
            return;
        }
        let mut what = what.to_owned();
        if let Some(key) = self.key.as_ref().filter(|key| !key.is_empty()) {
            what = what.replace(key.reveal(), "***");
        }
        let what: String = what.chars().take(SAID_MAX).collect();
        tracing::warn!(%what, "the judge gave no answer");
    }

    fn held(&self) -> MutexGuard<'_, Option<Instant>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Choice {
    /// Why it is no answer, and would be none a second time.
    fn refused(&self) -> Option<JudgeError> {
        let why = match (&self.message.refusal, self.finish_reason.as_deref()) {
            (Some(_), _) | (_, Some("content_filter")) => "the model refused to judge this",
            (_, Some("length")) => "the model's answer was longer than judge.max_tokens",
            _ => return None,
        };
        Some(JudgeError::Unavailable(why.to_owned()))
    }

    fn text(self) -> Option<String> {
        Some(match self.message.content? {
            Content::Text(text) => text,
            Content::Parts(parts) => parts.into_iter().map(|part| part.text).collect(),
        })
    }
}

impl Usage {
    /// Within what is believable.
    fn total(self) -> Option<u64> {
        let parts = self
            .prompt_tokens
            .zip(self.completion_tokens)
            .map(|(prompt, completion)| prompt.saturating_add(completion));
        let total = self.total_tokens.or(parts)?;
        Some(total.min(u64::from(u32::MAX)))
    }
}
