//! The functions and operators of SQL, as data.
//!
//! The tables hold what `pg_proc` and `pg_operator` say; OIDs are PostgreSQL's and name a function
//! in an expression that travels. Choosing among overloads is the binder's business: here are the
//! candidates. Functions that need a catalog, a sequence or a session are listed without an
//! implementation and answered through [`crate::row::eval::Catalog`].

mod arith;
mod array;
mod bytes;
mod datetime;
mod format;
pub(in crate::row) mod json;
mod math;
mod operator_table;
mod regexp;
mod registry;
mod string;
mod string_more;
mod system;
mod table;
mod table_compare;

#[cfg(test)]
mod tests;

pub use registry::{
    Args, FunctionDef, FunctionId, Implementation, NativeFn, OperatorDef, Volatility, all, by_id,
    call, candidates, operators,
};
use registry::{Outcome, beyond, check_size, text};
pub use string_more::quote_ident;
