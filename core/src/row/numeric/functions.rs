//! Roots, logarithms and powers: inexact results with PostgreSQL's choice of scale.
//!
//! Each is computed with guard digits and rounded once. Where PostgreSQL's own last digit is the
//! result of its rounding errors, ours may differ.

use super::arith::division_by_zero;
use super::value::{
    DIGIT_WIDTH, DISPLAY_SCALE_MAX, Numeric, SCALE_MAX, SIGNIFICANT_MIN, Sign, Var, overflow,
};
use crate::base::error::{SqlError, SqlState};

/// Decimal places beyond those wanted.
const GUARD: i32 = 12;
/// Results of more decimal digits than this overflow (PostgreSQL's `NUMERIC_MAX_RESULT_SCALE`).
const RESULT_DIGITS_MAX: f64 = 2_000.0;
const LOG10_E: f64 = std::f64::consts::LOG10_E;

fn domain(code: &str, message: &str) -> SqlError {
    SqlError::new(SqlState::new(code), message)
}

fn var_of(value: i64) -> Var {
    Numeric::from(value).var()
}

fn pick_scale(wanted: i32, at_least: &[i32]) -> i32 {
    at_least.iter().fold(wanted, |scale, least| scale.max(*least)).clamp(0, DISPLAY_SCALE_MAX)
}

impl Var {
    fn mul_round(&self, other: &Self, scale: i32) -> Self {
        let mut product = self.mul(other);
        product.round(scale);
        product.strip();
        product
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|digit| *digit == 0)
    }

    fn to_f64(&self) -> f64 {
        // Every digit counts, also those that are not shown.
        Self { dscale: SCALE_MAX, ..self.clone() }
            .finish()
            .map_or(f64::NAN, |number| number.to_f64())
    }

    fn sqrt(&self, scale: i32) -> Self {
        if self.is_zero() {
            return Self { dscale: scale, ..Self::default() };
        }
        // Newton's iteration from a double of the first digits, made independent of the weight.
        let mut scaled = self.clone();
        scaled.strip();
        let shift = scaled.weight.div_euclid(2);
        scaled.weight -= shift * 2;
        let mut root = Numeric::from_f64(scaled.to_f64().sqrt()).var();
        let work = scale + shift * DIGIT_WIDTH + GUARD;
        let half = Numeric::from_scaled(5, 1).var();
        let mut places = 14;
        while places < work {
            places = (places * 2).min(work);
            root = root.add(&scaled.div(&root, places + 4, true)).mul_round(&half, places + 4);
            if places == work {
                break;
            }
        }
        root.weight += shift;
        root.round(scale);
        root.settle_root(self, scale)
    }

    /// Moves a rounded root by a last place where the guard digits misled: the square of the point
    /// half a place above or below decides exactly.
    fn settle_root(self, square: &Self, scale: i32) -> Self {
        let place = |digit: i64, scale: i32| {
            let mut unit = var_of(digit);
            unit = unit.mul(&power_of_ten(-scale));
            unit.strip();
            unit
        };
        let half = place(5, scale + 1);
        let unit = place(1, scale);
        let above = |root: &Self| {
            let mut rest = square.add(&root.mul(root).negated());
            rest.strip();
            !rest.digits.is_empty() && rest.negative
        };
        let mut root = self;
        let low = root.add(&half.clone().negated());
        if above(&low) && !low.negative {
            root = root.add(&unit.clone().negated());
        } else if !above(&root.add(&half)) {
            root = root.add(&unit);
        }
        root.round(scale);
        root
    }

    /// The natural logarithm of a positive number.
    fn ln(&self, scale: i32) -> Self {
        let one = var_of(1);
        let mut x = self.clone();
        let mut doublings = 0u32;
        let work = scale + GUARD + 8;
        while !(0.9..=1.1).contains(&x.to_f64()) {
            // Places relative to the size, for numbers far from one.
            x = x.sqrt(work + (-x.weight * DIGIT_WIDTH).max(0));
            doublings += 1;
        }
        // ln x = 2 artanh((x - 1) / (x + 1)).
        let work = work + doublings as i32;
        let z = x.add(&one.clone().negated()).div(&x.add(&one), work, true);
        let square = z.mul_round(&z, work);
        let (mut power, mut sum, mut n) = (z.clone(), z, 1);
        loop {
            power = power.mul_round(&square, work);
            n += 2;
            let term = power.div(&var_of(n), work, true);
            if term.is_zero() {
                break;
            }
            sum = sum.add(&term);
        }
        let mut result = sum;
        for _ in 0..=doublings {
            result = result.add(&result);
        }
        result.round(scale);
        result
    }

    /// e to this power. The caller has checked that the result has a bounded number of digits.
    fn exp(&self, scale: i32) -> Self {
        let value = self.to_f64();
        let whole_digits = (value * LOG10_E).max(0.0) as i32;
        let mut halvings = 0;
        let mut size = value.abs();
        while 0.01 < size {
            size /= 2.0;
            halvings += 1;
        }
        let work = scale + whole_digits + GUARD + halvings;
        let divisor = Numeric::from(1i128 << halvings.min(60)).var();
        let x = self.div(&divisor, work, true);
        let (mut sum, mut term, mut n) = (var_of(1).add(&x), x.clone(), 1);
        loop {
            n += 1;
            term = term.mul_round(&x, work).div(&var_of(n), work, true);
            if term.is_zero() {
                break;
            }
            sum = sum.add(&term);
        }
        for _ in 0..halvings {
            sum = sum.mul_round(&sum, work);
        }
        sum.round(scale);
        sum
    }
}

