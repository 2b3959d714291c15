//! Any bytes come from another node.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| shardforge_proto::fuzz::peer_frame(data));
