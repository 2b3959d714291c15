//! The real rooms behind the driver's ports: the core's node, the log's thread, RocksDB.

use shardforge_core::base::id::SessionId;
use shardforge_core::base::time::{Deadline, Now};
use shardforge_core::node::Node;
use shardforge_core::node::effect::Effect;
use shardforge_core::node::input::Input;
use shardforge_core::node::status::ClusterStatus;
use shardforge_core::storage::log::LogWrite;

use crate::disk::{LogReport, LogSync};
use crate::ports::{CoreNode, LogDisk};

impl CoreNode for Node {
    fn handle(&mut self, now: Now, input: Input) -> impl Iterator<Item = Effect> {
        Self::handle(self, now, input)
    }

    fn deadline(&self) -> Option<Deadline> {
        Self::deadline(self)
    }

    fn wants_input(&self, session: SessionId) -> bool {
        Self::wants_input(self, session)
    }

    fn status(&self) -> ClusterStatus {
        Self::status(self)
    }
}

impl LogDisk for LogSync {
    fn append(&mut self, ticket: u64, writes: Vec<LogWrite>) {
        Self::append(self, ticket, writes);
    }

    fn retire(&mut self, segments: Vec<u64>) {
        Self::retire(self, segments);
    }

    fn close(&mut self) {
        Self::close(self);
    }
}

/// What the log's thread reports, as the core takes it.
pub fn log_input(report: LogReport) -> Input {
    match report {
        LogReport::Persisted { ticket } => Input::LogPersisted { ticket },
        LogReport::Failed { reason, disk_full } => Input::LogFailed { reason, disk_full },
    }
}

#[cfg(feature = "rocksdb")]
mod stores {
    use std::collections::VecDeque;

    use shardforge_core::storage::port::{StorageEffect, StorageEvent};

    use crate::ports::Stores;
    use crate::rocks::RocksStores;

    impl Stores for RocksStores {
        fn perform(&mut self, effect: StorageEffect, ready: &mut VecDeque<StorageEvent>) {
            Self::perform(self, effect, ready);
        }

        fn close(&mut self) {
            Self::close(self);
        }
    }
}
