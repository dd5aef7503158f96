//! From what `/metrics` tells to metrics of OTLP: one registry, read once more.
//!
//! Read is the relay's own text in the OpenMetrics format; the crate that writes it offers no other
//! way to look at all of a registry. What becomes of it follows OpenTelemetry's rules for
//! compatibility with Prometheus; names are those that `/metrics` has.
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>

use super::proto::{
    Data, Gauge, Histogram, HistogramPoint, KeyValue, Metric, Number, NumberPoint, Sum, Temporality,
};

/// When what is told was counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) since: u64,
    pub(super) until: u64,
}

/// Metrics that were read, with how many points they have.
pub(super) fn read(text: &str, window: Window) -> Vec<Metric> {
    let mut reader = Reader {
        window,
        metrics: Vec::new(),
        family: Family::default(),
    };
    for line in text.lines() {
        reader.line(line);
    }
    reader.end_family();
    reader.metrics
}

/// How many points a metric has.
pub(super) fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        None => 0,
    }
}

struct Reader<'t> {
    window: Window,
    metrics: Vec<Metric>,
    family: Family<'t>,
}

/// Samples that share a name.
#[derive(Default)]
struct Family<'t> {
    name: &'t str,
    help: &'t str,
    unit: &'t str,
    kind: &'t str,
    numbers: Vec<NumberPoint>,
    histograms: Vec<HistogramPoint>,
}

impl<'t> Reader<'t> {
    fn line(&mut self, line: &'t str) {
        let Some(comment) = line.strip_prefix("# ") else {
            if let Some(sample) = Sample::read(line) {
                self.family.take(sample, self.window);
            }
            return;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(name)) = (words.next(), words.next()) else {
            return;
        };
        if name != self.family.name {
            self.end_family();
            self.family.name = name;
        }
        let rest = words.next().unwrap_or_default();
        match what {
            "HELP" => self.family.help = rest,
            "TYPE" => self.family.kind = rest,
            "UNIT" => self.family.unit = rest,
            _ => {}
        }
    }

    fn end_family(&mut self) {
        let family = std::mem::take(&mut self.family);
        self.metrics.extend(family.into_metric());
    }
}

impl Family<'_> {
    fn take(&mut self, sample: Sample<'_>, window: Window) {
        let Some(suffix) = sample.name.strip_prefix(self.name) else {
            return;
        };
        if self.kind == "histogram" {
            return self.take_part(suffix, sample, window);
        }
        let value = match sample.value.parse() {
            Ok(whole) => Number::Int(whole),
            Err(_) => Number::Double(sample.number()),
        };
        self.numbers.push(NumberPoint {
            start_time_unix_nano: if self.kind == "gauge" { 0 } else { window.since },
            time_unix_nano: window.until,
            value: Some(value),
            attributes: sample.labels,
        });
    }

    /// A part of a histogram: those of the same labels stand together.
    fn take_part(&mut self, suffix: &str, mut sample: Sample<'_>, window: Window) {
        let bound = sample.take_bound();
        let is_next = self
            .histograms
            .last()
            .is_none_or(|last| last.attributes != sample.labels);
        if is_next {
            self.histograms.push(HistogramPoint {
                start_time_unix_nano: window.since,
                time_unix_nano: window.until,
                attributes: std::mem::take(&mut sample.labels),
                ..HistogramPoint::default()
            });
        }
        let Some(point) = self.histograms.last_mut() else {
            return;
        };
        let count = sample.value.parse().unwrap_or(0);
        match (suffix, bound) {
            ("_sum", _) => point.sum = Some(sample.number()),
            ("_count", _) => point.count = count,
            ("_bucket", Some(bound)) => {
                // Here each counts those before it too, there only its own.
                let before: u64 = point.bucket_counts.iter().sum();
                point.bucket_counts.push(count.saturating_sub(before));
                if bound.is_finite() {
                    point.explicit_bounds.push(bound);
                }
            }
            _ => {}
        }
    }

    fn into_metric(self) -> Option<Metric> {
        let temporality = Temporality::Cumulative as i32;
        let (suffix, data) = match self.kind {
            "counter" | "info" => (
                if self.kind == "counter" { "_total" } else { "_info" },
                Data::Sum(Sum {
                    data_points: self.numbers,
                    aggregation_temporality: temporality,
                    is_monotonic: self.kind == "counter",
                }),
            ),
            "gauge" => (
                "",
                Data::Gauge(Gauge {
                    data_points: self.numbers,
                }),
            ),
            "histogram" => (
                "",
                Data::Histogram(Histogram {
                    data_points: self.histograms,
                    aggregation_temporality: temporality,
                }),
            ),
            _ => return None,
        };
        let metric = Metric {
            name: format!("{}{suffix}", self.name),
            description: self.help.to_owned(),
            unit: unit(self.unit).to_owned(),
            data: Some(data),
        };
        (points(&metric) > 0).then_some(metric)
    }
}

/// Units as UCUM writes them.
fn unit(unit: &str) -> &str {
    match unit {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    }
}

/// One line: `name{label="value",…} value`.
struct Sample<'t> {
    name: &'t str,
    labels: Vec<KeyValue>,
    /// The bound of a bucket, which is no label.
    bound: Option<f64>,
    value: &'t str,
}

