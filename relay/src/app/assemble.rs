//! From the configuration to the directory: names get their ids, plugins are bound, chains
//! and signers are made. Done again whenever a plugin's file changes.

use std::collections::HashSet;

use anyhow::{Context as _, anyhow};

use crate::config::Config;
use crate::crypto::standard_webhooks::SigningKey;
use crate::deliver::send::Sender;
use crate::directory::{Directory, Door, Target};
use crate::model::endpoint::Endpoint;
use crate::model::id::{EndpointId, SourceId, TenantId};
use crate::model::plugin::{OnFault, PluginUse};
use crate::model::source::Source;
use crate::model::time::Timestamp;
use crate::plugins::{Bound, Chain, Owner, Plugins};
use crate::queue::Terms;
use crate::store::{Named, Store};

/// What of a configuration cannot be used although it reads well: plugins that are not there
/// or do not take their configuration, above all.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n  {}", .0.join("\n  "))]
pub(crate) struct Unusable(Vec<String>);

/// How the only tenant is called in what plugins see.
const TENANT_NAME: &str = "default";

/// Everything that the path needs to know, and the terms of each lane.
pub(super) async fn directory(
    config: &Config,
    store: &dyn Store,
    plugins: &Plugins,
    sender: &Sender,
    now: Timestamp,
) -> anyhow::Result<(Directory, Vec<(EndpointId, Terms)>)> {
    let mut faults = Vec::new();
    let mut doors = Vec::new();
    for source in named_sources(config, store, now).await? {
        match door(source, plugins).await {
            Ok(door) => doors.push(door),
            Err(fault) => faults.push(fault),
        }
    }
    let disabled: HashSet<EndpointId> = store
        .disabled()
        .await?
        .into_iter()
        .map(|(endpoint, _)| endpoint)
        .collect();
    let mut terms = Vec::new();
    let mut targets = Vec::new();
    for endpoint in named_endpoints(config, store, now).await? {
        terms.push((endpoint.id, Terms::of(&endpoint, disabled.contains(&endpoint.id))));
        match target(endpoint, store, plugins, sender).await {
            Ok(target) => targets.push(target),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(Unusable(faults.iter().map(|fault| format!("{fault:#}")).collect()).into());
    }
    let directory = Directory::new(doors, targets)
        .map_err(|malformed| Unusable(malformed.iter().map(ToString::to_string).collect()))?;
    Ok((directory, terms))
}

async fn named_sources(config: &Config, store: &dyn Store, now: Timestamp) -> anyhow::Result<Vec<Source>> {
    let names = config.sources.iter().map(|source| source.name.clone()).collect();
    let ids = store
        .identify(TenantId::DEFAULT, Named::Source, names, now)
        .await?;
    let named = config.sources.iter().cloned().zip(ids);
    Ok(named
        .map(|(source, id)| Source {
            id: SourceId::from_raw(id),
            ..source
        })
        .collect())
}

async fn named_endpoints(
    config: &Config,
    store: &dyn Store,
    now: Timestamp,
) -> anyhow::Result<Vec<Endpoint>> {
    let names = config
        .endpoints
        .iter()
        .map(|endpoint| endpoint.name.clone())
        .collect();
    let ids = store
        .identify(TenantId::DEFAULT, Named::Endpoint, names, now)
        .await?;
    let named = config.endpoints.iter().cloned().zip(ids);
    Ok(named
        .map(|(endpoint, id)| Endpoint {
            id: EndpointId::from_raw(id),
            ..endpoint
        })
        .collect())
}

async fn door(source: Source, plugins: &Plugins) -> anyhow::Result<Door> {
    let owner = Owner {
        tenant: source.tenant,
        tenant_name: TENANT_NAME.to_owned(),
        kind: Named::Source,
        id: source.id.raw(),
        name: source.name.clone(),
    };
    let bound = bind(&source.plugins, &owner, plugins).await?;
    let authenticators = bound
        .iter()
        .filter(|bound| bound.hooks().authenticate)
        .cloned()
        .collect();
    // A plugin that breaks here has no delivery to be retried: the sender is told instead.
    Ok(Door {
        chain: Chain::new(bound, OnFault::Retry),
        authenticators,
        source,
    })
}

async fn target(
    endpoint: Endpoint,
    store: &dyn Store,
    plugins: &Plugins,
    sender: &Sender,
) -> anyhow::Result<Target> {
    let owner = Owner {
        tenant: endpoint.tenant,
        tenant_name: TENANT_NAME.to_owned(),
        kind: Named::Endpoint,
        id: endpoint.id.raw(),
        name: endpoint.name.clone(),
    };
    let chain = Chain::new(bind(&endpoint.plugins, &owner, plugins).await?, endpoint.on_fault);
    let own = store.signing_secrets(endpoint.id, SigningKey::generate()).await?;
    let name = endpoint.name.clone();
    Target::new(endpoint, chain, &own, sender).with_context(|| format!("endpoint {name}"))
}

/// Binds every plugin of a list, or says of each that cannot be used why.
async fn bind(uses: &[PluginUse], owner: &Owner, plugins: &Plugins) -> anyhow::Result<Vec<Bound>> {
    let kind = match owner.kind {
        Named::Source => "source",
        Named::Endpoint => "endpoint",
    };
    let mut bound = Vec::new();
    let mut faults = Vec::new();
    for used in uses {
        match plugins.bind(used, owner.clone()).await {
            Ok(made) => bound.push(made),
            Err(error) => faults.push(format!("{kind} {}: {:#}", owner.name, anyhow::Error::new(error))),
        }
    }
    if faults.is_empty() {
        Ok(bound)
    } else {
        Err(anyhow!(faults.join("\n  ")))
    }
}
