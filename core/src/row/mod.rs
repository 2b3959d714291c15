//! Values in rows: types, datums, their text and binary forms, keys, stored rows, and the evaluator
//! of scalar expressions.
//!
//! Floor 2. It knows nothing of names, catalogs or plans: filters and partial aggregates run on the
//! shard that holds the rows, so what computes over values lives below the SQL floor.

pub mod aggregate;
pub mod batch;
pub mod binary;
pub mod codec;
pub mod datetime;
pub mod datum;
pub mod eval;
pub mod float;
pub mod functions;
pub mod interval;
pub mod json;
pub mod numeric;
pub mod scan_program;
pub mod text;
pub mod type_table;
pub mod types;
