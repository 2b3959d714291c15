//! Any text is parsed, bound and planned.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardforge_core::sql::fuzz::sql_text(data));
