//! The registry: functions and operators by OID, name and operands.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{operator_table, table, table_compare};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::{Array, Datum, Text};
use crate::row::eval::{CompareOp, EvalContext};
use crate::row::interval::Interval;
use crate::row::numeric::Numeric;

/// A function of the registry, by its OID.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct FunctionId(pub u32);

/// How far a function's result depends on more than its arguments.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Volatility {
    /// Never.
    Immutable,
    /// The same within one statement.
    Stable,
    /// Different at every call.
    Volatile,
}

/// A function's code.
pub type NativeFn = fn(Args<'_>, &EvalContext<'_>) -> Result<Datum, SqlError>;

/// Who computes a function.
#[derive(Clone, Copy, Debug)]
pub enum Implementation {
    /// This room.
    Native(NativeFn),
    /// A comparison of two values by [`Datum::compare`].
    Compare(CompareOp),
    /// The floors above.
    Catalog,
}

/// What `pg_proc` says of a function.
#[derive(Clone, Copy, Debug)]
pub struct FunctionDef {
    /// Its OID.
    pub oid: u32,
    /// Its name.
    pub name: &'static str,
    /// OIDs of its parameters' types.
    pub args: &'static [u32],
    /// The last parameter takes any number of arguments.
    pub variadic: bool,
    /// The OID of its result's type.
    pub returns: u32,
    /// Null for null arguments.
    pub strict: bool,
    /// See [`Volatility`].
    pub volatility: Volatility,
    /// See [`Implementation`].
    pub implementation: Implementation,
}

/// What `pg_operator` says of an operator.
#[derive(Clone, Copy, Debug)]
pub struct OperatorDef {
    /// Its name, such as `+`.
    pub name: &'static str,
    /// The OID of its left operand's type; 0 for a prefix operator.
    pub left: u32,
    /// The OID of its right operand's type.
    pub right: u32,
    /// The OID of its result's type.
    pub returns: u32,
    /// The function behind it.
    pub function: FunctionId,
}

struct Registry {
    by_oid: Vec<&'static FunctionDef>,
    by_name: Vec<&'static FunctionDef>,
    operators: Vec<&'static OperatorDef>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let all = || table::FUNCTIONS.iter().chain(table_compare::FUNCTIONS);
    let mut by_oid: Vec<_> = all().collect();
    by_oid.sort_by_key(|def| def.oid);
    let mut by_name: Vec<_> = all().collect();
    by_name.sort_by_key(|def| (def.name, def.oid));
    let mut operators: Vec<_> = operator_table::OPERATORS.iter().collect();
    operators.sort_by_key(|def| def.name);
    Registry { by_oid, by_name, operators }
});

/// The function with this OID.
pub fn by_id(id: FunctionId) -> Option<&'static FunctionDef> {
    let all = &REGISTRY.by_oid;
    all.binary_search_by_key(&id.0, |def| def.oid).ok().map(|at| all[at])
}

fn run_of<T>(sorted: &'static [T], name: &str, key: impl Fn(&T) -> &str) -> &'static [T] {
    let start = sorted.partition_point(|item| key(item) < name);
    let len = sorted[start..].iter().take_while(|item| key(item) == name).count();
    &sorted[start..start + len]
}

/// All functions of a name.
pub fn candidates(name: &str) -> &'static [&'static FunctionDef] {
    run_of(&REGISTRY.by_name, name, |def| def.name)
}

/// All operators of a name.
pub fn operators(name: &str) -> &'static [&'static OperatorDef] {
    run_of(&REGISTRY.operators, name, |def| def.name)
}

/// Every function, by OID: for `pg_proc`.
pub fn all() -> &'static [&'static FunctionDef] {
    &REGISTRY.by_oid
}

