//! Any bytes are the files of a log.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardforge_core::storage::log::log_segment(data));
