//! The node's figures, in Prometheus' words.
//!
//! One registry per node; nothing is global. Counters are atomics shared with the threads that
//! count.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// All figures of one node. Cheap to clone: clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Inputs given to the core.
    pub inputs: Counter,
    /// Effects performed.
    pub effects: Counter,
    /// Nanoseconds spent inside the core and performing its effects; sampled, see the driver.
    pub busy_ns: Counter,
    /// Storage answers that were handled without leaving the loop.
    pub inline_answers: Counter,
    /// Open client connections.
    pub sessions: Gauge,
    /// Client connections accepted.
    pub connections: Counter,
    /// Client connections refused or closed for what they sent.
    pub connections_refused: Counter,
    /// Failed logins.
    pub logins_failed: Counter,
    /// Bytes from clients.
    pub client_received_bytes: Counter,
    /// Bytes to clients.
    pub client_sent_bytes: Counter,
    /// Socket writes to clients.
    pub client_writes: Counter,
    /// Frames from other nodes.
    pub peer_frames_received: Counter,
    /// Frames to other nodes.
    pub peer_frames_sent: Counter,
    /// Frames that were dropped because their link was down or full.
    pub peer_frames_lost: Counter,
    /// Links to other nodes that are up.
    pub peer_links: Gauge,
    /// What the log's thread counts.
    pub log: LogMetrics,
    /// Whether SQL is served: 1 or 0.
    pub serving: Gauge,
}

/// Figures of the log's thread.
#[derive(Clone, Debug, Default)]
pub struct LogMetrics {
    /// Appends handed over.
    pub appends: Counter,
    /// fdatasync calls that made appends durable, without those of `seal_syncs`.
    pub syncs: Counter,
    /// fdatasync calls for seals alone: nobody waits for them.
    pub seal_syncs: Counter,
    /// Bytes written.
    pub bytes: Counter,
    /// Nanoseconds spent in fdatasync.
    pub sync_ns: Counter,
    /// Longest fdatasync of this life, nanoseconds.
    pub sync_ns_max: Gauge<i64, std::sync::atomic::AtomicI64>,
}

impl Metrics {
    /// The registry that `/metrics` shows.
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("shardforge");
        let r = &mut registry;
        counter(r, "inputs", "Inputs given to the core", &self.inputs);
        counter(r, "effects", "Effects performed", &self.effects);
        counter(r, "busy_ns", "Nanoseconds of the loop, sampled one in 64", &self.busy_ns);
        counter(r, "inline_answers", "Storage answers handled in the loop", &self.inline_answers);
        r.register("sessions", "Open client connections", self.sessions.clone());
        counter(r, "connections", "Client connections accepted", &self.connections);
        counter(r, "connections_refused", "Refused or broken ones", &self.connections_refused);
        counter(r, "logins_failed", "Failed logins", &self.logins_failed);
        bytes(r, "client_received", "Bytes from clients", &self.client_received_bytes);
        bytes(r, "client_sent", "Bytes to clients", &self.client_sent_bytes);
        counter(r, "client_writes", "Socket writes to clients", &self.client_writes);
        counter(r, "peer_frames_received", "Frames from nodes", &self.peer_frames_received);
        counter(r, "peer_frames_sent", "Frames to nodes", &self.peer_frames_sent);
        counter(r, "peer_frames_lost", "Frames dropped before sending", &self.peer_frames_lost);
        r.register("peer_links", "Links to other nodes that are up", self.peer_links.clone());
        counter(r, "log_appends", "Appends to the log", &self.log.appends);
        counter(r, "log_syncs", "fdatasync calls of the log", &self.log.syncs);
        counter(r, "log_seal_syncs", "fdatasync calls for seals", &self.log.seal_syncs);
        bytes(r, "log_written", "Bytes written to the log", &self.log.bytes);
        counter(r, "log_sync_ns", "Nanoseconds in fdatasync", &self.log.sync_ns);
        r.register("log_sync_ns_max", "Longest fdatasync", self.log.sync_ns_max.clone());
        r.register("serving", "1 while SQL is served", self.serving.clone());
        registry
    }
}

fn counter(registry: &mut Registry, name: &str, help: &str, counter: &Counter<u64, AtomicU64>) {
    registry.register(name, help, counter.clone());
}

fn bytes(registry: &mut Registry, name: &str, help: &str, counter: &Counter<u64, AtomicU64>) {
    registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
}

/// The registry as OpenMetrics text.
pub fn text(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = encode(&mut out, registry);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_under_their_names() {
        let metrics = Metrics::default();
        metrics.log.syncs.inc_by(3);
        metrics.sessions.set(2);
        let text = text(&metrics.registry());
        assert!(text.contains("shardforge_log_syncs_total 3"), "{text}");
        assert!(text.contains("shardforge_sessions 2"), "{text}");
        assert!(text.contains("shardforge_client_sent_bytes_total 0"), "{text}");
    }
}
