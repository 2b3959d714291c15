//! The lock table: who holds a key, who waits for it, and who must give way.
//!
//! Volatile, at the leader. Locks make others wait; they are never what safety rests on: a commit says
//! what it saw, and is checked. So a table may be lost with its leader, and a lock may be freed early.
//!
//! Waiting is first come, first served, but for a holder that wants more than it has. A waiter keeps
//! its place when its question's time slice ends, and finds it again with the next.
//!
//! # Invariants
//!
//! * Holders of a key are compatible: one exclusive, or any number of shared.
//! * A transaction waits for at most one key, and there is no cycle of waits.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use smallvec::SmallVec;

use super::error::ReplicaError;
use super::request::{LockMode, LockToken, TxnRef};
use super::wait::{Answer, Resolver, promise};
use crate::base::id::{Incarnation, NodeId, TxnId};
use crate::base::key::Key;
use crate::base::limit;
use crate::base::map::{FixedMap, FixedSet};
use crate::base::time::Mono;

/// Locks of one leader.
pub const LOCKS_MAX: usize = 1_000_000;
/// A holder whose coordinator has not spoken of it for so long loses its locks when others wait.
pub const KEEP: Duration = Duration::from_secs(5);
/// Transactions remembered as ended: a late request of theirs gets no lock.
const ENDED_MAX: usize = 4_096;

/// How a wait ends.
pub type LockResult = Result<LockToken, ReplicaError>;

#[derive(Debug)]
struct Holder {
    txn: TxnId,
    mode: LockMode,
    token: LockToken,
}

#[derive(Debug)]
struct Waiter {
    txn: TxnRef,
    mode: LockMode,
    resolver: Resolver<LockResult>,
}

#[derive(Debug, Default)]
struct Entry {
    holders: SmallVec<[Holder; 1]>,
    waiters: VecDeque<Waiter>,
}

/// What a transaction holds, and when its coordinator last spoke of it.
#[derive(Debug, Default)]
struct Held {
    keys: Vec<Key>,
    at: Mono,
}

/// The answer to [`LockTable::acquire`].
#[derive(Debug)]
pub enum Acquired {
    /// It is held now.
    Granted(LockToken),
    /// Wait for this.
    Queued(Answer<LockResult>),
}

/// The table.
#[derive(Debug, Default)]
pub struct LockTable {
    term: u64,
    next: u64,
    now: Mono,
    locks: FixedMap<Key, Entry>,
    held: FixedMap<TxnId, Held>,
    waiting: FixedMap<TxnId, Key>,
    doomed: FixedMap<TxnId, String>,
    ended: FixedSet<TxnId>,
    ended_order: VecDeque<TxnId>,
}

fn compatible(one: LockMode, other: LockMode) -> bool {
    one != LockMode::Exclusive && other != LockMode::Exclusive
}

impl Entry {
    fn holder(&self, txn: TxnId) -> Option<&Holder> {
        self.holders.iter().find(|holder| holder.txn == txn)
    }

    fn admits(&self, txn: TxnId, mode: LockMode) -> bool {
        self.holders.iter().all(|holder| holder.txn == txn || compatible(holder.mode, mode))
    }

    /// Whom `txn` waits for with this mode, if it stands before place `ahead` of the queue.
    fn blockers(&self, txn: TxnId, mode: LockMode, ahead: usize) -> Vec<TxnId> {
        let holders = self.holders.iter().map(|holder| (holder.txn, holder.mode));
        let waiters = self.waiters.iter().take(ahead).map(|waiter| (waiter.txn.id, waiter.mode));
        let all = holders.chain(waiters);
        all.filter(|(id, held)| *id != txn && !compatible(*held, mode)).map(|(id, _)| id).collect()
    }
}

impl LockTable {
    /// An empty table of the leader of `term`.
    pub fn new(term: u64) -> Self {
        Self { term, ..Self::default() }
    }

