//! The server and its command line in one program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    shardforge_io_real::cli::run().into()
}
