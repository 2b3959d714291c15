//! The macro tools: a TPC-B client that knows what it was promised, a driver that breaks real
//! processes under it, and a runner that compares servers. They speak to the program only as its users do: by SQL, flags and signals.

pub mod chaos;
pub mod cluster;
pub mod compare;
pub mod tpcb;
