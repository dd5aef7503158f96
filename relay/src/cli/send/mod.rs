//! `relay send`: an event to the relay's API, or a post to a source as its sender would make it.

mod post;
mod sender;
mod senders;

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::client::Access;

/// Events of one request of a batch.
const BATCH: usize = 500;

#[derive(Debug, Args)]
pub(super) struct Send {
    #[command(flatten)]
    access: Access,
    /// The event type, such as invoice.paid; with --as, the sender's own word for it
    #[arg(required_unless_present = "handshake")]
    r#type: Option<String>,
    /// The data: JSON, @FILE, or - for standard input; with --as, the body as it is
    #[arg(long, value_name = "JSON|@FILE|-")]
    data: Option<String>,
    /// The event's id; the same id again is the same event
    #[arg(long)]
    id: Option<String>,
    /// What the event is about
    #[arg(long)]
    subject: Option<String>,
    /// The data is NDJSON: each line is the data of an event of its own
    #[arg(long, conflicts_with = "id")]
    batch: bool,
    #[command(flatten)]
    sender: sender::AsSender,
}

impl Send {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let data = self.data.as_deref().map(read).transpose()?;
        if let Some(name) = &self.sender.name {
            let word = self.r#type.as_deref();
            return self.sender.send(name, &self.access, word, data).await;
        }
        let data = data.unwrap_or_else(|| "{}".to_owned());
        if self.batch {
            self.send_batch(&data).await
        } else {
            self.send_one(&data).await
        }
    }

    fn kind(&self) -> &str {
        self.r#type.as_deref().unwrap_or_default()
    }

    async fn send_one(&self, data: &str) -> anyhow::Result<ExitCode> {
        // Passed on as it is written, not as this program would write it.
        let data: &RawValue = serde_json::from_str(data).context("the data is no JSON")?;
        let mut event = Map::new();
        event.insert("type".to_owned(), json!(self.kind()));
        for (name, value) in [("id", &self.id), ("subject", &self.subject)] {
            if let Some(value) = value {
                event.insert(name.to_owned(), json!(value));
            }
        }
        let mut body = Value::Object(event).to_string();
        body.truncate(body.len() - 1);
        let body = format!("{body},\"data\":{}}}", data.get());
        let answer = self
            .access
            .request("POST", "/v1/events", "application/json", body.into_bytes())
            .await?
            .json()?;
        print(&answer);
        Ok(ExitCode::SUCCESS)
    }

    async fn send_batch(&self, data: &str) -> anyhow::Result<ExitCode> {
        let lines: Vec<&str> = data.lines().filter(|line| !line.trim().is_empty()).collect();
        for (index, lines) in lines.chunks(BATCH).enumerate() {
            let events = lines
                .iter()
                .enumerate()
                .map(|(at, line)| self.cloud_event(line, index * BATCH + at + 1));
            let events = events.collect::<anyhow::Result<Vec<_>>>()?;
            let body = format!("[{}]", events.join(",")).into_bytes();
            let answer = self
                .access
                .request("POST", "/v1/events", "application/cloudevents-batch+json", body)
                .await?
                .json()?;
            for receipt in answer["data"].as_array().into_iter().flatten() {
                print(receipt);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// A batch is CloudEvents, which have to have an id: a random one, so that a line sent
    /// twice is two events.
    fn cloud_event(&self, line: &str, number: usize) -> anyhow::Result<String> {
        let data: &RawValue =
            serde_json::from_str(line).with_context(|| format!("line {number} is no JSON"))?;
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let event = json!({
            "specversion": "1.0",
            "id": hex::encode(random),
            "source": "relay-send",
            "type": self.kind(),
            "subject": self.subject,
            "datacontenttype": "application/json",
        });
        let mut text = event.to_string();
        text.truncate(text.len() - 1);
        Ok(format!("{text},\"data\":{}}}", data.get()))
    }
}

/// The event's id, and whether it was new.
#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print(receipt: &Value) {
    let duplicate = if receipt["duplicate"].as_bool() == Some(true) {
        " (accepted before)"
    } else {
        ""
    };
    println!("{}{duplicate}", receipt["id"].as_str().unwrap_or_default());
}

fn read(data: &str) -> anyhow::Result<String> {
    if data == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input is no text")?;
        return Ok(text);
    }
    match data.strip_prefix('@') {
        Some("") => bail!("--data @ names no file"),
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("cannot read {path}")),
        None => Ok(data.to_owned()),
    }
}
