//! Commands: what a leader proposes and every replica applies alike.
//!
//! One log entry holds one [`Command`]; the commands of several requests that waited together are its
//! parts. Everything was decided before it was proposed; applying it only checks that the term and the
//! epoch of the decision still stand.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::request::ClientSequence;
use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::{Epoch, Incarnation, NodeId, TableId, TxnId};
use crate::base::key::Key;
use crate::base::timestamp::Timestamp;
use crate::storage::packed::PackedPairs;

/// The version byte of encoded commands.
pub const COMMAND_VERSION: u8 = 2;

/// One log entry of a shard.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// The term in which it was decided.
    pub term: u64,
    /// The shard's epoch then.
    pub epoch: Epoch,
    /// What, in order; all are applied or none.
    pub parts: Vec<Part>,
}

/// One request's share of a command.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Final versions: a one-phase commit.
    Commit {
        /// Whose.
        txn: TxnId,
        /// When.
        at: Timestamp,
        /// What.
        writes: Vec<VersionWrite>,
        /// Seat for deduplication.
        client: Option<ClientSequence>,
    },
    /// Final versions of the bulk path.
    Ingest {
        /// Whose.
        txn: TxnId,
        /// When.
        at: Timestamp,
        /// Whether they are index entries or rows.
        index: bool,
        /// Single ones will be looked up: they belong in memory.
        remember: bool,
        /// What: as `mvcc::load` packs it.
        rows: PackedPairs,
    },
    /// The oracle grants nothing above this.
    OracleLimit(Timestamp),
    /// Descriptor versions below are refused.
    PlaceFence {
        /// Which table.
        table: TableId,
        /// The least version served.
        version: u32,
        /// Who placed it.
        txn: TxnId,
    },
    /// Takes a fence back, if it is still that transaction's.
    LiftFence {
        /// Which table.
        table: TableId,
        /// Who placed it.
        txn: TxnId,
    },
    /// A node's life is over.
    NodeDead {
        /// Which.
        node: NodeId,
        /// The life.
        incarnation: Incarnation,
    },
}

/// One version to write.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct VersionWrite {
    /// Whether it is an index entry (the `Index` family) or a row (`Data`).
    pub index: bool,
    /// Its key, without timestamp.
    pub key: Key,
    /// As `mvcc::version::encode` made it.
    pub value: Bytes,
}

impl Part {
    /// About how many bytes it takes in an entry.
    pub fn size(&self) -> usize {
        match self {
            Self::Commit { writes, .. } => {
                64 + writes.iter().map(|w| w.key.0.len() + w.value.len() + 12).sum::<usize>()
            }
            Self::Ingest { rows, .. } => 64 + rows.len(),
            Self::OracleLimit(_)
            | Self::PlaceFence { .. }
            | Self::LiftFence { .. }
            | Self::NodeDead { .. } => 64,
        }
    }
}

impl Command {
    /// To bytes.
    pub fn encode(&self) -> Bytes {
        to_versioned(COMMAND_VERSION, self)
    }

    /// From bytes; total.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are not a command of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        from_versioned(COMMAND_VERSION, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_the_log_and_its_size_is_an_upper_bound() {
        let write =
            VersionWrite { index: true, key: Key(Bytes::from_static(b"key")), value: "v".into() };
        let command = Command {
            term: 3,
            epoch: Epoch(1),
            parts: vec![
                Part::Commit {
                    txn: TxnId::default(),
                    at: Timestamp(u64::MAX),
                    writes: vec![write.clone(), write],
                    client: Some(ClientSequence { client: u64::MAX, sequence: 0 }),
                },
                Part::OracleLimit(Timestamp(9)),
            ],
        };
        let bytes = command.encode();
        assert!(bytes.len() <= 32 + command.parts.iter().map(Part::size).sum::<usize>());
        assert_eq!(Command::decode(&bytes), Ok(command));
        assert_eq!(Command::decode(&[9]), Err(CodecError::Version(9)));
        assert!(Command::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
