//! Scenarios in the world.

mod filler;
mod idle;
mod install;
mod lost;
mod segments;
mod smoke;
mod stopped;