    /// Takes a lock, or a place in its queue. Asking again for what is held or waited for is fine.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::LockTimeout`] if it is not free and `may_wait` is false,
    /// [`ReplicaError::Deadlock`] if waiting would close a cycle and this is the one to give way,
    /// [`ReplicaError::Limit`] at a bound.
    pub fn acquire(
        &mut self,
        txn: TxnRef,
        key: &Key,
        mode: LockMode,
        may_wait: bool,
        now: Mono,
    ) -> Result<Acquired, ReplicaError> {
        self.now = self.now.max(now);
        if let Some(held) = self.held.get_mut(&txn.id) {
            held.at = self.now;
        }
        if let Some(cycle) = self.doomed.remove(&txn.id) {
            return Err(ReplicaError::Deadlock(cycle));
        }
        if self.ended.contains(&txn.id) {
            return Err(ReplicaError::Refused("the transaction has ended".to_owned()));
        }
        if self.waiting.get(&txn.id).is_some_and(|other| other != key) {
            // The statement that waited there was cancelled.
            self.stop_waiting(txn.id);
        }
        if LOCKS_MAX <= self.locks.len() && !self.locks.contains_key(key) {
            return Err(ReplicaError::Limit("locks of one shard".to_owned()));
        }
        let entry = self.locks.entry(key.clone()).or_default();
        let held = entry.holder(txn.id).map(|holder| (holder.mode, holder.token));
        if let Some((had, token)) = held
            && (had == mode || had == LockMode::Exclusive)
        {
            return Ok(Acquired::Granted(token));
        }
        // A holder that wants more need not stand behind those who wait for it.
        let free = held.is_some() || entry.waiters.is_empty();
        if free && entry.admits(txn.id, mode) {
            drop(self.leave_queue(txn.id));
            return Ok(Acquired::Granted(self.grant(txn.id, key, mode)));
        }
        if !may_wait {
            self.tidy(key);
            return Err(ReplicaError::LockTimeout);
        }
        self.enqueue(txn, key, mode, held.is_some())
    }

    fn enqueue(
        &mut self,
        txn: TxnRef,
        key: &Key,
        mode: LockMode,
        first: bool,
    ) -> Result<Acquired, ReplicaError> {
        let entry = self.locks.entry(key.clone()).or_default();
        let (resolver, answer) = promise();
        if let Some(waiter) = entry.waiters.iter_mut().find(|waiter| waiter.txn.id == txn.id) {
            waiter.resolver = resolver;
            waiter.mode = mode;
        } else if limit::LOCK_WAITERS_MAX <= entry.waiters.len() {
            return Err(ReplicaError::Limit("waiters of one lock".to_owned()));
        } else {
            let waiter = Waiter { txn, mode, resolver };
            if first { entry.waiters.push_front(waiter) } else { entry.waiters.push_back(waiter) }
        }
        self.waiting.insert(txn.id, key.clone());
        // One that waits already may have come with a weaker wish.
        self.promote(key);
        // Breaking one cycle may leave another.
        while self.waiting.contains_key(&txn.id) {
            let Some(cycle) = self.find_cycle(txn.id) else { break };
            self.sacrifice(&cycle);
        }
        Ok(Acquired::Queued(answer))
    }

    fn grant(&mut self, txn: TxnId, key: &Key, mode: LockMode) -> LockToken {
        self.next += 1;
        let token = LockToken { term: self.term, number: self.next };
        let entry = self.locks.entry(key.clone()).or_default();
        match entry.holders.iter_mut().find(|holder| holder.txn == txn) {
            Some(holder) => (holder.mode, holder.token) = (mode, token),
            None => {
                entry.holders.push(Holder { txn, mode, token });
                let held = self.held.entry(txn).or_default();
                held.keys.push(key.clone());
                held.at = self.now;
            }
        }
        token
    }

    /// Grants to the head of the queue what has become free.
    fn promote(&mut self, key: &Key) {
        while let Some(entry) = self.locks.get_mut(key)
            && let Some(first) = entry.waiters.front()
            && entry.admits(first.txn.id, first.mode)
            && let Some(waiter) = entry.waiters.pop_front()
        {
            self.waiting.remove(&waiter.txn.id);
            let token = self.grant(waiter.txn.id, key, waiter.mode);
            // If its question is between two slices, the next one finds the lock held.
            waiter.resolver.resolve(Ok(token));
        }
        self.tidy(key);
    }

    fn tidy(&mut self, key: &Key) {
        if self.locks.get(key).is_some_and(|e| e.holders.is_empty() && e.waiters.is_empty()) {
            self.locks.remove(key);
        }
    }

    /// Leaves the queue, without the lock.
    pub fn stop_waiting(&mut self, txn: TxnId) -> Option<Resolver<LockResult>> {
        let (key, waiter) = self.leave_queue(txn)?;
        self.promote(&key);
        Some(waiter.resolver)
    }

