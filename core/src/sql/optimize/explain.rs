//! What EXPLAIN prints.

use super::show::show;
use crate::row::eval::Expr;
use crate::sql::plan::{
    Access, FunctionKind, JoinType, ModifySource, PhysicalPlan, Plan, PlanRoot, SortKey, Subquery,
    SubqueryKind, TableScan,
};

/// The lines of a plan, in PostgreSQL's layout. There are no estimates: nothing counts rows yet.
pub fn explain(plan: &Plan) -> Vec<String> {
    let mut out = Out { lines: Vec::new() };
    match &plan.root {
        PlanRoot::Query(query) => out.plan(query, 0, &plan_names(query)),
        PlanRoot::Insert(insert) => {
            out.node(0, &format!("Insert on {}", insert.table.name));
            out.plan(&insert.source, 1, &plan_names(&insert.source));
        }
        PlanRoot::Update(update) => {
            out.node(0, &format!("Update on {}", update.source.scan.table.name));
            out.modify(&update.source);
        }
        PlanRoot::Delete(delete) => {
            out.node(0, &format!("Delete on {}", delete.source.scan.table.name));
            out.modify(&delete.source);
        }
    }
    for (number, cte) in plan.ctes.iter().enumerate() {
        out.detail(0, &format!("CTE {}", number + 1));
        out.plan(cte, 1, &plan_names(cte));
    }
    out.lines
}

struct Out {
    lines: Vec<String>,
}

impl Out {
    fn node(&mut self, depth: usize, text: &str) {
        let line = match depth {
            0 => text.to_owned(),
            _ => format!("{}->  {text}", " ".repeat(depth * 6 - 4)),
        };
        self.lines.push(line);
    }

    fn detail(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", " ".repeat(depth * 6 + 2)));
    }

    fn modify(&mut self, source: &ModifySource) {
        self.scan(&source.scan, 1);
        let names = scan_names(&source.scan);
        self.filter(source.filter.as_ref(), &names, 1);
        self.subqueries(&source.subqueries, 1);
    }

    fn subqueries(&mut self, subqueries: &[Subquery<PhysicalPlan>], depth: usize) {
        for (number, subquery) in subqueries.iter().enumerate() {
            let what = if subquery.outer.is_empty() { "InitPlan" } else { "SubPlan" };
            let kind = match &subquery.kind {
                SubqueryKind::Scalar => "value",
                SubqueryKind::Exists => "exists",
                SubqueryKind::Compare { all: false, .. } => "any",
                SubqueryKind::Compare { all: true, .. } => "all",
                SubqueryKind::Array(_) => "array",
            };
            self.detail(depth, &format!("{what} {} ({kind})", number + 1));
            self.plan(&subquery.plan, depth + 1, &plan_names(&subquery.plan));
        }
    }

