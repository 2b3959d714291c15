//! The same pgbench and sysbench workloads against several servers in one run: targets in turn, so
//! that all of them meet the same weather; medians; ratios to the first target.

pub mod cpu;
pub mod report;
pub mod target;
pub mod tools;