    fn leave_queue(&mut self, txn: TxnId) -> Option<(Key, Waiter)> {
        let key = self.waiting.remove(&txn)?;
        let entry = self.locks.get_mut(&key)?;
        let at = entry.waiters.iter().position(|waiter| waiter.txn.id == txn)?;
        Some((key, entry.waiters.remove(at)?))
    }

    /// Frees everything of a transaction that has ended. It gets no lock any more.
    pub fn release(&mut self, txn: TxnId) {
        self.release_keys(txn);
        self.doomed.remove(&txn);
        if self.ended.insert(txn) {
            self.ended_order.push_back(txn);
            if ENDED_MAX < self.ended_order.len()
                && let Some(oldest) = self.ended_order.pop_front()
            {
                self.ended.remove(&oldest);
            }
        }
    }

    fn release_keys(&mut self, txn: TxnId) {
        if let Some(resolver) = self.stop_waiting(txn) {
            resolver.resolve(Err(ReplicaError::Refused("the transaction has ended".to_owned())));
        }
        for key in self.held.remove(&txn).unwrap_or_default().keys {
            if let Some(entry) = self.locks.get_mut(&key) {
                entry.holders.retain(|holder| holder.txn != txn);
                self.promote(&key);
            }
        }
    }

    /// The coordinator of these transactions says that they live.
    pub fn keep(&mut self, txns: &[TxnId], now: Mono) {
        self.now = self.now.max(now);
        for txn in txns {
            if let Some(held) = self.held.get_mut(txn) {
                held.at = self.now;
            }
        }
    }

    /// Frees the locks of those that `txn` waits for and that nobody has spoken of for long: a lock
    /// request that came late, after its transaction had ended.
    pub fn expire_blockers(&mut self, txn: TxnId, now: Mono) {
        self.now = self.now.max(now);
        for blocker in self.blockers_of(txn) {
            let silent =
                self.held.get(&blocker).is_some_and(|held| KEEP <= self.now.since(held.at));
            if silent {
                self.release_keys(blocker);
            }
        }
    }

    /// Frees everything of a node's life and those before it.
    pub fn coordinator_dead(&mut self, node: NodeId, incarnation: Incarnation) {
        let dead = |txn: &TxnId| txn.node == node && txn.incarnation <= incarnation;
        let holders = self.held.keys().filter(|txn| dead(txn));
        let waiters = self.waiting.keys().filter(|txn| dead(txn));
        let gone: BTreeSet<TxnId> = holders.chain(waiters).copied().collect();
        for txn in gone {
            self.release_keys(txn);
        }
    }

    /// Whether another transaction's lock stands against writing a key.
    pub fn is_held_by_other(&self, key: &Key, txn: TxnId) -> bool {
        self.locks.get(key).is_some_and(|entry| !entry.admits(txn, LockMode::Exclusive))
    }

    /// Whether a transaction still holds a lock by this token.
    pub fn holds(&self, txn: TxnId, key: &Key, token: LockToken) -> bool {
        let holder = self.locks.get(key).and_then(|entry| entry.holder(txn));
        holder.is_some_and(|holder| holder.token == token)
    }

    /// Keys that are locked or waited for.
    pub fn len(&self) -> usize {
        self.locks.len()
    }

    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    /// Everybody who waits, taken out of the queues: the leader's term is over.
    pub fn abandon(&mut self) -> Vec<Resolver<LockResult>> {
        let entries = self.locks.drain().flat_map(|(_, entry)| entry.waiters);
        let mut waiters: Vec<Waiter> = entries.collect();
        waiters.sort_by_key(|waiter| waiter.txn.id);
        waiters.into_iter().map(|waiter| waiter.resolver).collect()
    }

    fn blockers_of(&self, txn: TxnId) -> Vec<TxnId> {
        let Some(entry) = self.waiting.get(&txn).and_then(|key| self.locks.get(key)) else {
            return Vec::new();
        };
        let Some(at) = entry.waiters.iter().position(|waiter| waiter.txn.id == txn) else {
            return Vec::new();
        };
        entry.blockers(txn, entry.waiters[at].mode, at)
    }

    /// A cycle of waits through `start`, if there is one: everyone waits for the next, the last for the
    /// first.
    fn find_cycle(&self, start: TxnId) -> Option<Vec<TxnId>> {
        let mut seen = BTreeSet::from([start]);
        let mut path = vec![(start, self.blockers_of(start))];
        while let Some((_, blockers)) = path.last_mut() {
            match blockers.pop() {
                Some(next) if next == start => {
                    return Some(path.into_iter().map(|(txn, _)| txn).collect());
                }
                Some(next) => {
                    if seen.insert(next) {
                        path.push((next, self.blockers_of(next)));
                    }
                }
                None => {
                    path.pop();
                }
            }
        }
        None
    }

