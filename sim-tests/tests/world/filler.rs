//! A client that fills logs.

use shardforge_core::base::time::Mono;
use shardforge_io_sim::{ClientScript, Next, Outcome, World};
use std::time::Duration;

/// Makes tables, which fill the log of the system shard and are never changed again, then many small
/// rows in the first of them, each in a transaction of its own.
struct Filler {
    step: u32,
    tables: u32,
    inserts: u32,
}

impl ClientScript for Filler {
    fn next(&mut self, _: Mono, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Connected | Outcome::Awake => {}
            Outcome::Done { .. } => self.step += 1,
            Outcome::Failed { .. } | Outcome::Lost => panic!("step {}: {outcome:?}", self.step),
        }
        let (step, row) = (self.step, "x".repeat(200));
        if step < self.tables {
            Next::Query(format!("CREATE TABLE t{step} (id int PRIMARY KEY, v text)"))
        } else if step < self.tables + self.inserts {
            Next::Query(format!("INSERT INTO t0 VALUES ({step}, '{row}')"))
        } else {
            Next::Done
        }
    }
}

/// Fills a calm world.
///
/// # Panics
///
/// If that takes more than two simulated minutes, or a statement fails.
pub(crate) fn fill(world: &mut World, tables: u32, inserts: u32) {
    run(world, Filler { step: 0, tables, inserts });
}

/// Adds rows to a world that was filled with one table and `before` rows.
///
/// # Panics
///
/// As [`fill`].
pub(crate) fn add(world: &mut World, before: u32, inserts: u32) {
    run(world, Filler { step: 1 + before, tables: 1, inserts: before + inserts });
}

fn run(world: &mut World, filler: Filler) {
    world.add_client(Box::new(filler));
    let until = world.now() + Duration::from_secs(120);
    while !world.clients_done() {
        assert!(world.now() < until, "the client has not ended");
        world.run_for(Duration::from_millis(100));
    }
}