/// 10 to a power.
fn power_of_ten(exponent: i32) -> Var {
    let weight = exponent.div_euclid(DIGIT_WIDTH);
    let digit = 10u16.pow(exponent.rem_euclid(DIGIT_WIDTH).unsigned_abs());
    Var { negative: false, weight, dscale: (-exponent).max(0), digits: vec![digit] }
}

/// The decimal weight of ln(x), as PostgreSQL estimates it.
fn ln_weight(var: &Var) -> i32 {
    let mut var = var.clone();
    var.strip();
    let value = var.to_f64();
    if (0.9..=1.1).contains(&value) {
        let mut x = var.add(&var_of(-1));
        x.strip();
        return x
            .digits
            .first()
            .map_or(0, |first| x.weight * DIGIT_WIDTH + f64::from(*first).log10() as i32);
    }
    let Some(first) = var.digits.first() else { return 0 };
    let (mut digits, mut weight) = (f64::from(*first), var.weight * DIGIT_WIDTH);
    if let Some(second) = var.digits.get(1) {
        digits = digits * 10_000.0 + f64::from(*second);
        weight -= DIGIT_WIDTH;
    }
    let ln = digits.ln() + f64::from(weight) * std::f64::consts::LN_10;
    ln.abs().log10() as i32
}

impl Numeric {
    /// The square root.
    ///
    /// # Errors
    ///
    /// 2201F for a negative number.
    pub fn sqrt(&self) -> Result<Self, SqlError> {
        match self.sign {
            Sign::NaN | Sign::PositiveInfinity => return Ok(self.clone()),
            Sign::Negative | Sign::NegativeInfinity => {
                return Err(domain("2201F", "cannot take square root of a negative number"));
            }
            Sign::Positive => {}
        }
        let weight = i32::from(self.weight) * DIGIT_WIDTH / 2 + 1;
        let scale = pick_scale(SIGNIFICANT_MIN - weight, &[i32::from(self.dscale)]);
        self.var().sqrt(scale).finish()
    }

