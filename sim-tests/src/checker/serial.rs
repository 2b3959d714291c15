//! Strict serializability of list-append histories, by cycle search.
//!
//! The longest read of a key gives the order of its versions. From it follow write-write, write-read
//! and read-write dependencies; real time adds an edge from every transaction to those that began
//! after its end. A history is strictly serializable only if that graph has no cycle.
//!
//! It also finds: elements from nowhere, elements of aborted transactions, elements twice, reads that
//! disagree about an order, a transaction that does not see its own appends, and acknowledged
//! appends that the final reads miss.
//!
//! # Source
//!
//! Adya, *Weak Consistency*, 1999; Kingsbury and Alvaro, *Elle*, VLDB 2020.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Oracle, Violation};
use crate::history::{Fate, History, Op, Record};

/// Checks a history against the final lists of all keys.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(history: &History, last: &BTreeMap<u32, Vec<u64>>) -> Result<(), Violation> {
    let writers = writers(history)?;
    let orders = orders(history, last, &writers)?;
    acknowledged_are_there(history, &orders)?;
    for record in committed(history) {
        own_writes(record)?;
    }
    let graph = dependencies(history, &orders, &writers);
    match cycle(&graph) {
        None => Ok(()),
        Some(nodes) => {
            let told: Vec<String> =
                nodes.iter().map(|n| format!("{n}: {:?}", history.records[*n])).collect();
            Err(disorder(format!("a cycle of\n  {}", told.join("\n  "))))
        }
    }
}

/// No order explains what was seen.
fn disorder(what: String) -> Violation {
    Violation::new(Oracle::StrictSerializability, what)
}

/// A write is there that no committed transaction made.
fn foreign(what: String) -> Violation {
    Violation::new(Oracle::OnlyCommittedWrites, what)
}

fn committed(history: &History) -> impl Iterator<Item = &Record> {
    history.records.iter().filter(|record| record.fate == Fate::Committed)
}

/// Who appended which element.
fn writers(history: &History) -> Result<BTreeMap<(u32, u64), usize>, Violation> {
    let mut writers = BTreeMap::new();
    for (number, record) in history.records.iter().enumerate() {
        for op in &record.ops {
            if let Op::Append(key, element) = op
                && writers.insert((*key, *element), number).is_some()
            {
                return Err(foreign(format!("element {element} was appended twice")));
            }
        }
    }
    Ok(writers)
}

/// The version order of each key; every read must be a prefix of it.
fn orders(
    history: &History,
    last: &BTreeMap<u32, Vec<u64>>,
    writers: &BTreeMap<(u32, u64), usize>,
) -> Result<BTreeMap<u32, Vec<u64>>, Violation> {
    for (key, list) in last {
        let mut seen = BTreeSet::new();
        for element in list {
            if !seen.insert(element) {
                return Err(foreign(format!("element {element} is twice in key {key}")));
            }
            match writers.get(&(*key, *element)) {
                None => {
                    return Err(foreign(format!("element {element} of key {key} is from nowhere")));
                }
                Some(writer) if history.records[*writer].fate == Fate::Aborted => {
                    return Err(foreign(format!(
                        "element {element} of key {key} was appended by an aborted transaction"
                    )));
                }
                Some(_) => {}
            }
        }
    }
    for (number, record) in history.records.iter().enumerate() {
        for op in &record.ops {
            let Op::Read(key, list) = op else { continue };
            let order = last.get(key).map(Vec::as_slice).unwrap_or_default();
            // A transaction that does not commit in the end has no reads on record.
            if !order.starts_with(list) {
                return Err(disorder(format!(
                    "transaction {number} read {list:?} of key {key}, which is no prefix of the final \
                     {order:?}; it was {record:?}"
                )));
            }
        }
    }
    Ok(last.clone())
}

