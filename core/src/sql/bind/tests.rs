//! Tests of what goldens do not show: parameters of subqueries, hints, defaults.

use std::rc::Rc;

use super::{BoundRoot, Names, Relation, bind, bind_default};
use crate::base::id::{IndexId, TableId};
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::{
    ColumnDescriptor, IndexColumn, IndexDescriptor, TableDescriptor,
};
use crate::sql::optimize;
use crate::sql::parse::parse_one;
use crate::sql::plan::{Access, PhysicalPlan, Plan, PlanRoot};

struct OneTable(Rc<TableDescriptor>);

impl Names for OneTable {
    fn relation(&self, _schema: Option<&str>, name: &str) -> Option<Relation> {
        (name == self.0.name).then(|| Relation::Table(Rc::clone(&self.0)))
    }
    fn has_schema(&self, schema: &str) -> bool {
        schema == "public"
    }
    fn database(&self) -> &str {
        "postgres"
    }
}

fn world() -> OneTable {
    let column = |id, name: &str, ty| {
        let name = name.to_owned();
        ColumnDescriptor { id, name, ty, nullable: 0 < id, default: None }
    };
    let key = IndexColumn { column: 0, descending: false, nulls_first: false };
    let primary = IndexDescriptor {
        id: IndexId(0),
        oid: 101,
        name: "t_pkey".to_owned(),
        unique: true,
        primary: true,
        constraint: true,
        columns: vec![key],
    };
    OneTable(Rc::new(TableDescriptor {
        id: TableId(100),
        oid: 100,
        version: 1,
        database: 5,
        schema: "public".to_owned(),
        name: "t".to_owned(),
        owner: 10,
        columns: vec![column(0, "a", DataType::Int4), column(1, "b", DataType::Text)],
        indexes: vec![primary],
        hidden_rowid: false,
        shard_key: vec![0],
        next_index: 1,
    }))
}

fn planned(text: &str, hints: &[Option<DataType>]) -> Plan {
    let parsed = parse_one(text).unwrap().unwrap();
    optimize::plan(&parsed.statement, hints, &world()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn outer_values_are_parameters_behind_the_clients() {
    let plan = planned("select (select b from t x where x.a = t.a) from t where a = $1", &[]);
    assert_eq!((plan.parameters.len(), plan.parameter_slots), (1, 2));
    let PlanRoot::Query(PhysicalPlan::Project { input, .. }) = &plan.root else {
        panic!("{:?}", plan.root)
    };
    let PhysicalPlan::Apply { subqueries, .. } = &**input else { panic!("{input:?}") };
    assert_eq!(subqueries[0].outer, [(1, Expr::Column(0))]);
    let PhysicalPlan::Project { input, .. } = &subqueries[0].plan else {
        panic!("{:?}", subqueries[0].plan)
    };
    let PhysicalPlan::Scan(scan) = &**input else { panic!("{input:?}") };
    assert_eq!(scan.access, Access::Points { index: 0, keys: vec![vec![Expr::Param(1)]] });
}

#[test]
fn hints_decide_before_surroundings_do() {
    let plan = planned("select b from t where a = $1", &[Some(DataType::Int8)]);
    assert_eq!(plan.parameters, [DataType::Int8]);
    let plan = planned("select b from t where a = $2 and b = $1", &[]);
    assert_eq!(plan.parameters, [DataType::Text, DataType::Int4]);
}

#[test]
fn a_bigint_parameter_finds_an_integer_key_or_nothing() {
    let plan = planned("select b from t where a = $1", &[Some(DataType::Int8)]);
    let PlanRoot::Query(PhysicalPlan::Project { input, .. }) = &plan.root else {
        panic!("{:?}", plan.root)
    };
    let PhysicalPlan::Scan(scan) = &**input else { panic!("{input:?}") };
    let Access::Points { keys, .. } = &scan.access else { panic!("{:?}", scan.access) };
    let value = |number| {
        let zone = crate::row::datetime::Zone::default();
        let params = [Datum::Int8(number)];
        let mut context = crate::row::eval::EvalContext::new(&zone);
        context.params = &params;
        crate::row::eval::eval(&keys[0][0], &[], &context).unwrap()
    };
    assert_eq!(value(7), Datum::Int4(7));
    assert_eq!(value(1 << 40), Datum::Null);
}

#[test]
fn only_columns_that_are_read_are_needed() {
    let plan = planned("select 1 from t where b = 'x'", &[]);
    let PlanRoot::Query(PhysicalPlan::Project { input, .. }) = &plan.root else {
        panic!("{:?}", plan.root)
    };
    let PhysicalPlan::Scan(scan) = &**input else { panic!("{input:?}") };
    assert_eq!(scan.needed, [false, true]);
}

#[test]
fn defaults_take_their_columns_type() {
    let default = |text: &str, ty: &DataType| bind_default(text, ty, "c", &world());
    let value = default("'7'", &DataType::Int4).unwrap();
    assert_eq!(value, Expr::Const(Datum::Int4(7), DataType::Int4));
    let value = default("1 + 1", &DataType::Int8).unwrap();
    assert!(matches!(value, Expr::Cast { .. } | Expr::Const(Datum::Int8(2), _)), "{value:?}");
    assert_eq!(default("true", &DataType::Int4).unwrap_err().state.as_str(), "42804");
    assert_eq!(default("a", &DataType::Int4).unwrap_err().state.as_str(), "42703");
    assert_eq!(default("sum(1)", &DataType::Int4).unwrap_err().state.as_str(), "42803");
}

#[test]
fn deep_and_long_expressions_bind() {
    let sum = format!("select 1{}", "+ a".repeat(200));
    let text = format!("{sum} from t");
    planned(&text, &[]);
    let any = format!("select a from t where a = 0{}", " or a = 1".repeat(4_000));
    planned(&any, &[]);
    let nested = format!("{}select 1{}", "select (".repeat(100), ")".repeat(100));
    planned(&nested, &[]);
    let union = format!("select 1{}", " union all select 1".repeat(100));
    let parsed = parse_one(&union).unwrap().unwrap();
    let bound = bind(&parsed.statement, &[], &world()).unwrap();
    assert!(matches!(bound.root, BoundRoot::Query(_)));
}
