//! What the demo prints.
#![expect(clippy::print_stdout, reason = "the result of the command")]

use std::collections::BTreeMap;

use super::posts::Answered;
use super::receiver::{Receiver, Tally};
use crate::app::App;
use crate::model::attempt::Attempt;
use crate::model::delivery::{Delivery, State};
use crate::model::id::TenantId;

/// What each endpoint should end with: deliveries succeeded, dropped, and failed attempts.
const EXPECTED: [(&str, usize, usize, usize); 9] = [
    ("archive", 24, 0, 0),
    ("crm", 5, 0, 0),
    ("assistant", 2, 0, 0),
    ("team-chat", 2, 0, 0),
    ("phone", 1, 0, 0),
    ("billing", 2, 0, 4),
    ("sales", 3, 0, 0),
    ("dashboard", 13, 0, 0),
    ("auto-reply", 1, 0, 0),
];

/// How many deliveries there should be.
pub(super) fn expected_deliveries() -> usize {
    EXPECTED
        .iter()
        .map(|(_, succeeded, dropped, _)| succeeded + dropped)
        .sum()
}

pub(super) fn starting() {
    println!("Starting a relay on a temporary store, with a receiver beside it …\n");
}

pub(super) fn answers(answers: &[Answered]) {
    println!("What the platforms posted, and what they were answered:\n");
    for answer in answers {
        let what = match (answer.status, answer.duplicate) {
            (202, false) => "stored",
            (202, true) => "known already",
            (401, _) => "refused",
            _ => answer.reply.as_deref().unwrap_or_default(),
        };
        let odd = if answer.is_as_expected() {
            ""
        } else {
            "   <- not as expected"
        };
        println!(
            "  {:10} {:32} {} {what}{odd}",
            answer.source, answer.what, answer.status
        );
    }
}

/// One endpoint's line: counts by state, attempts, what plugins cost.
#[derive(Default)]
struct Line {
    succeeded: usize,
    dropped: usize,
    other: Vec<String>,
    failed_attempts: usize,
    plugins: BTreeMap<String, (u64, u64)>,
    slowest_us: u64,
}

/// Prints what became of the deliveries; whether it is what it should be.
pub(super) async fn deliveries(
    app: &App,
    receiver: &Receiver,
    deliveries: &[Delivery],
) -> anyhow::Result<bool> {
    let lines = lines(app, deliveries).await?;
    println!("\nWhat the endpoints received:\n");
    println!(
        "  {:10} {:>9} {:>7} {:>7} {:>8}   plugins (mean time of a call)",
        "endpoint", "delivered", "dropped", "retried", "verified"
    );
    let mut passed = true;
    for (endpoint, succeeded, dropped, failed_attempts) in EXPECTED {
        let empty = Line::default();
        let line = lines.get(endpoint).unwrap_or(&empty);
        let tally = receiver.tally(endpoint);
        let fits = line.succeeded == succeeded
            && line.dropped == dropped
            && line.failed_attempts == failed_attempts
            && line.other.is_empty()
            && is_clean(&tally, succeeded, failed_attempts);
        passed &= fits;
        let odd = if fits { "" } else { "   <- not as expected" };
        let plugins = plugins(line);
        println!(
            "  {endpoint:10} {:>9} {:>7} {:>7} {:>8}   {plugins}{odd}",
            line.succeeded, line.dropped, line.failed_attempts, tally.taken
        );
        for reason in &line.other {
            println!("             {reason}");
        }
    }
    samples(receiver);
    Ok(passed)
}

/// Whether the receiver saw exactly what the log says, each with a valid signature and the
/// same bytes on every attempt.
const fn is_clean(tally: &Tally, succeeded: usize, failed_attempts: usize) -> bool {
    tally.taken == succeeded && tally.failed == failed_attempts && tally.forged == 0 && tally.altered == 0
}

async fn lines(app: &App, deliveries: &[Delivery]) -> anyhow::Result<BTreeMap<String, Line>> {
    let directory = app.directories.current();
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for delivery in deliveries {
        let Some(target) = directory.target(delivery.endpoint) else {
            continue;
        };
        let attempts = app.store().attempts(TenantId::DEFAULT, delivery.id).await?;
        lines
            .entry(target.endpoint.name.clone())
            .or_default()
            .add(delivery, &attempts);
    }
    Ok(lines)
}

impl Line {
    fn add(&mut self, delivery: &Delivery, attempts: &[Attempt]) {
        match delivery.state {
            State::Succeeded => self.succeeded += 1,
            State::Dropped => self.dropped += 1,
            state => {
                let reason = delivery.reason.as_deref().unwrap_or("no reason");
                self.other.push(format!("{} is {state}: {reason}", delivery.id));
            }
        }
        for attempt in attempts {
            self.failed_attempts += usize::from(!attempt.outcome.is_success());
            self.slowest_us = self.slowest_us.max(attempt.duration_us);
            for cost in &attempt.plugins {
                let (total, calls) = self.plugins.entry(cost.name.clone()).or_default();
                *total += cost.duration_us;
                *calls += 1;
            }
        }
    }
}

fn plugins(line: &Line) -> String {
    let each = line
        .plugins
        .iter()
        .map(|(name, (total, calls))| format!("{name} {} µs", total / (*calls).max(1)));
    each.collect::<Vec<_>>().join(", ")
}

fn samples(receiver: &Receiver) {
    println!("\nWhat plugins made of it, for example:\n");
    for endpoint in ["crm", "assistant", "team-chat", "phone"] {
        let body = receiver.tally(endpoint).sample;
        let text = String::from_utf8_lossy(&body);
        let short: String = text
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(160)
            .collect();
        println!(
            "  {endpoint:10} {short}{}",
            if text.len() > 160 { " …" } else { "" }
        );
    }
}

pub(super) fn end(passed: bool) {
    if passed {
        println!("\nEvery expected delivery arrived, signed and verified.");
    } else {
        println!("\nNot everything went as expected: see the marked lines.");
    }
}

pub(super) fn stays(app: &App) {
    let Some(address) = app.addresses.first() else {
        return;
    };
    println!("\nThe relay stays up at http://{address} until Ctrl-C. Ask its log:\n");
    let key = app.fresh_key.as_ref().map_or("", |key| key.reveal());
    println!("  curl -s -H 'Authorization: Bearer {key}' http://{address}/v1/deliveries");
}
