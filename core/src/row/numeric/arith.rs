//! Sums, products, quotients and rounding.

use std::cmp::Ordering;

use super::value::{
    BASE, DIGIT_WIDTH, DISPLAY_SCALE_MAX, Numeric, SCALE_MAX, SIGNIFICANT_MIN, Sign, Var,
    compare_magnitude,
};
use crate::base::error::{SqlError, sqlstate};

const TENS: [u16; 5] = [1, 10, 100, 1_000, 10_000];

/// "division by zero".
pub(super) fn division_by_zero() -> SqlError {
    SqlError::new(sqlstate::DIVISION_BY_ZERO, "division by zero")
}

impl Numeric {
    /// The sum.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn add(&self, other: &Self) -> Result<Self, SqlError> {
        match (self.sign, other.sign) {
            (Sign::NaN, _) | (_, Sign::NaN) => Ok(Self::nan()),
            (Sign::PositiveInfinity, Sign::NegativeInfinity)
            | (Sign::NegativeInfinity, Sign::PositiveInfinity) => Ok(Self::nan()),
            (Sign::PositiveInfinity | Sign::NegativeInfinity, _) => Ok(self.clone()),
            (_, Sign::PositiveInfinity | Sign::NegativeInfinity) => Ok(other.clone()),
            (Sign::Positive | Sign::Negative, Sign::Positive | Sign::Negative) => {
                self.var().add(&other.var()).finish()
            }
        }
    }

    /// The difference.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn sub(&self, other: &Self) -> Result<Self, SqlError> {
        self.add(&other.negate())
    }

    /// The product, exact unless it has over 16383 places.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn mul(&self, other: &Self) -> Result<Self, SqlError> {
        if self.is_nan() || other.is_nan() {
            return Ok(Self::nan());
        }
        if !self.is_finite() || !other.is_finite() {
            if self.is_zero() || other.is_zero() {
                return Ok(Self::nan());
            }
            return Ok(Self::infinity(self.is_negative() != other.is_negative()));
        }
        let mut product = self.var().mul(&other.var());
        if SCALE_MAX < product.dscale {
            product.round(SCALE_MAX);
        }
        product.finish()
    }

    /// The quotient, with the scale that PostgreSQL chooses: at least 16 significant digits.
    ///
    /// # Errors
    ///
    /// 22012 if `other` is zero, 22003 if the result overflows the format.
    pub fn div(&self, other: &Self) -> Result<Self, SqlError> {
        if let Some(special) = self.div_special(other) {
            return special;
        }
        let (left, right) = (self.var(), other.var());
        let scale = division_scale(&left, &right);
        left.div(&right, scale, true).finish()
    }

    /// The quotient's whole part.
    ///
    /// # Errors
    ///
    /// 22012 if `other` is zero, 22003 if the result overflows the format.
    pub fn div_trunc(&self, other: &Self) -> Result<Self, SqlError> {
        if let Some(special) = self.div_special(other) {
            return special;
        }
        self.var().div(&other.var(), 0, false).finish()
    }

    fn div_special(&self, other: &Self) -> Option<Result<Self, SqlError>> {
        if self.is_nan() || other.is_nan() {
            return Some(Ok(Self::nan()));
        }
        if !self.is_finite() {
            return Some(match (other.is_finite(), other.is_zero()) {
                (false, _) => Ok(Self::nan()),
                (true, true) => Err(division_by_zero()),
                (true, false) => Ok(Self::infinity(self.is_negative() != other.is_negative())),
            });
        }
        if !other.is_finite() {
            return Some(Ok(Self::zero()));
        }
        other.is_zero().then(|| Err(division_by_zero()))
    }

    /// The remainder of the division towards zero; it has the sign of `self`.
    ///
    /// # Errors
    ///
    /// 22012 if `other` is zero.
    pub fn rem(&self, other: &Self) -> Result<Self, SqlError> {
        if self.is_nan() || other.is_nan() {
            return Ok(Self::nan());
        }
        if other.is_zero() {
            return Err(division_by_zero());
        }
        if !self.is_finite() {
            return Ok(Self::nan());
        }
        if !other.is_finite() {
            return Ok(self.clone());
        }
        let (left, right) = (self.var(), other.var());
        let whole = left.div(&right, 0, false);
        let mut taken = whole.mul(&right);
        taken.negative = !taken.negative && !taken.digits.is_empty();
        let scale = left.dscale.max(right.dscale);
        let mut rest = left.add(&taken);
        rest.dscale = scale;
        rest.finish()
    }

    /// Rounded to `scale` decimal places, half away from zero; a negative scale rounds before the
    /// point.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn round(&self, scale: i32) -> Result<Self, SqlError> {
        if !self.is_finite() {
            return Ok(self.clone());
        }
        let mut var = self.var();
        var.round(scale.clamp(-SCALE_MAX * 10, SCALE_MAX));
        var.finish()
    }

    /// Cut off after `scale` decimal places.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn trunc(&self, scale: i32) -> Result<Self, SqlError> {
        if !self.is_finite() {
            return Ok(self.clone());
        }
        let mut var = self.var();
        var.trunc(scale.clamp(-SCALE_MAX * 10, SCALE_MAX));
        var.finish()
    }

    /// The smallest whole number that is not below it.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn ceil(&self) -> Result<Self, SqlError> {
        let whole = self.trunc(0)?;
        if whole < *self { whole.add(&Self::from(1i64)) } else { Ok(whole) }
    }

    /// The largest whole number that is not above it.
    ///
    /// # Errors
    ///
    /// 22003 if it overflows the format.
    pub fn floor(&self) -> Result<Self, SqlError> {
        let whole = self.trunc(0)?;
        if *self < whole { whole.sub(&Self::from(1i64)) } else { Ok(whole) }
    }

    /// Rounded to a column's scale and checked against its precision.
    ///
    /// # Errors
    ///
    /// 22003 "numeric field overflow" if it needs more digits before the point.
    pub fn fit(&self, precision: u16, scale: i16) -> Result<Self, SqlError> {
        let whole_digits_max = i32::from(precision) - i32::from(scale);
        let refuse = |detail: String| {
            Err(SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                .detail(format!("A field with precision {precision}, scale {scale} {detail}.")))
        };
        match self.sign {
            Sign::NaN => return Ok(self.clone()),
            Sign::PositiveInfinity | Sign::NegativeInfinity => {
                return refuse("cannot hold an infinite value".to_owned());
            }
            Sign::Positive | Sign::Negative => {}
        }
        let rounded = self.round(i32::from(scale))?;
        if let Some(first) = rounded.digits.first() {
            let in_group = match first {
                0..=9 => 1,
                10..=99 => 2,
                100..=999 => 3,
                _ => 4, // up to 9999
            };
            let whole_digits = i32::from(rounded.weight) * DIGIT_WIDTH + in_group;
            if whole_digits_max < whole_digits {
                let power = if whole_digits_max == 0 {
                    "1".to_owned()
                } else {
                    format!("10^{whole_digits_max}")
                };
                return refuse(format!("must round to an absolute value less than {power}"));
            }
        }
        Ok(rounded)
    }
}

