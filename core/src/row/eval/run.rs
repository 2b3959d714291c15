//! Evaluation.
//!
//! Operands that are columns, constants or parameters are borrowed, not copied; SQL's third truth
//! value is null.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::cast::cast;
use super::context::EvalContext;
use super::expr::{CompareOp, EXPR_DEPTH_MAX, Expr};
use super::pattern;
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::{Array, Datum};
use crate::row::functions::{self, FunctionId};
use crate::row::types::DataType;

type Value<'a> = Result<Cow<'a, Datum>, SqlError>;
/// `None` is unknown.
type Truth = Result<Option<bool>, SqlError>;

/// The value of an expression for a row.
///
/// # Errors
///
/// What the functions in it raise; 54001 if it nests too deeply.
pub fn eval(expr: &Expr, row: &[Datum], context: &EvalContext<'_>) -> Result<Datum, SqlError> {
    Run { row, context }.value(expr, 0).map(Cow::into_owned)
}

/// Whether a row passes a filter: null is no.
///
/// # Errors
///
/// As [`eval`].
pub fn eval_filter(
    filter: &Expr,
    row: &[Datum],
    context: &EvalContext<'_>,
) -> Result<bool, SqlError> {
    Ok(Run { row, context }.truth(filter, 0)? == Some(true))
}

struct Run<'a> {
    row: &'a [Datum],
    context: &'a EvalContext<'a>,
}

fn missing(what: &str, index: usize) -> SqlError {
    SqlError::new(sqlstate::INTERNAL_ERROR, format!("{what} {index} does not exist"))
}

fn boolean(value: Option<bool>) -> Datum {
    value.map_or(Datum::Null, Datum::Bool)
}

impl<'a> Run<'a> {
    /// The value; leaves are borrowed.
    ///
    /// This and `truth` are what recursion goes through: every arm is one call, so that their
    /// frames stay small.
    fn value(&self, expr: &'a Expr, depth: usize) -> Value<'a> {
        match expr {
            Expr::Const(datum, _) => Ok(Cow::Borrowed(datum)),
            Expr::Column(index) => self.column(*index),
            Expr::Param(index) => self.param(*index),
            Expr::Compare { .. }
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::IsBool { .. }
            | Expr::IsDistinct { .. }
            | Expr::InList { .. }
            | Expr::AnyAll { .. }
            | Expr::Like { .. }
            | Expr::Regex { .. } => self.truth_value(expr, depth),
            Expr::Call { function, args, .. } => self.call(*function, args, depth),
            Expr::Case { .. } | Expr::Coalesce(_) | Expr::NullIf(..) | Expr::MinMax { .. } => {
                self.choose(expr, depth)
            }
            Expr::Cast { expr, from, to, explicit } => self.cast(expr, from, to, *explicit, depth),
            Expr::Array { .. } | Expr::Subscript { .. } | Expr::Slice { .. } => {
                self.array(expr, depth)
            }
            Expr::Subquery(number) => self.subquery(*number),
        }
    }

    fn column(&self, index: usize) -> Value<'a> {
        self.row.get(index).map(Cow::Borrowed).ok_or_else(|| missing("column", index))
    }

