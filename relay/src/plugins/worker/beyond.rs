//! What reaches beyond the event in hand, as it crosses: requests, rulings, files. A worker asks;
//! the relay holds each against the grants of the plugin once more, and does it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::asker::WithRelay;
use super::bytes_as_such;
use super::message::{Answer, Ask};
use crate::model::event::Header;
use crate::model::hops;
use crate::model::id::TenantId;
use crate::model::plugin::Power;
use crate::model::time::Timestamp;
use crate::plugins::services::{
    Fetch, FetchError, FetchRequest, Fetched, File, Form, Judge, JudgeError, Judged, Kept, Media, MediaError,
    Question, Ruling,
};
use crate::plugins::subject::Subject;
use crate::plugins::v0_1::{check_request, put_bearer};
use crate::plugins::visit::Grants;

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Errand {
    Fetch(RequestSent),
    Decide {
        instructions: String,
        subject: String,
        choices: Vec<String>,
    },
    Extract {
        instructions: String,
        subject: String,
        schema: String,
    },
    Keep(FileSent),
}

/// See [`FetchRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestSent {
    method: String,
    url: String,
    /// Those that the plugin has given.
    headers: Vec<Header>,
    bearer_secret: Option<String>,
    hops: u8,
    #[serde(with = "bytes_as_such")]
    body: Bytes,
    timeout: Duration,
    body_bytes_max: usize,
}

/// See [`File`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FileSent {
    #[serde(with = "bytes_as_such")]
    bytes: Bytes,
    content_type: String,
    ttl: Option<Duration>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Run {
    Fetched {
        status: u16,
        headers: Vec<Header>,
        #[serde(with = "bytes_as_such")]
        body: Bytes,
    },
    NotFetched(FetchError),
    Ruled {
        choice: String,
        confidence: f32,
        reason: String,
        was_cached: bool,
    },
    Extracted {
        form: String,
        was_cached: bool,
    },
    NotJudged(JudgeError),
    Kept {
        url: String,
        expires_ms: i64,
        size: u32,
    },
    NotKept(MediaError),
}

// ---- the relay's side ------------------------------------------------------------------

/// Does it, if the plugin may; `None`: it may not, which its own side knew.
pub(super) async fn run(grants: &Grants, subject: &Subject, errand: Errand) -> Option<Run> {
    let (services, tenant) = (&grants.services, grants.owner.tenant);
    // While a configuration is checked, nobody else is asked.
    let may = |power| grants.granted.has(power) && !matches!(subject, Subject::None);
    match errand {
        Errand::Fetch(sent) if may(Power::Http) => {
            let service = services.http.as_ref()?;
            let fetched = match sent.open(grants, subject) {
                Ok(request) => service.fetch(tenant, request).await,
                Err(refused) => Err(refused),
            };
            Some(fetched.map_or_else(
                Run::NotFetched,
                |Fetched {
                     status,
                     headers,
                     body,
                 }| Run::Fetched {
                    status,
                    headers,
                    body,
                },
            ))
        }
        Errand::Decide {
            instructions,
            subject,
            choices,
        } if may(Power::Judge) => {
            let question = Question {
                instructions,
                subject,
                choices,
            };
            let ruled = services.judge.as_ref()?.decide(tenant, question).await;
            Some(ruled.map_or_else(Run::NotJudged, |judged| Run::Ruled {
                choice: judged.answer.choice,
                confidence: judged.answer.confidence,
                reason: judged.answer.reason,
                was_cached: judged.was_cached,
            }))
        }
        Errand::Extract {
            instructions,
            subject,
            schema,
        } if may(Power::Judge) => {
            let form = Form {
                instructions,
                subject,
                schema,
            };
            let extracted = services.judge.as_ref()?.extract(tenant, form).await;
            Some(extracted.map_or_else(Run::NotJudged, |judged| Run::Extracted {
                form: judged.answer,
                was_cached: judged.was_cached,
            }))
        }
        Errand::Keep(sent) if grants.granted.has(Power::Media) => {
            let file = File {
                bytes: sent.bytes,
                content_type: sent.content_type,
                ttl: sent.ttl,
            };
            let kept = services.media.as_ref()?.keep(tenant, file).await;
            Some(kept.map_or_else(Run::NotKept, |kept| Run::Kept {
                url: kept.url,
                expires_ms: kept.expires.as_millis(),
                size: kept.size,
            }))
        }
        _ => None,
    }
}

