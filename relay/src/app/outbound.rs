//! What the configuration says of everything that leaves the relay.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::{Config, Outbound};
use crate::deliver::address::Guard;
use crate::deliver::send::SenderSettings;

/// What a sender works with; `own` are the addresses that the relay listens on.
pub(super) fn sender_settings(
    config: &Config,
    own: &[SocketAddr],
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<SenderSettings> {
    let outbound = &config.outbound;
    let guard = Guard::new(outbound.allow_networks.clone(), outbound.https_only, own.to_vec());
    let recipients = config.mail.as_ref().map(|mail| mail.recipients.clone());
    Ok(SenderSettings {
        connect_timeout: outbound.connect_timeout,
        idle_per_origin: outbound.idle_connections_max,
        extra_roots: extra_roots(outbound)?,
        bind: outbound.bind.clone(),
        proxy: outbound.proxy.clone(),
        mail: config.mail.clone(),
        ..SenderSettings::new(guard.with_mail(recipients), Arc::clone(clock))
    })
}

/// The further certificate authorities, as PEM.
pub(super) fn extra_roots(outbound: &Outbound) -> anyhow::Result<Vec<u8>> {
    let mut pem = Vec::new();
    for file in &outbound.ca_files {
        pem.extend(read_file(file)?);
        pem.push(b'\n');
    }
    Ok(pem)
}

fn read_file(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
