//! Function calls, and the functions that SQL gives a grammar of their own.

use sqlparser::ast as sp;

use super::lower::{Lower, refuse};
use super::place::start_of;
use crate::base::error::SqlError;
use crate::sql::parse::ast::{Expr, ExprKind, FunctionCall, Literal, Name, ObjectName, OrderItem};
use crate::sql::parse::syntax::unsupported;

/// A call of nothing special.
pub(super) fn plain_call(name: ObjectName, args: Vec<Expr>, bare: bool) -> FunctionCall {
    FunctionCall {
        name,
        args,
        star: false,
        distinct: false,
        order_by: Vec::new(),
        filter: None,
        bare,
    }
}

/// The arguments of a call, taken apart.
struct Arguments {
    args: Vec<Expr>,
    star: bool,
    distinct: bool,
    order_by: Vec<OrderItem>,
}

impl Lower<'_> {
    /// `name(…)`
    pub(super) fn function(self, call: sp::Function) -> Result<Expr, SqlError> {
        let sp::Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment,
            over,
        } = call;
        let is_plain = |word: &str| {
            matches!(name.0.as_slice(), [sp::ObjectNamePart::Identifier(ident)]
                if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case(word))
        };
        if is_plain("values") {
            return Err(unsupported("VALUES in an expression", 0));
        }
        let (is_array, is_row) = (is_plain("array"), is_plain("row"));
        let name = self.object_name(&name)?;
        let position = name.position();
        refuse!(position;
            uses_odbc_syntax => "the ODBC syntax",
            parameters != sp::FunctionArguments::None => "a call with parameters",
            !within_group.is_empty() => "WITHIN GROUP",
            null_treatment.is_some() => "IGNORE NULLS",
            over.is_some() => "a window function",
        );
        let arguments = match args {
            sp::FunctionArguments::None => {
                let call = plain_call(name, Vec::new(), true);
                return Ok(Expr { kind: ExprKind::Function(call), position });
            }
            sp::FunctionArguments::Subquery(query) => {
                refuse!(position; !is_array => "a subquery without parentheses of its own");
                let query = Box::new(self.query(*query)?);
                return Ok(Expr { kind: ExprKind::ArrayQuery(query), position });
            }
            sp::FunctionArguments::List(list) => self.arguments(list, position)?,
        };
        let Arguments { args, star, distinct, order_by } = arguments;
        if is_row && !star && !distinct && order_by.is_empty() {
            return Ok(Expr { kind: ExprKind::Row(args), position });
        }
        let filter = filter.map(|filter| self.boxed(*filter)).transpose()?;
        let call = FunctionCall { name, args, star, distinct, order_by, filter, bare: false };
        Ok(Expr { kind: ExprKind::Function(call), position })
    }

    fn arguments(
        self,
        list: sp::FunctionArgumentList,
        position: u32,
    ) -> Result<Arguments, SqlError> {
        let sp::FunctionArgumentList { duplicate_treatment, args, clauses } = list;
        let distinct = duplicate_treatment == Some(sp::DuplicateTreatment::Distinct);
        let mut order_by = Vec::new();
        for clause in clauses {
            match clause {
                sp::FunctionArgumentClause::OrderBy(items) => order_by = self.order_items(items)?,
                _ => return Err(unsupported("this clause of a call", position)),
            }
        }
        if let [sp::FunctionArg::Unnamed(arg)] = args.as_slice() {
            let star = match arg {
                sp::FunctionArgExpr::Wildcard => true,
                sp::FunctionArgExpr::WildcardWithOptions(options) => {
                    self.star(options.clone())?;
                    true
                }
                sp::FunctionArgExpr::Expr(_) | sp::FunctionArgExpr::QualifiedWildcard(_) => false,
            };
            if star {
                return Ok(Arguments { args: Vec::new(), star, distinct, order_by });
            }
        }
        Ok(Arguments { args: self.args(args, position)?, star: false, distinct, order_by })
    }

    /// Arguments without names or stars.
    pub(super) fn args(
        self,
        args: Vec<sp::FunctionArg>,
        position: u32,
    ) -> Result<Vec<Expr>, SqlError> {
        args.into_iter()
            .map(|arg| match arg {
                sp::FunctionArg::Unnamed(sp::FunctionArgExpr::Expr(expr)) => self.expr(expr),
                sp::FunctionArg::Unnamed(_) => Err(unsupported("* as an argument", position)),
                sp::FunctionArg::Named { .. } | sp::FunctionArg::ExprNamed { .. } => {
                    Err(unsupported("a named argument", position))
                }
            })
            .collect()
    }

    /// The functions with a grammar of their own; anything left over is not supported.
    pub(super) fn special_call(self, expr: sp::Expr) -> Result<Expr, SqlError> {
        let position = start_of(&expr);
        match expr {
            sp::Expr::AtTimeZone { timestamp, time_zone } => {
                let args = vec![self.expr(*time_zone)?, self.expr(*timestamp)?];
                Ok(self.named_call("timezone", position, "at", args))
            }
            sp::Expr::Extract { field, syntax: sp::ExtractSyntax::From, expr } => {
                let text = Literal::String(field.to_string().to_ascii_lowercase());
                let field = Expr { kind: ExprKind::Literal(text), position };
                let args = vec![field, self.expr(*expr)?];
                Ok(self.named_call("extract", position, "extract", args))
            }
            sp::Expr::Ceil { expr, field } => self.rounding("ceil", *expr, &field, position),
            sp::Expr::Floor { expr, field } => self.rounding("floor", *expr, &field, position),
            sp::Expr::Position { expr, r#in } => {
                let args = vec![self.expr(*r#in)?, self.expr(*expr)?];
                Ok(self.named_call("position", position, "position", args))
            }
            sp::Expr::Substring {
                expr,
                substring_from,
                substring_for,
                special: _,   // commas instead of FROM and FOR
                shorthand: _, // SUBSTR instead of SUBSTRING
            } => {
                let mut args = vec![self.expr(*expr)?];
                match (substring_from, substring_for.is_some()) {
                    (Some(from), _) => args.push(self.expr(*from)?),
                    (None, true) => {
                        let one = Literal::Number("1".to_owned());
                        args.push(Expr { kind: ExprKind::Literal(one), position });
                    }
                    (None, false) => {}
                }
                if let Some(count) = substring_for {
                    args.push(self.expr(*count)?);
                }
                Ok(self.named_call("substring", position, "substring", args))
            }
            sp::Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(sp::TrimWhereField::Both) => "btrim",
                    Some(sp::TrimWhereField::Leading) => "ltrim",
                    Some(sp::TrimWhereField::Trailing) => "rtrim",
                };
                let mut args = vec![self.expr(*expr)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(*what)?);
                }
                args.extend(self.exprs(trim_characters.unwrap_or_default())?);
                Ok(self.named_call(name, position, "trim", args))
            }
            sp::Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args =
                    vec![self.expr(*expr)?, self.expr(*overlay_what)?, self.expr(*overlay_from)?];
                if let Some(count) = overlay_for {
                    args.push(self.expr(*count)?);
                }
                Ok(self.named_call("overlay", position, "overlay", args))
            }
            sp::Expr::GroupingSets(_) | sp::Expr::Cube(_) | sp::Expr::Rollup(_) => {
                Err(unsupported("GROUPING SETS, CUBE or ROLLUP", position))
            }
            // Grammar of other databases, or of PostgreSQL's XML, JSON and text search.
            _ => Err(unsupported("this expression", position)),
        }
    }

    fn rounding(
        self,
        name: &str,
        expr: sp::Expr,
        field: &sp::CeilFloorKind,
        position: u32,
    ) -> Result<Expr, SqlError> {
        let plain =
            matches!(field, sp::CeilFloorKind::DateTimeField(sp::DateTimeField::NoDateTime));
        refuse!(position; !plain => "CEIL or FLOOR with a second argument");
        let arg = self.expr(expr)?;
        Ok(self.named_call(name, position, name, vec![arg]))
    }

    /// A call of `name`, written with the word `written` before `position`.
    fn named_call(self, name: &str, position: u32, written: &str, args: Vec<Expr>) -> Expr {
        let position = self.find_before(position, written);
        let name = ObjectName { parts: vec![Name::new(name, false, position)] };
        Expr { kind: ExprKind::Function(plain_call(name, args, false)), position }
    }
}