    fn param(&self, index: usize) -> Value<'a> {
        let params = self.context.params;
        params.get(index).map(Cow::Borrowed).ok_or_else(|| missing("parameter", index))
    }

    fn subquery(&self, number: usize) -> Value<'a> {
        match self.context.subqueries {
            Some(subqueries) => subqueries.value(number, self.row).map(Cow::Owned),
            None => Err(missing("subquery", number)),
        }
    }

    #[inline(never)]
    fn truth_value(&self, expr: &'a Expr, depth: usize) -> Value<'a> {
        Ok(Cow::Owned(boolean(self.truth(expr, depth)?)))
    }

    #[inline(never)]
    fn cast(
        &self,
        expr: &'a Expr,
        from: &DataType,
        to: &DataType,
        explicit: bool,
        depth: usize,
    ) -> Value<'a> {
        let value = self.value(expr, self.deeper(depth)?)?;
        cast(&value, from, to, explicit, self.context).map(Cow::Owned)
    }

    fn deeper(&self, depth: usize) -> Result<usize, SqlError> {
        if EXPR_DEPTH_MAX <= depth {
            return Err(SqlError::new(
                sqlstate::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            ));
        }
        Ok(depth + 1)
    }

    #[inline(never)]
    fn call(&self, function: FunctionId, args: &'a [Expr], depth: usize) -> Value<'a> {
        let depth = self.deeper(depth)?;
        let def = functions::by_id(function).ok_or_else(|| {
            let message = format!("function with OID {} does not exist", function.0);
            SqlError::new(sqlstate::UNDEFINED_FUNCTION, message)
        })?;
        let mut values: SmallVec<[Datum; 3]> = SmallVec::new();
        for arg in args {
            let value = self.value(arg, depth)?;
            if def.strict && value.is_null() {
                return Ok(Cow::Owned(Datum::Null));
            }
            values.push(value.into_owned());
        }
        functions::call(def, &values, self.context).map(Cow::Owned)
    }

    /// The truth value of a boolean expression.
    fn truth(&self, expr: &'a Expr, depth: usize) -> Truth {
        match expr {
            Expr::Compare { op, left, right } => self.compare(*op, left, right, depth),
            Expr::And(parts) => self.all(parts, false, depth),
            Expr::Or(parts) => self.all(parts, true, depth),
            Expr::Not(part) => self.not(part, depth),
            Expr::IsNull { .. } | Expr::IsBool { .. } | Expr::IsDistinct { .. } => {
                self.is(expr, depth)
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated, depth),
            Expr::AnyAll { op, left, array, all } => self.any_all(*op, left, array, *all, depth),
            Expr::Like { .. } | Expr::Regex { .. } => self.matches(expr, depth),
            _ => self.datum_truth(expr, depth), // any other expression of type boolean
        }
    }

    #[inline(never)]
    fn compare(&self, op: CompareOp, left: &'a Expr, right: &'a Expr, depth: usize) -> Truth {
        let depth = self.deeper(depth)?;
        let (left, right) = (self.value(left, depth)?, self.value(right, depth)?);
        Ok(compare(op, &left, &right))
    }

    #[inline(never)]
    fn not(&self, part: &'a Expr, depth: usize) -> Truth {
        Ok(self.truth(part, self.deeper(depth)?)?.map(|value| !value))
    }

    #[inline(never)]
    fn is(&self, expr: &'a Expr, depth: usize) -> Truth {
        let depth = self.deeper(depth)?;
        Ok(Some(match expr {
            Expr::IsNull { expr, negated } => self.value(expr, depth)?.is_null() != *negated,
            Expr::IsBool { expr, value, negated } => {
                (self.truth(expr, depth)? == *value) != *negated
            }
            Expr::IsDistinct { left, right, negated } => {
                let same = *self.value(left, depth)? == *self.value(right, depth)?;
                same == *negated
            }
            _ => return Ok(None), // the caller sends only the above
        }))
    }

    #[inline(never)]
    fn any_all(
        &self,
        op: CompareOp,
        left: &'a Expr,
        array: &'a Expr,
        all: bool,
        depth: usize,
    ) -> Truth {
        let depth = self.deeper(depth)?;
        let (left, array) = (self.value(left, depth)?, self.value(array, depth)?);
        any_all(op, &left, &array, all)
    }

    #[inline(never)]
    fn datum_truth(&self, expr: &'a Expr, depth: usize) -> Truth {
        match &*self.value(expr, depth)? {
            Datum::Null => Ok(None),
            Datum::Bool(value) => Ok(Some(*value)),
            other => Err(SqlError::new(
                sqlstate::INTERNAL_ERROR,
                format!("a truth value was expected, not {other:?}"),
            )),
        }
    }

    /// `AND` for `decisive` false, `OR` for true: one decisive part decides, else a null.
    #[inline(never)]
    fn all(&self, parts: &'a [Expr], decisive: bool, depth: usize) -> Truth {
        let depth = self.deeper(depth)?;
        let mut unknown = false;
        for part in parts {
            match self.truth(part, depth)? {
                Some(value) if value == decisive => return Ok(Some(decisive)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { None } else { Some(!decisive) })
    }

    #[inline(never)]
    fn in_list(&self, expr: &'a Expr, list: &'a [Expr], negated: bool, depth: usize) -> Truth {
        let depth = self.deeper(depth)?;
        let value = self.value(expr, depth)?;
        let mut unknown = value.is_null() && !list.is_empty();
        for item in list {
            match compare(CompareOp::Eq, &value, &*self.value(item, depth)?) {
                Some(true) => return Ok(Some(!negated)),
                Some(false) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { None } else { Some(negated) })
    }

    #[inline(never)]
    fn matches(&self, expr: &'a Expr, depth: usize) -> Truth {
        let depth = self.deeper(depth)?;
        let (string, pattern, negated) = match expr {
            Expr::Like { expr, pattern, negated, .. }
            | Expr::Regex { expr, pattern, negated, .. } => (expr, pattern, *negated),
            _ => return Ok(None), // the caller sends only these two
        };
        let (string, pattern) = (self.value(string, depth)?, self.value(pattern, depth)?);
        let (Some(string), Some(pattern)) = (string.as_str(), pattern.as_str()) else {
            return Ok(None);
        };
        let found = match expr {
            Expr::Like { escape, case_insensitive, .. } => {
                let escape = match escape {
                    None => Some('\\'),
                    Some(escape) => match self.value(escape, depth)?.as_str() {
                        None => return Ok(None),
                        Some(text) => pattern::escape_character(text)?,
                    },
                };
                if *case_insensitive {
                    let (string, pattern) = (string.to_lowercase(), pattern.to_lowercase());
                    pattern::like_matches(&string, &pattern, escape)?
                } else {
                    pattern::like_matches(string, pattern, escape)?
                }
            }
            Expr::Regex { case_insensitive, .. } => {
                pattern::compile_regex(pattern, *case_insensitive)?.is_match(string)
            }
            _ => return Ok(None), // excluded above
        };
        Ok(Some(found != negated))
    }

    /// Expressions that pick one of their operands.
    #[inline(never)]
    fn choose(&self, expr: &'a Expr, depth: usize) -> Value<'a> {
        let depth = self.deeper(depth)?;
        match expr {
            Expr::Case { operand, branches, otherwise } => {
                let operand = match operand {
                    Some(operand) => Some(self.value(operand, depth)?),
                    None => None,
                };
                for (when, then) in branches {
                    let taken = match &operand {
                        None => self.truth(when, depth)?,
                        Some(operand) => {
                            compare(CompareOp::Eq, operand, &*self.value(when, depth)?)
                        }
                    };
                    if taken == Some(true) {
                        return self.value(then, depth);
                    }
                }
                match otherwise {
                    Some(otherwise) => self.value(otherwise, depth),
                    None => Ok(Cow::Owned(Datum::Null)),
                }
            }
            Expr::Coalesce(args) => {
                for arg in args {
                    let value = self.value(arg, depth)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Cow::Owned(Datum::Null))
            }
            Expr::NullIf(left, right) => {
                let (left, right) = (self.value(left, depth)?, self.value(right, depth)?);
                let equal = compare(CompareOp::Eq, &left, &right) == Some(true);
                Ok(if equal { Cow::Owned(Datum::Null) } else { left })
            }
            Expr::MinMax { greatest, args } => {
                let mut best: Option<Cow<'a, Datum>> = None;
                for arg in args {
                    let value = self.value(arg, depth)?;
                    let better = best.as_ref().is_none_or(|best| {
                        let order = value.compare(best);
                        if *greatest { order.is_gt() } else { order.is_lt() }
                    });
                    if !value.is_null() && better {
                        best = Some(value);
                    }
                }
                Ok(best.unwrap_or(Cow::Owned(Datum::Null)))
            }
            _ => self.value(expr, depth), // the caller sends only the above
        }
    }

    #[inline(never)]
    fn array(&self, expr: &'a Expr, depth: usize) -> Value<'a> {
        let depth = self.deeper(depth)?;
        Ok(Cow::Owned(match expr {
            Expr::Array { element, items } => {
                let items: Result<Vec<Datum>, SqlError> =
                    items.iter().map(|item| Ok(self.value(item, depth)?.into_owned())).collect();
                Datum::array(element.clone(), items?)
            }
            Expr::Subscript { array, index, base } => {
                let (array, index) = (self.value(array, depth)?, self.value(index, depth)?);
                let (Datum::Array(array), Some(index)) = (&*array, index.as_i64()) else {
                    return Ok(Cow::Owned(Datum::Null));
                };
                let at = usize::try_from(index - i64::from(*base)).ok();
                at.and_then(|at| array.items.get(at)).cloned().unwrap_or(Datum::Null)
            }
            Expr::Slice { array, low, high } => {
                let array = self.value(array, depth)?;
                let Datum::Array(array) = &*array else {
                    return Ok(Cow::Owned(Datum::Null));
                };
                let bound = |expr: &'a Option<Box<Expr>>, otherwise: i64| match expr {
                    None => Ok(Some(otherwise)),
                    Some(expr) => Ok::<_, SqlError>(self.value(expr, depth)?.as_i64()),
                };
                let end = i64::try_from(array.items.len()).unwrap_or(i64::MAX);
                let (Some(low), Some(high)) = (bound(low, 1)?, bound(high, end)?) else {
                    return Ok(Cow::Owned(Datum::Null));
                };
                let (low, high) = (low.max(1), high.min(end));
                let items = if low <= high {
                    array.items[low as usize - 1..high as usize].to_vec()
                } else {
                    Vec::new()
                };
                Datum::array(array.element.clone(), items)
            }
            _ => Datum::Null, // the caller sends only the above
        }))
    }
}

fn compare(op: CompareOp, left: &Datum, right: &Datum) -> Option<bool> {
    if left.is_null() || right.is_null() {
        return None;
    }
    Some(op.holds(left.compare(right)))
}

fn any_all(op: CompareOp, left: &Datum, array: &Datum, all: bool) -> Truth {
    let items: &Array = match array {
        Datum::Array(array) => array,
        Datum::Null => return Ok(None),
        _ => {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(SqlError::new(sqlstate::WRONG_OBJECT_TYPE, message));
        }
    };
    let mut unknown = false;
    for item in &items.items {
        match compare(op, left, item) {
            Some(value) if value != all => return Ok(Some(!all)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(all) })
}
