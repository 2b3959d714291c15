//! Scenarios in the world.

mod filler;
mod install;
mod lost;
mod segments;
mod smoke;
