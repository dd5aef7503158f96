//! Two hundred plugins that are not the same: how long a start takes, and what they hold.

use anyhow::Context as _;
use relay::plugins::stock;

use super::start::wait_until;
use super::steady::{PREFIX, endpoint};
use crate::bench::cli::Options;
use crate::bench::relay::{Endpoint, KEY, To};
use crate::bench::report::{Row, mib, ms};
use crate::bench::rig::{FOR_LONG, Rig};
use crate::bench::{call, wire};

const COUNT: usize = 200;
/// Stock plugins that they are made of, and what each is told to do.
const MODELS: [(&str, &str); 3] = [
    ("redact-fields", r#"{ mask = ["/name"] }"#),
    ("filter-expression", r#"{ expression = "event.type != 'never'" }"#),
    ("map-json", r#"{ expression = "@" }"#),
];

/// Starts a relay twice: to compile all of them, and to be measured. Every event goes to all of
/// their endpoints, so that each plugin has run when memory is read again.
pub(super) async fn many(name: &str, options: &Options) -> anyhow::Result<Row> {
    let endpoints: Vec<Endpoint> = (0..COUNT).map(with_own_plugin).collect();
    let (site, mut receiver, folder) = Rig::site(options, FOR_LONG, &endpoints).await?;
    let mut bytes = 0;
    for number in 0..COUNT {
        let component = component(number)?;
        bytes += component.len();
        site.add_plugin(&plugin(number), &component)?;
    }
    site.start().await?.end_gently();

    let begun = std::time::Instant::now();
    let mut process = site.start().await?;
    let ready = ms(begun.elapsed());
    let loaded = process.memory();
    let mut event = wire::Template::new(&site.address, KEY, PREFIX, 1);
    call::wait_until_accepted(&site.address, event.numbered(0), &mut process).await?;
    wait_until(&mut receiver, |status| status.requests >= COUNT as u64).await?;
    let used = process.memory();
    process.end_gently();
    drop(folder);
    Ok(Row {
        scenario: name.to_owned(),
        rss_idle_mib: Some(mib(loaded.resident)),
        rss_peak_mib: Some(mib(used.peak)),
        ..Row::default()
    }
    .with("plugins", COUNT)
    .with("start_to_ready_ms", ready)
    .noting(format!(
        "{COUNT} plugins of {:.0} KiB on average, compiled before: ready after {ready:.0} ms",
        bytes as f64 / COUNT as f64 / 1024.0
    )))
}

fn plugin(number: usize) -> String {
    format!("plugin-{number}")
}

fn with_own_plugin(number: usize) -> Endpoint {
    let (_, config) = MODELS[number % MODELS.len()];
    Endpoint {
        plugins: vec![format!(r#"{{ use = "{}", config = {config} }}"#, plugin(number)).into()],
        ..endpoint(&format!("bench-{number}"), To::Lane(0), PREFIX, &[])
    }
}

/// A stock plugin with a custom section that no other has: another digest, compiled by itself.
fn component(number: usize) -> anyhow::Result<Vec<u8>> {
    let (model, _) = MODELS[number % MODELS.len()];
    let mut bytes = stock::find(model).context("a stock plugin")?.to_vec();
    let said = format!("{number:03}");
    // Section 0, its length, the name with its length, and the content.
    bytes.extend([0, 9, 5]);
    bytes.extend(b"bench");
    bytes.extend(said.as_bytes());
    Ok(bytes)
}
