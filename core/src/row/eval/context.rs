//! What an expression may know beyond its row.

use std::cell::RefCell;

use crate::base::error::{SqlError, sqlstate};
use crate::base::rng::Rng;
use crate::row::datetime::{Moment, Zone};
use crate::row::datum::Datum;
use crate::row::text::{OidNames, RenderOptions};

/// Functions that need a catalog, a sequence or a session: answered by the floors above.
pub trait Catalog: OidNames {
    /// Calls a function by name: those of the registry without an implementation of their own
    /// (`nextval`, `format_type`, `pg_get_indexdef` …), and `regclassin` and its kin, which turn a
    /// name into an OID.
    ///
    /// # Errors
    ///
    /// Whatever the function raises.
    fn call(
        &self,
        name: &str,
        args: &[Datum],
        context: &EvalContext<'_>,
    ) -> Result<Datum, SqlError>;
}

/// Results of subqueries, by their number in the plan.
pub trait Subqueries {
    /// The result for one row of the outer query.
    ///
    /// # Errors
    ///
    /// Whatever the subquery raises, and 21000 if it has more than one row.
    fn value(&self, number: usize, row: &[Datum]) -> Result<Datum, SqlError>;
}

/// Who asks, and where.
#[derive(Clone, Debug, Default)]
pub struct SessionInfo {
    /// `current_user`.
    pub user: String,
    /// `session_user`.
    pub session_user: String,
    /// `current_database()`.
    pub database: String,
    /// Schemas that exist and are searched; the first is `current_schema`.
    pub search_path: Vec<String>,
    /// `pg_backend_pid()`.
    pub backend_pid: i32,
}

/// The surroundings of an evaluation.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// Values of the statement's parameters.
    pub params: &'a [Datum],
    /// `now()`: the transaction's start, microseconds since 2000-01-01 UTC.
    pub transaction_time: i64,
    /// `statement_timestamp()`.
    pub statement_time: i64,
    /// `clock_timestamp()`, as of the input that is handled.
    pub clock_time: i64,
    /// The session's time zone.
    pub zone: &'a Zone,
    /// `extra_float_digits`.
    pub extra_float_digits: i32,
    /// `random()` and `gen_random_uuid()`.
    pub rng: Option<&'a RefCell<Rng>>,
    /// `current_user` and its kin.
    pub session: Option<&'a SessionInfo>,
    /// Functions above this floor.
    pub catalog: Option<&'a dyn Catalog>,
    /// Subqueries.
    pub subqueries: Option<&'a dyn Subqueries>,
}

impl<'a> EvalContext<'a> {
    /// Surroundings in which only the row and the time zone are known.
    pub fn new(zone: &'a Zone) -> Self {
        Self {
            params: &[],
            transaction_time: 0,
            statement_time: 0,
            clock_time: 0,
            zone,
            extra_float_digits: 1,
            rng: None,
            session: None,
            catalog: None,
            subqueries: None,
        }
    }

    /// What text is read by.
    pub fn moment(&self) -> Moment<'a> {
        Moment { now: self.transaction_time, zone: self.zone }
    }

    /// How values become text.
    pub fn render_options(&self) -> RenderOptions<'a> {
        RenderOptions {
            zone: self.zone,
            extra_float_digits: self.extra_float_digits,
            bytea_hex: true,
            names: self.catalog.map(|catalog| catalog as &dyn OidNames),
        }
    }

    /// Calls a function above this floor.
    ///
    /// # Errors
    ///
    /// 0A000 where there is no catalog (on the shard that holds the rows), or the function's own.
    pub fn call_catalog(&self, name: &str, args: &[Datum]) -> Result<Datum, SqlError> {
        match self.catalog {
            Some(catalog) => catalog.call(name, args, self),
            None => Err(SqlError::unsupported(format!("function {name} here"))),
        }
    }

    /// Draws random bits.
    ///
    /// # Errors
    ///
    /// 0A000 where there is no source of them: volatile functions are not pushed down to shards.
    pub fn random_bits(&self) -> Result<u64, SqlError> {
        match self.rng {
            Some(rng) => Ok(rng.borrow_mut().next_u64()),
            None => Err(SqlError::unsupported("a volatile function here")),
        }
    }

    /// The session.
    ///
    /// # Errors
    ///
    /// XX000 where there is none.
    pub fn session(&self) -> Result<&'a SessionInfo, SqlError> {
        self.session.ok_or_else(|| {
            SqlError::new(sqlstate::INTERNAL_ERROR, "a session function outside a session")
        })
    }
}
