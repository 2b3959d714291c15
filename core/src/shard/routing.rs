//! Routing keys: the words in which shards own rows.
//!
//! ```text
//! system tables: 0x00 · physical key (shard 0)
//! hash tables:   0x01 · hash16(sharding columns) · physical key
//! range tables:  0x02 · physical key
//! ```

use serde::{Deserialize, Serialize};

use crate::base::id::{IndexId, TableId};
use crate::base::key::Key;

/// Table ids below this one are system tables.
pub const SYSTEM_TABLES_END: u32 = 100;

/// Head byte of the routing keys of system tables.
pub const SYSTEM: u8 = 0x00;
/// Head byte of the routing keys of tables sharded by hash.
pub const HASH: u8 = 0x01;
/// Head byte of the routing keys of tables sharded by range.
pub const RANGE: u8 = 0x02;

/// The table or index that a request is about, as its descriptor names it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The table; ids below 100 live in the system shard.
    pub table: TableId,
    /// Its descriptor's version: a shard refuses one below its fence.
    pub version: u32,
    /// 0 is the table's own rows.
    pub index: IndexId,
}

impl Place {
    /// Whether it lives in the system shard.
    pub const fn is_system(self) -> bool {
        self.table.0 < SYSTEM_TABLES_END
    }
}

/// Which shards may hold the rows of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Route {
    /// All rows asked for share this hash of their sharding columns.
    Hash(u16),
    /// Any shard.
    All,
}

/// The routing key of a system table's row.
pub fn system_key(physical: &Key) -> Key {
    headed(&[SYSTEM], physical)
}

/// The routing key of a row of a table sharded by hash.
pub fn hash_key(hash: u16, physical: &Key) -> Key {
    let [high, low] = hash.to_be_bytes();
    headed(&[HASH, high, low], physical)
}

/// The routing key of a row of a table sharded by range.
pub fn range_key(physical: &Key) -> Key {
    headed(&[RANGE], physical)
}

/// The least routing key of rows with this hash.
pub fn hash_floor(hash: u16) -> Key {
    hash_key(hash, &Key::MIN)
}

fn headed(head: &[u8], physical: &Key) -> Key {
    let mut out = Vec::with_capacity(head.len() + physical.0.len());
    out.extend_from_slice(head);
    out.extend_from_slice(physical.as_ref());
    out.into()
}
