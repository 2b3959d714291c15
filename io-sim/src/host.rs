//! One simulated machine: a process that may run, be paused or be dead, over a disk that outlives it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{NodeId, SessionId, Token};
use shardforge_core::base::time::Mono;
use shardforge_core::node::effect::HaltReason;
use shardforge_core::node::input::{Input, OperatorAnswer};
use shardforge_core::node::{CoreConfig, Node};
use shardforge_core::storage::memory::MemoryStores;

use crate::clock::SkewedClock;
use crate::disk::Disk;

/// One machine.
pub struct Host {
    /// Its node's id.
    pub id: NodeId,
    /// The process, while it runs.
    pub node: Option<Node>,
    /// Counts processes: events for an earlier one are void.
    pub life: u64,
    /// Its log disk.
    pub disk: Disk,
    /// Its stores.
    pub stores: MemoryStores,
    /// Its clocks.
    pub clock: SkewedClock,
    /// Whether it serves SQL.
    pub serving: bool,
    /// Why it stopped itself.
    pub halted: Option<HaltReason>,
    /// Answers to operators.
    pub answers: BTreeMap<Token, OperatorAnswer>,
    pub(crate) config: CoreConfig,
    pub(crate) paused_until: Option<Mono>,
    pub(crate) backlog: VecDeque<Input>,
    pub(crate) wake_at: Option<Mono>,
    pub(crate) sync_time: Duration,
    pub(crate) sync_fails: bool,
    pub(crate) sessions: BTreeMap<SessionId, usize>,
}

impl Host {
    pub(crate) fn new(id: NodeId, config: CoreConfig, clock: SkewedClock, faults: Faults) -> Self {
        Self {
            id,
            node: None,
            life: 0,
            disk: Disk::default(),
            stores: MemoryStores::new(faults),
            clock,
            serving: false,
            halted: None,
            answers: BTreeMap::new(),
            config,
            paused_until: None,
            backlog: VecDeque::new(),
            wake_at: None,
            sync_time: Duration::from_micros(500),
            sync_fails: false,
            sessions: BTreeMap::new(),
        }
    }

    /// Whether its process runs (perhaps paused).
    pub fn is_up(&self) -> bool {
        self.node.is_some()
    }
}
