//! A log and stores in memory, durable at once and gone with the process: for simulations of the
//! network shell.

use std::collections::VecDeque;

use shardforge_core::node::input::Input;
use shardforge_core::storage::log::LogWrite;
use shardforge_core::storage::memory::MemoryStores;
use shardforge_core::storage::port::{StorageEffect, StorageEvent};

use crate::ports::{Completions, LogDisk, Stores};

/// A log that keeps nothing.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    completions: Completions,
}

impl MemoryLog {
    /// Answers over `completions`.
    pub fn new(completions: Completions) -> Self {
        Self { completions }
    }
}

impl LogDisk for MemoryLog {
    fn append(&mut self, ticket: u64, _: Vec<LogWrite>) {
        self.completions.send(Input::LogPersisted { ticket });
    }

    fn retire(&mut self, _: Vec<u64>) {}
}

impl Stores for MemoryStores {
    fn perform(&mut self, effect: StorageEffect, ready: &mut VecDeque<StorageEvent>) {
        ready.extend(MemoryStores::perform(self, effect));
    }
}
