//! FROM: tables, subqueries, functions and joins become a plan and a scope.

use super::binder::{Binder, Clause, rename};
use super::names::Relation;
use super::scope::{Lookup, Scope, ScopeColumn};
use super::types;
use crate::base::error::{SqlError, sqlstate};
use crate::row::eval::{CompareOp, Expr};
use crate::row::types::DataType;
use crate::sql::bind::binder::Typed;
use crate::sql::parse::ast::{
    FunctionTable, Join, JoinConstraint, JoinKind, Name, ObjectName, TableAlias, TableRef,
};
use crate::sql::plan::{Field, FunctionKind, JoinType, LogicalPlan, RowLock, ScanSource};

/// Functions that give several rows.
pub(super) fn is_set_returning(name: &str) -> bool {
    matches!(
        name,
        "generate_series"
            | "unnest"
            | "generate_subscripts"
            | "regexp_matches"
            | "aclexplode"
            | "regexp_split_to_table"
            | "string_to_table"
    )
}

impl Binder<'_> {
    /// The items of FROM; the level's scope then holds their columns.
    pub(super) fn bind_from_items(
        &mut self,
        items: &[TableRef],
        lock: &dyn Fn(&str) -> Option<RowLock>,
    ) -> Result<LogicalPlan, SqlError> {
        self.join_items(None, items, lock)
    }

    /// More items to the right of what is bound already.
    pub(super) fn join_items(
        &mut self,
        mut plan: Option<LogicalPlan>,
        items: &[TableRef],
        lock: &dyn Fn(&str) -> Option<RowLock>,
    ) -> Result<LogicalPlan, SqlError> {
        for item in items {
            let before = std::mem::take(&mut self.level().scope);
            // What stands to the left is in sight for LATERAL only.
            let (right, captures) = self.bind_from_item(item, lock, &before)?;
            let mut scope = before;
            let mut added = std::mem::take(&mut self.level().scope);
            check_duplicates(&scope, &added, item)?;
            plan = Some(match plan {
                None => right,
                Some(left) => {
                    shift(&mut added, left.width());
                    LogicalPlan::Join {
                        kind: JoinType::Inner,
                        left: Box::new(left),
                        right: Box::new(right),
                        on: None,
                        lateral: captures,
                    }
                }
            });
            scope.columns.append(&mut added.columns);
            self.level().scope = scope;
        }
        Ok(plan.unwrap_or_else(LogicalPlan::one_row))
    }

    #[allow(clippy::type_complexity)]
    fn bind_from_item(
        &mut self,
        item: &TableRef,
        lock: &dyn Fn(&str) -> Option<RowLock>,
        left: &Scope,
    ) -> Result<(LogicalPlan, Vec<(usize, Expr)>), SqlError> {
        match item {
            TableRef::Table { name, alias } => {
                let alias_name = alias.as_ref().map_or(&name.name().text, |a| &a.name.text);
                let lock = lock(alias_name);
                Ok((self.table(name, alias.as_ref(), lock)?, Vec::new()))
            }
            TableRef::Query { lateral, query, alias, position } => {
                let Some(alias) = alias else {
                    let message = "subquery in FROM must have an alias";
                    return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message)
                        .at(*position)
                        .hint("For example, FROM (SELECT ...) [AS] foo."));
                };
                self.level().scope = if *lateral { left.clone() } else { Scope::default() };
                let (mut bound, captures) = self.nested(|binder| binder.query(query, None))?;
                rename(&mut bound.fields, &alias.columns, &alias.name.text)?;
                self.level().scope = derived(&alias.name.text, &bound.fields);
                let captures = self.sort_captures(captures, *lateral)?;
                Ok((bound.plan, captures))
            }
            TableRef::Function(function) => self.table_function(function, left),
            TableRef::Join(join) => Ok((self.join(join, lock, left)?, Vec::new())),
        }
    }

    /// Captures of the item's own left side stay with it; without LATERAL there can be none.
    fn sort_captures(
        &mut self,
        captures: Vec<(usize, Expr)>,
        lateral: bool,
    ) -> Result<Vec<(usize, Expr)>, SqlError> {
        let own: Vec<_> =
            captures.into_iter().filter(|(_, value)| matches!(value, Expr::Column(_))).collect();
        if !own.is_empty() && !lateral {
            return Err(SqlError::unsupported("a reference to the left without LATERAL"));
        }
        Ok(own)
    }

    fn table(
        &mut self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
        lock: Option<RowLock>,
    ) -> Result<LogicalPlan, SqlError> {
        let alias_name = alias.map_or(&name.name().text, |alias| &alias.name.text).clone();
        let renamed: &[Name] = alias.map_or(&[], |alias| &alias.columns);
        if name.parts.len() == 1
            && let Some(cte) =
                self.visible_ctes.iter().rev().find(|cte| cte.name == name.name().text).cloned()
        {
            let mut fields = cte.fields;
            rename(&mut fields, renamed, &alias_name)?;
            self.level().scope = derived(&alias_name, &fields);
            return Ok(LogicalPlan::Cte { number: cte.number, width: fields.len() });
        }
        let relation = self.relation(name)?;
        let mut scope = relation_scope(&relation, &alias_name, alias.is_none());
        if scope.columns.len() < renamed.len() {
            let message = format!(
                "table \"{alias_name}\" has {} columns available but {} columns specified",
                scope.columns.len(),
                renamed.len()
            );
            let state = sqlstate::INVALID_COLUMN_REFERENCE;
            return Err(SqlError::new(state, message).at(renamed[0].position));
        }
        for (column, name) in scope.columns.iter_mut().zip(renamed) {
            column.name.clone_from(&name.text);
        }
        let width = scope.columns.len();
        self.level().scope = scope;
        let source = match relation {
            Relation::Table(table) => ScanSource::Table(table),
            Relation::View { schema, name, .. } => ScanSource::View { schema, name, width },
            Relation::Other(what) => {
                let message = format!("\"{}\" is {what}", name.name());
                let state = sqlstate::WRONG_OBJECT_TYPE;
                return Err(SqlError::new(state, message).at(name.position()));
            }
        };
        Ok(LogicalPlan::Scan { source, lock })
    }

    /// The relation of a name.
    pub(super) fn relation(&self, name: &ObjectName) -> Result<Relation, SqlError> {
        if let Some(database) = name.database()
            && database.text != self.names.database()
        {
            let message = format!("cross-database references are not implemented: \"{name}\"");
            let state = sqlstate::FEATURE_NOT_SUPPORTED;
            return Err(SqlError::new(state, message).at(name.position()));
        }
        let schema = name.schema().map(|schema| schema.text.as_str());
        self.names.relation(schema, &name.name().text).ok_or_else(|| {
            let message = format!("relation \"{}\" does not exist", schema_and_name(name));
            SqlError::new(sqlstate::UNDEFINED_TABLE, message).at(name.position())
        })
    }

    #[allow(clippy::type_complexity)]
    fn table_function(
        &mut self,
        function: &FunctionTable,
        left: &Scope,
    ) -> Result<(LogicalPlan, Vec<(usize, Expr)>), SqlError> {
        let name = function.name.name().text.clone();
        let position = function.name.position();
        // Functions see what stands to their left, with or without LATERAL.
        self.level().scope = left.clone();
        let (args, captures) = self.nested(|binder| {
            binder.within(Clause::From, |binder| {
                function.args.iter().map(|arg| binder.expr(arg)).collect::<Result<Vec<_>, _>>()
            })
        })?;
        let (kind, args, ty) = self.function_kind(&name, args, function, position)?;
        let alias = function.alias.as_ref();
        let table = alias.map_or(name.clone(), |alias| alias.name.text.clone());
        let first = alias.map_or(name, |alias| alias.name.text.clone());
        let plain = |name: String, ty| Field { name, ty, table_oid: 0, column: 0 };
        let mut fields = vec![plain(first, ty)];
        if function.ordinality {
            fields.push(plain("ordinality".to_owned(), DataType::Int8));
        }
        rename(&mut fields, alias.map_or(&[], |alias| &alias.columns), &table)?;
        self.level().scope = derived(&table, &fields);
        let captures = self.sort_captures(captures, true)?;
        let ordinality = function.ordinality;
        Ok((LogicalPlan::Function { kind, args, ordinality }, captures))
    }

    fn function_kind(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        function: &FunctionTable,
        position: u32,
    ) -> Result<(FunctionKind, Vec<Expr>, DataType), SqlError> {
        let types: Vec<DataType> = args.iter().map(|arg| arg.ty.clone()).collect();
        let (kind, wanted, ty) = match (name, types.as_slice()) {
            ("generate_series", [_, _] | [_, _, _]) => {
                let common = types::common(types[..2].iter()).ok();
                let (kind, ty) = match common {
                    Some(DataType::Int2 | DataType::Int4) => {
                        if types.get(2) == Some(&DataType::Int8) {
                            (FunctionKind::SeriesInt8, DataType::Int8)
                        } else {
                            (FunctionKind::SeriesInt4, DataType::Int4)
                        }
                    }
                    Some(DataType::Int8) => (FunctionKind::SeriesInt8, DataType::Int8),
                    Some(DataType::Numeric { .. }) => {
                        (FunctionKind::SeriesNumeric, DataType::NUMERIC)
                    }
                    Some(DataType::Timestamp) if types.len() == 3 => {
                        (FunctionKind::SeriesTimestamp, DataType::Timestamp)
                    }
                    Some(DataType::Timestamptz | DataType::Date) if types.len() == 3 => {
                        (FunctionKind::SeriesTimestamptz, DataType::Timestamptz)
                    }
                    _ => return Err(super::call::no_function(name, &types, position)),
                };
                let step = match ty {
                    DataType::Timestamp | DataType::Timestamptz => DataType::Interval,
                    _ => ty.clone(),
                };
                (kind, vec![ty.clone(), ty.clone(), step], ty)
            }
            ("unnest", [array]) => match array.element() {
                Some(element) => (FunctionKind::Unnest, vec![array.clone()], element),
                None => return Err(super::call::no_function(name, &types, position)),
            },
            _ if is_set_returning(name) => {
                let what = format!("function {name} in FROM");
                return Err(SqlError::unsupported(what).at(position));
            }
            _ => {
                let call = crate::sql::parse::ast::FunctionCall {
                    name: function.name.clone(),
                    args: function.args.clone(),
                    star: false,
                    distinct: false,
                    order_by: Vec::new(),
                    filter: None,
                    bare: false,
                };
                let (value, _) = self.nested(|binder| {
                    binder.within(Clause::From, |binder| binder.call(&call, position))
                })?;
                return Ok((FunctionKind::Scalar, vec![value.expr], value.ty));
            }
        };
        let args = args
            .into_iter()
            .zip(&wanted)
            .map(|(arg, ty)| Ok(self.coerce(arg, ty)?.expr))
            .collect::<Result<Vec<_>, SqlError>>()?;
        Ok((kind, args, ty))
    }

    fn join(
        &mut self,
        join: &Join,
        lock: &dyn Fn(&str) -> Option<RowLock>,
        outside: &Scope,
    ) -> Result<LogicalPlan, SqlError> {
        let (left, left_captures) = self.bind_from_item(&join.left, lock, outside)?;
        let left_scope = std::mem::take(&mut self.level().scope);
        let (right, lateral) = self.bind_from_item(&join.right, lock, &left_scope)?;
        if !left_captures.is_empty() {
            return Err(SqlError::unsupported("LATERAL at the left of a join"));
        }
        let mut right_scope = std::mem::take(&mut self.level().scope);
        check_duplicates(&left_scope, &right_scope, &join.right)?;
        shift(&mut right_scope, left.width());
        let kind = match join.kind {
            JoinKind::Inner | JoinKind::Cross => JoinType::Inner,
            JoinKind::Left => JoinType::Left,
            JoinKind::Right => JoinType::Right,
            JoinKind::Full => JoinType::Full,
        };
        if !lateral.is_empty() && !matches!(kind, JoinType::Inner | JoinType::Left) {
            return Err(SqlError::unsupported("LATERAL in a RIGHT or FULL JOIN"));
        }
        let shared = match &join.constraint {
            JoinConstraint::Using(columns) => Some(columns.clone()),
            JoinConstraint::Natural => Some(common_names(&left_scope, &right_scope)),
            JoinConstraint::On(_) | JoinConstraint::None => None,
        };
        let width = left.width() + right.width();
        let (left, right) = (Box::new(left), Box::new(right));
        let Some(shared) = shared else {
            self.level().scope.columns = left_scope.columns;
            self.level().scope.columns.append(&mut right_scope.columns);
            let on = match &join.constraint {
                JoinConstraint::On(on) => {
                    let on =
                        self.within(Clause::JoinOn, |binder| binder.condition(on, "JOIN/ON"))?;
                    let mut reads = false;
                    on.walk(&mut |part| reads |= matches!(part, Expr::Subquery(_)));
                    if reads {
                        return Err(SqlError::unsupported("a subquery in JOIN … ON"));
                    }
                    Some(on)
                }
                _ => None,
            };
            return Ok(LogicalPlan::Join { kind, left, right, on, lateral });
        };
        let merged = self.merge(&shared, (&left_scope, &right_scope), kind, width)?;
        let on = match merged.conditions.len() {
            0 => None,
            _ => Some(Expr::And(merged.conditions)),
        };
        let plan = LogicalPlan::Join { kind, left, right, on, lateral };
        // Merged columns of a FULL join are values of their own: COALESCE(left, right).
        let computed: Vec<Expr> = merged.computed;
        let plan = if computed.is_empty() {
            plan
        } else {
            let exprs = (0..width).map(Expr::Column).chain(computed).collect();
            LogicalPlan::Project { input: Box::new(plan), exprs }
        };
        self.level().scope = merged.scope;
        Ok(plan)
    }

    fn merge(
        &mut self,
        shared: &[Name],
        (left, right): (&Scope, &Scope),
        kind: JoinType,
        width: usize,
    ) -> Result<Merged, SqlError> {
        let mut merged = Merged::default();
        let (mut left_columns, mut right_columns) = (left.columns.clone(), right.columns.clone());
        let mut front = Vec::new();
        for name in shared {
            let l = find_shared(left, name, "left")?;
            let r = find_shared(right, name, "right")?;
            let typed = |column: &ScopeColumn| Typed {
                expr: Expr::Column(column.index),
                ty: column.ty.clone(),
                position: name.position,
            };
            let test = self.compare("=", CompareOp::Eq, typed(&l), typed(&r), name.position)?;
            merged.conditions.push(test.expr);
            let (exprs, ty) = self.unify("JOIN/USING", vec![typed(&l), typed(&r)])?;
            let (index, table_oid, attnum) = match kind {
                JoinType::Right => (r.index, r.table_oid, r.attnum),
                JoinType::Full => {
                    merged.computed.push(Expr::Coalesce(exprs));
                    (width + merged.computed.len() - 1, 0, 0)
                }
                _ => (l.index, l.table_oid, l.attnum),
            };
            front.push(ScopeColumn {
                table: None,
                schema: None,
                name: name.text.clone(),
                ty,
                table_oid,
                attnum,
                index,
                primary: false,
                merged: false,
            });
            for column in left_columns.iter_mut().filter(|c| c.index == l.index) {
                column.merged = true;
            }
            for column in right_columns.iter_mut().filter(|c| c.index == r.index) {
                column.merged = true;
            }
        }
        front.append(&mut left_columns);
        front.append(&mut right_columns);
        merged.scope.columns = front;
        Ok(merged)
    }
}

