//! Versions: how a committed row, an intent and a transaction record look as bytes, and which store
//! operations read and write them.
//!
//! Floor 2. It knows timestamps and headers; it does not know who may write (see `replica`) nor what a
//! row's bytes mean (see `row`).

pub mod intent;
pub mod load;
pub mod read;
pub mod record;
pub mod version;
pub mod write;
