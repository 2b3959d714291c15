//! The server and its command line in one program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

// Statements and log entries are many small, short-lived pieces; glibc's allocator spent a third of a
// bulk load on joining freed ones.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    shardforge_io_real::cli::run().into()
}
