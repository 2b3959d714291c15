//! Log lines: JSON or text on stderr.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts logging; later calls change nothing.
///
/// `level` is a level such as `info`, or a filter such as `info,shardforge_io_real=debug`; one that
/// cannot be read means `info`.
pub fn start(level: &str, structured: bool) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    // A second start in one process (tests) keeps the first one's settings.
    let _ = if structured {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
}
