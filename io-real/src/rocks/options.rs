//! RocksDB's options: one budget for all stores of a node.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, LruCacheOptions, Options, SliceTransform,
    WriteBufferManager,
};
use shardforge_core::storage::port::Family;

/// Sizes, for the node as a whole.
#[derive(Clone, Copy, Debug)]
pub struct RocksConfig {
    /// Block cache; memtables are charged to it.
    pub block_cache_bytes: usize,
    /// Memtables of all stores together.
    pub write_buffer_bytes: usize,
    /// Threads that flush and compact.
    pub background_jobs: i32,
}

impl Default for RocksConfig {
    fn default() -> Self {
        Self { block_cache_bytes: 256 << 20, write_buffer_bytes: 128 << 20, background_jobs: 2 }
    }
}

/// The block cache is cut into two to the power of so many parts.
const CACHE_SHARD_BITS: i32 = 1;

/// What all stores of a node share.
pub(super) struct Shared {
    config: RocksConfig,
    cache: Cache,
    buffers: WriteBufferManager,
}

/// The name of a family's column family. RocksDB insists on one named `default`.
pub(super) fn family_name(family: Family) -> &'static str {
    match family {
        Family::Data => "data",
        Family::Index => "index",
        Family::Lock => "lock",
        Family::Meta => "default",
    }
}

/// Bytes of the timestamp at a versioned key's end.
const SUFFIX_BYTES: usize = 8;

fn without_timestamp(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(SUFFIX_BYTES)]
}

fn has_timestamp(key: &[u8]) -> bool {
    SUFFIX_BYTES <= key.len()
}

impl Shared {
    pub(super) fn new(config: RocksConfig) -> Self {
        // One thread reads: many small shards would only evict what does not fit one of them, and a
        // filter block of a table of a million rows takes more than a megabyte.
        let mut lru = LruCacheOptions::default();
        lru.set_capacity(config.block_cache_bytes);
        lru.set_num_shard_bits(CACHE_SHARD_BITS);
        let cache = Cache::new_lru_cache_opts(&lru);
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            config.write_buffer_bytes,
            false,
            cache.clone(),
        );
        Self { config, cache, buffers }
    }

    /// Options of a database.
    pub(super) fn database(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_atomic_flush(true);
        options.set_write_buffer_manager(&self.buffers);
        options.set_max_background_jobs(self.config.background_jobs);
        options.set_bytes_per_sync(1 << 20);
        options.set_auto_tuned_ratelimiter(256 << 20, 100_000, 10);
        options.set_paranoid_checks(true);
        options.set_max_open_files(512);
        options.set_max_log_file_size(4 << 20);
        options.set_keep_log_file_num(2);
        options.set_stats_dump_period_sec(0);
        options.set_skip_stats_update_on_db_open(true);
        options
    }

    /// Options of one family.
    pub(super) fn family(&self, family: Family) -> Options {
        let versioned = matches!(family, Family::Data | Family::Index);
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_block_size(8 << 10);
        table.set_format_version(5);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_bloom_filter(10.0, false);
        // A point read knows the key, not the timestamp of the version it will find.
        table.set_whole_key_filtering(!versioned);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(32 << 20);
        options.set_max_write_buffer_number(4);
        options.set_level_compaction_dynamic_level_bytes(true);
        // A stalled write would stall the node's thread: let files pile up first.
        options.set_level_zero_slowdown_writes_trigger(40);
        options.set_level_zero_stop_writes_trigger(80);
        if versioned {
            options.set_prefix_extractor(SliceTransform::create(
                "shardforge.key",
                without_timestamp,
                Some(has_timestamp),
            ));
            options.set_memtable_prefix_bloom_ratio(0.05);
        }
        options
    }
}
