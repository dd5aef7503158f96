//! `relay demo`: a whole relay, five platforms and a receiver, in one process.
//!
//! Nothing is faked: posts go over HTTP to the relay's own listener, deliveries over HTTP to
//! a receiver that verifies every signature, and what is printed is read from the log.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::EXIT_FAILURE;
use crate::app::App;
use crate::config::reader::Process;
use crate::config::{self, Config};
use crate::model::delivery::{Delivery, State};
use crate::model::id::TenantId;
use crate::model::page::{LIMIT_MAX, Page};
use crate::store::DeliveryFilter;
use crate::telemetry;

mod posts;
mod receiver;
mod report;

use receiver::Receiver;

/// The configuration, with placeholders for the receiver and the store.
const CONFIG: &str = include_str!("relay.toml");
/// How long everything may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the log is asked whether everything is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Ends by itself; exit code 0 only if every expected delivery arrived and verified
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = tempfile::tempdir().context("there is no room for a temporary store")?;
        let receiver = Arc::new(Receiver::start().await?);
        let config = configuration(&receiver, folder.path())?;
        telemetry::start(&config.log);
        report::starting();
        let app = App::start(config).await?;
        receiver.expect_signatures(&app)?;

        let answers = posts::play(&app).await?;
        report::answers(&answers);
        let deliveries = finished(&app).await?;
        let verdict = report::deliveries(&app, &receiver, &deliveries).await?;
        let passed = posts::all_as_expected(&answers) && verdict;
        report::end(passed);
        if !self.once {
            report::stays(&app);
            tokio::signal::ctrl_c().await?;
        }
        app.stop().await;
        Ok(if passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(EXIT_FAILURE)
        })
    }
}

fn configuration(receiver: &Receiver, folder: &std::path::Path) -> anyhow::Result<Config> {
    let store = folder.join("relay.db");
    let text = CONFIG
        .replace("RECEIVER", &receiver.address().to_string())
        .replace("STORE", &store.to_string_lossy());
    let mut config = config::load(&text, &Process).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the demo's own configuration has faults: {}", faults.join("; "))
    })?;
    // Compiled plugins outlive the temporary store, so that only the first demo compiles.
    config.plugins.cache =
        Some(std::env::temp_dir().join(format!("relay-demo-plugins-{}", crate::app::user())));
    Ok(config)
}

/// Waits until no delivery is pending, and lists them all.
async fn finished(app: &App) -> anyhow::Result<Vec<Delivery>> {
    let look = async {
        loop {
            let deliveries = app
                .store()
                .deliveries(
                    TenantId::DEFAULT,
                    DeliveryFilter::default(),
                    Page {
                        limit: LIMIT_MAX,
                        before: None,
                    },
                )
                .await?;
            let done = deliveries
                .items
                .iter()
                .all(|delivery| delivery.state != State::Pending);
            if done && deliveries.items.len() >= report::expected_deliveries() {
                return anyhow::Ok(deliveries.items);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(deliveries) => deliveries,
        Err(_) => {
            let page = Page {
                limit: LIMIT_MAX,
                before: None,
            };
            Ok(app
                .store()
                .deliveries(TenantId::DEFAULT, DeliveryFilter::default(), page)
                .await?
                .items)
        }
    }
}
