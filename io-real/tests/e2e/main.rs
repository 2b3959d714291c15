//! The real program, as operators and clients meet it: processes, files, sockets, signals.
//!
//! A tool that a test needs (psql) is installed by the set-up; without it the test fails, it never
//! skips.

mod cluster;
mod configuration;
mod directory;
mod durability;
mod garbage;
mod server;
mod smoke;
