//! The relay under test: its configuration, and its start.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::process::Command;

use super::process::Process;
use super::{call, signature};
use crate::guests;

/// The administrator's key of every relay under test.
pub(super) const KEY: &str = "rk_bench_0123456789abcdef0123456789abcdef";

/// A use of the plugin that never ends.
pub(super) const RUNAWAY: &str = r#"{ use = "hostile", config = { do = "spin" } }"#;

/// One endpoint of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub name: String,
    pub to: To,
    /// An event type or pattern.
    pub event_type: String,
    /// The chain, as inline tables of TOML.
    pub plugins: Vec<Cow<'static, str>>,
}

/// Who is at the other end of an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    /// The receiver, on one of its lanes.
    Lane(usize),
    /// The receiver, who never answers.
    Hanging,
    /// Nobody: connections are refused.
    Nobody,
}

impl To {
    fn url(self, receiver_port: u16) -> String {
        match self {
            Self::Lane(lane) => format!("http://127.0.0.1:{receiver_port}/{lane:02}"),
            Self::Hanging => format!("http://127.0.0.1:{receiver_port}/hang"),
            // The discard port: privileged, so nothing else comes to listen there.
            Self::Nobody => "http://127.0.0.1:9/".to_owned(),
        }
    }
}

/// A relay's program, folder and address: what is needed to start it, and to start it again.
#[derive(Debug)]
pub(super) struct Site {
    binary: PathBuf,
    folder: PathBuf,
    pub address: String,
}

impl Site {
    /// Writes a configuration with `endpoints` into `folder`.
    pub(super) fn new(
        binary: &Path,
        folder: &Path,
        receiver_port: u16,
        retention: &str,
        endpoints: &[Endpoint],
    ) -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{}", call::free_port()?);
        let plugins = folder.join("plugins");
        std::fs::create_dir_all(&plugins)?;
        if endpoints
            .iter()
            .any(|endpoint| endpoint.plugins.iter().any(|plugin| plugin == RUNAWAY))
        {
            std::fs::write(plugins.join("hostile.wasm"), guests::HOSTILE)?;
        }
        std::fs::write(
            folder.join("relay.toml"),
            config(folder, &address, receiver_port, retention, endpoints),
        )?;
        Ok(Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            address,
        })
    }

    /// Puts a plugin into its folder of plugins.
    pub(super) fn add_plugin(&self, name: &str, component: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.join("plugins").join(name).with_extension("wasm");
        Ok(std::fs::write(path, component)?)
    }

    /// Executes it, without waiting until it is ready.
    pub(super) fn execute(&self) -> anyhow::Result<Process> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(&self.binary);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.folder.join("relay.toml"));
        command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Process::start("relay", command)
    }

    /// Executes it and waits until it is ready.
    pub(super) async fn start(&self) -> anyhow::Result<Process> {
        let mut process = self.execute()?;
        let ready = call::wait_until_ready(&self.address, &mut process).await;
        ready.with_context(|| format!("its last words: {}", self.last_words()))?;
        Ok(process)
    }

    /// Bytes of the store's files.
    pub(super) fn store_bytes(&self) -> u64 {
        let length = |name: &str| std::fs::metadata(self.folder.join(name)).map_or(0, |file| file.len());
        length("relay.db") + length("relay.db-wal")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("relay.log")
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        const LINES: usize = 10;
        let log = std::fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

fn config(
    folder: &Path,
    address: &str,
    receiver_port: u16,
    retention: &str,
    endpoints: &[Endpoint],
) -> String {
    let folder = folder.display();
    let head = format!(
        "[server]
listen = \"{address}\"
admin_key = \"{KEY}\"

[store]
url = \"sqlite:{folder}/relay.db\"
retention = \"{retention}\"

[plugins]
folder = \"{folder}/plugins\"

[outbound]
https_only = false
allow_networks = [\"127.0.0.0/8\"]
"
    );
    std::iter::once(head)
        .chain(endpoints.iter().map(|endpoint| endpoint.toml(receiver_port)))
        .collect()
}

impl Endpoint {
    /// Whether its chain takes the phone number out.
    pub(super) fn masks(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.contains("/phone_number"))
    }

    fn toml(&self, receiver_port: u16) -> String {
        format!(
            "
[[endpoint]]
name = \"{}\"
url = \"{}\"
event_types = [\"{}\"]
secret = \"{}\"
plugins = [{}]
",
            self.name,
            self.to.url(receiver_port),
            self.event_type,
            signature::SECRET,
            self.plugins.join(", "),
        )
    }
}
