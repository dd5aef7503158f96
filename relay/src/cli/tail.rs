//! `relay tail`: shows what a relay does, as it does it.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::client::Access;

#[derive(Debug, Args)]
pub(super) struct Tail {
    #[command(flatten)]
    access: Access,
    /// Only what is about this endpoint: its name or id
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// Only attempts after which the delivery is pending, succeeded, failed, dropped or cancelled
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only events of this type, or of types such as message.*
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// A JSON object in each line
    #[arg(long)]
    json: bool,
}

impl Tail {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut query = Serializer::new(String::new());
        for (name, value) in [
            ("endpoint", &self.endpoint),
            ("status", &self.status),
            ("type", &self.r#type),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let path = format!("/v1/stream?{}", query.finish());
        let mut stream = self.access.stream(&path).await?;
        let mut text = Vec::new();
        while let Some(piece) = stream.next().await? {
            text.extend_from_slice(&piece);
            while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
                let message: Vec<u8> = text.drain(..end + 2).collect();
                self.show(&String::from_utf8_lossy(&message))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Shows one message of the stream; comments say only that it is there.
    #[expect(clippy::print_stdout, reason = "what the command is for")]
    fn show(&self, message: &str) -> anyhow::Result<()> {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
        let Some(data) = field("data: ") else {
            return Ok(());
        };
        if self.json {
            println!("{data}");
            return Ok(());
        }
        let data: Value = serde_json::from_str(data).context("the relay sent what is no JSON")?;
        println!("{}", line(field("event: ").unwrap_or_default(), &data));
        Ok(())
    }
}

fn line(kind: &str, data: &Value) -> String {
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    let time = text("at").get(11..23).unwrap_or_default();
    match kind {
        "event" => {
            let count = data["endpoints"].as_array().map_or(0, Vec::len);
            format!(
                "{time} event   {} {} → {count} endpoints",
                text("id"),
                text("type")
            )
        }
        "attempt" => format!(
            "{time} attempt {} {} → {}: {} ({}, attempt {}, {:.0} ms)",
            text("event"),
            text("type"),
            text("endpoint_name"),
            text("status"),
            text("summary"),
            data["attempt"],
            data["duration_ms"].as_f64().unwrap_or_default(),
        ),
        _ => format!("         {} lost: more happens than this shows", data["dropped"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happens_is_one_line() {
        let event =
            json!({"at": "2026-01-31T15:04:05.678Z", "id": "evt_1", "type": "a.b", "endpoints": ["ep_1"]});
        assert_eq!(
            line("event", &event),
            "15:04:05.678 event   evt_1 a.b → 1 endpoints"
        );
        let attempt = json!({
            "at": "2026-01-31T15:04:05.678Z", "event": "evt_1", "type": "a.b", "endpoint_name": "crm",
            "status": "pending", "summary": "the receiver answered 500", "attempt": 2, "duration_ms": 12.4,
        });
        assert_eq!(
            line("attempt", &attempt),
            "15:04:05.678 attempt evt_1 a.b → crm: pending (the receiver answered 500, attempt 2, 12 ms)"
        );
        assert!(line("dropped", &json!({"dropped": 7})).contains("7 lost"));
    }
}
