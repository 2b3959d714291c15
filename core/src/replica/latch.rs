//! Latches: keys that a write is being decided for, or has a proposal in flight.
//!
//! Writers exclude each other: a latch is taken for all keys of a command at once or not at all, so
//! nobody holds one while waiting for another. A reader first raises the timestamp cache, then waits
//! for the proposals that were *decided* at or below its timestamp: what is decided later sees the
//! cache. So nothing in flight is ever skipped, and a reader waits for a finite set.
//!
//! # Invariants
//!
//! * A key has at most one latch.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use super::wait::Gate;
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;

#[derive(Clone, Debug)]
struct Latch {
    number: u64,
    gate: Gate,
    decided: Rc<Cell<Option<Timestamp>>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    held: BTreeMap<Key, Latch>,
}

/// All latches of a leader.
#[derive(Clone, Debug, Default)]
pub struct Latches(Rc<RefCell<State>>);

/// Held keys; dropping it frees them and wakes who waits.
#[derive(Debug)]
pub struct LatchGuard {
    latches: Latches,
    keys: Vec<Key>,
    latch: Latch,
}

impl Latches {
    /// Takes the latches of all keys, or says what to wait for.
    ///
    /// # Errors
    ///
    /// The gate of a latch that is held; it opens when that one is free.
    pub fn try_acquire(&self, mut keys: Vec<Key>) -> Result<LatchGuard, Gate> {
        keys.sort_unstable();
        keys.dedup();
        let mut state = self.0.borrow_mut();
        if let Some(latch) = keys.iter().find_map(|key| state.held.get(key)) {
            return Err(latch.gate.clone());
        }
        state.next += 1;
        let latch = Latch { number: state.next, gate: Gate::default(), decided: Rc::default() };
        for key in &keys {
            state.held.insert(key.clone(), latch.clone());
        }
        drop(state);
        Ok(LatchGuard { latches: self.clone(), keys, latch })
    }

    /// The gate of the first of these keys that has a proposal in flight at or below `at`.
    pub fn decided<'a>(
        &self,
        mut keys: impl Iterator<Item = &'a Key>,
        at: Timestamp,
    ) -> Option<Gate> {
        let state = self.0.borrow();
        if state.held.is_empty() {
            return None;
        }
        keys.find_map(|key| state.held.get(key).and_then(|latch| latch.decided_by(at)))
    }

    /// The gate of the first key of a span that has a proposal in flight at or below `at`.
    pub fn decided_in(&self, span: &Span, at: Timestamp) -> Option<Gate> {
        let state = self.0.borrow();
        if state.held.is_empty() || span.is_empty() {
            return None;
        }
        let range = (Bound::Included(&span.start), Bound::Excluded(&span.end));
        state.held.range(range).find_map(|(_, latch)| latch.decided_by(at))
    }

    /// How many keys are latched.
    pub fn len(&self) -> usize {
        self.0.borrow().held.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Latch {
    fn decided_by(&self, at: Timestamp) -> Option<Gate> {
        self.decided.get().is_some_and(|decided| decided <= at).then(|| self.gate.clone())
    }
}

impl LatchGuard {
    /// The write was decided for this timestamp and is about to be proposed.
    pub fn decide(&self, at: Timestamp) {
        self.latch.decided.set(Some(at));
    }
}

impl Drop for LatchGuard {
    fn drop(&mut self) {
        let mut state = self.latches.0.borrow_mut();
        for key in &self.keys {
            let freed = state.held.remove(key);
            assert!(
                freed.is_some_and(|latch| latch.number == self.latch.number),
                "a latch was freed by another"
            );
        }
        drop(state);
        self.latch.gate.open();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Key {
        Key(name.into())
    }

    #[test]
    fn all_keys_or_none() {
        let latches = Latches::default();
        let first = latches.try_acquire(vec![key("a"), key("b"), key("a")]).unwrap();
        let gate = latches.try_acquire(vec![key("c"), key("b")]).unwrap_err();
        assert_eq!(latches.len(), 2, "c must not be kept by a failed try");
        assert!(!gate.is_open());
        drop(first);
        assert!(gate.is_open());
        assert!(latches.is_empty());
    }

    #[test]
    fn readers_wait_for_what_was_decided_below_them() {
        let latches = Latches::default();
        let guard = latches.try_acquire(vec![key("b")]).unwrap();
        let (b, span) = (key("b"), Span { start: key("a"), end: key("c") });
        let at = |at| {
            let point = latches.decided([&b].into_iter(), Timestamp(at)).is_some();
            assert_eq!(point, latches.decided_in(&span, Timestamp(at)).is_some());
            point
        };
        assert!(!at(u64::MAX));
        guard.decide(Timestamp(5));
        assert!(at(5) && !at(4));
        assert!(
            latches.decided_in(&Span { start: key("bb"), end: key("z") }, Timestamp(9)).is_none()
        );
    }
}
