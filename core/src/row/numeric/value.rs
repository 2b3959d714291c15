//! The number itself: its form, order and bounds.
//!
//! # Invariants
//!
//! * Digits are below 10000; the first and the last are not zero.
//! * Zero has no digits, weight 0 and a positive sign. NaN and infinities have no digits.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::codec::CodecError;
use crate::base::error::{SqlError, sqlstate};

/// Decimal digits in one base-10000 digit.
pub(super) const DIGIT_WIDTH: i32 = 4;
/// The base.
pub(super) const BASE: u32 = 10_000;
/// Largest display scale that a stored value may have.
pub(super) const SCALE_MAX: i32 = 16_383;
/// Largest display scale that functions choose by themselves.
pub(super) const DISPLAY_SCALE_MAX: i32 = 1_000;
/// Significant digits that inexact results have at least.
pub(super) const SIGNIFICANT_MIN: i32 = 16;

/// The sign of a number, or what it is instead of a finite number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Sign {
    /// Zero or above.
    Positive,
    /// Below zero.
    Negative,
    /// Not a number; equal to itself and above everything.
    NaN,
    /// Above every finite number.
    PositiveInfinity,
    /// Below every finite number.
    NegativeInfinity,
}

/// A decimal number of any size up to PostgreSQL's bounds. Cheap to clone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Numeric {
    pub(super) sign: Sign,
    /// The power of 10000 of the first digit.
    pub(super) weight: i16,
    /// Decimal digits shown after the point.
    pub(super) dscale: u16,
    pub(super) digits: Arc<[u16]>,
}

#[derive(Serialize, Deserialize)]
struct Parts(Sign, i16, u16, Vec<u16>);

impl From<Numeric> for Parts {
    fn from(number: Numeric) -> Self {
        Self(number.sign, number.weight, number.dscale, number.digits.to_vec())
    }
}

impl TryFrom<Parts> for Numeric {
    type Error = CodecError;
    fn try_from(parts: Parts) -> Result<Self, CodecError> {
        Self::from_parts(parts.0, parts.1, parts.2, parts.3)
    }
}

/// A finite number while it is computed: digits may have zeros at both ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Var {
    pub(super) negative: bool,
    pub(super) weight: i32,
    pub(super) dscale: i32,
    pub(super) digits: Vec<u16>,
}

impl Var {
    /// Drops zero digits at both ends; zero gets its one form.
    pub(super) fn strip(&mut self) {
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..leading);
        self.weight -= leading as i32;
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.weight = 0;
            self.negative = false;
        }
    }

    /// The finished number.
    pub(super) fn finish(mut self) -> Result<Numeric, SqlError> {
        self.strip();
        let weight = i16::try_from(self.weight).map_err(|_| overflow())?;
        if SCALE_MAX < self.dscale {
            return Err(overflow());
        }
        Ok(Numeric {
            sign: if self.negative { Sign::Negative } else { Sign::Positive },
            weight,
            dscale: u16::try_from(self.dscale).unwrap_or(0),
            digits: self.digits.into(),
        })
    }
}

