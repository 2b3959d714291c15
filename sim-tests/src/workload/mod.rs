//! What simulated clients do.

pub mod bank;
pub mod driver;
pub mod list_append;
pub mod slots;