/// `select_div_scale` of PostgreSQL 15.
fn division_scale(left: &Var, right: &Var) -> i32 {
    let first = |var: &Var| match var.digits.iter().position(|digit| *digit != 0) {
        Some(at) => (var.weight - at as i32, var.digits[at]),
        None => (0, 0),
    };
    let ((left_weight, left_first), (right_weight, right_first)) = (first(left), first(right));
    let mut weight = left_weight - right_weight;
    if left_first <= right_first {
        weight -= 1;
    }
    let scale = SIGNIFICANT_MIN - weight * DIGIT_WIDTH;
    scale.max(left.dscale).max(right.dscale).clamp(0, DISPLAY_SCALE_MAX)
}

impl Var {
    pub(super) fn add(&self, other: &Self) -> Self {
        let dscale = self.dscale.max(other.dscale);
        let (mut left, mut right) = (self.clone(), other.clone());
        left.strip();
        right.strip();
        if left.digits.is_empty() {
            return Self { dscale, ..right };
        }
        if right.digits.is_empty() {
            return Self { dscale, ..left };
        }
        if left.negative == right.negative {
            return Self { dscale, ..add_magnitude(&left, &right) };
        }
        match compare_magnitude((left.weight, &left.digits), (right.weight, &right.digits)) {
            Ordering::Equal => Self { dscale, ..Self::default() },
            Ordering::Greater => Self { dscale, ..sub_magnitude(&left, &right) },
            Ordering::Less => Self { dscale, ..sub_magnitude(&right, &left) },
        }
    }

    pub(super) fn negated(mut self) -> Self {
        self.negative = !self.negative;
        self
    }

