//! Intents: a value that a transaction wrote in one of several shards, not yet decided.
//!
//! Nothing writes intents while transactions commit in one phase; the format has its seat so that the
//! stores of today can hold those of tomorrow.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::{Incarnation, NodeId, TxnId};
use crate::base::key::Key;
use crate::base::timestamp::Timestamp;

const FORMAT: u8 = 1;

/// What an intent will do to its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum IntentOp {
    /// A new row.
    Insert,
    /// A row over another.
    Put,
    /// A tombstone.
    Delete,
}

/// The value of a key in the `lock` family.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Whose.
    pub txn: TxnId,
    /// Routing key of the shard that holds the transaction's record.
    pub anchor: Key,
    /// Who finishes it while alive.
    pub coordinator: (NodeId, Incarnation),
    /// When it was written.
    pub created: Timestamp,
    /// The least timestamp at which it may commit.
    pub min: Timestamp,
    /// Order among the transaction's own writes.
    pub sequence: u32,
    /// What it does.
    pub op: IntentOp,
    /// The version's bytes, as [`super::version::encode`] writes them.
    pub value: Bytes,
}

impl Intent {
    /// To bytes.
    pub fn encode(&self) -> Bytes {
        to_versioned(FORMAT, self)
    }

    /// From bytes; total.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are not an intent.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        from_versioned(FORMAT, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_survives_the_round_trip_and_nothing_less() {
        let intent = Intent {
            txn: TxnId { node: NodeId::machine(1), incarnation: Incarnation(2), number: 3 },
            anchor: Key(Bytes::from_static(b"\x01anchor")),
            coordinator: (NodeId::machine(1), Incarnation(2)),
            created: Timestamp(10),
            min: Timestamp(11),
            sequence: 4,
            op: IntentOp::Put,
            value: Bytes::from_static(b"value"),
        };
        let bytes = intent.encode();
        assert_eq!(Intent::decode(&bytes), Ok(intent));
        for cut in 0..bytes.len() {
            assert!(Intent::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
