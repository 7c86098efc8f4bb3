//! Logs and counters.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Logs to standard error: lines for people, or JSON. `filter` is what `CALLBOARD_LOG` says, as
/// `info` or `callboard=debug`; one that cannot be read counts as the default.
pub fn log(filter: Option<&str>, json: bool) {
    let filter = filter.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new("warn"));
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr)
        .with_target(false);
    // Whoever logs first in this process, as a test does, is the one.
    let _ = if json { base.json().try_init() } else { base.try_init() };
}

/// The counters of this process, made at the first call.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            // Only a second recorder could be in the way, and this is the only place that makes one.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}
