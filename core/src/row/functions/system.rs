//! Functions about the session and the system.

use super::{Args, Outcome, text};
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;
use crate::row::types::DataType;

pub(super) fn current_user(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    text(context.session()?.user.as_str())
}

pub(super) fn session_user(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    text(context.session()?.session_user.as_str())
}

pub(super) fn current_database(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    text(context.session()?.database.as_str())
}

pub(super) fn current_schema(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let path = &context.session()?.search_path;
    Ok(path.first().map_or(Datum::Null, |schema| Datum::text(schema)))
}

pub(super) fn current_schemas(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let path = &context.session()?.search_path;
    let mut names = Vec::new();
    if args.bool(0)? && !path.iter().any(|schema| schema == "pg_catalog") {
        names.push(Datum::text("pg_catalog"));
    }
    names.extend(path.iter().map(|schema| Datum::text(schema)));
    Ok(Datum::array(DataType::Name, names))
}

pub(super) fn backend_pid(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Int4(context.session()?.backend_pid))
}

/// The type of the value itself; the binder knows better and replaces the call by a constant.
pub(super) fn typeof_value(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Oid(args.datum(0).natural_type().oid()))
}

/// A random UUID (version 4) from the seeded stream.
pub(super) fn random_uuid(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let bits = u128::from(context.random_bits()?) << 64 | u128::from(context.random_bits()?);
    let version = 0x4u128 << 76;
    let variant = 0b10u128 << 62;
    let kept = bits & !(0xfu128 << 76) & !(0b11u128 << 62);
    Ok(Datum::Uuid(kept | version | variant))
}

pub(super) fn num_nulls(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let count = args.0.iter().filter(|datum| datum.is_null()).count();
    Ok(Datum::Int4(i32::try_from(count).unwrap_or(i32::MAX)))
}

pub(super) fn num_nonnulls(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let count = args.0.iter().filter(|datum| !datum.is_null()).count();
    Ok(Datum::Int4(i32::try_from(count).unwrap_or(i32::MAX)))
}
