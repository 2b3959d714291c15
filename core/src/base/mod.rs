//! Words everyone speaks: identifiers, time, timestamps, limits, seeded randomness.
//!
//! Floor 0. It imports nothing of the house.

pub mod buggify;
pub mod codec;
pub mod error;
pub mod id;
pub mod key;
pub mod limit;
pub mod map;
pub mod rng;
pub mod time;
pub mod timestamp;
