//! `relay keys`

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::Access;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Makes a key and shows it once
    #[command(after_help = "Example:\n  relay keys create --name shop --role send")]
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
                let answer = list
                    .access
                    .request("GET", "/v1/keys", "application/json", Vec::new())
                    .await?
                    .json()?;
                for key in answer["data"].as_array().into_iter().flatten() {
                    println!("{}", line(key));
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

impl Create {
    async fn run(self) -> anyhow::Result<String> {
        let role = self
            .role
            .to_possible_value()
            .map(|value| value.get_name().to_owned());
        let body = json!({"name": self.name, "role": role}).to_string().into_bytes();
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
    format!(
        "{}  {:6}  {}  {}{revoked}",
        text("id"),
        text("role"),
        text("created_at"),
        text("name")
    )
}
