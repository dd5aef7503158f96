//! The table for people and the file for programs.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::answers::Spread;
use super::machine::Machine;
use super::measure::{Latency, Measured};

/// One scenario's figures; what was not measured is left out.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Row {
    pub scenario: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_per_s: Option<f64>,
    /// The same of every round.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<f64>,
    /// Events a second in proportion to nginx in the same round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_event: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harness_cpu_us_per_event: Option<f64>,
    #[serde(flatten)]
    pub accept: Option<Accept>,
    #[serde(flatten)]
    pub accept_to_receiver: Option<AcceptToReceiver>,
    #[serde(flatten)]
    pub sent_to_receiver: Option<SentToReceiver>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_idle_mib: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_peak_mib: Option<f64>,
    pub events: u64,
    pub repeated: u64,
    /// Figures that only this scenario has.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// How long requests took, if any were measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Request>,
    pub note: String,
    /// Why the row is not to be believed; empty in a sound run.
    pub faults: Vec<String>,
}

/// How long requests of one kind took, and without what was going on beside them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Request {
    pub request: String,
    #[serde(flatten)]
    pub spread: Spread,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone: Option<Spread>,
}

/// Declares the milliseconds of one latency under their names in the file.
macro_rules! milliseconds {
    ($name:ident, $p50:ident, $p99:ident) => {
        #[derive(Debug, Clone, Copy, Serialize)]
        pub(super) struct $name {
            pub $p50: f64,
            pub $p99: f64,
        }

        impl From<Latency> for $name {
            fn from(latency: Latency) -> Self {
                Self {
                    $p50: ms(latency.p50),
                    $p99: ms(latency.p99),
                }
            }
        }
    };
}

milliseconds!(Accept, accept_p50_ms, accept_p99_ms);
milliseconds!(
    AcceptToReceiver,
    accept_to_receiver_p50_ms,
    accept_to_receiver_p99_ms
);
milliseconds!(SentToReceiver, sent_to_receiver_p50_ms, sent_to_receiver_p99_ms);

impl Row {
    /// A row for what was measured, with the memory the target held before.
    pub(super) fn of(scenario: &str, measured: &Measured, idle_bytes: u64) -> Self {
        Self {
            scenario: scenario.to_owned(),
            events_per_s: Some(measured.events_per_s()),
            cpu_us_per_event: Some(measured.cpu_us()),
            harness_cpu_us_per_event: Some(measured.harness_cpu_us()),
            accept: Some(measured.accept.into()),
            // A proxy answers after the delivery: there is no such time.
            accept_to_receiver: measured
                .accept_to_receiver
                .filter(|after| !after.p99.is_zero())
                .map(Into::into),
            sent_to_receiver: measured.sent_to_receiver.map(Into::into),
            rss_idle_mib: Some(mib(idle_bytes)),
            rss_peak_mib: Some(mib(measured.memory.peak)),
            events: measured.events,
            repeated: measured.repeated,
            faults: measured.faults.clone(),
            ..Self::default()
        }
    }

    /// A row for a scenario that broke off.
    pub(super) fn broken(scenario: &str, error: &anyhow::Error) -> Self {
        Self {
            scenario: scenario.to_owned(),
            faults: vec![format!("{error:#}")],
            ..Self::default()
        }
    }

    /// Adds a figure of its own.
    pub(super) fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// Says something about the row in words.
    pub(super) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Shows how long requests took.
    pub(super) fn showing(mut self, requests: Vec<Request>) -> Self {
        self.requests = requests;
        self
    }

    fn cells(&self) -> Vec<String> {
        let (accept, after) = (self.accept, self.accept_to_receiver);
        [
            self.scenario.clone(),
            cell(self.events_per_s, |value| thousands(value.round())),
            cell(self.ratio, |value| format!("{value:.2}")),
            cell(self.cpu_us_per_event, |value| format!("{value:.1}")),
            cell(accept, |accept| figure(accept.accept_p50_ms)),
            cell(accept, |accept| figure(accept.accept_p99_ms)),
            cell(after, |after| figure(after.accept_to_receiver_p50_ms)),
            cell(after, |after| figure(after.accept_to_receiver_p99_ms)),
            cell(self.rss_idle_mib, |value| format!("{value:.0}")),
            cell(self.rss_peak_mib, |value| format!("{value:.0}")),
            self.remark(),
        ]
        .into()
    }

