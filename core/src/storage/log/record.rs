//! What a log can say about a group.

use bytes::Bytes;

use super::votes::STATE_BYTES_MAX;
use crate::base::codec::CodecError;
use crate::base::id::ShardId;

/// The group of records that belong to the node itself ([`LogRecord::NodeMeta`]).
pub const NODE: ShardId = ShardId(u32::MAX);

/// One fact about one group. Later facts win.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogRecord {
    /// An entry, put at its index; an entry already there is replaced. It does not imply a
    /// truncation: say [`LogRecord::Truncate`] first when the log is cut.
    Entry {
        /// Its term.
        term: u64,
        /// Its index.
        index: u64,
        /// Opaque.
        payload: Bytes,
    },
    /// Entries at and above this index are gone.
    Truncate {
        /// The first index that is gone.
        from: u64,
    },
    /// Entries up to here are gone and never needed again (a snapshot or a flush holds them).
    Purge {
        /// The term of the last purged entry.
        term: u64,
        /// The index of the last purged entry.
        index: u64,
    },
    /// The group's vote, opaque and short. Its second copy is in the vote file.
    Vote(Bytes),
    /// All of the group's records before this one are void.
    GroupRemoved,
    /// A record of the node itself under a small key; the newest of a key counts. The group is
    /// [`NODE`]. Its second copy is in the vote file.
    NodeMeta {
        /// Which record: chosen by the node's room.
        key: u8,
        /// Opaque and short.
        bytes: Bytes,
    },
    /// The group may lack what it once made durable: kept until [`LogRecord::Trusted`]. The log
    /// writes it by itself after a recovery that found fault.
    Suspect {
        /// `false`: a batch above the mark was broken. `true`: damage at or below the mark.
        damaged: bool,
        /// Whether the vote too may be older than the one once given.
        vote_lost: bool,
        /// The highest index known to be lost, if any is known.
        lost_to: Option<u64>,
    },
    /// The group has again all that it may have acknowledged (the gate of `storage.md` §2 is
    /// passed).
    Trusted,
}

/// Numbers above this were never given out: only hostile bytes contain them.
pub(super) const NUMBER_MAX: u64 = u64::MAX >> 8;

pub(super) const KIND_ENTRY: u8 = 1;
const KIND_TRUNCATE: u8 = 2;
const KIND_PURGE: u8 = 3;
pub(super) const KIND_VOTE: u8 = 4;
const KIND_REMOVED: u8 = 5;
pub(super) const KIND_META: u8 = 6;
const KIND_SUSPECT: u8 = 7;
const KIND_TRUSTED: u8 = 8;

/// The fixed-size part of a record, as the directory of a batch holds it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Fields {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) term: u64,
    pub(super) index: u64,
}

impl LogRecord {
    /// The record without its payload; `number` is the state's, see [`Self::is_state`].
    pub(super) fn fields(&self, number: u64) -> Fields {
        let of = |kind, term, index| Fields { kind, flags: 0, term, index };
        match *self {
            Self::Entry { term, index, .. } => of(KIND_ENTRY, term, index),
            Self::Truncate { from } => of(KIND_TRUNCATE, 0, from),
            Self::Purge { term, index } => of(KIND_PURGE, term, index),
            Self::Vote(_) => of(KIND_VOTE, 0, number),
            Self::GroupRemoved => of(KIND_REMOVED, 0, number),
            Self::NodeMeta { key, .. } => of(KIND_META, number, u64::from(key)),
            Self::Suspect { damaged, vote_lost, lost_to } => Fields {
                kind: KIND_SUSPECT,
                flags: u8::from(damaged)
                    | u8::from(vote_lost) << 1
                    | u8::from(lost_to.is_some()) << 2,
                term: 0,
                index: lost_to.unwrap_or(0),
            },
            Self::Trusted => of(KIND_TRUSTED, 0, 0),
        }
    }

    /// Whether the vote file keeps a second copy of what it says.
    pub(super) fn is_state(&self) -> bool {
        matches!(self, Self::Vote(_) | Self::NodeMeta { .. } | Self::GroupRemoved)
    }

    /// The opaque bytes of the record.
    pub(super) fn payload(&self) -> &[u8] {
        match self {
            Self::Entry { payload, .. } => payload,
            Self::Vote(bytes) | Self::NodeMeta { bytes, .. } => bytes,
            Self::Truncate { .. }
            | Self::Purge { .. }
            | Self::GroupRemoved
            | Self::Suspect { .. }
            | Self::Trusted => &[],
        }
    }

    /// The record of these fields, and its number if it is a vote, a node record or a removal
    /// (numbers order these between the log and the vote file).
    ///
    /// # Errors
    ///
    /// [`CodecError::Malformed`] for a kind that we do not know, and for what no writer of ours writes:
    /// a state over its bound, a number that was never given out, a record of the wrong owner.
    pub(super) fn from_fields(
        group: ShardId,
        fields: Fields,
        payload: &[u8],
    ) -> Result<(Self, u64), CodecError> {
        let Fields { kind, flags, term, index } = fields;
        if (group == NODE) != (kind == KIND_META) {
            return Err(CodecError::Malformed("record of the wrong owner"));
        }
        if NUMBER_MAX < term || NUMBER_MAX < index {
            return Err(CodecError::Malformed("number that was never given out"));
        }
        if matches!(kind, KIND_VOTE | KIND_META) && STATE_BYTES_MAX < payload.len() {
            return Err(CodecError::Malformed("state over its bound"));
        }
        let record = match kind {
            KIND_ENTRY => Self::Entry { term, index, payload: Bytes::copy_from_slice(payload) },
            KIND_TRUNCATE => Self::Truncate { from: index },
            KIND_PURGE => Self::Purge { term, index },
            KIND_VOTE => return Ok((Self::Vote(Bytes::copy_from_slice(payload)), index)),
            KIND_REMOVED => return Ok((Self::GroupRemoved, index)),
            KIND_META => {
                let key =
                    u8::try_from(index).map_err(|_| CodecError::Malformed("node record key"))?;
                return Ok((Self::NodeMeta { key, bytes: Bytes::copy_from_slice(payload) }, term));
            }
            KIND_SUSPECT => Self::Suspect {
                damaged: flags & 1 != 0,
                vote_lost: flags & 2 != 0,
                lost_to: (flags & 4 != 0).then_some(index),
            },
            KIND_TRUSTED => Self::Trusted,
            _ => return Err(CodecError::Malformed("record kind")),
        };
        Ok((record, 0))
    }
}