    fn waiter(&self, txn: TxnId) -> Option<&Waiter> {
        let entry = self.locks.get(self.waiting.get(&txn)?)?;
        entry.waiters.iter().find(|waiter| waiter.txn.id == txn)
    }

    /// Ends the wait of the youngest of a cycle; one that was replayed already is spared if it can be.
    fn sacrifice(&mut self, cycle: &[TxnId]) {
        let waiters = cycle.iter().filter_map(|txn| self.waiter(*txn));
        let victim = waiters
            .map(|waiter| (waiter.txn.replays == 0, waiter.txn.start, waiter.txn.id))
            .max()
            .map(|(_, _, txn)| txn);
        let Some(victim) = victim else { return };
        let mut words = String::new();
        for (at, txn) in cycle.iter().enumerate() {
            let next = cycle[(at + 1) % cycle.len()];
            let comma = if at == 0 { "" } else { "; " };
            let _ = write!(words, "{comma}{txn} waits for {next}");
        }
        if let Some(resolver) = self.stop_waiting(victim)
            && !resolver.resolve(Err(ReplicaError::Deadlock(words.clone())))
            && self.doomed.len() < ENDED_MAX
        {
            self.doomed.insert(victim, words);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::base::timestamp::Timestamp;

    fn txn(number: u64) -> TxnRef {
        let id = TxnId { number, ..TxnId::default() };
        TxnRef { id, start: Timestamp(number), replays: 0 }
    }

    fn key(number: u8) -> Key {
        Key(vec![number].into())
    }

    fn ask(table: &mut LockTable, number: u64, on: u8, mode: LockMode) -> Acquired {
        table.acquire(txn(number), &key(on), mode, true, Mono(0)).unwrap()
    }

    fn granted(acquired: Acquired) -> bool {
        matches!(acquired, Acquired::Granted(_))
    }

    fn wait(acquired: Acquired) -> Answer<LockResult> {
        match acquired {
            Acquired::Queued(answer) => answer,
            Acquired::Granted(_) => panic!("granted"),
        }
    }

    use LockMode::{Exclusive, Shared};

    #[test]
    fn first_come_first_served_and_shared_together() {
        let mut table = LockTable::new(1);
        assert!(granted(ask(&mut table, 1, 0, Exclusive)));
        let mut two = wait(ask(&mut table, 2, 0, Shared));
        let mut three = wait(ask(&mut table, 3, 0, Shared));
        let mut four = wait(ask(&mut table, 4, 0, Exclusive));
        let mut five = wait(ask(&mut table, 5, 0, Shared));
        assert_eq!((&mut two).now_or_never(), None);
        table.release(txn(1).id);
        assert!(matches!((&mut two).now_or_never(), Some(Some(Ok(_)))));
        assert!(matches!((&mut three).now_or_never(), Some(Some(Ok(_)))));
        assert_eq!((&mut five).now_or_never(), None, "overtook a writer");
        table.release(txn(2).id);
        assert_eq!((&mut four).now_or_never(), None);
        table.release(txn(3).id);
        assert!(matches!((&mut four).now_or_never(), Some(Some(Ok(_)))));
        table.release(txn(4).id);
        table.release(txn(5).id);
        assert!(table.is_empty());
        assert!(
            table.acquire(txn(5), &key(0), Shared, true, Mono(0)).is_err(),
            "a lock for the dead"
        );
    }

    #[test]
    fn a_place_in_the_queue_outlives_its_question() {
        let mut table = LockTable::new(1);
        assert!(granted(ask(&mut table, 1, 0, Exclusive)));
        drop(wait(ask(&mut table, 2, 0, Exclusive)));
        let mut three = wait(ask(&mut table, 3, 0, Exclusive));
        table.release(txn(1).id);
        assert_eq!((&mut three).now_or_never(), None);
        assert!(granted(ask(&mut table, 2, 0, Exclusive)));
        table.release(txn(2).id);
        assert!(matches!(three.now_or_never(), Some(Some(Ok(_)))));
    }

    #[test]
    fn the_youngest_of_a_cycle_gives_way_and_only_one() {
        let mut table = LockTable::new(1);
        for number in 1..=3 {
            assert!(granted(ask(&mut table, number, number as u8, Exclusive)));
        }
        let mut one = wait(ask(&mut table, 1, 2, Exclusive));
        let mut three = wait(ask(&mut table, 3, 1, Exclusive));
        let mut two = wait(ask(&mut table, 2, 3, Exclusive));
        let Some(Some(Err(ReplicaError::Deadlock(cycle)))) = (&mut three).now_or_never() else {
            panic!("no victim")
        };
        assert_eq!(cycle.matches("waits for").count(), 3, "{cycle}");
        assert_eq!((&mut one).now_or_never(), None);
        assert_eq!((&mut two).now_or_never(), None);
        table.release(txn(3).id);
        assert!(matches!(two.now_or_never(), Some(Some(Ok(_)))));
    }

    #[test]
    fn two_readers_that_want_to_write_are_a_deadlock() {
        let mut table = LockTable::new(1);
        assert!(granted(ask(&mut table, 1, 0, Shared)));
        assert!(granted(ask(&mut table, 2, 0, Shared)));
        let mut one = wait(ask(&mut table, 1, 0, Exclusive));
        let two = wait(ask(&mut table, 2, 0, Exclusive));
        assert!(matches!(two.now_or_never(), Some(Some(Err(ReplicaError::Deadlock(_))))));
        table.release(txn(2).id);
        assert!(matches!((&mut one).now_or_never(), Some(Some(Ok(_)))));
        assert!(table.is_held_by_other(&key(0), txn(9).id));
    }

    #[test]
    fn a_dead_coordinator_leaves_nothing() {
        let mut table = LockTable::new(1);
        assert!(granted(ask(&mut table, 1, 0, Exclusive)));
        let mut other = txn(7);
        other.id.node = NodeId::machine(2);
        let mut live = wait(table.acquire(other, &key(0), Exclusive, true, Mono(0)).unwrap());
        table.coordinator_dead(NodeId::default(), Incarnation(0));
        assert!(matches!((&mut live).now_or_never(), Some(Some(Ok(_)))));
        assert_eq!(
            table.acquire(txn(8), &key(0), Shared, false, Mono(0)).unwrap_err(),
            ReplicaError::LockTimeout
        );
    }

    #[test]
    fn an_orphaned_lock_gives_way_to_those_who_wait() {
        let mut table = LockTable::new(1);
        assert!(granted(ask(&mut table, 1, 0, Exclusive)));
        let mut two = wait(ask(&mut table, 2, 0, Exclusive));
        let late = |seconds| Mono::ZERO + Duration::from_secs(seconds);
        table.keep(&[txn(1).id], late(2));
        table.expire_blockers(txn(2).id, late(6));
        assert_eq!((&mut two).now_or_never(), None);
        table.expire_blockers(txn(2).id, late(7));
        assert!(matches!((&mut two).now_or_never(), Some(Some(Ok(_)))));
    }

    proptest! {
        /// Whatever is asked and freed: holders are compatible, there is no cycle of waits, everyone
        /// who waits has somebody to wait for, and when all have ended nothing is left.
        #[test]
        fn the_table_stays_sound(
            steps in prop::collection::vec((1u64..6, 0u8..4, 0u8..4), 1..80)
        ) {
            let mut table = LockTable::new(1);
            let mut answers = Vec::new();
            for (number, on, what) in steps {
                match what {
                    0 => table.release_keys(txn(number).id),
                    1 => drop(table.acquire(txn(number), &key(on), Shared, true, Mono(0)).map(
                        |got| answers.push(got))),
                    _ => drop(table.acquire(txn(number), &key(on), Exclusive, true, Mono(0)).map(
                        |got| answers.push(got))),
                }
                for entry in table.locks.values() {
                    let exclusive = entry.holders.iter().filter(|h| h.mode == Exclusive).count();
                    prop_assert!(exclusive == 0 || entry.holders.len() == 1);
                    prop_assert!(!entry.holders.is_empty());
                }
                for number in 1..6 {
                    prop_assert_eq!(table.find_cycle(txn(number).id), None);
                    let waits = table.waiting.contains_key(&txn(number).id);
                    prop_assert_eq!(waits, !table.blockers_of(txn(number).id).is_empty());
                }
            }
            for number in 1..6 {
                table.release(txn(number).id);
            }
            prop_assert!(table.is_empty() && table.held.is_empty() && table.waiting.is_empty());
        }
    }
}
