//! `relay send --as`: posts to a source as a known sender would, to try a configuration out.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use url::Url;

use super::super::client::{Access, Answer, exchange};
use super::post::{Ask, Post};
use super::senders::{self, Sender};
use crate::clock::{Clock as _, SystemClock};

#[derive(Debug, Args)]
pub(super) struct AsSender {
    /// Posts to a source as this sender would, signed: github, stripe, slack, …
    #[arg(long = "as", value_name = "SENDER", conflicts_with_all = ["batch", "id", "subject"])]
    pub(super) name: Option<String>,
    /// The source to post to; the sender's name if not given
    #[arg(long, value_name = "NAME", requires = "name")]
    source: Option<String>,
    /// The secret, token, password or private key (PEM) to sign with, or @FILE
    #[arg(
        long,
        value_name = "SECRET|@FILE",
        env = "RELAY_SENDER_SECRET",
        hide_env_values = true
    )]
    secret: Option<String>,
    /// The user, for senders that use HTTP Basic
    #[arg(long, value_name = "NAME", default_value = "relay", requires = "name")]
    user: String,
    /// The verify token of Meta's handshake
    #[arg(long, value_name = "TOKEN", requires = "name")]
    verify_token: Option<String>,
    /// The source's address as the sender knows it, if it is not the one that is posted to
    #[arg(long, value_name = "URL", requires = "name")]
    public_url: Option<Url>,
    /// Asks what the sender asks before it sends, and prints the answer
    #[arg(long, requires = "name")]
    pub(super) handshake: bool,
}

impl AsSender {
    pub(super) async fn send(
        &self,
        name: &str,
        access: &Access,
        word: Option<&str>,
        body: Option<String>,
    ) -> anyhow::Result<ExitCode> {
        let sender = senders::named(name).with_context(|| {
            let known: Vec<_> = senders::names().collect();
            format!("{name:?} is not a known sender; known are {}", known.join(", "))
        })?;
        let source = self.source.as_deref().unwrap_or(name);
        let mut url = access
            .url
            .join(&format!("/in/{source}"))
            .with_context(|| format!("{} has no path /in/{source}", access.url))?;
        let post = self.post(sender, &url, word, body)?;
        url.set_query(post.query.as_deref());
        let answer = exchange(post.method, &url, &post.headers, post.body).await?;
        self.show(&answer)?;
        Ok(ExitCode::SUCCESS)
    }

    fn post(
        &self,
        sender: &Sender,
        url: &Url,
        word: Option<&str>,
        body: Option<String>,
    ) -> anyhow::Result<Post> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let secret = match self.secret.as_deref().and_then(|secret| secret.strip_prefix('@')) {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {path}"))?
                .trim_end()
                .to_owned(),
            None => self.secret.clone().unwrap_or_default(),
        };
        let ask = Ask {
            word: word.unwrap_or_default(),
            secret: &secret,
            user: &self.user,
            verify_token: self.verify_token.as_deref().unwrap_or_default(),
            url: self.public_url.as_ref().unwrap_or(url).as_str(),
            id: &hex::encode(random),
            now: SystemClock.now(),
        };
        if self.handshake {
            let Some(handshake) = sender.handshake else {
                bail!("this sender has no handshake; leave --handshake out");
            };
            return handshake(&ask);
        }
        if secret.is_empty() {
            bail!("there is nothing to sign with; give --secret");
        }
        let body = body.unwrap_or_else(|| sender.sample(&ask));
        (sender.sign)(&ask, body.into_bytes())
    }

    /// The ids of what became of a post, or the answer to a handshake.
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    fn show(&self, answer: &Answer) -> anyhow::Result<()> {
        let receipts = answer.json()?;
        if self.handshake {
            println!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
            return Ok(());
        }
        match receipts["data"].as_array() {
            Some(several) => several.iter().for_each(super::print),
            None => super::print(&receipts),
        }
        Ok(())
    }
}
