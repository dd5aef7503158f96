//! `relay retry`

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::Access;
use super::job::{self, Watch};

#[derive(Debug, Args)]
pub(super) struct Retry {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    watch: Watch,
    /// Deliveries: dlv_…
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Those of an endpoint: its name or id
    #[arg(long, conflicts_with = "ids")]
    endpoint: Option<String>,
    /// Those that are failed, succeeded, dropped or cancelled; failed where nothing is said
    #[arg(long, value_delimiter = ',', conflicts_with = "ids")]
    status: Vec<String>,
    /// Those of an event type, or of types such as message.*
    #[arg(long, value_name = "TYPE", conflicts_with = "ids")]
    r#type: Option<String>,
    /// Those whose events came in there: a source's name or id
    #[arg(long, conflicts_with = "ids")]
    source: Option<String>,
    /// Those that failed so, such as timeout or http_5xx
    #[arg(long, value_name = "CLASS", conflicts_with = "ids")]
    error_class: Option<String>,
    /// Those that were answered so last
    #[arg(long, value_name = "STATUS", conflicts_with = "ids")]
    status_code: Option<u16>,
    /// Those whose payload has these words
    #[arg(long, short, value_name = "WORDS", conflicts_with = "ids")]
    q: Option<String>,
    /// Of events from then on: a time, or how long ago, such as 2h
    #[arg(long, value_name = "TIME|AGO", conflicts_with = "ids")]
    since: Option<String>,
    /// Of events before then
    #[arg(long, value_name = "TIME|AGO", conflicts_with = "ids")]
    until: Option<String>,
}

impl Retry {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        put("ids", (!self.ids.is_empty()).then(|| json!(self.ids)));
        put("endpoint", self.endpoint.map(Value::from));
        put("status", (!self.status.is_empty()).then(|| json!(self.status)));
        put("type", self.r#type.map(Value::from));
        put("source", self.source.map(Value::from));
        put("error_class", self.error_class.map(Value::from));
        put("status_code", self.status_code.map(Value::from));
        put("q", self.q.map(Value::from));
        put("since", job::time(self.since.as_deref())?);
        put("until", job::time(self.until.as_deref())?);
        self.watch.ask(&self.access, "/v1/deliveries/retry", body).await
    }
}