    /// The square root of a number that is not negative, to so many places.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn sqrt_to(&self, scale: i32) -> Result<Self, SqlError> {
        assert!(!self.is_negative() && self.is_finite(), "callers check the sign");
        self.var().sqrt(scale).finish()
    }

    /// The natural logarithm.
    ///
    /// # Errors
    ///
    /// 2201E for zero and negative numbers.
    pub fn ln(&self) -> Result<Self, SqlError> {
        if let Some(special) = self.ln_special()? {
            return Ok(special);
        }
        let var = self.var();
        let scale = pick_scale(SIGNIFICANT_MIN - ln_weight(&var), &[var.dscale]);
        var.ln(scale).finish()
    }

    fn ln_special(&self) -> Result<Option<Self>, SqlError> {
        match self.sign {
            Sign::NaN | Sign::PositiveInfinity => Ok(Some(self.clone())),
            Sign::Negative | Sign::NegativeInfinity => {
                Err(domain("2201E", "cannot take logarithm of a negative number"))
            }
            Sign::Positive if self.is_zero() => {
                Err(domain("2201E", "cannot take logarithm of zero"))
            }
            Sign::Positive => Ok(None),
        }
    }

    /// The logarithm of `self` to `base`.
    ///
    /// # Errors
    ///
    /// 2201E for zero and negative numbers, 22012 for base one.
    pub fn log(&self, base: &Self) -> Result<Self, SqlError> {
        if self.is_nan() || base.is_nan() {
            return Ok(Self::nan());
        }
        let (base_special, special) = (base.ln_special()?, self.ln_special()?);
        if base_special.is_some() {
            return Ok(if special.is_some() { Self::nan() } else { Self::zero() });
        }
        if let Some(special) = special {
            return Ok(special);
        }
        let (var, base) = (self.var(), base.var());
        let (var_weight, base_weight) = (ln_weight(&var), ln_weight(&base));
        let wanted = SIGNIFICANT_MIN - (var_weight - base_weight);
        let scale = pick_scale(wanted, &[base.dscale, var.dscale]);
        let work = scale + GUARD + base_weight.abs() + var_weight.abs();
        let ln_base = base.ln(work);
        if ln_base.is_zero() {
            return Err(division_by_zero());
        }
        var.ln(work).div(&ln_base, scale, true).finish()
    }

    /// e to this power.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows.
    pub fn exp(&self) -> Result<Self, SqlError> {
        match self.sign {
            Sign::NaN | Sign::PositiveInfinity => return Ok(self.clone()),
            Sign::NegativeInfinity => return Ok(Self::zero()),
            Sign::Positive | Sign::Negative => {}
        }
        let digits = (self.to_f64() * LOG10_E).clamp(-RESULT_DIGITS_MAX, RESULT_DIGITS_MAX);
        let scale = pick_scale(SIGNIFICANT_MIN - digits as i32, &[i32::from(self.dscale)]);
        exp_checked(&self.var(), scale)
    }

    /// `self` to the power `exponent`.
    ///
    /// # Errors
    ///
    /// 2201F where no real number is the result, 22003 if it overflows.
    pub fn power(&self, exponent: &Self) -> Result<Self, SqlError> {
        let one = Self::from(1i64);
        if self.is_nan() || exponent.is_nan() {
            let decided = exponent.is_zero() || *self == one;
            return Ok(if decided { one } else { Self::nan() });
        }
        if self.is_zero() && exponent.is_negative() {
            return Err(domain("2201F", "zero raised to a negative power is undefined"));
        }
        let whole = exponent.is_finite() && exponent.trunc(0)? == *exponent;
        if self.is_negative() && exponent.is_finite() && !whole {
            let message = "a negative number raised to a non-integer power yields a complex result";
            return Err(domain("2201F", message));
        }
        if !self.is_finite() || !exponent.is_finite() {
            return Ok(self.power_infinite(exponent, &one, whole));
        }
        let (base, dscale) = (self.var(), i32::from(self.dscale));
        if whole && let Some(n) = exponent.to_i128().and_then(|n| i32::try_from(n).ok()) {
            return power_whole(self, n, pick_scale(SIGNIFICANT_MIN, &[dscale]));
        }
        if self.is_zero() {
            return Var { dscale: SIGNIFICANT_MIN, ..Var::default() }.finish();
        }
        let rough = self.abs().to_f64().ln() * exponent.to_f64();
        if RESULT_DIGITS_MAX * 3.01 < rough.abs() {
            if 0.0 < rough {
                return Err(overflow());
            }
            return Var { dscale: DISPLAY_SCALE_MAX, ..Var::default() }.finish();
        }
        let digits = rough * LOG10_E;
        let least = [dscale, i32::from(exponent.dscale)];
        let scale = pick_scale(SIGNIFICANT_MIN - digits as i32, &least);
        let magnitude = Var { negative: false, ..base };
        let work = scale + GUARD + (digits.max(0.0) as i32) + 8;
        let ln = magnitude.ln(work + i32::from(exponent.weight.max(0)) * DIGIT_WIDTH);
        let power = ln.mul_round(&exponent.var(), work);
        let result = exp_checked(&power, scale)?;
        let odd = self.is_negative() && !exponent.rem(&Self::from(2i64))?.is_zero();
        Ok(if odd { result.negate() } else { result })
    }

    fn power_infinite(&self, exponent: &Self, one: &Self, whole: bool) -> Self {
        if exponent.is_zero() || *self == *one {
            return one.clone();
        }
        if !exponent.is_finite() {
            let size = self.abs();
            return match size.cmp(one) {
                std::cmp::Ordering::Equal => one.clone(),
                larger => {
                    let grows = larger.is_gt() != exponent.is_negative();
                    if grows { Self::infinity(false) } else { Self::zero() }
                }
            };
        }
        if exponent.is_negative() {
            return Self::zero();
        }
        let odd = whole && exponent.rem(&Self::from(2i64)).is_ok_and(|rest| !rest.is_zero());
        Self::infinity(self.is_negative() && odd)
    }
}

