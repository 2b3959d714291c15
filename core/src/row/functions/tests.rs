//! The registry is whole, and functions agree with PostgreSQL.

use super::*;
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;
use crate::row::types::DataType;

#[test]
fn every_row_of_the_tables_is_usable() {
    for def in all() {
        assert_eq!(by_id(FunctionId(def.oid)).map(|found| found.name), Some(def.name));
        assert!(DataType::from_oid(def.returns, -1).is_some(), "{}", def.name);
        assert!(def.args.iter().all(|oid| DataType::from_oid(*oid, -1).is_some()), "{}", def.name);
        assert!(candidates(def.name).iter().any(|found| found.oid == def.oid));
    }
    let mut oids: Vec<u32> = all().iter().map(|def| def.oid).collect();
    oids.dedup();
    assert_eq!(oids.len(), all().len(), "an OID twice");
    for op in operator_table::OPERATORS {
        let def = by_id(op.function).unwrap();
        assert_eq!(def.returns, op.returns, "{}", op.name);
        assert_eq!(def.args.len(), 1 + usize::from(op.left != 0), "{}", op.name);
        assert!(operators(op.name).iter().any(|found| found.function == op.function));
    }
    assert!(candidates("no_such_function").is_empty());
}

#[test]
fn functions_agree_with_postgres() {
    use crate::row::datetime::Zone;
    use crate::row::text::tests::{check_cases, named_type, shown};
    let zone = Zone::parse("America/New_York").unwrap();
    let context = EvalContext::new(&zone);
    check_cases(include_str!("cases.tsv"), |fields| {
        let count: usize = fields[2].parse().unwrap();
        let inputs = 3 + count * 2;
        let def = by_id(FunctionId(fields[0].parse().unwrap())).unwrap();
        let mut first = None;
        let mut args = Vec::new();
        for pair in fields[3..inputs].chunks(2) {
            let ty = named_type(pair[0]);
            let text = pair[1].replace("\\n", "\n");
            args.push(match pair[1] {
                "\\N" => Datum::Null,
                _ => crate::row::text::parse_text(&ty, &text, &context.moment()).unwrap(),
            });
            first.get_or_insert(ty);
        }
        let returns = match DataType::from_oid(def.returns, -1).unwrap() {
            DataType::AnyArray => first.unwrap(),
            ty => ty,
        };
        let result = if def.strict && args.iter().any(Datum::is_null) {
            Ok(Datum::Null)
        } else {
            call(def, &args, &context)
        };
        (inputs, shown(result, &returns, &zone))
    });
}