/// "value overflows numeric format".
pub(super) fn overflow() -> SqlError {
    SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

impl Numeric {
    /// Not a number.
    pub fn nan() -> Self {
        Self::special(Sign::NaN)
    }

    /// Positive or negative infinity.
    pub fn infinity(negative: bool) -> Self {
        Self::special(if negative { Sign::NegativeInfinity } else { Sign::PositiveInfinity })
    }

    /// Zero with no digits after the point.
    pub fn zero() -> Self {
        Self::special(Sign::Positive)
    }

    fn special(sign: Sign) -> Self {
        Self { sign, weight: 0, dscale: 0, digits: Arc::default() }
    }

    /// A number from its parts as they are on the wire; zeros at the ends are dropped.
    ///
    /// # Errors
    ///
    /// [`CodecError`] for a digit of 10000 or more, or a scale over PostgreSQL's bound.
    pub fn from_parts(
        sign: Sign,
        weight: i16,
        dscale: u16,
        digits: Vec<u16>,
    ) -> Result<Self, CodecError> {
        if !matches!(sign, Sign::Positive | Sign::Negative) {
            return Ok(Self::special(sign));
        }
        if digits.iter().any(|digit| BASE <= u32::from(*digit)) {
            return Err(CodecError::Malformed("numeric digit over 9999"));
        }
        let negative = sign == Sign::Negative;
        Var { negative, weight: i32::from(weight), dscale: i32::from(dscale), digits }
            .finish()
            .map_err(|_| CodecError::Malformed("numeric out of range"))
    }

    /// The sign.
    pub fn sign(&self) -> Sign {
        self.sign
    }

    /// The power of 10000 of the first digit.
    pub fn weight(&self) -> i16 {
        self.weight
    }

    /// Decimal digits shown after the point.
    pub fn dscale(&self) -> u16 {
        self.dscale
    }

    /// Base-10000 digits, most significant first.
    pub fn digits(&self) -> &[u16] {
        &self.digits
    }

    /// Whether it is not a number.
    pub fn is_nan(&self) -> bool {
        self.sign == Sign::NaN
    }

    /// Whether it is neither NaN nor an infinity.
    pub fn is_finite(&self) -> bool {
        matches!(self.sign, Sign::Positive | Sign::Negative)
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.is_finite() && self.digits.is_empty()
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        matches!(self.sign, Sign::Negative | Sign::NegativeInfinity)
    }

    pub(super) fn var(&self) -> Var {
        Var {
            negative: self.sign == Sign::Negative,
            weight: i32::from(self.weight),
            dscale: i32::from(self.dscale),
            digits: self.digits.to_vec(),
        }
    }

    /// The smallest display scale that shows every digit.
    pub fn min_scale(&self) -> u16 {
        let Some(last) = self.digits.last() else { return 0 };
        let places = (self.digits.len() as i32 - 1 - i32::from(self.weight)) * DIGIT_WIDTH;
        let mut unused = 0;
        let mut digit = *last;
        while digit % 10 == 0 && unused < DIGIT_WIDTH {
            digit /= 10;
            unused += 1;
        }
        u16::try_from((places - unused).max(0)).unwrap_or(0)
    }

    /// The same value without zeros after the last digit that counts.
    pub fn trim_scale(&self) -> Self {
        Self { dscale: if self.is_finite() { self.min_scale() } else { 0 }, ..self.clone() }
    }

    /// The negated number.
    pub fn negate(&self) -> Self {
        let sign = match self.sign {
            Sign::Positive if self.digits.is_empty() => Sign::Positive,
            Sign::Positive => Sign::Negative,
            Sign::Negative => Sign::Positive,
            Sign::NaN => Sign::NaN,
            Sign::PositiveInfinity => Sign::NegativeInfinity,
            Sign::NegativeInfinity => Sign::PositiveInfinity,
        };
        Self { sign, ..self.clone() }
    }

    /// The number without its sign.
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.negate() } else { self.clone() }
    }

    fn rank(&self) -> u8 {
        match self.sign {
            Sign::NegativeInfinity => 0,
            Sign::Negative => 1,
            Sign::Positive if self.digits.is_empty() => 2,
            Sign::Positive => 3,
            Sign::PositiveInfinity => 4,
            Sign::NaN => 5,
        }
    }
}

/// Compares magnitudes: (weight, digits) pairs without zeros in front.
pub(super) fn compare_magnitude(left: (i32, &[u16]), right: (i32, &[u16])) -> Ordering {
    // Without leading zeros the weight decides; a longer number with equal digits is the larger
    // one, which is how slices compare.
    left.0.cmp(&right.0).then_with(|| left.1.cmp(right.1))
}

impl Ord for Numeric {
    fn cmp(&self, other: &Self) -> Ordering {
        let ranks = self.rank().cmp(&other.rank());
        if ranks != Ordering::Equal || self.digits.is_empty() {
            return ranks;
        }
        let order = compare_magnitude(
            (i32::from(self.weight), &self.digits),
            (i32::from(other.weight), &other.digits),
        );
        if self.sign == Sign::Negative { order.reverse() } else { order }
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Equal values are equal whatever their display scales: `1.0 = 1.00`.
impl PartialEq for Numeric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        self.weight.hash(state);
        self.digits.hash(state);
    }
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
