//! What only the system shard's leader does: timestamps, fences' bookkeeping, verdicts of death.

use std::rc::Rc;

use super::command::Part;
use super::error::ReplicaError;
use super::liveness::BEAT_EVERY;
use super::oracle::{Granting, Oracle};
use super::proposer::Tail;
use super::replica::Replica;
use super::request::{BeatBody, FenceBody, Grant, ShardResponse, TimestampBody};
use super::wait::{Gate, within};
use crate::base::id::SYSTEM_SHARD;
use crate::base::time::Wall;
use crate::base::timestamp::Timestamp;

/// Timestamps in one question.
const COUNT_MAX: u32 = 1 << 16;
/// A catalog version is the leader's term and a count: no two leaders give the same.
const TERM_SHIFT: u32 = 32;

impl Replica {
    fn only_system(&self) -> Result<(), ReplicaError> {
        if self.shard() == SYSTEM_SHARD {
            return Ok(());
        }
        Err(ReplicaError::Refused("only the system shard does that".to_owned()))
    }

    /// Makes the oracle ready; the first timestamp that only this leader can have granted.
    pub(super) async fn open_oracle(self: &Rc<Self>, term: u64) -> Option<Timestamp> {
        let limit = self.ports.machine.oracle_limit();
        let mut oracle = Oracle::new(limit, self.ports.clock.now());
        let first = oracle.first_limit();
        let part = Part::OracleLimit(first);
        self.propose(term, part, Tail::default()).await.ok()?;
        oracle.extended(first);
        {
            let mut leader = self.leader.borrow_mut();
            if leader.term != term {
                return None;
            }
            leader.oracle = Some(oracle);
            // Who was stopped together with the former leader may never be heard by this one.
            let now = self.ports.clock.now().mono;
            for (node, (incarnation, heard)) in &*self.lives.borrow() {
                leader.liveness.expect(*node, *incarnation, *heard, now);
            }
        }
        self.ports.clock.spawn(Box::pin(self.clone().judge_nodes(term)));
        Some(limit.next())
    }

    /// Listens for silence as long as the term lasts.
    async fn judge_nodes(self: Rc<Self>, term: u64) {
        loop {
            let until = self.ports.clock.now().mono + BEAT_EVERY;
            self.ports.clock.sleep_until(until).await;
            let now = self.ports.clock.now().mono;
            let me = self.ports.consensus.leader();
            let dead = {
                let mut leader = self.leader.borrow_mut();
                if leader.term != term {
                    return;
                }
                leader.liveness.judge(now, me)
            };
            for (node, incarnation) in dead {
                let part = Part::NodeDead { node, incarnation };
                // If it fails, another leader hears the same silence.
                let _ = self.propose(term, part, Tail::default()).await;
            }
        }
    }