#[derive(Default)]
struct Merged {
    conditions: Vec<Expr>,
    computed: Vec<Expr>,
    scope: Scope,
}

fn find_shared(scope: &Scope, name: &Name, side: &str) -> Result<ScopeColumn, SqlError> {
    match scope.by_name(&name.text) {
        Lookup::Column(column) => Ok(column.clone()),
        Lookup::Ambiguous => {
            let message =
                format!("common column name \"{name}\" appears more than once in {side} table");
            Err(SqlError::new(sqlstate::AMBIGUOUS_COLUMN, message).at(name.position))
        }
        Lookup::NoColumn | Lookup::Nothing => {
            let message = format!(
                "column \"{name}\" specified in USING clause does not exist in {side} table"
            );
            Err(SqlError::new(sqlstate::UNDEFINED_COLUMN, message).at(name.position))
        }
    }
}

fn common_names(left: &Scope, right: &Scope) -> Vec<Name> {
    let visible = |scope: &Scope, name: &str| {
        scope.columns.iter().any(|column| !column.merged && column.name == name)
    };
    left.columns
        .iter()
        .filter(|column| !column.merged && visible(right, &column.name))
        .map(|column| Name { text: column.name.clone(), position: 0 })
        .collect()
}

fn shift(scope: &mut Scope, by: usize) {
    for column in &mut scope.columns {
        column.index += by;
    }
}

