//! From `[judge]` to what judges.

use std::sync::Arc;

use anyhow::Context as _;
use rand::SeedableRng as _;
use rand::rngs::{StdRng, SysRng};

use super::outbound::extra_roots;
use crate::clock::Clock;
use crate::config::{self, Config, MaxTokensKey};
use crate::directory::Directories;
use crate::judge::{Format, ModelJudge, Parts, ResponseFormat, Settings};
use crate::metrics::Metrics;
use crate::plugins::services::Judge;
use crate::store::{PluginState, Store};

/// Makes a judge, if the configuration names a backend.
pub(super) fn start(
    config: &Config,
    store: &Arc<dyn Store>,
    directories: &Arc<Directories>,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<Arc<dyn Judge>>> {
    let Some(judge) = &config.judge else {
        return Ok(None);
    };
    let parts = Parts {
        store: Arc::clone(store) as Arc<dyn PluginState>,
        directories: Arc::downgrade(directories),
        metrics: Arc::downgrade(metrics),
        clock: Arc::clone(clock),
        random: StdRng::try_from_rng(&mut SysRng)?,
    };
    let judge = ModelJudge::new(settings(config, judge)?, parts);
    let judge = judge.context("what [judge] names cannot be used")?;
    Ok(Some(Arc::new(judge)))
}

fn settings(config: &Config, judge: &config::Judge) -> anyhow::Result<Settings> {
    Ok(Settings {
        url: judge.url.clone(),
        key: judge.key.clone(),
        extra_roots: extra_roots(&config.outbound)?,
        format: Format {
            model: judge.model.clone(),
            temperature: judge.temperature,
            max_tokens: judge.max_tokens,
            max_tokens_key: match judge.max_tokens_key {
                MaxTokensKey::MaxTokens => "max_tokens",
                MaxTokensKey::MaxCompletionTokens => "max_completion_tokens",
            },
            response: match judge.response_format {
                config::ResponseFormat::JsonSchema => ResponseFormat::JsonSchema,
                config::ResponseFormat::JsonObject => ResponseFormat::JsonObject,
                config::ResponseFormat::None => ResponseFormat::None,
            },
        },
        timeout: judge.timeout,
        concurrency: judge.concurrency,
        cache_entries: judge.cache_entries,
        cache_ttl: judge.cache_ttl,
        instructions_bytes_max: judge.instructions_bytes_max,
        subject_bytes_max: judge.subject_bytes_max,
    })
}
