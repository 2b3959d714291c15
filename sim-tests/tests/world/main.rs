//! Scenarios in the world.

mod smoke;
