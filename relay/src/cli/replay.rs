//! `relay replay`

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use super::client::Access;
use super::job::{self, Watch};

#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    watch: Watch,
    /// Events: evt_…
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Where to: an endpoint's name or id; without one, events named by id go wherever they are
    /// wanted
    #[arg(long, required_unless_present = "ids")]
    endpoint: Option<String>,
    /// Those from then on: a time, or how long ago, such as 24h
    #[arg(
        long,
        value_name = "TIME|AGO",
        required_unless_present = "ids",
        conflicts_with = "ids"
    )]
    since: Option<String>,
    /// Those before then
    #[arg(long, value_name = "TIME|AGO", conflicts_with = "ids")]
    until: Option<String>,
    /// Those of a type, or of types such as message.*
    #[arg(long, value_name = "TYPE", conflicts_with = "ids")]
    r#type: Option<String>,
    /// Those that came in there: a source's name or id
    #[arg(long, conflicts_with = "ids")]
    source: Option<String>,
    /// Those about it
    #[arg(long, conflicts_with = "ids")]
    subject: Option<String>,
    /// Those whose payload has these words
    #[arg(long, short, value_name = "WORDS", conflicts_with = "ids")]
    q: Option<String>,
    /// Also those that the endpoint's types and filter do not want
    #[arg(long, conflicts_with = "ids")]
    unfiltered: bool,
}

impl Replay {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        if !self.ids.is_empty() {
            return self.replay_these().await;
        }
        let Some(endpoint) = &self.endpoint else {
            bail!("say which events: their ids, or --endpoint and --since");
        };
        let path = format!("/v1/endpoints/{endpoint}/replay");
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("type", self.r#type.map(Value::from));
        put("source", self.source.map(Value::from));
        put("subject", self.subject.map(Value::from));
        put("q", self.q.map(Value::from));
        put("unfiltered", self.unfiltered.then(|| json!(true)));
        put("since", job::time(self.since.as_deref())?);
        put("until", job::time(self.until.as_deref())?);
        self.watch.ask(&self.access, &path, body).await
    }

    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn replay_these(&self) -> anyhow::Result<ExitCode> {
        for id in &self.ids {
            let answer = if self.watch.dry_run {
                let path = format!("/v1/events/{id}");
                self.access.request("GET", &path, job::JSON, Vec::new()).await?
            } else {
                let body = self
                    .endpoint
                    .as_ref()
                    .map_or_else(|| json!({}), |endpoint| json!({"endpoint": endpoint}));
                let path = format!("/v1/events/{id}/replay");
                let body = body.to_string().into_bytes();
                self.access.request("POST", &path, job::JSON, body).await?
            };
            let answer = answer.json()?;
            if self.watch.json {
                println!("{answer}");
            } else if self.watch.dry_run {
                println!(
                    "{id} is there, of type {}",
                    answer["type"].as_str().unwrap_or_default()
                );
            } else {
                let made = answer["deliveries"].as_array().map_or(0, Vec::len);
                println!("{id} goes out again, as {made} new deliveries");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
