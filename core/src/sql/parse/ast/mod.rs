//! The syntax tree of a statement, in our own words.
//!
//! What the user wrote, and nothing of what it means: names are folded and cut as PostgreSQL does, but
//! not resolved; literals are text. Every node that an error may point at carries a one-based position
//! in characters, counted over the whole query string; 0 means "none".

mod ddl;
mod expr;
mod name;
mod query;
mod statement;

pub use ddl::{
    AlterTable, AlterTableAction, ColumnConstraint, ColumnConstraintKind, ColumnDefinition,
    CreateDatabase, CreateIndex, CreateRole, CreateSequence, CreateTable, Drop, ObjectKind,
    SequenceOptions, StorageOption, TableConstraint, TableConstraintKind,
};
pub use expr::{CaseBranch, Expr, ExprKind, FunctionCall, LikeKind, Literal};
pub use name::{Name, ObjectName, TypeName};
pub use query::{
    Cte, Distinct, FunctionTable, Join, JoinConstraint, JoinKind, LockStrength, LockWait,
    LockingClause, OrderItem, Query, Select, SelectItem, SetBody, SetOperation, SetOperator,
    TableAlias, TableRef,
};
pub use statement::{
    Assignment, Copy, CopyFormat, CopyOptions, CopySource, Delete, Explain, Insert, InsertSource,
    IsolationLevel, Prepare, Setting, SettingScope, Statement, TransactionModes, Update, Vacuum,
};