/// Calls a function. Nulls for strict functions are the caller's business.
///
/// # Errors
///
/// What the function raises.
pub fn call(
    def: &FunctionDef,
    args: &[Datum],
    context: &EvalContext<'_>,
) -> Result<Datum, SqlError> {
    match def.implementation {
        Implementation::Native(native) => native(Args(args), context),
        Implementation::Compare(op) => match args {
            [left, right] if !left.is_null() && !right.is_null() => {
                Ok(Datum::Bool(op.holds(left.compare(right))))
            }
            _ => Ok(Datum::Null), // a comparison with nothing
        },
        Implementation::Catalog => context.call_catalog(def.name, args),
    }
}

/// A function's arguments, taken by type. Binding has cast them; a mismatch is a mistake of ours.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a>(pub &'a [Datum]);

impl<'a> Args<'a> {
    fn mismatch(&self, index: usize, wanted: &str) -> SqlError {
        let message = format!("argument {} should be {wanted}: {:?}", index + 1, self.0.get(index));
        SqlError::new(sqlstate::INTERNAL_ERROR, message)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn datum(&self, index: usize) -> &'a Datum {
        self.0.get(index).unwrap_or(&Datum::Null)
    }

    pub(super) fn i64(&self, index: usize) -> Result<i64, SqlError> {
        self.datum(index).as_i64().ok_or_else(|| self.mismatch(index, "an integer"))
    }

    pub(super) fn bool(&self, index: usize) -> Result<bool, SqlError> {
        self.datum(index).as_bool().ok_or_else(|| self.mismatch(index, "a truth value"))
    }

    pub(super) fn str(&self, index: usize) -> Result<&'a str, SqlError> {
        self.datum(index).as_str().ok_or_else(|| self.mismatch(index, "a string"))
    }

    pub(super) fn f64(&self, index: usize) -> Result<f64, SqlError> {
        match self.datum(index) {
            Datum::Float8(value) => Ok(*value),
            Datum::Float4(value) => Ok(f64::from(*value)),
            _ => Err(self.mismatch(index, "a float")),
        }
    }

    pub(super) fn numeric(&self, index: usize) -> Result<&'a Numeric, SqlError> {
        match self.datum(index) {
            Datum::Numeric(value) => Ok(value),
            _ => Err(self.mismatch(index, "a numeric")),
        }
    }

    pub(super) fn bytes(&self, index: usize) -> Result<&'a [u8], SqlError> {
        match self.datum(index) {
            Datum::Bytea(value) => Ok(value),
            _ => Err(self.mismatch(index, "bytes")),
        }
    }

    pub(super) fn array(&self, index: usize) -> Result<&'a Array, SqlError> {
        match self.datum(index) {
            Datum::Array(value) => Ok(value),
            _ => Err(self.mismatch(index, "an array")),
        }
    }

    pub(super) fn date(&self, index: usize) -> Result<i32, SqlError> {
        match self.datum(index) {
            Datum::Date(value) => Ok(*value),
            _ => Err(self.mismatch(index, "a date")),
        }
    }

    /// Microseconds of a time or a timestamp of either kind.
    pub(super) fn micros(&self, index: usize) -> Result<i64, SqlError> {
        match self.datum(index) {
            Datum::Timestamp(value) | Datum::Timestamptz(value) | Datum::Time(value) => Ok(*value),
            _ => Err(self.mismatch(index, "a moment")),
        }
    }

    pub(super) fn interval(&self, index: usize) -> Result<Interval, SqlError> {
        match self.datum(index) {
            Datum::Interval(value) => Ok(*value),
            _ => Err(self.mismatch(index, "an interval")),
        }
    }
}

pub(super) type Outcome = Result<Datum, SqlError>;

pub(super) fn text(value: impl Into<Text>) -> Outcome {
    Ok(Datum::Text(value.into()))
}

/// 22003 with a message.
pub(super) fn beyond(message: impl Into<String>) -> SqlError {
    SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// Refuses strings longer than a row may be, before they are built.
pub(super) fn check_size(len: usize) -> Result<(), SqlError> {
    if crate::base::limit::ROW_BYTES_MAX < len {
        let message = "requested length too large";
        return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}
