//! Compiles the protocol buffers with protox, so that no `protoc` is needed.

use std::error::Error;

const FILES: [&str; 2] = ["shardforge/v1/peer.proto", "shardforge/v1/admin.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let mut config = tonic_prost_build::Config::new();
    // `Bytes` shares the received buffer instead of copying every message out of it.
    config.bytes(["."]);
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}
