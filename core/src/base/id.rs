//! Identifiers. Displays are short and stable, because goldens and traces show them.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A shard, and the raft group that replicates it. `s0` is the system shard.
    ShardId(u32), "s");
id!(
    /// The generation of a shard's interval and membership; every request names the one it meant.
    Epoch(u64), "e");
id!(
    /// One life of a node: raised and made durable at every start, carried in every frame.
    Incarnation(u64), "i");
id!(
    /// A client connection, unique within one life of a node.
    SessionId(u64), "c");
id!(
    /// A table, or an index entry space; never used twice. Ids below 100 are system tables.
    TableId(u32), "tab");
id!(
    /// An index of a table. 0 is the table's own rows, in primary key order.
    IndexId(u32), "ix");
id!(
    /// One question to the shell that an input will answer.
    Token(u64), "k");

/// The system shard: oracle, catalog, shard map, node liveness.
pub const SYSTEM_SHARD: ShardId = ShardId(0);

/// A cell of a machine: `machine << 8 | cell`. Displays as the machine number (`n1`) while a machine
/// has one cell.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The first cell of `machine` (1 to 16,777,215), the number that operators write.
    ///
    /// # Panics
    ///
    /// If `machine` needs more than 24 bits; the shell checks user input before.
    pub const fn machine(machine: u32) -> Self {
        assert!(machine < 1 << 24, "machine number over 24 bits");
        Self(machine << 8)
    }

    /// The machine number.
    pub const fn machine_number(self) -> u32 {
        self.0 >> 8
    }

    /// The cell within the machine.
    pub const fn cell(self) -> u32 {
        self.0 & 0xff
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cell() {
            0 => write!(f, "n{}", self.machine_number()),
            cell => write!(f, "n{}.{cell}", self.machine_number()),
        }
    }
}

/// A transaction: the node that coordinates it, that node's incarnation and a counter of its own.
/// Unique for ever, without asking anyone.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct TxnId {
    /// The coordinating node.
    pub node: NodeId,
    /// The life of that node in which the transaction began.
    pub incarnation: Incarnation,
    /// Counts transactions within that life.
    pub number: u64,
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}.{}.{}", self.node.machine_number(), self.incarnation.0, self.number)
    }
}

/// A cluster: 128 bits drawn at `init`, in every frame between nodes.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