    pub(super) async fn beat(&self, body: &BeatBody) -> Result<ShardResponse, ReplicaError> {
        self.only_system()?;
        self.enter().await?;
        let now = self.ports.clock.now().mono;
        let mut leader = self.leader.borrow_mut();
        leader.liveness.hear(body.node, body.incarnation, now);
        let wall_us = i64::try_from(body.wall_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        if let Some(oracle) = &mut leader.oracle {
            oracle.hear_wall(body.node, Wall(wall_us), now);
        }
        Ok(ShardResponse::Done)
    }

    pub(super) async fn timestamps(
        &self,
        body: &TimestampBody,
    ) -> Result<ShardResponse, ReplicaError> {
        self.only_system()?;
        if body.count == 0 || COUNT_MAX < body.count {
            return Err(ReplicaError::Refused("number of timestamps".to_owned()));
        }
        loop {
            let term = self.enter().await?;
            self.confirm(term).await?;
            let now = self.ports.clock.now();
            let granting = {
                let mut leader = self.leader.borrow_mut();
                let Some(oracle) = &mut leader.oracle else { return Err(ReplicaError::NotReady) };
                oracle.grant(now, body.count, body.at_least, body.hold)
            };
            match granting {
                Granting::Granted(first) => {
                    if body.hold.is_some() {
                        self.leader.borrow_mut().hold_over.get_or_insert_default();
                    }
                    self.extend_in_time(term);
                    let catalog_version = self.catalog_version();
                    return Ok(ShardResponse::Granted(Grant { first, catalog_version }));
                }
                Granting::Extend(limit) => {
                    self.extend(term, limit).opened().await;
                    if self.ports.machine.oracle_limit() < limit {
                        return Err(ReplicaError::NotReady);
                    }
                }
                Granting::Held(until) => {
                    let gate = self.leader.borrow().hold_over.clone().unwrap_or_default();
                    within(&*self.ports.clock, until, gate.opened()).await;
                }
                Granting::Refused => {
                    return Err(ReplicaError::Refused("timestamp out of reach".to_owned()));
                }
            }
        }
    }

    /// As [`Self::timestamps`], while leadership is certain, if nobody holds them back.
    pub(super) fn timestamps_now(&self, term: u64, body: &TimestampBody) -> Option<ShardResponse> {
        if self.shard() != SYSTEM_SHARD || body.count != 1 || body.hold.is_some() {
            return None;
        }
        let now = self.ports.clock.now();
        let granting = {
            let mut leader = self.leader.borrow_mut();
            leader.oracle.as_mut()?.grant(now, body.count, body.at_least, None)
        };
        let Granting::Granted(first) = granting else { return None };
        self.extend_in_time(term);
        let catalog_version = self.catalog_version();
        Some(ShardResponse::Granted(Grant { first, catalog_version }))
    }

    fn catalog_version(&self) -> u64 {
        let leader = self.leader.borrow();
        (leader.term << TERM_SHIFT) + leader.catalog_changes
    }

    fn extend_in_time(&self, term: u64) {
        let now = self.ports.clock.now();
        let limit = {
            let mut leader = self.leader.borrow_mut();
            if leader.extending.is_some() {
                return;
            }
            leader.oracle.as_mut().and_then(|oracle| oracle.wants_extension(now))
        };
        if let Some(limit) = limit {
            self.extend(term, limit);
        }
    }

    /// Raises the limit in a task of its own; the gate opens when that has ended, well or not.
    fn extend(&self, term: u64, limit: Timestamp) -> Gate {
        let gate = {
            let mut leader = self.leader.borrow_mut();
            if let Some(gate) = &leader.extending {
                return gate.clone();
            }
            let gate = Gate::default();
            leader.extending = Some(gate.clone());
            gate
        };
        if let Some(me) = self.me() {
            self.ports.clock.spawn(Box::pin(me.run_extension(term, limit)));
        }
        gate
    }

    async fn run_extension(self: Rc<Self>, term: u64, limit: Timestamp) {
        let result = self.propose(term, Part::OracleLimit(limit), Tail::default()).await;
        let gate = {
            let mut leader = self.leader.borrow_mut();
            if leader.term != term {
                return; // whoever came after has opened the gate
            }
            if let (Ok(()), Some(oracle)) = (result, &mut leader.oracle) {
                oracle.extended(limit);
            }
            leader.extending.take()
        };
        if let Some(gate) = gate {
            gate.open();
        }
    }

    pub(super) async fn place_fence(
        &self,
        body: &FenceBody,
    ) -> Result<ShardResponse, ReplicaError> {
        let term = self.enter().await?;
        {
            let mut leader = self.leader.borrow_mut();
            let fence = leader.fences.entry(body.table).or_default();
            // What is decided from now on sees it; what was decided before is ahead in the log.
            *fence = (*fence).max(body.version);
        }
        let FenceBody { table, version, txn } = *body;
        let placed = self.propose(term, Part::PlaceFence { table, version, txn }, Tail::default());
        let placed = placed.await;
        let mut leader = self.leader.borrow_mut();
        if leader.term == term && leader.fences.get(&table) == Some(&version) {
            leader.fences.remove(&table);
        }
        drop(leader);
        placed.map(|()| ShardResponse::Done)
    }

    pub(super) async fn lift_fence(&self, body: &FenceBody) -> Result<ShardResponse, ReplicaError> {
        let term = self.enter().await?;
        self.leader.borrow_mut().fences.remove(&body.table);
        let part = Part::LiftFence { table: body.table, txn: body.txn };
        self.propose(term, part, Tail::default()).await?;
        Ok(ShardResponse::Done)
    }
}
