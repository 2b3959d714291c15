//! Function calls.

use super::binder::{Binder, Typed};
use super::registry::{self, Candidate, Choice};
use crate::base::error::{SqlError, sqlstate};
use crate::row::aggregate::is_aggregate;
use crate::row::eval::Expr;
use crate::row::types::{CastContext, DataType, can_cast};
use crate::sql::parse::ast::FunctionCall;

impl Binder<'_> {
    /// A call of a function or an aggregate.
    pub(super) fn call(&mut self, call: &FunctionCall, position: u32) -> Result<Typed, SqlError> {
        let name = call.name.name().text.as_str();
        let schema = call.name.schema().map(|schema| schema.text.as_str());
        if let Some(schema) = schema
            && schema != "pg_catalog"
        {
            return Err(no_function(&call.name.to_string(), &[], position));
        }
        if call.bare {
            return self.bare_call(name, position);
        }
        if is_aggregate(name) && (call.star || !call.args.is_empty()) {
            return self.aggregate(call, position);
        }
        if call.star || call.distinct || call.filter.is_some() || !call.order_by.is_empty() {
            let message = format!("{name} is not an aggregate function");
            return Err(SqlError::new(sqlstate::WRONG_OBJECT_TYPE, message).at(position));
        }
        if schema.is_none()
            && let Some(value) = self.grammar_function(name, &call.args, position)?
        {
            return Ok(value);
        }
        if super::from::is_set_returning(name) {
            let what = format!("set-returning function {name} outside of FROM");
            return Err(SqlError::unsupported(what).at(position));
        }
        let args = call.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>, _>>()?;
        let types: Vec<DataType> = args.iter().map(|arg| arg.ty.clone()).collect();
        match registry::choose_function(name, &types) {
            Choice::One(candidate) => self.call_candidate(&candidate, args, position),
            Choice::Ambiguous => Err(ambiguous(name, &types, position)),
            Choice::Nothing => {
                // `int4(x)` is a cast.
                if let [ty] = types.as_slice()
                    && let Ok(to) = DataType::from_sql_name(name, &[])
                    && can_cast(ty, &to, CastContext::Explicit)
                    && let Some(arg) = args.into_iter().next()
                {
                    let to = to.without_modifier();
                    return super::coerce::cast_to(arg, &to, CastContext::Explicit);
                }
                Err(no_function(name, &types, position))
            }
        }
    }

    /// A function that is called without parentheses.
    fn bare_call(&mut self, name: &str, position: u32) -> Result<Typed, SqlError> {
        let (function, to) = match name {
            "current_timestamp" => ("now", None),
            "current_date" => ("now", Some(DataType::Date)),
            "localtimestamp" => ("now", Some(DataType::Timestamp)),
            "localtime" => ("now", Some(DataType::Time)),
            "current_user" | "user" | "current_role" => ("current_user", None),
            "current_catalog" => ("current_database", None),
            "session_user" | "current_schema" => (name, None),
            _ => return Err(SqlError::unsupported(name.to_ascii_uppercase()).at(position)),
        };
        let Choice::One(candidate) = registry::choose_function(function, &[]) else {
            return Err(no_function(function, &[], position));
        };
        let value = self.call_candidate(&candidate, Vec::new(), position)?;
        match to {
            Some(to) => super::coerce::cast_to(value, &to, CastContext::Explicit),
            None => Ok(value),
        }
    }

    /// A call of a chosen overload: arguments are cast to its parameters' types.
    pub(super) fn call_candidate(
        &mut self,
        candidate: &Candidate,
        args: Vec<Typed>,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let mut candidate = candidate.clone();
        let types: Vec<DataType> = args.iter().map(|arg| arg.ty.clone()).collect();
        candidate.settle(&types);
        let mut exprs = Vec::with_capacity(args.len());
        for (arg, ty) in args.into_iter().zip(&candidate.args) {
            let same = arg.ty.oid() == ty.oid();
            exprs.push(if same { arg.expr } else { self.coerce(arg, ty)?.expr });
        }
        let expr = Expr::call(candidate.function, exprs, candidate.returns.clone());
        Ok(Typed { expr, ty: candidate.returns, position })
    }
}

fn shown(name: &str, types: &[DataType]) -> String {
    let types: Vec<_> = types.iter().map(DataType::base_name).collect();
    format!("{name}({})", types.join(", "))
}

fn ambiguous(name: &str, types: &[DataType], position: u32) -> SqlError {
    let message = format!("function {} is not unique", shown(name, types));
    SqlError::new(sqlstate::AMBIGUOUS_FUNCTION, message).at(position).hint(
        "Could not choose a best candidate function. You might need to add explicit type casts.",
    )
}

/// "function f(integer) does not exist"
pub(super) fn no_function(name: &str, types: &[DataType], position: u32) -> SqlError {
    let message = format!("function {} does not exist", shown(name, types));
    SqlError::new(sqlstate::UNDEFINED_FUNCTION, message).at(position).hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    )
}
