//! `[judge]`: the backend that judges what plugins ask, and what that may cost.

use std::time::Duration;

use super::quota::COUNT_MAX;
use super::reader::Section;
use crate::deliver::address::URL_BYTES_MAX;
use crate::model::quota::Quota;
use crate::model::secret::Secret;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 200;

/// `[judge]`
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// Without `/chat/completions`.
    pub url: url::Url,
    pub key: Option<Secret>,
    pub model: String,
    /// For one question, with what it waits for others.
    pub timeout: Duration,
    /// Tokens of an answer at most.
    pub max_tokens: u32,
    /// What the backend calls that.
    pub max_tokens_key: MaxTokensKey,
    pub temperature: f64,
    pub response_format: ResponseFormat,
    /// Requests to the backend at once.
    pub concurrency: usize,
    /// What each tenant may ask and use up in a day, unless its plan or its own limits say otherwise.
    pub questions_per_day: Option<u64>,
    pub tokens_per_day: Option<u64>,
    /// Answers that are remembered; 0: none.
    pub cache_entries: usize,
    pub cache_ttl: Duration,
    pub instructions_bytes_max: usize,
    pub subject_bytes_max: usize,
}

/// How a backend is told how long its answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensKey {
    MaxTokens,
    MaxCompletionTokens,
}

/// How a backend is told what its answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFormat {
    /// By a JSON Schema that it holds itself to.
    JsonSchema,
    /// That it is JSON.
    JsonObject,
    /// By the prompt alone.
    None,
}

impl Judge {
    /// What each tenant may use up.
    pub fn budget(&self) -> Quota {
        Quota {
            judge_questions_per_day: self.questions_per_day,
            judge_tokens_per_day: self.tokens_per_day,
            ..Quota::default()
        }
    }
}

/// Reads the section; without one there is nothing that judges.
pub(super) fn read(section: Option<Section<'_>>) -> Option<Judge> {
    let section = section?;
    let (url, model) = (url(&section), model(&section));
    let mut judge = Judge {
        url: url::Url::parse("http://127.0.0.1/").ok()?,
        key: section.secret("key"),
        model: model.unwrap_or_default().to_owned(),
        timeout: 10 * SECOND,
        max_tokens: 300,
        max_tokens_key: MaxTokensKey::MaxTokens,
        temperature: 0.0,
        response_format: ResponseFormat::JsonSchema,
        concurrency: 8,
        questions_per_day: Some(1000),
        tokens_per_day: None,
        cache_entries: 10_000,
        cache_ttl: DAY,
        instructions_bytes_max: 8 << 10,
        subject_bytes_max: 32 << 10,
    };
    request(&section, &mut judge);
    bounds(&section, &mut judge);
    section.finish();
    judge.url = url?;
    model.is_some().then_some(judge)
}

/// What a request says.
fn request(section: &Section<'_>, judge: &mut Judge) {
    judge.timeout = section
        .duration("timeout", SECOND / 10..=60 * SECOND)
        .unwrap_or(judge.timeout);
    let tokens = section.integer("max_tokens", 16..=16_384);
    judge.max_tokens = tokens
        .and_then(|tokens| u32::try_from(tokens).ok())
        .unwrap_or(judge.max_tokens);
    let keys = [
        ("max_tokens", MaxTokensKey::MaxTokens),
        ("max_completion_tokens", MaxTokensKey::MaxCompletionTokens),
    ];
    judge.max_tokens_key = section
        .choice("max_tokens_key", &keys)
        .unwrap_or(judge.max_tokens_key);
    judge.temperature = section
        .number("temperature", 0.0..=2.0)
        .unwrap_or(judge.temperature);
    let formats = [
        ("json_schema", ResponseFormat::JsonSchema),
        ("json_object", ResponseFormat::JsonObject),
        ("none", ResponseFormat::None),
    ];
    judge.response_format = section
        .choice("response_format", &formats)
        .unwrap_or(judge.response_format);
}

