//! Any bytes come from a SQL client.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardforge_proto::fuzz::pgwire_frame(data));
