//! The processes of one scenario: a receiver, and what stands before it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use super::cli::Options;
use super::process::Process;
use super::receiver::{Ready, Status};
use super::relay::{Endpoint, Site};
use super::worker::Worker;
use super::{nginx, signature, wire};

/// Quiet before the memory of an idle process is read.
const QUIET: Duration = Duration::from_millis(500);

/// A time for which events are kept that no scenario sees the end of.
pub(super) const FOR_LONG: &str = "30d";

/// What is measured.
#[derive(Debug)]
pub(super) enum Target {
    /// nginx or the relay.
    Program(Process),
    /// The hyper proxy.
    Worker(Worker),
}

/// The running processes of a scenario. They end in the order of the fields.
#[derive(Debug)]
pub(super) struct Rig {
    pub target: Target,
    pub address: String,
    /// The relay's program and folder, if it is the target.
    pub site: Option<Site>,
    pub receiver: Worker,
    /// Resident bytes of the target before any load.
    pub idle_bytes: u64,
    folder: TempDir,
}

impl Rig {
    /// nginx before a receiver.
    pub(super) async fn nginx(options: &Options) -> anyhow::Result<Self> {
        let folder = folder(options)?;
        let (receiver, port) = receiver(&[]).await?;
        let (process, address) = nginx::start(&options.nginx, folder.path(), port).await?;
        Self {
            target: Target::Program(process),
            address,
            site: None,
            receiver,
            idle_bytes: 0,
            folder,
        }
        .rested()
        .await
    }

    /// The hyper proxy before a receiver.
    pub(super) async fn proxy(options: &Options) -> anyhow::Result<Self> {
        let folder = folder(options)?;
        let (receiver, port) = receiver(&[]).await?;
        let arguments = ["proxy".into(), "--to".into(), format!("127.0.0.1:{port}").into()];
        let mut proxy = Worker::start("proxy", &arguments)?;
        let address = format!("127.0.0.1:{}", proxy.hear::<Ready>().await?.port);
        Self {
            target: Target::Worker(proxy),
            address,
            site: None,
            receiver,
            idle_bytes: 0,
            folder,
        }
        .rested()
        .await
    }

    /// A relay with `endpoints`, ready, before a receiver that checks signatures.
    pub(super) async fn relay(options: &Options, endpoints: &[Endpoint]) -> anyhow::Result<Self> {
        Self::relay_that_keeps(options, FOR_LONG, endpoints).await
    }

    /// The same, with a time after which events are removed.
    pub(super) async fn relay_that_keeps(
        options: &Options,
        retention: &str,
        endpoints: &[Endpoint],
    ) -> anyhow::Result<Self> {
        let (site, receiver, folder) = Self::site(options, retention, endpoints).await?;
        let target = Target::Program(site.start().await?);
        let address = site.address.clone();
        Self {
            target,
            address,
            site: Some(site),
            receiver,
            idle_bytes: 0,
            folder,
        }
        .rested()
        .await
    }

    /// All that a relay needs, without the relay.
    pub(super) async fn site(
        options: &Options,
        retention: &str,
        endpoints: &[Endpoint],
    ) -> anyhow::Result<(Site, Worker, TempDir)> {
        let folder = folder(options)?;
        let masked = endpoints.iter().any(Endpoint::masks);
        let forbid: &[&str] = if masked {
            &["--forbid", wire::PHONE_NUMBER]
        } else {
            &[]
        };
        let (receiver, port) = receiver(&[&["--secret", signature::SECRET], forbid].concat()).await?;
        let site = Site::new(&options.relay()?, folder.path(), port, retention, endpoints)?;
        Ok((site, receiver, folder))
    }

    /// Where a trace may be written.
    pub(super) fn trace(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the receiver has so far.
    pub(super) async fn received(&mut self) -> anyhow::Result<Status> {
        self.receiver.ask("status").await
    }

    /// The process that is measured.
    pub(super) const fn process(&self) -> &Process {
        match &self.target {
            Target::Program(process) => process,
            Target::Worker(worker) => &worker.process,
        }
    }

    /// The same, once it has been left alone for a moment.
    async fn rested(mut self) -> anyhow::Result<Self> {
        tokio::time::sleep(QUIET).await;
        self.idle_bytes = self.process().memory().resident;
        Ok(self)
    }
}

/// A folder for store, configuration and logs, beside the report.
fn folder(options: &Options) -> anyhow::Result<TempDir> {
    let parent = parent(&options.out)?;
    tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(&parent)
        .with_context(|| format!("no folder in {}", parent.display()))
}

/// The folder of the report; made if need be.
pub(super) fn parent(out: &Path) -> anyhow::Result<PathBuf> {
    let parent = out
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("making the folder {}", parent.display()))?;
    Ok(parent.canonicalize()?)
}

async fn receiver(arguments: &[&str]) -> anyhow::Result<(Worker, u16)> {
    let arguments: Vec<OsString> = std::iter::once(&"receiver")
        .chain(arguments)
        .map(OsString::from)
        .collect();
    let mut receiver = Worker::start("receiver", &arguments)?;
    let port = receiver.hear::<Ready>().await?.port;
    Ok((receiver, port))
}
