//! The macro tools: a TPC-B client that knows what it was promised, and a driver that breaks real
//! processes under it. They speak to the program only as its users do: by SQL, flags and signals.

pub mod chaos;
pub mod cluster;
pub mod tpcb;
