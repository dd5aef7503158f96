//! What is measured, in the order of the table.

mod api;
mod crash;
mod many;
mod neighbour;
mod plugins;
mod retention;
mod runaway;
mod start;
mod steady;
mod stored;

use clap::ValueEnum;

use super::cli::{Options, Verdict, complain};
use super::machine::Machine;
use super::report::{Report, Row, thousands};
use super::rig;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// nginx as a plain reverse proxy.
    #[value(name = "nginx")]
    Nginx,
    /// A pass-through proxy on hyper.
    #[value(name = "hyper-proxy")]
    HyperProxy,
    /// One endpoint: durable, signed, recorded.
    #[value(name = "no-plugin")]
    NoPlugin,
    /// The same, with one plugin.
    #[value(name = "redact-fields")]
    RedactFields,
    /// The same, in a fresh instance for every call.
    #[value(name = "redact-fields-fresh")]
    RedactFieldsFresh,
    /// The same, with three plugins in a row.
    #[value(name = "chain-of-three")]
    ChainOfThree,
    /// Ten endpoints want every event.
    #[value(name = "fan-out-10")]
    FanOut10,
    /// Open loop at 200 events/s.
    #[value(name = "open-200")]
    Open200,
    /// Open loop at 1,000 events/s.
    #[value(name = "open-1000")]
    Open1000,
    /// A healthy endpoint beside one with a backlog that refuses connections.
    #[value(name = "dead-neighbour")]
    DeadNeighbour,
    /// From the start of the process to the first accepted event.
    #[value(name = "cold-start")]
    ColdStart,
    /// A healthy endpoint beside one with a backlog that never answers.
    #[value(name = "hanging-neighbour")]
    HangingNeighbour,
    /// A healthy endpoint beside one whose plugin never ends.
    #[value(name = "runaway-plugin")]
    RunawayPlugin,
    /// A healthy endpoint beside one that gets a hundred times as much.
    #[value(name = "flooding-neighbour")]
    FloodingNeighbour,
    /// Ten thousand endpoints, of which each event matches one.
    #[value(name = "endpoints-10000")]
    Endpoints10000,
    /// A million events in the store.
    #[value(name = "stored-1M")]
    Stored1M,
    /// The management API on a store with a million deliveries, beside traffic.
    #[value(name = "api")]
    Api,
    /// Ten thousand endpoints: made, routed to, changed, read at a start.
    #[value(name = "endpoints-10k")]
    Endpoints10k,
    /// A backlog of a million deliveries.
    #[value(name = "backlog-1M")]
    Backlog1M,
    /// Two hundred plugins, each on an endpoint of its own.
    #[value(name = "plugins-200")]
    Plugins200,
    /// SIGKILL with a backlog of a million deliveries, and start again.
    #[value(name = "recovery-1M")]
    Recovery1M,
    /// Old events are removed as fast as new ones come.
    #[value(name = "retention")]
    Retention,
    /// Memory when there is nothing to do.
    #[value(name = "idle-memory")]
    IdleMemory,
    /// From SIGTERM to the end of the process.
    #[value(name = "sigterm")]
    Sigterm,
    /// SIGKILL under load, start again, nothing lost.
    #[value(name = "kill-9")]
    Kill9,
}

impl Scenario {
    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it takes too long for every run.
    const fn is_long(self) -> bool {
        matches!(
            self,
            Self::HangingNeighbour
                | Self::RunawayPlugin
                | Self::FloodingNeighbour
                | Self::Endpoints10000
                | Self::Stored1M
                | Self::Api
                | Self::Endpoints10k
                | Self::Backlog1M
                | Self::Plugins200
                | Self::Recovery1M
                | Self::Retention
                | Self::IdleMemory
                | Self::Sigterm
                | Self::Kill9
        )
    }

    /// Whether it measures a throughput, which the state of the machine moves from round to round.
    const fn is_repeated(self) -> bool {
        matches!(
            self,
            Self::Nginx
                | Self::HyperProxy
                | Self::NoPlugin
                | Self::RedactFields
                | Self::RedactFieldsFresh
                | Self::ChainOfThree
                | Self::FanOut10
        )
    }

    /// Whether it is wanted. nginx always is: the others are told in proportion to it.
    fn is_wanted(self, options: &Options) -> bool {
        if options.only.is_empty() {
            return options.full || !self.is_long();
        }
        options.only.contains(&self)
    }

