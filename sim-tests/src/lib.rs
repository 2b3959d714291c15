//! Scenarios, workloads and checkers: the attack on ShardForge's core.

#![forbid(unsafe_code)]

pub mod checker;
pub mod finding;
pub mod history;
pub mod planted;
pub mod scenario;
pub mod workload;
