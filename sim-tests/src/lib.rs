//! Scenarios, workloads and checkers: the attack on ShardForge's core.

#![forbid(unsafe_code)]

pub mod checker;
pub mod history;
pub mod scenario;
pub mod workload;
