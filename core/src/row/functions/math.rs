//! Mathematical functions.

use std::f64::consts::PI;

use super::{Args, Outcome, beyond};
use crate::base::error::{SqlError, SqlState};
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;

fn domain(code: &str, message: &str) -> SqlError {
    SqlError::new(SqlState::new(code), message)
}

/// A function's value: infinite only for infinite arguments.
fn float(value: f64, finite: bool) -> Outcome {
    if value.is_infinite() && finite {
        return Err(beyond("value out of range: overflow"));
    }
    Ok(Datum::Float8(value))
}

/// Functions of one double, and what each refuses.
macro_rules! unary {
    ($($name:ident = |$x:ident| $value:expr;)*) => {
        $(
            pub(super) fn $name(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
                let $x = args.f64(0)?;
                float($value, $x.is_finite())
            }
        )*
    };
}

unary! {
    ceil_f = |x| x.ceil();
    floor_f = |x| x.floor();
    round_f = |x| x.round_ties_even();
    trunc_f = |x| x.trunc();
    cbrt_f = |x| x.cbrt();
    degrees = |x| x.to_degrees();
    radians = |x| x.to_radians();
    sign_f = |x| if x == 0.0 || x.is_nan() { x } else { x.signum() };
    sqrt_f = |x| if x < 0.0 {
        return Err(domain("2201F", "cannot take square root of a negative number"));
    } else {
        x.sqrt()
    };
    ln_f = |x| check_log(x)?.ln();
    log10_f = |x| check_log(x)?.log10();
    sin = |x| trigonometric(x)?.sin();
    cos = |x| trigonometric(x)?.cos();
    tan = |x| trigonometric(x)?.tan();
    asin = |x| inverse(x)?.asin();
    acos = |x| inverse(x)?.acos();
    atan = |x| x.atan();
    sinh = |x| x.sinh();
    cosh = |x| x.cosh();
    tanh = |x| x.tanh();
}

pub(super) fn exp_f(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let x = args.f64(0)?;
    let value = x.exp();
    if value == 0.0 && x.is_finite() {
        return Err(beyond("value out of range: underflow"));
    }
    float(value, x.is_finite())
}

fn check_log(x: f64) -> Result<f64, SqlError> {
    if x == 0.0 {
        return Err(domain("2201E", "cannot take logarithm of zero"));
    }
    if x < 0.0 {
        return Err(domain("2201E", "cannot take logarithm of a negative number"));
    }
    Ok(x)
}

fn trigonometric(x: f64) -> Result<f64, SqlError> {
    if x.is_infinite() { Err(beyond("input is out of range")) } else { Ok(x) }
}

fn inverse(x: f64) -> Result<f64, SqlError> {
    if !(-1.0..=1.0).contains(&x) && !x.is_nan() {
        Err(beyond("input is out of range"))
    } else {
        Ok(x)
    }
}

pub(super) fn atan2(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    float(args.f64(0)?.atan2(args.f64(1)?), true)
}

pub(super) fn pi(_: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Float8(PI))
}

pub(super) fn random(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let bits = context.random_bits()? >> 11;
    Ok(Datum::Float8(bits as f64 / (1u64 << 53) as f64))
}

pub(super) fn power_f(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (base, exponent) = (args.f64(0)?, args.f64(1)?);
    if base == 0.0 && exponent < 0.0 {
        return Err(domain("2201F", "zero raised to a negative power is undefined"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        let message = "a negative number raised to a non-integer power yields a complex result";
        return Err(domain("2201F", message));
    }
    let value = base.powf(exponent);
    let finite = base.is_finite() && exponent.is_finite();
    if value == 0.0 && base != 0.0 && finite {
        return Err(beyond("value out of range: underflow"));
    }
    float(value, finite)
}

/// Functions of numerics that give a numeric.
macro_rules! numerics {
    ($($name:ident = |$args:ident, $x:ident| $value:expr;)*) => {
        $(
            pub(super) fn $name($args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
                let $x = $args.numeric(0)?;
                $value.map(Datum::Numeric)
            }
        )*
    };
}

numerics! {
    ceil_n = |args, x| x.ceil();
    floor_n = |args, x| x.floor();
    round_n = |args, x| x.round(0);
    round_scale_n = |args, x| x.round(scale(args)?);
    trunc_n = |args, x| x.trunc(0);
    trunc_scale_n = |args, x| x.trunc(scale(args)?);
    sqrt_n = |args, x| x.sqrt();
    exp_n = |args, x| x.exp();
    ln_n = |args, x| x.ln();
    log10_n = |args, x| x.log(&10i64.into());
    log_n = |args, x| args.numeric(1)?.log(x);
    power_n = |args, x| x.power(args.numeric(1)?);
    trim_scale_n = |args, x| Ok::<_, SqlError>(x.trim_scale());
    sign_n = |args, x| Ok::<_, SqlError>(sign_of(x));
}

/// PostgreSQL's bound on the second argument of `round`.
fn scale(args: Args<'_>) -> Result<i32, SqlError> {
    Ok(args.i64(1)?.clamp(-2_000, 2_000) as i32)
}

fn sign_of(x: &crate::row::numeric::Numeric) -> crate::row::numeric::Numeric {
    if x.is_nan() {
        return x.clone();
    }
    let sign = if x.is_negative() { -1i64 } else { i64::from(!x.is_zero()) };
    sign.into()
}

pub(super) fn scale_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let x = args.numeric(0)?;
    Ok(if x.is_finite() { Datum::Int4(i32::from(x.dscale())) } else { Datum::Null })
}

pub(super) fn min_scale_n(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let x = args.numeric(0)?;
    Ok(if x.is_finite() { Datum::Int4(i32::from(x.min_scale())) } else { Datum::Null })
}
