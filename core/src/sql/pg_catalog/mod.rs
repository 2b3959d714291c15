//! `pg_catalog` and `information_schema`: what tools ask of a PostgreSQL server, answered from the
//! catalog's snapshot.
//!
//! The columns of every view are PostgreSQL 15's (`views.txt`: name, number, schema, columns).
//! A view that we list and have nothing to say about is empty; one that we do not list does not exist.

mod cluster;
mod definition;
mod functions;
mod information;
mod line;
mod relations;
mod rows;
mod views;

pub(crate) use functions::{call, name_of};
pub(crate) use rows::rows;
pub(crate) use views::view;