/// What it may cost.
fn bounds(section: &Section<'_>, judge: &mut Judge) {
    let whole = |key, range, usual: usize| {
        let found: Option<u64> = section.integer(key, range);
        found
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(usual)
    };
    judge.concurrency = whole("concurrency", 1..=1024, judge.concurrency);
    judge.cache_entries = whole("cache_entries", 0..=1_000_000, judge.cache_entries);
    judge.cache_ttl = section
        .duration("cache_ttl", SECOND..=30 * DAY)
        .unwrap_or(judge.cache_ttl);
    judge.questions_per_day = section
        .integer("questions_per_day", 0..=COUNT_MAX)
        .or(judge.questions_per_day);
    judge.tokens_per_day = section.integer("tokens_per_day", 0..=COUNT_MAX);
    judge.instructions_bytes_max = section
        .bytes("instructions_limit", 256..=64 << 10)
        .unwrap_or(judge.instructions_bytes_max);
    judge.subject_bytes_max = section
        .bytes("subject_limit", 256..=1 << 20)
        .unwrap_or(judge.subject_bytes_max);
}

fn model<'a>(section: &Section<'a>) -> Option<&'a str> {
    let model = section.required("model", "\"gpt-4o-mini\"")?;
    if model.is_empty() || model.len() > MODEL_BYTES_MAX {
        let remedy = format!("use 1 to {MODEL_BYTES_MAX} bytes");
        section.fault("model", format!("has {} bytes", model.len()), remedy);
    }
    Some(model)
}

/// Not held against the rules for endpoints: the backend is the operator's choice, and may well be on
/// this machine.
fn url(section: &Section<'_>) -> Option<url::Url> {
    const EXAMPLE: &str = "write it as in \"https://api.openai.com/v1\"";
    let text = section.required("url", "\"https://api.openai.com/v1\"")?;
    let fault = |problem: &str, remedy: &str| section.fault("url", problem, remedy);
    let Ok(url) = url::Url::parse(text) else {
        fault("is no URL", EXAMPLE);
        return None;
    };
    if !matches!(url.scheme(), "http" | "https") {
        fault("is neither http nor https", EXAMPLE);
    } else if !url.username().is_empty() || url.password().is_some() {
        fault("contains a user or a password", "use `key` instead");
    } else if url.query().is_some() || url.fragment().is_some() {
        fault("has a query or a fragment", EXAMPLE);
    } else if url.path().trim_end_matches('/').ends_with("/chat/completions") {
        fault("ends with /chat/completions", "leave that out; it is added");
    } else if text.len() > URL_BYTES_MAX || url.host().is_none() || url.port() == Some(0) {
        fault("cannot be connected to", EXAMPLE);
    } else {
        return Some(url);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::reader::Process;
    use super::super::tests::faults;
    use super::super::{Config, load};
    use super::*;

    fn with(settings: &str) -> Config {
        load(&format!("[judge]\n{settings}"), &Process).expect(settings)
    }

    #[test]
    fn an_address_and_a_model_are_enough() {
        let config = with("url = \"http://127.0.0.1:11434/v1\"\nmodel = \"llama3\"");
        let judge = config.judge.as_ref().expect("there is one");
        assert_eq!((judge.timeout, judge.temperature), (10 * SECOND, 0.0));
        assert!(judge.key.is_none());
        let limits = config.limits(Quota::default(), None);
        assert_eq!(limits.judge_questions_per_day, Some(1000));
        let own = Quota {
            judge_questions_per_day: Some(3),
            ..Quota::default()
        };
        assert_eq!(config.limits(own, None).judge_questions_per_day, Some(3));
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        for (text, fault) in [
            ("model = \"m\"", "judge.url: is missing"),
            ("url = \"http://a/v1\"", "judge.model: is missing"),
            ("url = \"ftp://a\"\nmodel = \"m\"", "neither http nor https"),
            ("url = \"https://u:p@a\"\nmodel = \"m\"", "use `key` instead"),
            (
                "url = \"https://a/v1/chat/completions\"\nmodel = \"m\"",
                "leave that out",
            ),
            ("url = \"https://a\"\nmodel = \"\"", "0 bytes"),
            (
                "url = \"https://a\"\nmodel = \"m\"\ntimeout = \"2m\"",
                "judge.timeout",
            ),
            (
                "url = \"https://a\"\nmodel = \"m\"\ncolour = 1",
                "not a known key",
            ),
        ] {
            let told = faults(&format!("[judge]\n{text}")).join("\n");
            assert!(told.contains(fault), "{text}: {told}");
        }
    }
}
