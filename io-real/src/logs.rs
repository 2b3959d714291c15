//! Log lines: JSON or text on stderr.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// Libraries whose notes are for their own authors unless they warn. openraft warns of every message
/// that a lost node does not answer: forty lines a second.
const QUIET: &str = "openraft=error,h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn";

/// Starts logging; later calls change nothing.
///
/// `level` is a level such as `info`, or a filter such as `info,openraft=debug`; one that cannot be
/// read means `info`.
pub fn start(level: &str, structured: bool) {
    // A bare level is ours; whoever writes a filter says all of it.
    let wanted = match level.contains([',', '=']) {
        true => level.to_owned(),
        false => format!("{level},{QUIET}"),
    };
    let filter =
        EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(format!("info,{QUIET}")));
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
