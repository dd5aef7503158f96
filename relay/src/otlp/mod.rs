//! What an OpenTelemetry collector is sent, by OTLP over HTTP: spans of the events that are sampled,
//! and what `/metrics` tells.
//!
//! Nothing waits for it. Spans go through a bounded channel into one task that sends them in
//! batches; what does not fit, and what the collector does not take, is dropped and counted.
//! <https://opentelemetry.io/docs/specs/otlp/>

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::clock::Clock;
use crate::deliver::address::UrlError;
use crate::deliver::header::HeaderError;
use crate::deliver::send;
use crate::metrics::Metrics;
use crate::model::secret::Secret;

mod collector;
mod open_metrics;
mod proto;
mod sample;
mod traces;

use collector::{Collector, Intake, POINTS, SPANS};
use proto::{MetricsRequest, ResourceMetrics, ResourceSpans, ScopeMetrics, ScopeSpans, Span, TraceRequest};
use sample::Sampler;
pub use traces::{About, Begun, Step, Traces};

/// Spans that wait to be sent; further ones are dropped.
const WAITING_MAX: usize = 4096;
/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const BATCH_AGE: Duration = Duration::from_secs(5);
/// How long a stop waits for the last request.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Where to, and what.
#[derive(Debug)]
pub struct Settings {
    /// Without `/v1/traces` and `/v1/metrics`.
    pub url: Url,
    pub headers: Vec<(String, Secret)>,
    /// Certificate authorities to trust beside the platform's, as PEM.
    pub extra_roots: Vec<u8>,
    pub service_name: String,
    /// The share of traces that is sent; `None`: no spans at all.
    pub trace_share: Option<f64>,
    /// How often metrics are sent; `None`: never.
    pub metrics_every: Option<Duration>,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("its URL: {0}")]
    Parse(#[from] url::ParseError),
    #[error("its URL: {0}")]
    Url(#[from] UrlError),
    #[error("its headers: {0}")]
    Header(#[from] HeaderError),
    #[error("its connections: {0}")]
    Sender(#[from] send::Error),
}

/// What sends, until it is [finished](Exporter::finish).
#[derive(Debug)]
pub struct Exporter {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Exporter {
    /// Starts to send; spans come by the second of the two.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub fn start(
        settings: &Settings,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
        random: &mut StdRng,
    ) -> Result<(Self, Option<Traces>), Error> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let collector = Collector::new(settings, Arc::clone(metrics), Arc::clone(clock), random.random())?;
        let collector = Arc::new(collector);
        if let Some(every) = settings.metrics_every {
            let reporter = Reporter {
                intake: collector.intake(&settings.url, POINTS)?,
                metrics: Arc::clone(metrics),
                clock: Arc::clone(clock),
                since: traces::nanos(clock.now()),
            };
            tasks.spawn(reporter.run(every, stop.clone()));
        }
        let traces = match settings.trace_share {
            None => None,
            Some(share) => {
                let (spans, waiting) = mpsc::channel(WAITING_MAX);
                let intake = collector.intake(&settings.url, SPANS)?;
                tasks.spawn(send_spans(intake, waiting, stop.clone()));
                let sampler = Sampler::new(share, random.random());
                Some(Traces::new(sampler, spans, Arc::clone(metrics)))
            }
        };
        Ok((Self { stop, tasks }, traces))
    }

    /// Sends what is left, in bounded time: to be called when nothing is made any more.
    pub async fn finish(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(FLUSH_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("the OpenTelemetry collector is slow; the last that it was to be sent is lost");
        }
    }
}

// ---- spans -----------------------------------------------------------------------------

async fn send_spans(intake: Intake, mut waiting: mpsc::Receiver<Span>, stop: CancellationToken) {
    let mut is_over = false;
    while !is_over {
        let mut batch = Vec::new();
        is_over = gather(&mut waiting, &mut batch, &stop).await;
        send_batch(&intake, batch).await;
    }
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH_MAX
            && let Ok(span) = waiting.try_recv()
        {
            batch.push(span);
        }
        if batch.is_empty() {
            return;
        }
        send_batch(&intake, batch).await;
    }
}

/// Waits until a batch is full or old enough; whether there will be no other.
async fn gather(waiting: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>, stop: &CancellationToken) -> bool {
    let mut age = std::pin::pin!(tokio::time::sleep(BATCH_AGE));
    while batch.len() < BATCH_MAX {
        let room = BATCH_MAX - batch.len();
        tokio::select! {
            biased;
            () = stop.cancelled() => return true,
            () = &mut age => return false,
            count = waiting.recv_many(batch, room) => if count == 0 {
                return true;
            },
        }
    }
    false
}

async fn send_batch(intake: &Intake, spans: Vec<Span>) {
    let count = spans.len();
    if count == 0 {
        return;
    }
    let request = TraceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(intake.collector().resource()),
            scope_spans: vec![ScopeSpans {
                scope: Some(Collector::scope()),
                spans,
            }],
        }],
    };
    intake.send(&request, count).await;
}

// ---- metrics ---------------------------------------------------------------------------

/// Sends what is counted.
struct Reporter {
    intake: Intake,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// When counting began, in nanoseconds since 1970.
    since: u64,
}

impl Reporter {
    /// Sends every so often, and once more at the stop.
    async fn run(self, every: Duration, stop: CancellationToken) {
        while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
            self.report().await;
        }
        self.report().await;
    }

    async fn report(&self) {
        let window = open_metrics::Window {
            since: self.since,
            until: traces::nanos(self.clock.now()),
        };
        let metrics = open_metrics::read(&self.metrics.text(), window);
        let count = metrics.iter().map(open_metrics::points).sum();
        let request = MetricsRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.intake.collector().resource()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(Collector::scope()),
                    metrics,
                }],
            }],
        };
        self.intake.send(&request, count).await;
    }
}
