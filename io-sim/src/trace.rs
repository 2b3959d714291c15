//! What happened, as a hash and, if wanted, as lines.

use std::fmt::Write;

use shardforge_core::base::map::stable_hash;
use shardforge_core::base::time::Mono;

/// The record of a run. Lines never hold wall time, addresses of memory or anything else that differs
/// between processes.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    count: u64,
    lines: Option<Vec<String>>,
    line: String,
}

impl Trace {
    /// A trace that keeps its lines.
    pub fn recording() -> Self {
        Self { lines: Some(Vec::new()), ..Self::default() }
    }

    /// Notes one event.
    pub fn note(&mut self, at: Mono, event: std::fmt::Arguments<'_>) {
        self.line.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.line, "{at} {event}");
        self.hash = self.hash.rotate_left(7) ^ stable_hash(self.line.as_bytes());
        self.count += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(self.line.clone());
        }
    }

    /// Events so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The hash of all events in order.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
