//! Log lines: to stderr, so that stdout holds nothing but results.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{Log, LogFormat};

/// Starts writing log lines; a second call changes nothing.
pub fn start(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started: Result<(), TryInitError> = match log.format {
        LogFormat::Text => builder
            .with_target(false)
            .finish()
            .with(filter_fn(is_discreet))
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .finish()
            .with(filter_fn(is_discreet))
            .try_init(),
    };
    if started.is_err() {
        tracing::debug!("log lines were started before");
    }
}

/// Libraries that speak HTTP and TLS write whole heads, credentials included, into their lines
/// below `info`; so whatever the level, those of others go no lower.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Kept {
        type Writer = Self;
        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn libraries_are_not_heard_below_info() {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("trace"))
            .with_writer(kept.clone())
            .finish()
            .with(filter_fn(is_discreet));
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!("ours below");
            tracing::debug!(target: "h2::codec", "theirs below");
            tracing::info!(target: "h2::codec", "theirs at info");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.contains("ours below") && text.contains("theirs at info"),
            "{text}"
        );
        assert!(!text.contains("theirs below"), "{text}");
    }
}
