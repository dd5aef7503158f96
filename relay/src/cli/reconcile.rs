//! `relay reconcile`: compares what a receiver has with what should have come to it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::client::Access;
use super::{EXIT_FAILURE, job};
use crate::model::page::LIMIT_MAX;

#[derive(Debug, Args)]
pub(super) struct Reconcile {
    #[command(flatten)]
    access: Access,
    /// The endpoint of the receiver: its name or id
    #[arg(long, value_name = "NAME")]
    endpoint: String,
    /// Events accepted from then on: a time, or how long ago, such as 24h
    #[arg(long, value_name = "TIME|AGO")]
    since: String,
    /// Events accepted before then; without it, up to now
    #[arg(long, value_name = "TIME|AGO")]
    until: Option<String>,
    /// The webhook ids that the receiver has, one in each line; - reads standard input
    #[arg(long, value_name = "FILE")]
    ids: String,
    /// Have what is missing sent again
    #[arg(long)]
    resend: bool,
}

/// A delivery that should have come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Expected {
    id: String,
    delivery: String,
    r#type: String,
    status: String,
    received_at: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    data: Vec<Expected>,
    next_cursor: Option<String>,
}

/// What the receiver's list comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    /// Delivered or given up, and not there.
    missing: Vec<Expected>,
    /// Still under way, and not there.
    pending: usize,
    /// There, and not expected.
    unexpected: Vec<String>,
    present: usize,
}

impl Reconcile {
    #[expect(clippy::print_stdout, reason = "what the command is for")]
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let ids = self.read_ids()?;
        let expected = self.expected().await?;
        let compared = compare(&expected, &ids);
        for one in &compared.missing {
            let Expected {
                id,
                delivery,
                r#type,
                status,
                received_at,
            } = one;
            println!("missing    {id} {delivery} {type} {status} {received_at}");
        }
        for id in &compared.unexpected {
            println!("unexpected {id}");
        }
        println!(
            "{} present, {} missing, {} pending, {} unexpected",
            compared.present,
            compared.missing.len(),
            compared.pending,
            compared.unexpected.len()
        );
        if self.resend {
            for one in &compared.missing {
                // One that is refused keeps none of the others from being sent.
                match self.resend(&one.delivery).await {
                    Ok(()) => println!("resent     {} {}", one.id, one.delivery),
                    Err(why) => println!("not resent {}: {why:#}", one.id),
                }
            }
        }
        Ok(if compared.missing.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(EXIT_FAILURE)
        })
    }

    fn read_ids(&self) -> anyhow::Result<Vec<String>> {
        let mut text = String::new();
        if self.ids == "-" {
            std::io::stdin()
                .read_to_string(&mut text)
                .context("standard input cannot be read")?;
        } else {
            text = std::fs::read_to_string(&self.ids).with_context(|| format!("cannot read {}", self.ids))?;
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let ids: Vec<String> = lines.map(str::to_owned).collect();
        match ids.iter().find(|id| !id.starts_with("msg_")) {
            Some(other) => bail!("{other:?} is no webhook id: write one such as msg_… in each line"),
            None => Ok(ids),
        }
    }

    /// Everything that should have come, oldest first.
    async fn expected(&self) -> anyhow::Result<Vec<Expected>> {
        // Once: how long ago it was is the same for every page.
        let (since, until) = (job::time(Some(&self.since))?, job::time(self.until.as_deref())?);
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = Serializer::new(String::new());
            query.append_pair("limit", &LIMIT_MAX.to_string());
            for (name, time) in [("since", &since), ("until", &until)] {
                if let Some(time) = time.as_ref().and_then(Value::as_str) {
                    query.append_pair(name, time);
                }
            }
            if let Some(cursor) = &cursor {
                query.append_pair("cursor", cursor);
            }
            let path = format!("/v1/endpoints/{}/expected?{}", self.endpoint, query.finish());
            let answer = self.access.request("GET", &path, "application/json", Vec::new());
            let page: Page = serde_json::from_value(answer.await?.json()?)
                .context("the relay's answer is not what was asked for")?;
            all.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    async fn resend(&self, delivery: &str) -> anyhow::Result<()> {
        let path = format!("/v1/deliveries/{delivery}/retry");
        let answer = self.access.request("POST", &path, "application/json", Vec::new());
        answer.await?.json().map(drop)
    }
}

/// Holds a receiver's ids against what should have come. What was dropped or cancelled was not to
/// come; who has it all the same has not what is unexpected.
fn compare(expected: &[Expected], ids: &[String]) -> Compared {
    let mut is_there: BTreeMap<&str, bool> = expected.iter().map(|one| (one.id.as_str(), false)).collect();
    let mut compared = Compared::default();
    for id in ids {
        // One of several messages of a delivery has its number behind it.
        let whole = match id.rsplit_once('_') {
            Some((whole, number)) if whole.starts_with("msg_") && number.parse::<u32>().is_ok() => whole,
            _ => id,
        };
        match is_there.get_mut(whole) {
            Some(is_there) => *is_there = true,
            None => compared.unexpected.push(id.clone()),
        }
    }
    for one in expected {
        match (is_there.get(one.id.as_str()), one.status.as_str()) {
            (Some(true), _) => compared.present += 1,
            (_, "pending") => compared.pending += 1,
            (_, "dropped" | "cancelled") => {}
            _ => compared.missing.push(one.clone()),
        }
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(id: &str, status: &str) -> Expected {
        Expected {
            id: id.to_owned(),
            delivery: id.replace("msg_", "dlv_"),
            r#type: "a.b".to_owned(),
            status: status.to_owned(),
            received_at: String::new(),
        }
    }

    #[test]
    fn what_is_missing_and_what_is_unexpected_is_told() {
        let all = [
            expected("msg_1", "succeeded"),
            expected("msg_2", "succeeded"),
            expected("msg_3", "failed"),
            expected("msg_4", "pending"),
            expected("msg_5", "dropped"),
            expected("msg_6", "succeeded"),
        ];
        let ids = ["msg_1", "msg_6_1", "msg_6_2", "msg_9"].map(str::to_owned);
        let compared = compare(&all, &ids);
        assert_eq!(compared.missing, all[1..3]);
        assert_eq!((compared.present, compared.pending), (2, 1));
        assert_eq!(compared.unexpected, ["msg_9"]);
    }
}
