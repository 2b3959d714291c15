//! To and from machine numbers.

use super::value::{BASE, Numeric, Sign, Var};
use crate::base::error::{SqlError, sqlstate};
use crate::row::float;

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::from(i128::from(value))
    }
}

impl From<i32> for Numeric {
    fn from(value: i32) -> Self {
        Self::from(i128::from(value))
    }
}

impl From<i128> for Numeric {
    fn from(value: i128) -> Self {
        Self::from_scaled(value, 0)
    }
}

impl Numeric {
    /// `value / 10^scale`, shown with `scale` places (at most 30).
    pub fn from_scaled(value: i128, scale: u16) -> Self {
        assert!(scale <= 30, "only small scales");
        let groups = i32::from(scale.div_ceil(4));
        let pad = u128::pow(10, u32::from(scale.div_ceil(4) * 4 - scale));
        // Align the point to a group: the low group may need up to three zeros more.
        let magnitude = value.unsigned_abs();
        let base = u128::from(BASE);
        let (mut high, low) = (magnitude / (base / pad), (magnitude % (base / pad)) * pad);
        let mut digits = vec![low as u16];
        while 0 < high {
            digits.push((high % base) as u16);
            high /= base;
        }
        digits.reverse();
        let weight = digits.len() as i32 - 1 - groups;
        let var = Var { negative: value < 0, weight, dscale: i32::from(scale), digits };
        var.finish().unwrap_or_else(|_| Self::zero())
    }

    /// The nearest whole number, half away from zero; `None` if it does not fit or is not finite.
    pub fn to_i128(&self) -> Option<i128> {
        if !self.is_finite() {
            return None;
        }
        let mut var = self.var();
        var.round(0);
        var.strip();
        let mut value = 0i128;
        for place in 0..=var.weight.max(-1) {
            let digit = i128::from(var.digits.get(place as usize).copied().unwrap_or(0));
            value = value.checked_mul(i128::from(BASE))?;
            value =
                if var.negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
        }
        Some(value)
    }

    /// The nearest `bigint`-like integer; `type_name` is for the message.
    ///
    /// # Errors
    ///
    /// 22003 out of range, 0A000 for NaN and infinities.
    pub fn to_integer<T: TryFrom<i128>>(&self, type_name: &str) -> Result<T, SqlError> {
        let refuse = |what: &str| {
            let message = format!("cannot convert {what} to {type_name}");
            Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
        };
        match self.sign {
            Sign::NaN => return refuse("NaN"),
            Sign::PositiveInfinity | Sign::NegativeInfinity => return refuse("infinity"),
            Sign::Positive | Sign::Negative => {}
        }
        self.to_i128().and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
            let message = format!("{type_name} out of range");
            SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
        })
    }

    /// From a double, by its 15 significant digits as PostgreSQL does.
    pub fn from_f64(value: f64) -> Self {
        Self::from_float(value, 15)
    }

    /// From a float, by its 6 significant digits as PostgreSQL does.
    pub fn from_f32(value: f32) -> Self {
        Self::from_float(f64::from(value), 6)
    }

    fn from_float(value: f64, significant: usize) -> Self {
        if value.is_nan() {
            return Self::nan();
        }
        if value.is_infinite() {
            return Self::infinity(value < 0.0);
        }
        let text = float::format_general(value, significant);
        Self::parse(&text).unwrap_or_else(|_| Self::nan())
    }

    /// The nearest double; infinite if it is out of range.
    pub fn to_f64(&self) -> f64 {
        match self.sign {
            Sign::NaN => f64::NAN,
            Sign::PositiveInfinity => f64::INFINITY,
            Sign::NegativeInfinity => f64::NEG_INFINITY,
            // The standard library rounds correctly.
            Sign::Positive | Sign::Negative => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }
}