fn schema_and_name(name: &ObjectName) -> String {
    match name.schema() {
        Some(schema) => format!("{schema}.{}", name.name()),
        None => name.name().text.clone(),
    }
}

/// The columns of a relation, reached by `alias`.
pub(super) fn relation_scope(relation: &Relation, alias: &str, own_name: bool) -> Scope {
    let column = |index: usize, name: &str, ty: &DataType, oid, schema: &str| ScopeColumn {
        table: Some(alias.to_owned()),
        schema: own_name.then(|| schema.to_owned()),
        name: name.to_owned(),
        ty: ty.clone(),
        table_oid: oid,
        attnum: i16::try_from(index + 1).unwrap_or(0),
        index,
        primary: false,
        merged: false,
    };
    let columns = match relation {
        Relation::Table(table) => {
            let mut columns: Vec<ScopeColumn> = table
                .columns
                .iter()
                .enumerate()
                .map(|(at, c)| column(at, &c.name, &c.ty, table.oid, &table.schema))
                .collect();
            for key in table.primary().map_or(&[][..], |primary| &primary.columns) {
                columns[usize::from(key.column)].primary = true;
            }
            columns
        }
        Relation::View { schema, oid, columns, .. } => columns
            .iter()
            .enumerate()
            .map(|(at, c)| column(at, &c.name, &c.ty, *oid, schema))
            .collect(),
        Relation::Other(_) => Vec::new(),
    };
    Scope { columns }
}

