//! The catalog: what the database knows of itself.

pub mod descriptor;