    fn scan(&mut self, scan: &TableScan, depth: usize) {
        let names = scan_names(scan);
        let table = &scan.table.name;
        let index = |at: usize| scan.table.indexes.get(at);
        match &scan.access {
            Access::Full => self.node(depth, &format!("Seq Scan on {table}")),
            Access::Points { index: at, keys } | Access::Prefixes { index: at, prefixes: keys } => {
                let name = index(*at).map_or("?", |index| &index.name);
                self.node(depth, &format!("Index Scan using {name} on {table}"));
                let mut columns = key_names(scan, *at);
                columns.truncate(keys.first().map_or(0, Vec::len));
                let columns = columns.join(", ");
                let keys: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let parts: Vec<_> = key.iter().map(|part| show(part, &names)).collect();
                        parts.join(", ")
                    })
                    .collect();
                let text = match keys.as_slice() {
                    [key] => format!("Index Cond: (({columns}) = ({key}))"),
                    keys => format!("Index Cond: (({columns}) = ANY ({}))", keys.join("; ")),
                };
                self.detail(depth, &text);
            }
            Access::Range { index: at, prefix, low, high } => {
                let name = index(*at).map_or("?", |index| &index.name);
                self.node(depth, &format!("Index Scan using {name} on {table}"));
                let columns = key_names(scan, *at);
                let mut parts: Vec<String> = prefix
                    .iter()
                    .zip(&columns)
                    .map(|(value, column)| format!("({column} = {})", show(value, &names)))
                    .collect();
                let next = columns.get(prefix.len()).map_or("?", String::as_str);
                if let Some(low) = low {
                    let op = if low.inclusive { ">=" } else { ">" };
                    parts.push(format!("({next} {op} {})", show(&low.value, &names)));
                }
                if let Some(high) = high {
                    let op = if high.inclusive { "<=" } else { "<" };
                    parts.push(format!("({next} {op} {})", show(&high.value, &names)));
                }
                self.detail(depth, &format!("Index Cond: {}", parts.join(" AND ")));
            }
        }
        self.filter(scan.filter.as_ref(), &names, depth);
    }

    fn filter(&mut self, filter: Option<&Expr>, names: &[String], depth: usize) {
        if let Some(filter) = filter {
            self.detail(depth, &format!("Filter: {}", show(filter, names)));
        }
    }

    fn plan(&mut self, plan: &PhysicalPlan, depth: usize, names: &[String]) {
        match plan {
            PhysicalPlan::Values { rows, width } if *width == 0 && rows.len() == 1 => {
                self.node(depth, "Result");
            }
            PhysicalPlan::Values { rows, .. } => {
                self.node(depth, &format!("Values Scan ({} rows)", rows.len()));
            }
            PhysicalPlan::Scan(scan) => self.scan(scan, depth),
            PhysicalPlan::ViewScan { schema, name, filter, .. } => {
                self.node(depth, &format!("View Scan on {schema}.{name}"));
                self.filter(filter.as_ref(), names, depth);
            }
            PhysicalPlan::FunctionScan { kind, .. } => {
                let name = function_name(*kind);
                self.node(depth, &format!("Function Scan on {name}"));
            }
            PhysicalPlan::CteScan { number, .. } => {
                self.node(depth, &format!("CTE Scan on CTE {}", number + 1));
            }
            // As in PostgreSQL, computing columns is not a line of its own.
            PhysicalPlan::Project { input, .. } => self.plan(input, depth, &plan_names(input)),
            PhysicalPlan::Filter { input, predicate } => {
                self.node(depth, "Filter");
                self.detail(depth, &format!("Cond: {}", show(predicate, &plan_names(input))));
                self.plan(input, depth + 1, &plan_names(input));
            }
            PhysicalPlan::Apply { input, subqueries } => {
                self.node(depth, "Apply");
                self.subqueries(subqueries, depth);
                self.plan(input, depth + 1, &plan_names(input));
            }
            PhysicalPlan::Aggregate { input, keys, .. } => {
                self.group(keys, input, depth);
                self.plan(input, depth + 1, &plan_names(input));
            }
            PhysicalPlan::Sort { input, keys } => {
                self.node(depth, "Sort");
                self.sort_key(keys, input, depth);
                self.plan(input, depth + 1, &plan_names(input));
            }
            PhysicalPlan::TopK { input, keys, .. } => {
                self.node(depth, "Limit");
                self.node(depth + 1, "Top-N Sort");
                self.sort_key(keys, input, depth + 1);
                self.plan(input, depth + 2, &plan_names(input));
            }
            PhysicalPlan::Limit { input, .. } => {
                self.node(depth, "Limit");
                self.plan(input, depth + 1, &plan_names(input));
            }
            PhysicalPlan::Distinct { input, .. } => {
                self.node(depth, "Unique");
                self.plan(input, depth + 1, &plan_names(input));
            }
            PhysicalPlan::Append { inputs } => {
                self.node(depth, "Append");
                for input in inputs {
                    self.plan(input, depth + 1, &plan_names(input));
                }
            }
            PhysicalPlan::NestedLoop { .. }
            | PhysicalPlan::HashJoin { .. }
            | PhysicalPlan::LookupJoin { .. }
            | PhysicalPlan::SetOperation { .. } => self.pair(plan, depth),
        }
    }

    fn sort_key(&mut self, keys: &[SortKey], input: &PhysicalPlan, depth: usize) {
        let keys = sort_text(keys, &plan_names(input));
        self.detail(depth, &format!("Sort Key: {keys}"));
    }

    fn group(&mut self, keys: &[Expr], input: &PhysicalPlan, depth: usize) {
        if keys.is_empty() {
            return self.node(depth, "Aggregate");
        }
        self.node(depth, "HashAggregate");
        let names = plan_names(input);
        let keys: Vec<_> = keys.iter().map(|key| show(key, &names)).collect();
        self.detail(depth, &format!("Group Key: {}", keys.join(", ")));
    }

    /// Operators with two inputs.
    fn pair(&mut self, plan: &PhysicalPlan, depth: usize) {
        match plan {
            PhysicalPlan::NestedLoop { kind, left, right, on, .. } => {
                self.node(depth, &format!("Nested Loop{}", join_word(*kind)));
                self.condition("Join Filter", on.as_ref(), left, right, depth);
                self.both(left, right, depth);
            }
            PhysicalPlan::HashJoin { kind, left, right, left_keys, right_keys, residual } => {
                self.node(depth, &format!("Hash{} Join", join_word(*kind)));
                let (l, r) = (plan_names(left), plan_names(right));
                let keys: Vec<String> = left_keys
                    .iter()
                    .zip(right_keys)
                    .map(|(a, b)| format!("({} = {})", show(a, &l), show(b, &r)))
                    .collect();
                self.detail(depth, &format!("Hash Cond: {}", keys.join(" AND ")));
                self.condition("Join Filter", residual.as_ref(), left, right, depth);
                self.both(left, right, depth);
            }
            PhysicalPlan::LookupJoin { kind, left, right, .. } => {
                self.node(depth, &format!("Lookup{} Join", join_word(*kind)));
                self.plan(left, depth + 1, &plan_names(left));
                self.scan(right, depth + 1);
            }
            PhysicalPlan::SetOperation { intersect, left, right, .. } => {
                let word = if *intersect { "SetOp Intersect" } else { "SetOp Except" };
                self.node(depth, word);
                self.both(left, right, depth);
            }
            _ => {} // the caller sorts them out
        }
    }

    fn both(&mut self, left: &PhysicalPlan, right: &PhysicalPlan, depth: usize) {
        self.plan(left, depth + 1, &plan_names(left));
        self.plan(right, depth + 1, &plan_names(right));
    }

    fn condition(
        &mut self,
        label: &str,
        condition: Option<&Expr>,
        left: &PhysicalPlan,
        right: &PhysicalPlan,
        depth: usize,
    ) {
        let Some(condition) = condition else { return };
        let mut names = plan_names(left);
        names.extend(plan_names(right));
        self.detail(depth, &format!("{label}: {}", show(condition, &names)));
    }
}