    fn remark(&self) -> String {
        match self.faults.first() {
            Some(fault) => format!("FAILED: {fault}"),
            None => self.note.clone(),
        }
    }
}

const COLUMNS: [(&str, &str); 11] = [
    ("", "scenario"),
    ("", "events/s"),
    ("", "× nginx"),
    ("CPU", "µs/event"),
    ("accept", "p50 ms"),
    ("", "p99 ms"),
    ("to receiver", "p50 ms"),
    ("", "p99 ms"),
    ("RSS idle", "MiB"),
    ("peak", "MiB"),
    ("", ""),
];

/// Everything a run found out.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub machine: Machine,
    pub scenarios: Vec<Row>,
}

impl Report {
    /// Prints the table to standard output and writes the file.
    pub(super) fn publish(&self, path: &Path) -> anyhow::Result<()> {
        std::io::stdout()
            .lock()
            .write_all(table(&self.scenarios).as_bytes())?;
        let json = serde_json::to_vec_pretty(self)?;
        std::fs::write(path, json).with_context(|| format!("writing {}", path.display()))
    }
}

fn table(rows: &[Row]) -> String {
    let heads = [
        COLUMNS.map(|(above, _)| above.to_owned()).into(),
        COLUMNS.map(|(_, below)| below.to_owned()).into(),
    ];
    let lines: Vec<_> = heads.into_iter().chain(rows.iter().map(Row::cells)).collect();
    let requests = rows.iter().filter(|row| !row.requests.is_empty());
    let more: String = requests.map(of_requests).collect();
    aligned(&lines) + &more
}

/// A table of its own for the requests of a row.
fn of_requests(row: &Row) -> String {
    let head = [
        row.scenario.as_str(),
        "requests",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "alone: p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "",
    ];
    let cells = |request: &Request| {
        let alone = request.alone.as_ref();
        let mut cells = vec![request.request.clone(), thousands(request.spread.requests as f64)];
        cells.extend(request.spread.ranks().map(figure));
        cells.extend((0..4).map(|rank| cell(alone, |alone| figure(alone.ranks()[rank]))));
        // Where the other table has its remarks.
        cells.push(String::new());
        cells
    };
    let head = head.map(str::to_owned).into();
    let lines: Vec<_> = std::iter::once(head)
        .chain(row.requests.iter().map(cells))
        .collect();
    format!("\n{}", aligned(&lines))
}

/// Names and remarks to the left, figures to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|cells| cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    lines.iter().map(|cells| line(cells, &widths)).collect()
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ if column + 1 == cells.len() => cell.clone(),
            _ => format!("{cell:>width$}"),
        });
    let line = padded.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

fn cell<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

/// Three digits that say something.
fn figure(value: f64) -> String {
    match value {
        0.0..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A whole number with commas.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Milliseconds.
pub(super) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Mebibytes.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_takes_the_place_of_the_note() {
        let row = Row {
            faults: vec!["lost".to_owned()],
            note: "fine".to_owned(),
            ..Row::default()
        };
        assert_eq!(row.remark(), "FAILED: lost");
    }

    #[test]
    fn figures_are_easy_to_read() {
        assert_eq!(
            [77_000.0, 999.0, 1_000_000.0].map(thousands),
            ["77,000", "999", "1,000,000"]
        );
        assert_eq!(
            [0.0456, 2.5049, 42.0, 250.3].map(figure),
            ["0.046", "2.50", "42.0", "250"]
        );
    }

    #[test]
    fn columns_line_up_and_the_file_has_flat_names() {
        let measured = Measured {
            events: 10,
            span: Duration::from_secs(1),
            ..Measured::default()
        };
        let row = Row::of("nginx", &measured, 1 << 20);
        let text = table(std::slice::from_ref(&row));
        assert!(
            text.lines().nth(2).is_some_and(|line| line.starts_with("nginx")),
            "{text}"
        );
        let json = serde_json::to_value(&row).expect("serializable");
        assert_eq!(json["accept_p50_ms"], 0.0);
        assert!(json.get("accept_to_receiver_p50_ms").is_none());
    }
}