    pub(super) fn mul(&self, other: &Self) -> Self {
        let dscale = self.dscale + other.dscale;
        if self.digits.is_empty() || other.digits.is_empty() {
            return Self { dscale, ..Self::default() };
        }
        let mut sums = vec![0u64; self.digits.len() + other.digits.len()];
        for (i, left) in self.digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
            for (j, right) in other.digits.iter().enumerate() {
                sums[i + j + 1] += u64::from(*left) * u64::from(*right);
            }
        }
        let mut carry = 0u64;
        let mut digits = vec![0u16; sums.len()];
        for (digit, sum) in digits.iter_mut().zip(&sums).rev() {
            let total = sum + carry;
            *digit = (total % u64::from(BASE)) as u16;
            carry = total / u64::from(BASE);
        }
        assert_eq!(carry, 0, "a product has at most as many digits as its factors together");
        let weight = self.weight + other.weight + 1;
        Self { negative: self.negative != other.negative, weight, dscale, digits }
    }

    /// The quotient with `scale` places, rounded or cut. `other` is not zero.
    pub(super) fn div(&self, other: &Self, scale: i32, round: bool) -> Self {
        let (mut left, mut right) = (self.clone(), other.clone());
        left.strip();
        right.strip();
        assert!(!right.digits.is_empty(), "callers check for zero");
        if left.digits.is_empty() {
            return Self { dscale: scale.max(0), ..Self::default() };
        }
        let weight = left.weight - right.weight;
        // Groups of the quotient: up to the scale's group, and one more that decides the rounding.
        let wanted = (weight + 1 + (scale + DIGIT_WIDTH - 1).div_euclid(DIGIT_WIDTH)).max(1) + 1;
        let digits = long_division(&left.digits, &right.digits, wanted as usize);
        let negative = left.negative != right.negative;
        let mut quotient = Self { negative, weight, dscale: scale.max(0), digits };
        if round {
            quotient.round(scale)
        } else {
            quotient.trunc(scale)
        }
        quotient
    }

    /// Rounds half away from zero.
    pub(super) fn round(&mut self, scale: i32) {
        self.dscale = scale.max(0);
        let decimals = (self.weight + 1) * DIGIT_WIDTH + scale;
        if decimals < 0 {
            self.digits.clear();
            return self.strip();
        }
        let groups = ((decimals + DIGIT_WIDTH - 1) / DIGIT_WIDTH) as usize;
        let partial = (decimals % DIGIT_WIDTH) as usize;
        let cut = groups < self.digits.len() || (groups == self.digits.len() && 0 < partial);
        if !cut {
            return;
        }
        let half = partial == 0 && 5_000 <= self.digits[groups];
        self.digits.truncate(groups);
        if half {
            self.carry_into(groups);
        }
        if let (1.., Some(last)) = (partial, self.digits.last_mut()) {
            let unit = TENS[DIGIT_WIDTH as usize - partial];
            let extra = *last % unit;
            *last -= extra;
            if unit / 2 <= extra {
                *last += unit;
            }
            if BASE as u16 <= *last {
                *last -= BASE as u16;
                self.carry_into(groups - 1);
            }
        }
    }

    /// Adds one to the digit before position `end`.
    fn carry_into(&mut self, end: usize) {
        for digit in self.digits[..end].iter_mut().rev() {
            *digit += 1;
            if u32::from(*digit) < BASE {
                return;
            }
            *digit = 0;
        }
        self.digits.insert(0, 1);
        self.weight += 1;
    }

    /// Cuts off decimal places.
    pub(super) fn trunc(&mut self, scale: i32) {
        self.dscale = scale.max(0);
        let decimals = (self.weight + 1) * DIGIT_WIDTH + scale;
        if decimals <= 0 {
            self.digits.clear();
            return self.strip();
        }
        let groups = ((decimals + DIGIT_WIDTH - 1) / DIGIT_WIDTH) as usize;
        let partial = (decimals % DIGIT_WIDTH) as usize;
        if groups <= self.digits.len() {
            self.digits.truncate(groups);
            if let (1.., Some(last)) = (partial, self.digits.last_mut()) {
                *last -= *last % TENS[DIGIT_WIDTH as usize - partial];
            }
        }
    }
}

/// The digit of `var` with this power of 10000.
fn digit_at(var: &Var, power: i32) -> i32 {
    usize::try_from(var.weight - power)
        .ok()
        .and_then(|at| var.digits.get(at))
        .map_or(0, |digit| i32::from(*digit))
}

fn lowest_power(var: &Var) -> i32 {
    var.weight + 1 - var.digits.len() as i32
}

