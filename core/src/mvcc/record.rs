//! The record of a transaction: its state and fate, at the shard of its first written key.
//!
//! One-phase commits need none; the type has its seat for commits over several shards.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::{Incarnation, NodeId, TxnId};
use crate::base::key::Key;
use crate::base::timestamp::Timestamp;

const FORMAT: u8 = 1;

/// Where a transaction stands. `Committed` and `Aborted` are final.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum TxnState {
    /// Known, undecided.
    Pending,
    /// Commits if every write it lists is durable at or below its timestamp.
    Staging,
    /// Prepared by its client: undecided, exempt from recovery.
    Prepared,
    /// Committed.
    Committed,
    /// Aborted.
    Aborted,
}

/// A transaction's record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TxnRecord {
    /// Whose.
    pub id: TxnId,
    /// Its state.
    pub state: TxnState,
    /// The timestamp of that state.
    pub at: Timestamp,
    /// The keys it wrote (routing keys).
    pub writes: Vec<Key>,
    /// Who drives it.
    pub coordinator: (NodeId, Incarnation),
    /// Oracle time of the last sign of life.
    pub heartbeat: Timestamp,
}

impl TxnRecord {
    /// To bytes.
    pub fn encode(&self) -> Bytes {
        to_versioned(FORMAT, self)
    }

    /// From bytes; total.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are not a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        from_versioned(FORMAT, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_round_trip() {
        let record = TxnRecord {
            id: TxnId::default(),
            state: TxnState::Staging,
            at: Timestamp(7),
            writes: vec![Key(Bytes::from_static(b"a"))],
            coordinator: (NodeId::machine(2), Incarnation(1)),
            heartbeat: Timestamp(8),
        };
        assert_eq!(TxnRecord::decode(&record.encode()), Ok(record.clone()));
        let mut other = record.encode().to_vec();
        other[0] = 9;
        assert_eq!(TxnRecord::decode(&other), Err(CodecError::Version(9)));
    }
}