fn exp_checked(var: &Var, scale: i32) -> Result<Numeric, SqlError> {
    let value = var.to_f64();
    if RESULT_DIGITS_MAX * 3.0 <= value.abs() {
        if 0.0 < value {
            return Err(overflow());
        }
        return Var { dscale: scale, ..Var::default() }.finish();
    }
    var.exp(scale).finish()
}

/// A whole power by repeated squaring, keeping as many digits as the result needs.
fn power_whole(base: &Numeric, exponent: i32, scale: i32) -> Result<Numeric, SqlError> {
    if exponent == 0 {
        return Var { dscale: scale, ..var_of(1) }.finish();
    }
    if base.is_zero() {
        return Var { dscale: scale, ..Var::default() }.finish();
    }
    let size = base.abs().to_f64().log10() * f64::from(exponent);
    // The format ends at 131072 digits; beyond it there is nothing to compute.
    if 140_000.0 < size {
        return Err(overflow());
    }
    if size < -f64::from(scale) - 2.0 {
        return Var { dscale: scale, ..Var::default() }.finish();
    }
    let mut square = base.var();
    let mut result: Option<Var> = None;
    let mut left = exponent.unsigned_abs();
    // Significant digits: those of the result, and one more for each bit of error.
    let significant = size.abs() as i32 + scale + 2 * GUARD;
    loop {
        if left & 1 == 1 {
            let product = result.map_or_else(|| square.clone(), |so_far| so_far.mul(&square));
            result = Some(keep_significant(product, significant));
        }
        left >>= 1;
        if left == 0 {
            break;
        }
        square = keep_significant(square.mul(&square), significant);
    }
    let mut result = result.unwrap_or_else(|| var_of(1));
    result.strip();
    if exponent < 0 {
        result = var_of(1).div(&result, scale, true);
    } else {
        result.round(scale);
    }
    result.finish()
}

fn keep_significant(mut var: Var, significant: i32) -> Var {
    var.strip();
    let scale = (significant - (var.weight + 1) * DIGIT_WIDTH).max(0) + DIGIT_WIDTH;
    if scale < var.dscale {
        var.round(scale);
    }
    var.strip();
    var
}
