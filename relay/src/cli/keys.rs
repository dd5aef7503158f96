//! `relay keys`

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::Access;
use crate::clock::{Clock as _, SystemClock};
use crate::config::reader::parse_duration;
use crate::model::page::LIMIT_MAX;
use crate::model::time::Timestamp;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Makes a key and shows it once
    #[command(
        after_help = "Examples:\n  relay keys create --name shop --role send\n  relay keys create --name audit --role read --tenant acme --expires 90d"
    )]
    Create(Create),
    /// Lists keys; not the keys themselves
    List(List),
    /// Revokes a key with effect at once
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    #[command(flatten)]
    access: Access,
    /// What the key is for
    #[arg(long)]
    name: String,
    /// What it may do
    #[arg(long, value_enum)]
    role: Role,
    /// When it stops working: a span of time from now, such as 90d, or a time (RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    expires: Option<Timestamp>,
}

/// Reads a span of time from now, or a time.
fn expiry(text: &str) -> Result<Timestamp, String> {
    if let Some(span) = parse_duration(text) {
        return Ok(SystemClock.now() + span);
    }
    text.parse()
        .map_err(|_| "use a span of time such as 90d, or a time such as 2027-01-31T00:00:00Z".to_owned())
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Admin,
    Manage,
    Send,
    Read,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    access: Access,
    /// The key's id: key_…
    id: String,
}

impl Keys {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => println!("{}", create.run().await?),
            Self::List(list) => {
                for key in list.run().await? {
                    println!("{}", line(&key));
                }
            }
            Self::Revoke(revoke) => {
                let path = format!("/v1/keys/{}", revoke.id);
                revoke
                    .access
                    .request("DELETE", &path, "application/json", Vec::new())
                    .await?
                    .json()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    /// Every key, newest first.
    async fn run(self) -> anyhow::Result<Vec<Value>> {
        let mut keys = Vec::new();
        let mut path = format!("/v1/keys?limit={LIMIT_MAX}");
        loop {
            let answer = self.access.request("GET", &path, "application/json", Vec::new());
            let answer = answer.await?.json()?;
            keys.extend(answer["data"].as_array().into_iter().flatten().cloned());
            let Some(cursor) = answer["next_cursor"].as_str() else {
                return Ok(keys);
            };
            path = format!("/v1/keys?limit={LIMIT_MAX}&cursor={cursor}");
        }
    }
}

impl Create {
    async fn run(self) -> anyhow::Result<String> {
        let role = self
            .role
            .to_possible_value()
            .map(|value| value.get_name().to_owned());
        let body = json!({"name": self.name, "role": role, "expires_at": self.expires})
            .to_string()
            .into_bytes();
        let answer = self
            .access
            .request("POST", "/v1/keys", "application/json", body)
            .await?
            .json()?;
        Ok(answer["key"].as_str().unwrap_or_default().to_owned())
    }
}

fn line(key: &Value) -> String {
    let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let revoked = key["revoked_at"]
        .as_str()
        .map(|at| format!("  revoked {at}"))
        .unwrap_or_default();
    let expires = key["expires_at"]
        .as_str()
        .map(|at| format!("  expires {at}"))
        .unwrap_or_default();
    format!(
        "{}  {:6}  {}  {}{expires}{revoked}",
        text("id"),
        text("role"),
        text("created_at"),
        text("name")
    )
}