fn add_magnitude(left: &Var, right: &Var) -> Var {
    let low = lowest_power(left).min(lowest_power(right));
    let weight = left.weight.max(right.weight) + 1;
    let mut digits = vec![0u16; (weight - low + 1) as usize];
    let mut carry = 0;
    for power in low..=weight {
        let sum = digit_at(left, power) + digit_at(right, power) + carry;
        carry = sum / BASE as i32;
        digits[(weight - power) as usize] = (sum % BASE as i32) as u16;
    }
    Var { negative: left.negative, weight, dscale: 0, digits }
}

/// `left - right` where `left` is the larger.
fn sub_magnitude(left: &Var, right: &Var) -> Var {
    let low = lowest_power(left).min(lowest_power(right));
    let weight = left.weight;
    let mut digits = vec![0u16; (weight - low + 1) as usize];
    let mut borrow = 0;
    for power in low..=weight {
        let mut difference = digit_at(left, power) - digit_at(right, power) - borrow;
        borrow = i32::from(difference < 0);
        difference += borrow * BASE as i32;
        digits[(weight - power) as usize] = difference as u16;
    }
    Var { negative: left.negative, weight, dscale: 0, digits }
}

/// The first `wanted` digits of `left / right`, both read as fractions of equal weight (Knuth,
/// The Art of Computer Programming, 4.3.1 D). `right` has no zero in front.
fn long_division(left: &[u16], right: &[u16], wanted: usize) -> Vec<u16> {
    let base = u64::from(BASE);
    if let [divisor] = right {
        let mut rest = 0u64;
        return (0..wanted)
            .map(|at| {
                let value = rest * base + left.get(at).map_or(0, |digit| u64::from(*digit));
                rest = value % u64::from(*divisor);
                (value / u64::from(*divisor)) as u16
            })
            .collect();
    }
    // Scale both so that the divisor's first digit is at least half the base.
    let factor = base / (u64::from(right[0]) + 1);
    let divisor = times(right, factor, right.len());
    assert_eq!(divisor[0], 0, "the scaled divisor has no further digit");
    let divisor: Vec<i64> = divisor[1..].iter().map(|digit| *digit as i64).collect();
    let len = divisor.len();
    // One digit in front, and zeros behind for the digits wanted.
    let mut rest: Vec<i64> =
        times(left, factor, (wanted + len).max(left.len())).iter().map(|d| *d as i64).collect();
    let base = i64::from(BASE);
    let mut quotient = Vec::with_capacity(wanted);
    for at in 0..wanted {
        // Estimate from the first two digits; at most two too large after the correction below.
        let head = rest[at] * base + rest[at + 1];
        let mut guess = (head / divisor[0]).min(base - 1);
        let mut over = head - guess * divisor[0];
        while over < base && over * base + rest[at + 2] < guess * divisor[1] {
            guess -= 1;
            over += divisor[0];
        }
        if subtract_times(&mut rest[at..=at + len], &divisor, guess) {
            guess -= 1;
            add_back(&mut rest[at..=at + len], &divisor);
        }
        quotient.push(guess as u16);
    }
    quotient
}

/// `digits * factor` with one digit more in front, padded with zeros behind to `len` + 1 digits.
fn times(digits: &[u16], factor: u64, len: usize) -> Vec<u64> {
    let mut out = vec![0u64; len + 1];
    let mut carry = 0;
    for (at, digit) in digits.iter().enumerate().rev() {
        let value = u64::from(*digit) * factor + carry;
        out[at + 1] = value % u64::from(BASE);
        carry = value / u64::from(BASE);
    }
    out[0] = carry;
    out
}

/// `window -= divisor * guess`; whether it went below zero.
fn subtract_times(window: &mut [i64], divisor: &[i64], guess: i64) -> bool {
    let base = i64::from(BASE);
    let mut borrow = 0;
    for at in (0..window.len()).rev() {
        let part = if at == 0 { 0 } else { divisor[at - 1] * guess };
        let value = window[at] - part - borrow;
        // Rounded up, so that the digit is not negative.
        borrow = -value.div_euclid(base);
        window[at] = value + borrow * base;
    }
    0 < borrow
}

/// `window += divisor`, dropping the carry that undoes the borrow.
fn add_back(window: &mut [i64], divisor: &[i64]) {
    let base = i64::from(BASE);
    let mut carry = 0;
    for at in (0..window.len()).rev() {
        let value = window[at] + if at == 0 { 0 } else { divisor[at - 1] } + carry;
        carry = value / base;
        window[at] = value % base;
    }
}
