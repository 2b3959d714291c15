//! Scenarios in the world.

mod filler;
mod install;
mod segments;
mod smoke;
