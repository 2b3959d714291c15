//! What simulated clients do.

pub mod list_append;
