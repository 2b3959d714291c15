//! Expressions.

use sqlparser::ast as sp;

use super::lower::{Lower, refuse, start};
use super::place::{end_of, start_of, start_of_query};
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::sql::parse::ast::{
    CaseBranch, Expr, ExprKind, LikeKind, Literal, Name, ObjectName, TypeName,
};
use crate::sql::parse::cursor::is_reserved;
use crate::sql::parse::stack::with_stack;
use crate::sql::parse::syntax::{error_near, unsupported};
use crate::sql::parse::type_name;

/// Functions that are called without parentheses.
const BARE_CALLS: &[&str] = &[
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "user",
];

fn negate(expr: Expr, negated: bool) -> Expr {
    if negated {
        Expr { position: expr.position, kind: ExprKind::Not(Box::new(expr)) }
    } else {
        expr
    }
}

impl Lower<'_> {
    pub(super) fn boxed(self, expr: sp::Expr) -> Result<Box<Expr>, SqlError> {
        Ok(Box::new(self.expr(expr)?))
    }

    /// Expressions between commas.
    pub(super) fn exprs(self, exprs: Vec<sp::Expr>) -> Result<Vec<Expr>, SqlError> {
        exprs.into_iter().map(|expr| self.expr(expr)).collect()
    }

    /// An expression.
    pub(super) fn expr(self, expr: sp::Expr) -> Result<Expr, SqlError> {
        with_stack(|| self.expr_level(expr))
    }

    fn expr_level(self, expr: sp::Expr) -> Result<Expr, SqlError> {
        match expr {
            sp::Expr::BinaryOp { .. } => self.binary(expr),
            sp::Expr::Nested(inner) => self.expr(*inner),
            sp::Expr::Value(value) => self.value(value),
            sp::Expr::Identifier(ident) => self.identifier(ident),
            sp::Expr::CompoundIdentifier(idents) => self.column(&idents),
            sp::Expr::UnaryOp { op, expr } => self.unary(op, *expr),
            sp::Expr::Function(call) => self.function(call),
            sp::Expr::Cast { kind, expr, data_type, format } => {
                self.cast(kind, *expr, &data_type, format.is_some())
            }
            sp::Expr::Subquery(query) => {
                let position = self.find_before(start_of_query(&query), "(");
                let query = Box::new(self.query(*query)?);
                Ok(Expr { kind: ExprKind::ScalarQuery(query), position })
            }
            sp::Expr::Exists { subquery, negated } => {
                let position = self.find_before(start_of_query(&subquery), "exists");
                let query = Box::new(self.query(*subquery)?);
                Ok(negate(Expr { kind: ExprKind::Exists(query), position }, negated))
            }
            sp::Expr::Case { .. } => self.case(expr),
            sp::Expr::InList { .. }
            | sp::Expr::InSubquery { .. }
            | sp::Expr::Between { .. }
            | sp::Expr::Like { .. }
            | sp::Expr::ILike { .. }
            | sp::Expr::SimilarTo { .. }
            | sp::Expr::AnyOp { .. }
            | sp::Expr::AllOp { .. } => self.predicate(expr),
            sp::Expr::IsFalse(_)
            | sp::Expr::IsNotFalse(_)
            | sp::Expr::IsTrue(_)
            | sp::Expr::IsNotTrue(_)
            | sp::Expr::IsNull(_)
            | sp::Expr::IsNotNull(_)
            | sp::Expr::IsUnknown(_)
            | sp::Expr::IsNotUnknown(_)
            | sp::Expr::IsDistinctFrom(..)
            | sp::Expr::IsNotDistinctFrom(..) => self.is_test(expr),
            sp::Expr::CompoundFieldAccess { root, access_chain } => {
                self.access(*root, access_chain)
            }
            sp::Expr::Tuple(items) => {
                let items = self.exprs(items)?;
                let position = items.first().map_or(0, |item| item.position);
                Ok(Expr { kind: ExprKind::Row(items), position })
            }
            sp::Expr::Array(array) => self.array(array),
            sp::Expr::TypedString(typed) => self.typed_string(typed),
            sp::Expr::Interval(interval) => self.interval(interval),
            sp::Expr::Collate { expr, collation } => {
                let operand = self.boxed(*expr)?;
                let collation = self.object_name(&collation)?;
                let position = collation.position();
                Ok(Expr { kind: ExprKind::Collate { operand, collation }, position })
            }
            other => self.special_call(other),
        }
    }

    fn value(self, value: sp::ValueWithSpan) -> Result<Expr, SqlError> {
        let sp::ValueWithSpan { value, span } = value;
        let position = start(span);
        let literal = match value {
            sp::Value::Number(digits, false) => Literal::Number(digits),
            sp::Value::SingleQuotedString(text)
            | sp::Value::EscapedStringLiteral(text)
            | sp::Value::UnicodeStringLiteral(text)
            | sp::Value::NationalStringLiteral(text) => Literal::String(text),
            sp::Value::DollarQuotedString(text) => Literal::String(text.value),
            sp::Value::Boolean(value) => Literal::Bool(value),
            sp::Value::Null => Literal::Null,
            sp::Value::Placeholder(name) => return parameter(&name, position),
            sp::Value::HexStringLiteral(_) | sp::Value::SingleQuotedByteStringLiteral(_) => {
                return Err(unsupported("a bit string", position));
            }
            other => return Err(error_near(&self.raw_at(position, &other.to_string()), position)),
        };
        Ok(Expr { kind: ExprKind::Literal(literal), position })
    }

    fn identifier(self, ident: sp::Ident) -> Result<Expr, SqlError> {
        let name = self.name(&ident)?;
        let position = name.position;
        if ident.quote_style.is_none() {
            if BARE_CALLS.contains(&name.text.as_str()) {
                return Ok(bare_call(name));
            }
            if name.text == "default" {
                return Ok(Expr { kind: ExprKind::Default, position });
            }
            if is_reserved(&name.text) {
                return Err(error_near(&self.raw_at(position, &name.text), position));
            }
        }
        Ok(Expr { kind: ExprKind::Column(vec![name]), position })
    }

    fn column(self, idents: &[sp::Ident]) -> Result<Expr, SqlError> {
        let names = self.names(idents)?;
        let position = names.first().map_or(0, |name| name.position);
        if 4 < names.len() {
            return Err(super::lower::too_many_dots(&names));
        }
        Ok(Expr { kind: ExprKind::Column(names), position })
    }

    /// The type of a cast, through sqlparser's canonical spelling: one grammar for types, ours.
    fn type_name(self, ty: &sp::DataType, position: u32) -> Result<TypeName, SqlError> {
        type_name::parse_text(&ty.to_string(), position)
    }

    fn cast(
        self,
        kind: sp::CastKind,
        operand: sp::Expr,
        ty: &sp::DataType,
        format: bool,
    ) -> Result<Expr, SqlError> {
        let (position, type_position) = match kind {
            sp::CastKind::DoubleColon => {
                let colons = self.find_after(end_of(&operand), "::");
                let next =
                    self.scan.index_at(colons).map_or(colons, |at| self.scan.position(at + 1));
                (colons, next)
            }
            sp::CastKind::Cast => {
                let cast = self.find_before(start_of(&operand), "cast");
                (cast, cast)
            }
            sp::CastKind::TryCast | sp::CastKind::SafeCast => {
                return Err(unsupported("TRY_CAST", start_of(&operand)));
            }
        };
        refuse!(position; format => "CAST … FORMAT");
        let operand = self.boxed(operand)?;
        let ty = self.type_name(ty, type_position)?;
        Ok(Expr { kind: ExprKind::Cast { operand, ty }, position })
    }

    fn typed_string(self, typed: sp::TypedString) -> Result<Expr, SqlError> {
        let sp::TypedString { data_type, value, uses_odbc_syntax } = typed;
        let operand = Box::new(self.value(value)?);
        let position = operand.position;
        refuse!(position; uses_odbc_syntax => "the ODBC syntax");
        let ty = self.type_name(&data_type, position)?;
        Ok(Expr { kind: ExprKind::Cast { operand, ty }, position })
    }

    fn interval(self, interval: sp::Interval) -> Result<Expr, SqlError> {
        let sp::Interval {
            value,
            leading_field,
            leading_precision,
            last_field,
            fractional_seconds_precision,
        } = interval;
        let operand = self.boxed(*value)?;
        let position = operand.position;
        refuse!(position;
            leading_field.is_some() || last_field.is_some() => "fields of an interval literal",
            leading_precision.is_some() => "the precision of an interval literal",
            fractional_seconds_precision.is_some() => "the precision of an interval literal",
        );
        let name = ObjectName { parts: vec![Name::new("interval", false, position)] };
        let ty = TypeName { name, modifiers: Vec::new(), array: false, position };
        Ok(Expr { kind: ExprKind::Cast { operand, ty }, position })
    }

    fn array(self, array: sp::Array) -> Result<Expr, SqlError> {
        let sp::Array { elem, named } = array;
        let items = self.exprs(elem)?;
        let position = items.first().map_or(0, |item| item.position);
        let position = self.find_before(position, "[");
        if !named {
            return Err(error_near("[", position));
        }
        Ok(Expr { kind: ExprKind::Array(items), position })
    }

    fn access(self, root: sp::Expr, chain: Vec<sp::AccessExpr>) -> Result<Expr, SqlError> {
        let mut expr = self.expr(root)?;
        for access in chain {
            let position = expr.position;
            match access {
                sp::AccessExpr::Subscript(sp::Subscript::Index { index }) => {
                    let (operand, index) = (Box::new(expr), self.boxed(index)?);
                    expr = Expr { kind: ExprKind::Subscript { operand, index }, position };
                }
                sp::AccessExpr::Subscript(sp::Subscript::Slice { .. }) => {
                    return Err(unsupported("a slice of an array", position));
                }
                sp::AccessExpr::Dot(field) => match (&mut expr.kind, field) {
                    (ExprKind::Column(parts), sp::Expr::Identifier(ident)) => {
                        parts.push(self.name(&ident)?);
                    }
                    _ => return Err(unsupported("a field of a composite value", position)),
                },
            }
        }
        Ok(expr)
    }

    fn case(self, expr: sp::Expr) -> Result<Expr, SqlError> {
        let sp::Expr::Case { case_token, end_token: _, operand, conditions, else_result } = expr
        else {
            return self.special_call(expr);
        };
        let position = start(case_token.0.span);
        let operand = operand.map(|operand| self.boxed(*operand)).transpose()?;
        let branches = conditions
            .into_iter()
            .map(|branch| {
                let sp::CaseWhen { condition, result } = branch;
                Ok(CaseBranch { when: self.expr(condition)?, then: self.expr(result)? })
            })
            .collect::<Result<_, SqlError>>()?;
        let otherwise = else_result.map(|otherwise| self.boxed(*otherwise)).transpose()?;
        Ok(Expr { kind: ExprKind::Case { operand, branches, otherwise }, position })
    }

    fn is_test(self, expr: sp::Expr) -> Result<Expr, SqlError> {
        let (operand, value, negated) = match expr {
            sp::Expr::IsNull(operand) => return self.is_null(*operand, false),
            sp::Expr::IsNotNull(operand) => return self.is_null(*operand, true),
            sp::Expr::IsDistinctFrom(left, right) => {
                return self.distinct_from(*left, *right, false);
            }
            sp::Expr::IsNotDistinctFrom(left, right) => {
                return self.distinct_from(*left, *right, true);
            }
            sp::Expr::IsFalse(operand) => (operand, Some(false), false),
            sp::Expr::IsNotFalse(operand) => (operand, Some(false), true),
            sp::Expr::IsTrue(operand) => (operand, Some(true), false),
            sp::Expr::IsNotTrue(operand) => (operand, Some(true), true),
            sp::Expr::IsUnknown(operand) => (operand, None, false),
            sp::Expr::IsNotUnknown(operand) => (operand, None, true),
            other => return self.special_call(other),
        };
        let operand = self.boxed(*operand)?;
        let position = operand.position;
        Ok(Expr { kind: ExprKind::IsBool { operand, value, negated }, position })
    }

    fn is_null(self, operand: sp::Expr, negated: bool) -> Result<Expr, SqlError> {
        let operand = self.boxed(operand)?;
        let position = operand.position;
        Ok(Expr { kind: ExprKind::IsNull { operand, negated }, position })
    }

    fn distinct_from(
        self,
        left: sp::Expr,
        right: sp::Expr,
        negated: bool,
    ) -> Result<Expr, SqlError> {
        let right_start = start_of(&right);
        let (left, right) = (self.boxed(left)?, self.boxed(right)?);
        let position = self.find_before(right_start, "is");
        Ok(Expr { kind: ExprKind::IsDistinct { left, right, negated }, position })
    }

    fn predicate(self, expr: sp::Expr) -> Result<Expr, SqlError> {
        match expr {
            sp::Expr::InList { expr, list, negated } => {
                let first = list.first().map_or(0, start_of);
                let (operand, list) = (self.boxed(*expr)?, self.exprs(list)?);
                if list.is_empty() {
                    return Err(error_near(")", operand.position));
                }
                let position = self.find_before(first, "in");
                Ok(Expr { kind: ExprKind::InList { operand, list, negated }, position })
            }
            sp::Expr::InSubquery { expr, subquery, negated } => {
                let position = self.find_before(start_of_query(&subquery), "in");
                let (operand, query) = (self.boxed(*expr)?, Box::new(self.query(*subquery)?));
                Ok(Expr { kind: ExprKind::InQuery { operand, query, negated }, position })
            }
            sp::Expr::Between { expr, negated, low, high } => {
                let position = self.find_before(start_of(&low), "between");
                let operand = self.boxed(*expr)?;
                let (low, high) = (self.boxed(*low)?, self.boxed(*high)?);
                Ok(Expr { kind: ExprKind::Between { operand, low, high, negated }, position })
            }
            sp::Expr::Like { negated, any, expr, pattern, escape_char } => {
                self.like(LikeKind::Like, [*expr, *pattern], escape_char, negated, any)
            }
            sp::Expr::ILike { negated, any, expr, pattern, escape_char } => {
                self.like(LikeKind::ILike, [*expr, *pattern], escape_char, negated, any)
            }
            sp::Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                self.like(LikeKind::SimilarTo, [*expr, *pattern], escape_char, negated, false)
            }
            sp::Expr::AnyOp { left, compare_op, right, is_some: _ } => {
                self.quantified(*left, &compare_op, *right, false)
            }
            sp::Expr::AllOp { left, compare_op, right } => {
                self.quantified(*left, &compare_op, *right, true)
            }
            other => self.special_call(other),
        }
    }

    fn like(
        self,
        kind: LikeKind,
        [operand, pattern]: [sp::Expr; 2],
        escape: Option<Box<sp::Expr>>,
        negated: bool,
        any: bool,
    ) -> Result<Expr, SqlError> {
        let word = match kind {
            LikeKind::Like => "like",
            LikeKind::ILike => "ilike",
            LikeKind::SimilarTo => "similar",
        };
        let position = self.find_before(start_of(&pattern), word);
        refuse!(position; any => "LIKE ANY");
        let (operand, pattern) = (self.boxed(operand)?, self.boxed(pattern)?);
        let escape = escape.map(|escape| self.boxed(*escape)).transpose()?;
        Ok(Expr { kind: ExprKind::Like { kind, operand, pattern, escape, negated }, position })
    }

    fn quantified(
        self,
        left: sp::Expr,
        op: &sp::BinaryOperator,
        right: sp::Expr,
        all: bool,
    ) -> Result<Expr, SqlError> {
        let (op, position) = self.quantified_op(op, start_of(&right))?;
        let left = self.boxed(left)?;
        let kind = match right {
            sp::Expr::Subquery(query) => {
                let query = Box::new(self.query(*query)?);
                ExprKind::AnyAllQuery { op, all, left, query }
            }
            right => ExprKind::AnyAll { op, all, left, right: self.boxed(right)? },
        };
        Ok(Expr { kind, position })
    }
}

/// A function that is called without parentheses.
pub(super) fn bare_call(name: Name) -> Expr {
    let position = name.position;
    let call = super::call::plain_call(ObjectName { parts: vec![name] }, Vec::new(), true);
    Expr { kind: ExprKind::Function(call), position }
}

/// `$n`
fn parameter(name: &str, position: u32) -> Result<Expr, SqlError> {
    let digits = name.strip_prefix('$').unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error_near(name, position));
    }
    match digits.parse::<u32>() {
        Ok(number) if 0 < number && number as usize <= limit::PARAMETERS_MAX => {
            Ok(Expr { kind: ExprKind::Param(number), position })
        }
        _ => Err(SqlError::new(
            sqlstate::UNDEFINED_PARAMETER,
            format!("there is no parameter {name}"),
        )
        .at(position)),
    }
}