fn function_name(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Unnest => "unnest",
        FunctionKind::Scalar => "function",
        _ => "generate_series", // of any type
    }
}

fn join_word(kind: JoinType) -> &'static str {
    match kind {
        JoinType::Inner => "",
        JoinType::Left => " Left",
        JoinType::Right => " Right",
        JoinType::Full => " Full",
        JoinType::Semi => " Semi",
        JoinType::Anti => " Anti",
    }
}

fn sort_text(keys: &[SortKey], names: &[String]) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut text = show(&key.expr, names);
            if key.descending {
                text.push_str(" DESC");
            }
            if key.nulls_first != key.descending {
                text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            text
        })
        .collect();
    keys.join(", ")
}

fn scan_names(scan: &TableScan) -> Vec<String> {
    scan.table.columns.iter().map(|column| column.name.clone()).collect()
}

fn key_names(scan: &TableScan, index: usize) -> Vec<String> {
    let columns = scan.table.indexes.get(index).map_or(&[][..], |index| &index.columns);
    let name = |ordinal: u16| {
        scan.table.columns.get(usize::from(ordinal)).map_or("?", |column| &column.name).to_owned()
    };
    columns.iter().map(|key| name(key.column)).collect()
}

/// What a plan's columns are called in conditions.
fn plan_names(plan: &PhysicalPlan) -> Vec<String> {
    match plan {
        PhysicalPlan::Scan(scan) => {
            let table = &scan.table.name;
            scan_names(scan).into_iter().map(|column| format!("{table}.{column}")).collect()
        }
        PhysicalPlan::Filter { input, .. }
        | PhysicalPlan::Sort { input, .. }
        | PhysicalPlan::TopK { input, .. }
        | PhysicalPlan::Limit { input, .. }
        | PhysicalPlan::Distinct { input, .. }
        | PhysicalPlan::Apply { input, .. } => plan_names(input),
        PhysicalPlan::Project { input, exprs } => {
            let inner = plan_names(input);
            exprs.iter().map(|expr| show(expr, &inner)).collect()
        }
        PhysicalPlan::NestedLoop { left, right, .. }
        | PhysicalPlan::HashJoin { left, right, .. } => {
            let mut names = plan_names(left);
            names.extend(plan_names(right));
            names
        }
        PhysicalPlan::LookupJoin { left, right, .. } => {
            let mut names = plan_names(left);
            names.extend(scan_names(right));
            names
        }
        PhysicalPlan::Aggregate { input, keys, aggregates } => {
            let inner = plan_names(input);
            let keys = keys.iter().map(|key| show(key, &inner));
            let aggregates = aggregates.iter().map(|aggregate| {
                let args: Vec<_> = aggregate.args.iter().map(|arg| show(arg, &inner)).collect();
                let args = if args.is_empty() { "*".to_owned() } else { args.join(", ") };
                format!("{}({args})", aggregate.name)
            });
            keys.chain(aggregates).collect()
        }
        PhysicalPlan::Append { inputs } => inputs.first().map(plan_names).unwrap_or_default(),
        PhysicalPlan::SetOperation { left, .. } => plan_names(left),
        PhysicalPlan::Values { .. }
        | PhysicalPlan::ViewScan { .. }
        | PhysicalPlan::FunctionScan { .. }
        | PhysicalPlan::CteScan { .. } => Vec::new(),
    }
}
