//! COPY: rows from and to a client's stream.

pub(crate) mod format;
pub(crate) mod read;
pub(crate) mod write;
