//! Arithmetic operators.

use super::{Args, Outcome, beyond};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;

fn zero() -> SqlError {
    SqlError::new(sqlstate::DIVISION_BY_ZERO, "division by zero")
}

fn i2(value: Option<i64>) -> Outcome {
    let narrow = value.and_then(|value| i16::try_from(value).ok());
    narrow.map(Datum::Int2).ok_or_else(|| beyond("smallint out of range"))
}

fn i4(value: Option<i64>) -> Outcome {
    let narrow = value.and_then(|value| i32::try_from(value).ok());
    narrow.map(Datum::Int4).ok_or_else(|| beyond("integer out of range"))
}

fn i8(value: Option<i64>) -> Outcome {
    value.map(Datum::Int8).ok_or_else(|| beyond("bigint out of range"))
}

/// Operators on integers, one for each width of the result: (name, 2 bytes, 4, 8, operation).
macro_rules! integers {
    ($($two:ident $four:ident $eight:ident = |$l:ident, $r:ident| $operation:expr;)*) => {
        $(
            pub(super) fn $two(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
                let ($l, $r) = (args.i64(0)?, args.i64(1)?);
                i2($operation)
            }
            pub(super) fn $four(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
                let ($l, $r) = (args.i64(0)?, args.i64(1)?);
                i4($operation)
            }
            pub(super) fn $eight(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
                let ($l, $r) = (args.i64(0)?, args.i64(1)?);
                i8($operation)
            }
        )*
    };
}

integers! {
    add2 add4 add8 = |l, r| l.checked_add(r);
    sub2 sub4 sub8 = |l, r| l.checked_sub(r);
    mul2 mul4 mul8 = |l, r| l.checked_mul(r);
    div2 div4 div8 = |l, r| if r == 0 { return Err(zero()) } else { l.checked_div(r) };
    rem2 rem4 rem8 = |l, r| if r == 0 { return Err(zero()) } else { Some(l.wrapping_rem(r)) };
    and2 and4 and8 = |l, r| Some(l & r);
    or2 or4 or8 = |l, r| Some(l | r);
    xor2 xor4 xor8 = |l, r| Some(l ^ r);
}

fn gcd(left: i64, right: i64) -> Option<i64> {
    let (mut a, mut b) = (left.unsigned_abs(), right.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).ok()
}

fn lcm(left: i64, right: i64) -> Option<i64> {
    if left == 0 || right == 0 {
        return Some(0);
    }
    (left / gcd(left, right)?).checked_mul(right)?.checked_abs()
}

pub(super) fn gcd4(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    i4(gcd(args.i64(0)?, args.i64(1)?))
}

pub(super) fn gcd8(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    i8(gcd(args.i64(0)?, args.i64(1)?))
}

pub(super) fn lcm4(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    i4(lcm(args.i64(0)?, args.i64(1)?))
}

pub(super) fn lcm8(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    i8(lcm(args.i64(0)?, args.i64(1)?))
}

/// Shifts take the count modulo the width, as C on the usual machines.
pub(super) fn shl(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let count = args.i64(1)? as u32;
    Ok(match args.datum(0) {
        Datum::Int2(value) => Datum::Int2((i32::from(*value) << (count & 31)) as i16),
        Datum::Int4(value) => Datum::Int4(value.wrapping_shl(count)),
        _ => Datum::Int8(args.i64(0)?.wrapping_shl(count)),
    })
}

pub(super) fn shr(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let count = args.i64(1)? as u32;
    Ok(match args.datum(0) {
        Datum::Int2(value) => Datum::Int2((i32::from(*value) >> (count & 31)) as i16),
        Datum::Int4(value) => Datum::Int4(value.wrapping_shr(count)),
        _ => Datum::Int8(args.i64(0)?.wrapping_shr(count)),
    })
}

pub(super) fn bit_not(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(match args.datum(0) {
        Datum::Int2(value) => Datum::Int2(!value),
        Datum::Int4(value) => Datum::Int4(!value),
        _ => Datum::Int8(!args.i64(0)?),
    })
}

pub(super) fn plus(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(args.datum(0).clone())
}

pub(super) fn minus(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(match args.datum(0) {
        Datum::Int2(value) => i2(i64::from(*value).checked_neg())?,
        Datum::Int4(value) => i4(i64::from(*value).checked_neg())?,
        Datum::Float4(value) => Datum::Float4(-value),
        Datum::Float8(value) => Datum::Float8(-value),
        Datum::Numeric(value) => Datum::Numeric(value.negate()),
        _ => i8(args.i64(0)?.checked_neg())?, // the only one left is bigint
    })
}

pub(super) fn abs(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(match args.datum(0) {
        Datum::Int2(value) => i2(i64::from(*value).checked_abs())?,
        Datum::Int4(value) => i4(i64::from(*value).checked_abs())?,
        Datum::Float4(value) => Datum::Float4(value.abs()),
        Datum::Float8(value) => Datum::Float8(value.abs()),
        Datum::Numeric(value) => Datum::Numeric(value.abs()),
        _ => i8(args.i64(0)?.checked_abs())?, // the only one left is bigint
    })
}

/// A float's result, checked for what PostgreSQL refuses: infinity of finite operands, and zero of
/// operands that are not (`may_underflow`).
fn f8(value: f64, operands: [f64; 2], may_underflow: bool) -> Outcome {
    if value.is_infinite() && operands.iter().all(|operand| operand.is_finite()) {
        return Err(beyond("value out of range: overflow"));
    }
    if value == 0.0 && may_underflow {
        return Err(beyond("value out of range: underflow"));
    }
    Ok(Datum::Float8(value))
}

fn f4(value: f32, operands: [f32; 2], may_underflow: bool) -> Outcome {
    let wide = operands.map(f64::from);
    f8(f64::from(value), wide, may_underflow).map(|_| Datum::Float4(value))
}

/// Operators on floats; `float4` only where both operands are.
macro_rules! floats {
    ($($four:ident $eight:ident = |$l:ident, $r:ident| $operation:expr, $underflow:expr;)*) => {
        $(
            pub(super) fn $four(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
                let ($l, $r) = (args.f64(0)? as f32, args.f64(1)? as f32);
                let value: f32 = $operation;
                f4(value, [$l, $r], $underflow)
            }
            pub(super) fn $eight(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
                let ($l, $r) = (args.f64(0)?, args.f64(1)?);
                let value: f64 = $operation;
                f8(value, [$l, $r], $underflow)
            }
        )*
    };
}

floats! {
    add_f4 add_f8 = |l, r| l + r, false;
    sub_f4 sub_f8 = |l, r| l - r, false;
    mul_f4 mul_f8 = |l, r| l * r, l != 0.0 && r != 0.0;
    div_f4 div_f8 = |l, r| if r == 0.0 && !l.is_nan() { return Err(zero()) } else { l / r },
        l != 0.0 && r.is_finite();
}

pub(super) fn add_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    args.numeric(0)?.add(args.numeric(1)?).map(Datum::Numeric)
}

pub(super) fn sub_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    args.numeric(0)?.sub(args.numeric(1)?).map(Datum::Numeric)
}

pub(super) fn mul_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    args.numeric(0)?.mul(args.numeric(1)?).map(Datum::Numeric)
}

pub(super) fn div_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    args.numeric(0)?.div(args.numeric(1)?).map(Datum::Numeric)
}

pub(super) fn rem_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    args.numeric(0)?.rem(args.numeric(1)?).map(Datum::Numeric)
}

pub(super) fn div_trunc_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    args.numeric(0)?.div_trunc(args.numeric(1)?).map(Datum::Numeric)
}
