//! No group ever has more rows than its limit: predicates are validated, not only rows.

use std::collections::BTreeMap;

use crate::finding::{Oracle, Violation};
use crate::history::{Fate, History};
use crate::workload::slots::LIMIT;

/// Checks what committed transactions counted, and the rows of each group at the end.
///
/// # Errors
///
/// A group over its limit.
pub fn check(history: &History, last: &BTreeMap<u32, u64>) -> Result<(), Violation> {
    let seen = history.slots.iter().filter(|op| op.fate == Fate::Committed);
    let seen = seen.map(|op| (op.group, op.seen));
    let all = seen.chain(last.iter().map(|(group, count)| (*group, *count)));
    for (group, count) in all {
        if LIMIT < count {
            let what = format!("group {group} has {count} rows, its limit is {LIMIT}");
            return Err(Violation::new(Oracle::Predicate, what));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SlotOp;

    fn passes(slots: &[(u32, u64, Fate)], last: &[(u32, u64)]) -> bool {
        let op = |(group, seen, fate): &(u32, u64, Fate)| SlotOp {
            group: *group,
            seen: *seen,
            fate: *fate,
        };
        let slots = slots.iter().map(op).collect();
        let history = History { slots, ..History::default() };
        check(&history, &last.iter().copied().collect()).is_ok()
    }

    #[test]
    fn groups_over_their_limit_are_flagged() {
        assert!(!passes(&[], &[(0, LIMIT + 1)]), "at the end");
        assert!(!passes(&[(0, LIMIT + 1, Fate::Committed)], &[]), "seen once, gone at the end");
        assert!(!passes(&[(0, 0, Fate::Committed), (1, 9, Fate::Committed)], &[(0, 1)]));
        assert!(!passes(&[(1, u64::MAX, Fate::Committed)], &[]), "a count without a number");
    }

    #[test]
    fn groups_within_their_limit_pass() {
        assert!(passes(&[], &[]));
        assert!(passes(&[(0, LIMIT, Fate::Committed)], &[(0, LIMIT), (1, 0)]), "exactly full");
        // What a transaction saw that does not commit need not have been.
        assert!(passes(&[(0, LIMIT + 1, Fate::Aborted)], &[(0, 1)]));
        assert!(passes(&[(0, LIMIT + 1, Fate::Unknown)], &[(0, 1)]));
    }
}
