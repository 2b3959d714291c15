//! The `shardforge` binary.

fn main() {}