impl Errand {
    /// Bytes of the body or file.
    pub(super) const fn bytes(&self) -> usize {
        match self {
            Self::Fetch(sent) => sent.body.len(),
            Self::Keep(sent) => sent.bytes.len(),
            Self::Decide { .. } | Self::Extract { .. } => 0,
        }
    }
}

impl RequestSent {
    /// The request, if it is one that the plugin may send.
    fn open(self, grants: &Grants, subject: &Subject) -> Result<FetchRequest, FetchError> {
        let head = (self.method.as_str(), self.url.as_str());
        let (method, url, mut headers) = check_request(grants, subject, head, &self.headers)?;
        if let Some(name) = &self.bearer_secret {
            put_bearer(grants, &mut headers, name)?;
        }
        // However far the worker says that the event has come, it has gone through one relay.
        headers.insert(hops::HEADER, HeaderValue::from(u16::from(self.hops.max(1))));
        if self.body.len() > BODY_BYTES_MAX {
            return Err(too_large_to_send());
        }
        let limits = &grants.limits;
        Ok(FetchRequest {
            method,
            url,
            headers,
            bearer_secret: None,
            body: self.body,
            timeout: self.timeout.min(limits.http_timeout),
            body_bytes_max: self.body_bytes_max.min(limits.http_bytes),
        })
    }
}

/// The largest body of a request, and the largest file, that a worker hands over.
pub(super) const BODY_BYTES_MAX: usize = 64 << 20;

fn too_large_to_send() -> FetchError {
    FetchError::Invalid(format!(
        "the body has more than the {BODY_BYTES_MAX} bytes that plugins in a process of their own may send"
    ))
}

// ---- the worker's side -----------------------------------------------------------------

impl WithRelay {
    async fn send(&self, errand: Errand) -> Option<Run> {
        match self.asker.ask(self.place, Ask::Errand(errand)).await {
            Answer::Errand(run) => Some(run),
            _ => None,
        }
    }
}

const REFUSED: &str = "the relay did not do what was asked of it";

#[async_trait]
impl Fetch for WithRelay {
    async fn fetch(&self, _: TenantId, request: FetchRequest) -> Result<Fetched, FetchError> {
        // More would be more than a message may have.
        if request.body.len() > BODY_BYTES_MAX {
            return Err(too_large_to_send());
        }
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let hops = request.headers.get(hops::HEADER).map(text);
        let given = request.headers.iter().filter(|(name, _)| *name != hops::HEADER);
        let sent = RequestSent {
            method: request.method.as_str().to_owned(),
            url: request.url.into(),
            headers: given
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            bearer_secret: request.bearer_secret,
            hops: hops.and_then(|hops| hops::read(&hops)).unwrap_or_default(),
            body: request.body,
            timeout: request.timeout,
            body_bytes_max: request.body_bytes_max,
        };
        match self.send(Errand::Fetch(sent)).await {
            Some(Run::Fetched {
                status,
                headers,
                body,
            }) => Ok(Fetched {
                status,
                headers,
                body,
            }),
            Some(Run::NotFetched(error)) => Err(error),
            _ => Err(FetchError::Denied(REFUSED.to_owned())),
        }
    }
}

#[async_trait]
impl Judge for WithRelay {
    async fn decide(&self, _: TenantId, question: Question) -> Result<Judged<Ruling>, JudgeError> {
        let errand = Errand::Decide {
            instructions: question.instructions,
            subject: question.subject,
            choices: question.choices,
        };
        match self.send(errand).await {
            Some(Run::Ruled {
                choice,
                confidence,
                reason,
                was_cached,
            }) => Ok(Judged {
                answer: Ruling {
                    choice,
                    confidence,
                    reason,
                },
                was_cached,
            }),
            Some(Run::NotJudged(error)) => Err(error),
            _ => Err(JudgeError::Unavailable(REFUSED.to_owned())),
        }
    }

