//! `relay serve`

use std::process::ExitCode;

use clap::Args;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::client::DEFAULT_URL;
use super::{ConfigFile, check};
use crate::app::App;
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    file: ConfigFile,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = check::load(&self.file)?;
        telemetry::start(&config.log);
        let public_url = config.server.public_url.clone();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        // A write past the limit on the size of files is to fail, not to end the relay.
        let _too_large = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
        raise_open_files();
        let app = tokio::select! {
            app = App::start(config) => app?,
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        };
        greet(&app, public_url.as_ref());
        let reloads = async {
            while hangup.recv().await.is_some() {
                reload(&app, &self.file).await;
            }
        };
        // A stop does not wait for a reload: what is not in force yet stays so.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = reloads => {}
        }
        tracing::info!("stopping: finishing what is under way");
        tokio::select! {
            () = app.stop() => tracing::info!("stopped"),
            // A second request to stop does not wait.
            _ = interrupt.recv() => tracing::warn!("stopped at once; what was under way is tried again after the next start"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Connections, files and plugins take descriptors: asks for as many as the system allows.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!(%error, "the limit on open files stays as it was");
    }
}

/// Reads the configuration again; one that cannot be used leaves the old one in force.
async fn reload(app: &App, file: &ConfigFile) {
    let configured = match check::load(file) {
        Ok(config) => app.configure(config).await,
        Err(faulty) => Err(faulty),
    };
    match configured {
        Ok(next_start) => {
            tracing::info!("configuration reloaded: its sources and endpoints are in force");
            if !next_start.is_empty() {
                let sections = next_start.join(", ");
                tracing::warn!(
                    sections,
                    "these sections changed too and take effect at the next start"
                );
            }
        }
        Err(error) => tracing::error!(
            error = format!("{error:#}"),
            "the configuration cannot be used; the old one stays in force"
        ),
    }
}

#[expect(clippy::print_stdout, reason = "a key is shown here, once, and nowhere else")]
fn greet(app: &App, public_url: Option<&url::Url>) {
    if let Some(key) = &app.fresh_key {
        println!(
            "This relay's admin key, shown only this once:\n\n  {}\n",
            key.reveal()
        );
        let url = app.origins().next().map(|origin| url_option(&origin));
        println!(
            "Send an event with it:\n\n  RELAY_KEY={} relay send {}hello.world --data '{{\"n\": 1}}'\n",
            key.reveal(),
            url.unwrap_or_default()
        );
    }
    for origin in app.origins() {
        tracing::info!("listening on {origin}");
    }
    if let Some(url) = public_url {
        tracing::info!("platforms post to {}/in/…", url.as_str().trim_end_matches('/'));
    }
}

/// What names a relay with this origin to a command; nothing where commands look anyway.
fn url_option(origin: &str) -> String {
    // What listens on every address answers on the machine's own.
    let origin = origin
        .replace("//0.0.0.0:", "//127.0.0.1:")
        .replace("//[::]:", "//[::1]:");
    if origin == DEFAULT_URL {
        String::new()
    } else {
        format!("--url {origin} ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_named_where_commands_would_not_find_it() {
        for (origin, option) in [
            ("http://127.0.0.1:8080", ""),
            ("http://0.0.0.0:8080", ""),
            ("http://127.0.0.1:9090", "--url http://127.0.0.1:9090 "),
            ("https://0.0.0.0:443", "--url https://127.0.0.1:443 "),
            ("http://[::]:8080", "--url http://[::1]:8080 "),
        ] {
            assert_eq!(url_option(origin), option, "{origin}");
        }
    }
}
