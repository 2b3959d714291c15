//! Expressions between nodes: a flat list, operands before operators.
//!
//! Reading it needs no recursion, and the depth of what is built is bounded, so hostile bytes
//! cannot exhaust the stack.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::expr::{CompareOp, EXPR_DEPTH_MAX, Expr};
use crate::row::datum::Datum;
use crate::row::functions::FunctionId;
use crate::row::types::DataType;

/// One expression without its operands; counts say how many to take.
#[derive(Serialize, Deserialize)]
enum Node {
    Const(Datum, DataType),
    Column(usize),
    Param(usize),
    Subquery(usize),
    Call(FunctionId, usize, DataType),
    Compare(CompareOp),
    And(usize),
    Or(usize),
    Not,
    Case { operand: bool, branches: usize, otherwise: bool },
    Coalesce(usize),
    NullIf,
    MinMax(bool, usize),
    Cast { from: DataType, to: DataType, explicit: bool },
    InList { count: usize, negated: bool },
    Like { escape: bool, negated: bool, case_insensitive: bool },
    Regex { negated: bool, case_insensitive: bool },
    IsNull(bool),
    IsBool(Option<bool>, bool),
    IsDistinct(bool),
    AnyAll(CompareOp, bool),
    Array(DataType, usize),
    Subscript(i32),
    Slice { low: bool, high: bool },
}

fn node(expr: &Expr) -> Node {
    match expr {
        Expr::Const(datum, ty) => Node::Const(datum.clone(), ty.clone()),
        Expr::Column(index) => Node::Column(*index),
        Expr::Param(index) => Node::Param(*index),
        Expr::Subquery(number) => Node::Subquery(*number),
        Expr::Call { function, args, ty } => Node::Call(*function, args.len(), ty.clone()),
        Expr::Compare { op, .. } => Node::Compare(*op),
        Expr::And(parts) => Node::And(parts.len()),
        Expr::Or(parts) => Node::Or(parts.len()),
        Expr::Not(_) => Node::Not,
        Expr::Case { operand, branches, otherwise } => Node::Case {
            operand: operand.is_some(),
            branches: branches.len(),
            otherwise: otherwise.is_some(),
        },
        Expr::Coalesce(args) => Node::Coalesce(args.len()),
        Expr::NullIf(..) => Node::NullIf,
        Expr::MinMax { greatest, args } => Node::MinMax(*greatest, args.len()),
        Expr::Cast { from, to, explicit, .. } => {
            Node::Cast { from: from.clone(), to: to.clone(), explicit: *explicit }
        }
        Expr::InList { list, negated, .. } => Node::InList { count: list.len(), negated: *negated },
        Expr::Like { escape, negated, case_insensitive, .. } => Node::Like {
            escape: escape.is_some(),
            negated: *negated,
            case_insensitive: *case_insensitive,
        },
        Expr::Regex { negated, case_insensitive, .. } => {
            Node::Regex { negated: *negated, case_insensitive: *case_insensitive }
        }
        Expr::IsNull { negated, .. } => Node::IsNull(*negated),
        Expr::IsBool { value, negated, .. } => Node::IsBool(*value, *negated),
        Expr::IsDistinct { negated, .. } => Node::IsDistinct(*negated),
        Expr::AnyAll { op, all, .. } => Node::AnyAll(*op, *all),
        Expr::Array { element, items } => Node::Array(element.clone(), items.len()),
        Expr::Subscript { base, .. } => Node::Subscript(*base),
        Expr::Slice { low, high, .. } => Node::Slice { low: low.is_some(), high: high.is_some() },
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Parents first, children from last to first: reversed, children come before their parents
        // in order.
        let mut nodes = Vec::new();
        let mut stack = vec![self];
        while let Some(expr) = stack.pop() {
            nodes.push(node(expr));
            stack.extend(expr.children());
        }
        nodes.reverse();
        nodes.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let nodes = Vec::<Node>::deserialize(deserializer)?;
        let mut stack = Stack::default();
        for node in nodes {
            stack.push(node).ok_or_else(|| D::Error::custom("malformed expression"))?;
        }
        match (stack.exprs.pop(), stack.exprs.is_empty()) {
            (Some((expr, _)), true) => Ok(expr),
            _ => Err(D::Error::custom("malformed expression")),
        }
    }
}