impl<'t> Sample<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let end = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(end);
        let mut sample = Self {
            name,
            labels: Vec::new(),
            bound: None,
            value: "",
        };
        let mut rest = rest;
        if let Some(labels) = rest.strip_prefix('{') {
            rest = sample.read_labels(labels)?;
        }
        // An exemplar may stand behind it.
        sample.value = rest.trim_start().split(' ').next()?;
        Some(sample)
    }

    /// Reads labels up to the closing brace; what stands behind it.
    fn read_labels(&mut self, text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        loop {
            if let Some(behind) = rest.strip_prefix('}') {
                return Some(behind);
            }
            rest = rest.strip_prefix(',').unwrap_or(rest);
            let (name, quoted) = rest.split_once("=\"")?;
            let (value, behind) = unquote(quoted)?;
            rest = behind;
            if name == "le" {
                self.bound = value.parse().ok();
            } else {
                self.labels.push(KeyValue::text(name, value));
            }
        }
    }

    const fn take_bound(&mut self) -> Option<f64> {
        self.bound.take()
    }

    fn number(&self) -> f64 {
        self.value.parse().unwrap_or(f64::NAN)
    }
}

/// A value up to its closing quote, and what stands behind that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family as Labelled;
    use prometheus_client::metrics::gauge::Gauge as Level;
    use prometheus_client::metrics::histogram::Histogram as Spread;
    use prometheus_client::metrics::info::Info;
    use prometheus_client::registry::{Registry, Unit};

    use super::*;

    const WINDOW: Window = Window { since: 1, until: 2 };

    fn found<'m>(metrics: &'m [Metric], name: &str) -> &'m Metric {
        let named = metrics.iter().find(|metric| metric.name == name);
        named.unwrap_or_else(|| panic!("{name} in {metrics:#?}"))
    }

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        let mut registry = Registry::with_prefix("relay");
        let counters = Labelled::<Vec<(String, String)>, Counter>::default();
        let odd = "a \"b\"\\c\nd, e={}".to_owned();
        counters
            .get_or_create(&vec![
                ("name".to_owned(), odd.clone()),
                ("x".to_owned(), "1".to_owned()),
            ])
            .inc_by(7);
        registry.register("events", "Events", counters);
        let level = Level::<f64, std::sync::atomic::AtomicU64>::default();
        level.set(1.5);
        registry.register_with_unit("memory", "Memory", Unit::Bytes, level);
        registry.register("build", "Build", Info::new([("version", "1")]));
        let spread = Spread::new([0.1, 1.0]);
        for value in [0.05, 0.5, 0.6, 5.0] {
            spread.observe(value);
        }
        registry.register_with_unit("took", "Time", Unit::Seconds, spread);
        registry.register(
            "unused",
            "Unused",
            Labelled::<Vec<(String, String)>, Counter>::default(),
        );
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let metrics = read(&text, WINDOW);
        assert_eq!(metrics.len(), 4, "{metrics:#?}");

        let Some(Data::Sum(sum)) = &found(&metrics, "relay_events_total").data else {
            panic!("{metrics:#?}")
        };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        let labels = vec![KeyValue::text("name", odd), KeyValue::text("x", "1")];
        let point = &sum.data_points[0];
        assert_eq!((point.value, &point.attributes), (Some(Number::Int(7)), &labels));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));

        let memory = found(&metrics, "relay_memory_bytes");
        let Some(Data::Gauge(gauge)) = &memory.data else {
            panic!("{memory:?}")
        };
        assert_eq!(memory.unit, "By");
        assert_eq!(gauge.data_points[0].value, Some(Number::Double(1.5)));

        let Some(Data::Sum(info)) = &found(&metrics, "relay_build_info").data else {
            panic!("{metrics:#?}")
        };
        assert!(!info.is_monotonic && info.data_points[0].value == Some(Number::Int(1)));

        let took = found(&metrics, "relay_took_seconds");
        let Some(Data::Histogram(histogram)) = &took.data else {
            panic!("{took:?}")
        };
        let point = &histogram.data_points[0];
        assert_eq!((took.unit.as_str(), took.description.as_str()), ("s", "Time."));
        assert_eq!((point.count, point.sum), (4, Some(6.15)));
        assert_eq!(point.explicit_bounds, [0.1, 1.0]);
        assert_eq!(point.bucket_counts, [1, 2, 1]);
    }

    #[test]
    fn histograms_of_other_labels_are_points_of_their_own() {
        let text = "# TYPE t histogram\n\
            t_sum{a=\"1\"} 0.5\nt_count{a=\"1\"} 2\nt_bucket{le=\"1.0\",a=\"1\"} 2\nt_bucket{le=\"+Inf\",a=\"1\"} 2\n\
            t_sum{a=\"2\"} 9.0\nt_count{a=\"2\"} 1\nt_bucket{le=\"1.0\",a=\"2\"} 0\nt_bucket{le=\"+Inf\",a=\"2\"} 1\n# EOF\n";
        let metrics = read(text, WINDOW);
        let Some(Data::Histogram(histogram)) = &metrics[0].data else {
            panic!("{metrics:?}")
        };
        let counts: Vec<_> = histogram
            .data_points
            .iter()
            .map(|point| point.bucket_counts.clone())
            .collect();
        assert_eq!(counts, [[2, 0], [0, 1]]);
    }
}