fn acknowledged_are_there(
    history: &History,
    orders: &BTreeMap<u32, Vec<u64>>,
) -> Result<(), Violation> {
    for record in committed(history) {
        for op in &record.ops {
            if let Op::Append(key, element) = op
                && !orders.get(key).is_some_and(|order| order.contains(element))
            {
                let what = format!("acknowledged append of {element} to key {key} is lost");
                return Err(Violation::new(Oracle::AcknowledgedWrites, what));
            }
        }
    }
    Ok(())
}

fn own_writes(record: &Record) -> Result<(), Violation> {
    let mut own: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for op in &record.ops {
        match op {
            Op::Append(key, element) => own.entry(*key).or_default().push(*element),
            Op::Read(key, list) => {
                let own = own.get(key).map(Vec::as_slice).unwrap_or_default();
                if !list.ends_with(own) {
                    return Err(disorder(format!(
                        "a transaction missed its own appends: {record:?}"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn dependencies(
    history: &History,
    orders: &BTreeMap<u32, Vec<u64>>,
    writers: &BTreeMap<(u32, u64), usize>,
) -> Vec<BTreeSet<usize>> {
    let mut graph = vec![BTreeSet::new(); history.records.len()];
    let mut edge = |from: usize, to: usize| {
        if from != to {
            graph[from].insert(to);
        }
    };
    for (key, order) in orders {
        for pair in order.windows(2) {
            edge(writers[&(*key, pair[0])], writers[&(*key, pair[1])]);
        }
    }
    for (number, record) in history.records.iter().enumerate() {
        if record.fate != Fate::Committed {
            continue;
        }
        for op in &record.ops {
            let Op::Read(key, list) = op else { continue };
            let order = orders.get(key).map(Vec::as_slice).unwrap_or_default();
            // Its own appends at the end of what it read say nothing about others.
            let foreign = list.iter().rposition(|e| writers[&(*key, *e)] != number);
            let foreign_len = foreign.map_or(0, |at| at + 1);
            if let Some(element) = foreign.map(|at| list[at]) {
                edge(writers[&(*key, element)], number);
            }
            let next = order[foreign_len..].iter().find(|e| writers[&(*key, **e)] != number);
            if let Some(element) = next {
                edge(number, writers[&(*key, *element)]);
            }
        }
    }
    real_time(history, &mut graph);
    graph
}

/// An edge from each transaction to those that began after it ended; enough of them that all follow.
fn real_time(history: &History, graph: &mut [BTreeSet<usize>]) {
    let mut by_begin: Vec<usize> = (0..history.records.len()).collect();
    by_begin.sort_by_key(|n| history.records[*n].began);
    for (number, record) in history.records.iter().enumerate() {
        if record.fate != Fate::Committed {
            continue;
        }
        let later = by_begin.partition_point(|n| history.records[*n].began <= record.ended);
        let mut horizon = shardforge_core::base::time::Mono::MAX;
        for next in &by_begin[later..] {
            let successor = &history.records[*next];
            if horizon < successor.began {
                break;
            }
            if successor.fate == Fate::Aborted {
                continue;
            }
            graph[number].insert(*next);
            if successor.fate == Fate::Committed {
                horizon = horizon.min(successor.ended);
            }
        }
    }
}

/// A cycle, if there is one (iterative depth-first search).
fn cycle(graph: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, Eq, PartialEq)]
    enum Mark {
        New,
        Open,
        Closed,
    }
    let mut marks = vec![Mark::New; graph.len()];
    for start in 0..graph.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        let mut path = vec![(start, graph[start].iter())];
        while let Some((node, edges)) = path.last_mut() {
            let node = *node;
            match edges.next() {
                None => {
                    marks[node] = Mark::Closed;
                    path.pop();
                }
                Some(next) => match marks[*next] {
                    Mark::Closed => {}
                    Mark::New => {
                        marks[*next] = Mark::Open;
                        path.push((*next, graph[*next].iter()));
                    }
                    Mark::Open => {
                        let nodes: Vec<usize> = path.iter().map(|(n, _)| *n).collect();
                        let from = nodes.iter().position(|n| n == next).unwrap_or(0);
                        return Some(nodes[from..].to_vec());
                    }
                },
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardforge_core::base::time::Mono;

    fn txn(began: u64, ended: u64, fate: Fate, ops: Vec<Op>) -> Record {
        Record { client: 0, began: Mono(began), ended: Mono(ended), ops, fate }
    }

    fn verdict(records: Vec<Record>, last: &[(u32, &[u64])]) -> Result<(), Violation> {
        let last = last.iter().map(|(key, list)| (*key, list.to_vec())).collect();
        check(&History { records, ..History::default() }, &last)
    }

    use Fate::{Aborted, Committed, Unknown};
    use Op::{Append, Read};

    #[test]
    fn bad_histories_are_flagged() {
        let lost = vec![txn(0, 1, Committed, vec![Append(1, 7)])];
        assert!(verdict(lost, &[(1, &[])]).is_err(), "lost write");
        let aborted = vec![txn(0, 1, Aborted, vec![Append(1, 7)])];
        assert!(verdict(aborted, &[(1, &[7])]).is_err(), "aborted write seen");
        assert!(verdict(vec![], &[(1, &[7])]).is_err(), "from nowhere");
        let stale = vec![
            txn(0, 1, Committed, vec![Append(1, 7)]),
            txn(2, 3, Committed, vec![Read(1, vec![])]),
        ];
        assert!(verdict(stale, &[(1, &[7])]).is_err(), "stale read");
        let skew = vec![
            txn(0, 9, Committed, vec![Read(1, vec![]), Append(2, 8)]),
            txn(0, 9, Committed, vec![Read(2, vec![]), Append(1, 7)]),
        ];
        assert!(verdict(skew, &[(1, &[7]), (2, &[8])]).is_err(), "write skew");
        let torn = vec![
            txn(0, 9, Committed, vec![Append(1, 7), Append(2, 8)]),
            txn(0, 9, Committed, vec![Read(1, vec![7]), Read(2, vec![])]),
        ];
        assert!(verdict(torn, &[(1, &[7]), (2, &[8])]).is_err(), "half a transaction seen");
        let blind = vec![txn(0, 9, Committed, vec![Append(1, 7), Read(1, vec![])])];
        assert!(verdict(blind, &[(1, &[7])]).is_err(), "own write missed");
        let twice = vec![txn(0, 9, Unknown, vec![Append(1, 7)])];
        assert!(verdict(twice, &[(1, &[7, 7])]).is_err(), "committed twice");
    }

    #[test]
    fn tricky_good_histories_pass() {
        let unknown_seen = vec![
            txn(0, u64::MAX, Unknown, vec![Append(1, 7)]),
            txn(5, 6, Committed, vec![Read(1, vec![7])]),
        ];
        assert_eq!(verdict(unknown_seen, &[(1, &[7])]), Ok(()));
        let unknown_unseen = vec![txn(0, u64::MAX, Unknown, vec![Append(1, 7)])];
        assert_eq!(verdict(unknown_unseen, &[(1, &[])]), Ok(()));
        let concurrent = vec![
            txn(0, 9, Committed, vec![Append(1, 7)]),
            txn(1, 3, Committed, vec![Read(1, vec![7])]),
            txn(4, 5, Committed, vec![Read(1, vec![7]), Append(1, 8), Read(1, vec![7, 8])]),
        ];
        assert_eq!(verdict(concurrent, &[(1, &[7, 8])]), Ok(()));
        let aborted = vec![
            txn(0, 9, Aborted, vec![Append(1, 7)]),
            txn(1, 3, Committed, vec![Append(1, 8), Append(2, 9)]),
            txn(4, 5, Committed, vec![Read(2, vec![9]), Read(1, vec![8])]),
        ];
        assert_eq!(verdict(aborted, &[(1, &[8]), (2, &[9])]), Ok(()));
    }
}