/// Finished expressions with their depths.
#[derive(Default)]
struct Stack {
    exprs: Vec<(Expr, usize)>,
    /// The deepest operand that the current node has taken.
    depth: usize,
}

impl Stack {
    fn one(&mut self) -> Option<Expr> {
        let (expr, depth) = self.exprs.pop()?;
        self.depth = self.depth.max(depth);
        Some(expr)
    }

    fn boxed(&mut self) -> Option<Box<Expr>> {
        self.one().map(Box::new)
    }

    /// An operand that is there if `present`.
    fn maybe(&mut self, present: bool) -> Option<Option<Box<Expr>>> {
        if present { self.boxed().map(Some) } else { Some(None) }
    }

    fn many(&mut self, count: usize) -> Option<Vec<Expr>> {
        let at = self.exprs.len().checked_sub(count)?;
        let taken = self.exprs.split_off(at);
        self.depth = taken.iter().map(|(_, depth)| *depth).fold(self.depth, usize::max);
        Some(taken.into_iter().map(|(expr, _)| expr).collect())
    }

    /// Operands come off the stack from last to first.
    fn push(&mut self, node: Node) -> Option<()> {
        self.depth = 0;
        let expr = self.build(node)?;
        let depth = self.depth + 1;
        if EXPR_DEPTH_MAX < depth {
            return None;
        }
        self.exprs.push((expr, depth));
        Some(())
    }

    fn build(&mut self, node: Node) -> Option<Expr> {
        Some(match node {
            Node::Const(datum, ty) => Expr::Const(datum, ty),
            Node::Column(index) => Expr::Column(index),
            Node::Param(index) => Expr::Param(index),
            Node::Subquery(number) => Expr::Subquery(number),
            Node::Call(function, count, ty) => Expr::Call { function, args: self.many(count)?, ty },
            Node::Compare(op) => {
                let right = self.boxed()?;
                Expr::Compare { op, left: self.boxed()?, right }
            }
            Node::And(count) => Expr::And(self.many(count)?),
            Node::Or(count) => Expr::Or(self.many(count)?),
            Node::Not => Expr::Not(self.boxed()?),
            Node::Case { operand, branches, otherwise } => {
                let otherwise = self.maybe(otherwise)?;
                let mut flat = self.many(branches.checked_mul(2)?)?.into_iter();
                let mut branches = Vec::new();
                while let (Some(when), Some(then)) = (flat.next(), flat.next()) {
                    branches.push((when, then));
                }
                Expr::Case { operand: self.maybe(operand)?, branches, otherwise }
            }
            Node::Coalesce(count) => Expr::Coalesce(self.many(count)?),
            Node::NullIf => {
                let right = self.boxed()?;
                Expr::NullIf(self.boxed()?, right)
            }
            Node::MinMax(greatest, count) => Expr::MinMax { greatest, args: self.many(count)? },
            Node::Cast { from, to, explicit } => {
                Expr::Cast { expr: self.boxed()?, from, to, explicit }
            }
            Node::InList { count, negated } => {
                let list = self.many(count)?;
                Expr::InList { expr: self.boxed()?, list, negated }
            }
            Node::Like { escape, negated, case_insensitive } => {
                let escape = self.maybe(escape)?;
                let pattern = self.boxed()?;
                Expr::Like { expr: self.boxed()?, pattern, escape, negated, case_insensitive }
            }
            Node::Regex { negated, case_insensitive } => {
                let pattern = self.boxed()?;
                Expr::Regex { expr: self.boxed()?, pattern, negated, case_insensitive }
            }
            Node::IsNull(negated) => Expr::IsNull { expr: self.boxed()?, negated },
            Node::IsBool(value, negated) => Expr::IsBool { expr: self.boxed()?, value, negated },
            Node::IsDistinct(negated) => {
                let right = self.boxed()?;
                Expr::IsDistinct { left: self.boxed()?, right, negated }
            }
            Node::AnyAll(op, all) => {
                let array = self.boxed()?;
                Expr::AnyAll { op, left: self.boxed()?, array, all }
            }
            Node::Array(element, count) => Expr::Array { element, items: self.many(count)? },
            Node::Subscript(base) => {
                let index = self.boxed()?;
                Expr::Subscript { array: self.boxed()?, index, base }
            }
            Node::Slice { low, high } => {
                let high = self.maybe(high)?;
                let low = self.maybe(low)?;
                Expr::Slice { array: self.boxed()?, low, high }
            }
        })
    }
}
