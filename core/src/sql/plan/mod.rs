//! Plans: what the binder makes of a statement and the optimiser makes runnable.
//!
//! [`LogicalPlan`] says what rows are wanted, [`PhysicalPlan`] how they are got; [`Plan`] is a whole
//! planned statement. Rows are lists of values: `Expr::Column(i)` is the i-th value of an operator's
//! input, and a join's input is the left row followed by the right one.

mod logical;
mod parts;
mod physical;
mod statement;

pub use logical::{LogicalPlan, ScanSource};
pub use physical::{Access, FunctionKind, PhysicalPlan, RangeBound, TableScan};
pub use statement::{
    DeletePlan, Field, InsertPlan, ModifySource, Plan, PlanRoot, RowLock, UpdatePlan,
};

pub use parts::{Aggregate, JoinType, SortKey, Subquery, SubqueryKind};
