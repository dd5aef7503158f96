//! Judges what plugins ask, by the model that the operator has set up.
//!
//! What was asked before is answered from memory, and what two ask at the same moment is asked once
//! (`memory.rs`). What costs money is counted by tenant and day before it is spent
//! ([`Ledger`]). The subject of a question is a stranger's: it is kept apart from the instructions
//! (`prompt.rs`), and whatever it makes the model say counts only if it is one of the answers that
//! were asked for (`answer.rs`).

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use crate::clock::Clock;
use crate::deliver::address::UrlError;
use crate::deliver::send;
use crate::directory::Directories;
use crate::metrics::{self, Metrics};
use crate::model::id::TenantId;
use crate::model::secret::Secret;
use crate::plugins::services::{Form, Judge, JudgeError, Judged, Question, Ruling};
use crate::quota::Ledger;
use crate::store::PluginState;

mod answer;
mod chat;
mod memory;
mod prompt;
mod task;

use answer::Verdict;
use chat::Chat;
use memory::{Found, Memory};
use prompt::Prompt;
pub use prompt::{Format, ResponseFormat};
use task::Task;

/// Requests that one question may cost: one more for an answer that is none.
const REQUESTS_MAX: usize = 2;
/// Bytes that make a token, about, for backends that do not say what they took.
const BYTES_PER_TOKEN: usize = 4;

/// How it is asked, and how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Without `/chat/completions`.
    pub url: Url,
    pub key: Option<Secret>,
    /// Certificate authorities to trust beside the platform's, as PEM.
    pub extra_roots: Vec<u8>,
    pub format: Format,
    /// For one question, with what it waits for others.
    pub timeout: Duration,
    /// Requests at once.
    pub concurrency: usize,
    /// Answers that are remembered, and for how long.
    pub cache_entries: usize,
    pub cache_ttl: Duration,
    pub instructions_bytes_max: usize,
    pub subject_bytes_max: usize,
}

/// Why there can be no judge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("its URL: {0}")]
    Parse(#[from] url::ParseError),
    #[error("its URL: {0}")]
    Url(#[from] UrlError),
    #[error("its key has characters that cannot stand in a header")]
    Key,
    #[error("its connections: {0}")]
    Sender(#[from] send::Error),
}

/// What it stands on.
pub struct Parts {
    pub store: Arc<dyn PluginState>,
    /// Where a tenant's budget is found. Neither is kept alive: plugins are part of the directory, and
    /// this is what they reach.
    pub directories: Weak<Directories>,
    pub metrics: Weak<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Where markers come from: nobody may guess them.
    pub random: StdRng,
}

/// See the module.
#[derive(Clone)]
pub struct ModelJudge(Arc<Inner>);

struct Inner {
    settings: Settings,
    chat: Chat,
    memory: Memory,
    places: Semaphore,
    random: Mutex<StdRng>,
    store: Arc<dyn PluginState>,
    directories: Weak<Directories>,
    metrics: Weak<Metrics>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Judge for ModelJudge {
    async fn decide(&self, tenant: TenantId, question: Question) -> Result<Judged<Ruling>, JudgeError> {
        let task = Task::decide(question, &self.0.settings);
        let judged = self.judge(tenant, task).await?;
        match judged.answer {
            Verdict::Ruled(answer) => Ok(Judged {
                answer,
                was_cached: judged.was_cached,
            }),
            Verdict::Filled(_) => Err(of_another_kind()),
        }
    }

    async fn extract(&self, tenant: TenantId, form: Form) -> Result<Judged<String>, JudgeError> {
        let task = Task::extract(form, &self.0.settings);
        let judged = self.judge(tenant, task).await?;
        match judged.answer {
            Verdict::Filled(answer) => Ok(Judged {
                answer,
                was_cached: judged.was_cached,
            }),
            Verdict::Ruled(_) => Err(of_another_kind()),
        }
    }
}

fn of_another_kind() -> JudgeError {
    JudgeError::Unavailable("the answer is to another kind of question".to_owned())
}

impl ModelJudge {
    /// One that asks as the settings say.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn new(settings: Settings, parts: Parts) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            chat: Chat::new(&settings, Arc::clone(&parts.clock))?,
            memory: Memory::new(settings.cache_entries, settings.cache_ttl),
            places: Semaphore::new(settings.concurrency),
            random: Mutex::new(parts.random),
            store: parts.store,
            directories: parts.directories,
            metrics: parts.metrics,
            clock: parts.clock,
            settings,
        })))
    }

    async fn judge(
        &self,
        tenant: TenantId,
        task: Result<Task, JudgeError>,
    ) -> Result<Judged<Verdict>, JudgeError> {
        let told = match task {
            Ok(task) => self.remember_or_ask(tenant, task).await,
            Err(error) => Err(error),
        };
        let outcome = match &told {
            Ok(judged) if judged.was_cached => "cached",
            Ok(_) => "answered",
            Err(error) => word(error),
        };
        self.0.count(|judged| judged.asked(tenant, outcome));
        told
    }

    async fn remember_or_ask(&self, tenant: TenantId, task: Task) -> Result<Judged<Verdict>, JudgeError> {
        let key = task.key(tenant, &self.0.settings.format.model);
        let (mut told, was_cached) = match self.0.memory.find(key, Instant::now()) {
            Found::Known(answer) => {
                return Ok(Judged {
                    answer,
                    was_cached: true,
                });
            }
            Found::UnderWay(told) => (told, true),
            Found::New(told, tell) => {
                // By itself: whoever asks may give up, but what is paid for is remembered.
                let inner = Arc::clone(&self.0);
                tokio::spawn(async move {
                    let told = inner.ask(tenant, &task).await;
                    inner.memory.settle(key, &told, Instant::now());
                    tell.send_replace(Some(told));
                });
                (told, false)
            }
        };
        let told = match told.wait_for(Option::is_some).await {
            Ok(told) => told.clone(),
            Err(_) => None,
        };
        let told = told.unwrap_or_else(|| Err(stops()));
        told.map(|answer| Judged { answer, was_cached })
    }
}