    async fn measure(self, options: &Options) -> anyhow::Result<Row> {
        let name = self.name();
        match self {
            Self::Nginx => steady::nginx(&name, options).await,
            Self::HyperProxy => steady::hyper_proxy(&name, options).await,
            Self::NoPlugin => steady::chain(&name, options, &[]).await,
            Self::RedactFields => steady::chain(&name, options, &steady::CHAIN[..1]).await,
            Self::RedactFieldsFresh => steady::chain(&name, options, &[steady::FRESH]).await,
            Self::ChainOfThree => steady::chain(&name, options, &steady::CHAIN).await,
            Self::FanOut10 => steady::fan_out(&name, options, 10).await,
            Self::Open200 => steady::open(&name, options, 200.0).await,
            Self::Open1000 => steady::open(&name, options, 1000.0).await,
            Self::DeadNeighbour => neighbour::dead(&name, options).await,
            Self::HangingNeighbour => neighbour::hanging(&name, options).await,
            Self::RunawayPlugin => runaway::plugin(&name, options).await,
            Self::FloodingNeighbour => neighbour::flooding(&name, options).await,
            Self::ColdStart => start::cold_start(&name, options).await,
            Self::IdleMemory => start::idle_memory(&name, options).await,
            Self::Endpoints10000 => stored::endpoints(&name, options, 10_000).await,
            Self::Stored1M => stored::events(&name, options).await,
            Self::Api => api::beside_traffic(&name, options).await,
            Self::Endpoints10k => many::endpoints(&name, options).await,
            Self::Backlog1M => stored::backlog(&name, options).await,
            Self::Plugins200 => plugins::many(&name, options).await,
            Self::Recovery1M => crash::recovery(&name, options).await,
            Self::Retention => retention::level(&name, options).await,
            Self::Sigterm => crash::sigterm(&name, options).await,
            Self::Kill9 => crash::kill_9(&name, options).await,
        }
    }
}

/// Measures all that is wanted, prints the table and writes the report.
pub(super) async fn run(options: &Options) -> anyhow::Result<Verdict> {
    let machine = Machine::look(&rig::parent(&options.out)?, &options.nginx)?;
    if machine.load_before > 0.5 {
        let load = machine.load_before;
        complain(&format!(
            "warning: the machine is busy (load {load}): figures will be worse than on a quiet one"
        ));
    }
    let wanted: Vec<Scenario> = Scenario::value_variants()
        .iter()
        .copied()
        .filter(|scenario| scenario.is_wanted(options))
        .collect();
    if wanted
        .iter()
        .any(|scenario| !matches!(scenario, Scenario::Nginx | Scenario::HyperProxy))
    {
        options.relay()?;
    }
    let scenarios = rows(&wanted, options).await;
    let sound = scenarios.iter().all(|row| row.faults.is_empty());
    Report { machine, scenarios }.publish(&options.out)?;
    Ok(if sound { Verdict::Sound } else { Verdict::Faulty })
}

/// Every scenario once; those that are repeated in turns, so that a change of the machine's
/// mood meets all of them.
async fn rows(wanted: &[Scenario], options: &Options) -> Vec<Row> {
    let mut taken: Vec<Vec<Row>> = vec![Vec::new(); wanted.len()];
    for round in 0..options.rounds().max(1) {
        let mut nginx = None;
        for (scenario, rows) in wanted.iter().zip(&mut taken) {
            if round > 0 && !scenario.is_repeated() {
                continue;
            }
            let mut row = measured(*scenario, options).await;
            if *scenario == Scenario::Nginx {
                nginx = row.events_per_s;
            }
            if scenario.is_repeated() {
                row.ratio = row.events_per_s.zip(nginx).map(|(own, nginx)| own / nginx);
            }
            rows.push(row);
        }
    }
    taken.into_iter().filter_map(median).collect()
}

async fn measured(scenario: Scenario, options: &Options) -> Row {
    let row = scenario
        .measure(options)
        .await
        .unwrap_or_else(|error| Row::broken(&scenario.name(), &error));
    let figure = row
        .events_per_s
        .map_or_else(String::new, |value| format!(" {} events/s", thousands(value)));
    complain(&format!(
        "{}:{figure} {}{}",
        row.scenario,
        row.note,
        row.faults.join("; ")
    ));
    row
}

/// The round in the middle by throughput, with the faults of all.
fn median(mut rounds: Vec<Row>) -> Option<Row> {
    let figures: Vec<f64> = rounds.iter().filter_map(|row| row.events_per_s).collect();
    let faults = rounds.iter().flat_map(|row| row.faults.clone()).collect();
    rounds.sort_by(|a, b| {
        a.events_per_s
            .unwrap_or(0.0)
            .total_cmp(&b.events_per_s.unwrap_or(0.0))
    });
    let middle = rounds.len() / 2;
    let mut row = rounds.into_iter().nth(middle)?;
    row.faults = faults;
    if figures.len() > 1 {
        row.rounds = figures;
    }
    Some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_keeps_the_faults_of_every_round() {
        let round = |events, faults: &[&str]| Row {
            events_per_s: Some(events),
            faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
            ..Row::default()
        };
        let row = median(vec![round(3.0, &["lost"]), round(1.0, &[]), round(2.0, &[])]).expect("a row");
        assert_eq!(
            (row.events_per_s, row.rounds, row.faults),
            (Some(2.0), vec![3.0, 1.0, 2.0], vec!["lost".to_owned()])
        );
    }
}
