//! The registry is whole, and functions agree with PostgreSQL.

use super::*;
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
