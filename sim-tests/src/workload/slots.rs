//! A limit on how many rows of a group may exist, kept by whoever counts before inserting.
//!
//! Nothing but the validation of predicates keeps it: two transactions that count the same free slot
//! insert different rows. Groups retire, so that a count does not walk over all rows ever deleted.

use shardforge_core::base::rng::Rng;
use shardforge_io_sim::Rows;

use super::driver::{Span, Work};
use crate::history::{Fate, History, SlotOp};

/// Groups in use at a time.
const GROUPS: u32 = 2;
/// After so many transactions of all clients the groups are left for new ones.
const GENERATION: usize = 60;
/// Rows that a group may have.
pub const LIMIT: u64 = 2;

/// The table.
pub fn schema() -> String {
    "CREATE TABLE IF NOT EXISTS slots (grp int, id bigint, PRIMARY KEY (grp, id))".to_owned()
}

/// The work of one client.
#[derive(Debug)]
pub struct Booker {
    client: usize,
    count: u64,
    generation: u32,
    group: u32,
    seen: Option<u64>,
}

impl Booker {
    /// For a client.
    pub fn new(client: usize) -> Self {
        Self { client, count: 0, generation: 0, group: 0, seen: None }
    }
}

impl Work for Booker {
    fn begin(&mut self, rng: &mut Rng) -> bool {
        self.group = self.generation * GROUPS + rng.below(u64::from(GROUPS)) as u32;
        self.seen = None;
        false
    }

    fn statement(&mut self, step: usize, rows: &Rows, _: &str) -> Option<String> {
        let group = self.group;
        match step {
            0 => Some(format!("SELECT count(*) FROM slots WHERE grp = {group}")),
            1 => {
                let cell = rows.first().and_then(|row| row.first()).cloned().flatten();
                let seen = cell.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
                self.seen = Some(seen);
                if seen < LIMIT {
                    self.count += 1;
                    let id = (self.client as u64 + 1) * 1_000_000 + self.count;
                    return Some(format!("INSERT INTO slots VALUES ({group}, {id})"));
                }
                Some(format!("DELETE FROM slots WHERE grp = {group}"))
            }
            _ => None,
        }
    }

    fn end(&mut self, history: &mut History, _: Span, fate: Fate) {
        let Some(seen) = self.seen else { return };
        history.slots.push(SlotOp { group: self.group, seen, fate });
        self.generation = u32::try_from(history.slots.len() / GENERATION).unwrap_or(u32::MAX);
    }
}