fn derived(table: &str, fields: &[Field]) -> Scope {
    let columns = fields
        .iter()
        .enumerate()
        .map(|(index, field)| ScopeColumn {
            table: Some(table.to_owned()),
            schema: None,
            name: field.name.clone(),
            ty: field.ty.clone(),
            table_oid: field.table_oid,
            attnum: field.column,
            index,
            primary: false,
            merged: false,
        })
        .collect();
    Scope { columns }
}

fn check_duplicates(left: &Scope, right: &Scope, item: &TableRef) -> Result<(), SqlError> {
    let duplicate = right.columns.iter().find_map(|column| {
        let table = column.table.as_deref()?;
        let same = |other: &&ScopeColumn| {
            other.table.as_deref() == Some(table)
                && (other.schema.is_none() || other.schema == column.schema)
        };
        left.columns.iter().find(same).map(|_| table.to_owned())
    });
    match duplicate {
        None => Ok(()),
        Some(table) => {
            let position = match item {
                TableRef::Table { alias: Some(alias), .. } => alias.name.position,
                TableRef::Table { name, alias: None } => name.position(),
                TableRef::Query { position, .. } => *position,
                TableRef::Function(function) => function.name.position(),
                TableRef::Join(_) => 0,
            };
            let message = format!("table name \"{table}\" specified more than once");
            let error = SqlError::new(sqlstate::DUPLICATE_ALIAS, message);
            Err(if position == 0 { error } else { error.at(position) })
        }
    }
}