impl Inner {
    /// Asks the model, whatever is remembered.
    async fn ask(&self, tenant: TenantId, task: &Task) -> Result<Verdict, JudgeError> {
        let asked = tokio::time::timeout(self.settings.timeout, self.ask_again(tenant, task));
        asked.await.unwrap_or(Err(JudgeError::Timeout))
    }

    async fn ask_again(&self, tenant: TenantId, task: &Task) -> Result<Verdict, JudgeError> {
        let Ok(_place) = self.places.acquire().await else {
            return Err(stops());
        };
        let mut fault = String::new();
        for _ in 0..REQUESTS_MAX {
            match self.request(tenant, task).await? {
                Ok(verdict) => return Ok(verdict),
                Err(malformed) => fault = malformed.0,
            }
        }
        Err(JudgeError::Unavailable(format!(
            "the model gave none of the answers that were asked for: {fault}"
        )))
    }

    /// One request, which is paid for; the inner error is of an answer that cannot be used.
    async fn request(
        &self,
        tenant: TenantId,
        task: &Task,
    ) -> Result<Result<Verdict, answer::Malformed>, JudgeError> {
        self.chat.check_held()?;
        self.spend(tenant).await?;
        let prompt = Prompt::new(task, self.random().random());
        let body = prompt.body(&self.settings.format);
        let (size, began) = (body.len(), Instant::now());
        let said = self.chat.complete(body).await;
        let outcome = said.as_ref().map_or_else(word, |_| "answered");
        self.count(|judged| judged.requested(outcome, began.elapsed()));
        let said = said?;
        let estimate = ((size + said.content.len()) / BYTES_PER_TOKEN) as u64;
        self.took(tenant, said.tokens.unwrap_or(estimate)).await;
        if let Some(error) = said.refused {
            return Err(error);
        }
        Ok(answer::read(task, &said.content))
    }

    /// Counts a request before it is made: what cannot be counted is not asked.
    async fn spend(&self, tenant: TenantId) -> Result<(), JudgeError> {
        let Some(directories) = self.directories.upgrade() else {
            return Err(stops());
        };
        let budget = directories.current().tenant(tenant).map(|tenant| tenant.quota);
        let budget = budget.unwrap_or_default();
        match Ledger::of(&*self.store, tenant, self.clock.now())
            .ask(&budget)
            .await
        {
            Ok(true) => Ok(()),
            Ok(false) => Err(JudgeError::BudgetSpent),
            Err(error) => Err(JudgeError::Unavailable(format!(
                "the budget cannot be read: {error}"
            ))),
        }
    }

    async fn took(&self, tenant: TenantId, tokens: u64) {
        self.count(|judged| judged.took(tenant, tokens));
        let ledger = Ledger::of(&*self.store, tenant, self.clock.now());
        if let Err(error) = ledger.took(tokens).await {
            tracing::warn!(%error, %tenant, tokens, "what the judge took could not be counted");
        }
    }

    fn count(&self, count: impl FnOnce(&metrics::Judged)) {
        if let Some(metrics) = self.metrics.upgrade() {
            count(&metrics.judged);
        }
    }

    fn random(&self) -> std::sync::MutexGuard<'_, StdRng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stops() -> JudgeError {
    JudgeError::Unavailable("the relay stops".to_owned())
}

/// The word of an error for metrics.
const fn word(error: &JudgeError) -> &'static str {
    match error {
        JudgeError::NotConfigured => "not_configured",
        JudgeError::BudgetSpent => "budget_spent",
        JudgeError::Timeout => "timeout",
        JudgeError::Invalid(_) => "invalid",
        JudgeError::Unavailable(_) => "unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings() -> Settings {
        Settings {
            url: Url::parse("http://127.0.0.1:1/v1").expect("a URL"),
            key: None,
            extra_roots: Vec::new(),
            format: Format {
                model: "m".to_owned(),
                temperature: 0.0,
                max_tokens: 300,
                max_tokens_key: "max_tokens",
                response: ResponseFormat::JsonSchema,
            },
            timeout: Duration::from_secs(10),
            concurrency: 8,
            cache_entries: 100,
            cache_ttl: Duration::from_secs(60),
            instructions_bytes_max: 1000,
            subject_bytes_max: 1000,
        }
    }
}