    async fn extract(&self, _: TenantId, form: Form) -> Result<Judged<String>, JudgeError> {
        let errand = Errand::Extract {
            instructions: form.instructions,
            subject: form.subject,
            schema: form.schema,
        };
        match self.send(errand).await {
            Some(Run::Extracted { form, was_cached }) => Ok(Judged {
                answer: form,
                was_cached,
            }),
            Some(Run::NotJudged(error)) => Err(error),
            _ => Err(JudgeError::Unavailable(REFUSED.to_owned())),
        }
    }
}

#[async_trait]
impl Media for WithRelay {
    async fn keep(&self, _: TenantId, file: File) -> Result<Kept, MediaError> {
        // More would be more than a message may have.
        if file.bytes.len() > BODY_BYTES_MAX {
            return Err(MediaError::TooLarge(BODY_BYTES_MAX));
        }
        let sent = FileSent {
            bytes: file.bytes,
            content_type: file.content_type,
            ttl: file.ttl,
        };
        match self.send(Errand::Keep(sent)).await {
            Some(Run::Kept {
                url,
                expires_ms,
                size,
            }) => Ok(Kept {
                url,
                expires: Timestamp::from_millis(expires_ms),
                size,
            }),
            Some(Run::NotKept(error)) => Err(error),
            _ => Err(MediaError::Unavailable(REFUSED.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial;
    use super::*;

    fn sent(url: &str) -> RequestSent {
        RequestSent {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![
                ("x-mine".to_owned(), "1".to_owned()),
                (hops::HEADER.to_owned(), "0".to_owned()),
            ],
            bearer_secret: Some("key".to_owned()),
            hops: 0,
            body: Bytes::from_static(b"asked"),
            timeout: Duration::MAX,
            body_bytes_max: usize::MAX,
        }
    }

    fn grants() -> Grants {
        let mut grants = trial::grants();
        grants.granted.http = vec!["api.example.com".parse().expect("a host")];
        grants
    }

    #[test]
    fn a_request_is_held_against_grants_and_limits_once_more() {
        let request = sent("https://api.example.com/users")
            .open(&grants(), &trial::subject())
            .expect("it may be sent");
        assert_eq!(request.headers["authorization"], "Bearer s3cret");
        let hops: Vec<_> = request.headers.get_all(hops::HEADER).iter().collect();
        assert_eq!(hops, ["1"]);
        assert_eq!(request.headers["x-mine"], "1");
        assert_eq!(
            (request.timeout, request.body_bytes_max),
            (Duration::from_secs(2), 100)
        );
    }

    #[test]
    fn what_a_plugin_may_not_send_its_worker_may_not() {
        let may = "https://api.example.com/users";
        let forged = |name: &str| RequestSent {
            headers: vec![(name.to_owned(), "1".to_owned())],
            ..sent(may)
        };
        for refused in [
            sent("https://elsewhere.example.com/"),
            sent("https://api.example.com:8443/"),
            sent("https://user@api.example.com/"),
            sent("ftp://api.example.com/"),
            forged("host"),
            forged("content-length"),
            forged("authorization"),
            RequestSent {
                method: "CONNECT".to_owned(),
                ..sent(may)
            },
            RequestSent {
                bearer_secret: Some("other".to_owned()),
                ..sent(may)
            },
        ] {
            let shown = format!("{refused:?}");
            assert!(refused.open(&grants(), &trial::subject()).is_err(), "{shown}");
        }
    }

    #[tokio::test]
    async fn what_was_not_granted_is_not_done() {
        let may = || Errand::Fetch(sent("https://api.example.com/"));
        let judged = || Errand::Extract {
            instructions: String::new(),
            subject: String::new(),
            schema: String::new(),
        };
        let kept = || {
            Errand::Keep(FileSent {
                bytes: Bytes::new(),
                content_type: String::new(),
                ttl: None,
            })
        };
        for errand in [may(), judged(), kept()] {
            let done = run(&trial::grants(), &trial::subject(), errand).await;
            assert!(done.is_none(), "{done:?}");
        }
        // Granted, but nobody is asked while a configuration is checked.
        let done = run(&grants(), &Subject::None, may()).await;
        assert!(done.is_none(), "{done:?}");
    }
}
