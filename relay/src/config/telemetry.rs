//! `[telemetry]`: the OpenTelemetry collector, and what it is sent.

use std::time::Duration;

use super::Telemetry;
use super::endpoint::headers;
use super::reader::Section;
use crate::deliver::address::URL_BYTES_MAX;

/// Longest name of a service, in bytes.
const SERVICE_NAME_BYTES_MAX: usize = 255;

/// Reads the section; without one nothing is sent.
pub(super) fn read(section: Option<Section<'_>>) -> Telemetry {
    let mut telemetry = Telemetry {
        otlp_url: None,
        otlp_headers: Vec::new(),
        service_name: "relay".to_owned(),
        traces: true,
        trace_share: 0.01,
        metrics: true,
        metrics_every: Duration::from_secs(60),
    };
    let Some(section) = section else { return telemetry };
    telemetry.otlp_url = url(&section);
    telemetry.otlp_headers = headers(&section, "otlp_headers");
    if let Some(name) = section.string("service_name") {
        if name.is_empty() || name.len() > SERVICE_NAME_BYTES_MAX {
            let remedy = format!("use 1 to {SERVICE_NAME_BYTES_MAX} bytes");
            section.fault("service_name", format!("has {} bytes", name.len()), remedy);
        }
        name.clone_into(&mut telemetry.service_name);
    }
    telemetry.traces = section.boolean("traces").unwrap_or(telemetry.traces);
    telemetry.trace_share = section
        .number("trace_share", 0.0..=1.0)
        .unwrap_or(telemetry.trace_share);
    telemetry.metrics = section.boolean("metrics").unwrap_or(telemetry.metrics);
    telemetry.metrics_every = section
        .duration(
            "metrics_every",
            Duration::from_secs(1)..=Duration::from_secs(3600),
        )
        .unwrap_or(telemetry.metrics_every);
    section.finish();
    telemetry
}

/// Not held against the rules for endpoints: a collector is the operator's own, and mostly on this
/// machine or beside it.
fn url(section: &Section<'_>) -> Option<url::Url> {
    let text = section.string("otlp_url")?;
    let fault = |problem: &str, remedy: &str| section.fault("otlp_url", problem, remedy);
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            fault(
                &format!("is no URL: {error}"),
                "write it as in \"http://127.0.0.1:4318\"",
            );
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        fault(
            "is neither http nor https",
            "OTLP is spoken over HTTP here, mostly at port 4318",
        );
    } else if !url.username().is_empty() || url.password().is_some() {
        fault("contains a user or a password", "use otlp_headers instead");
    } else if url.query().is_some() || url.fragment().is_some() {
        fault(
            "has a query or a fragment",
            "leave it out; /v1/traces and /v1/metrics are added",
        );
    } else if text.len() > URL_BYTES_MAX || url.host().is_none() || url.port() == Some(0) {
        fault(
            "cannot be connected to",
            "write it as in \"http://127.0.0.1:4318\"",
        );
    } else {
        return Some(url);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::reader::Process;

    #[test]
    fn the_collector_is_checked_and_may_be_anywhere() {
        for url in ["http://127.0.0.1:4318", "https://otlp.example.com/tenant/"] {
            let text = format!("[telemetry]\notlp_url = {url:?}\ntrace_share = 1.0");
            let config = load(&text, &Process).expect("it can be used");
            assert!(config.telemetry.otlp_url.is_some(), "{url}");
        }
        for (setting, fault) in [
            ("otlp_url = \"collector:4318\"", "neither http nor https"),
            ("otlp_url = \"127.0.0.1:4318\"", "is no URL"),
            ("otlp_url = \"http://u:p@c\"", "user or a password"),
            ("otlp_url = \"http://c/?k=v\"", "a query"),
            ("otlp_headers = { host = \"x\" }", "belongs to the connection"),
            ("service_name = \"\"", "0 bytes"),
            ("trace_share = 1.5", "is 1.5"),
            ("metrics_every = \"10ms\"", "10ms"),
            ("otlp = \"x\"", "not a known key"),
        ] {
            let faults = load(&format!("[telemetry]\n{setting}"), &Process).expect_err(setting);
            let told = faults.iter().map(ToString::to_string).collect::<String>();
            assert!(told.contains(fault), "{setting}: {told}");
        }
    }
}
