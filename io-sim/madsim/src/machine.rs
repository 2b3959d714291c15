//! One machine: what outlives its process, and what its process left behind.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use shardforge_core::base::id::{NodeId, SessionId, ShardId, Token};
use shardforge_core::base::rng::Rng;
use shardforge_core::node::CoreConfig;
use shardforge_core::node::input::{Input, OperatorAnswer};
use shardforge_core::storage::log::LogWrite;
use shardforge_core::storage::memory::MemoryStores;
use shardforge_core::storage::port::Family;
use shardforge_io_sim::clock::SkewedClock;
use shardforge_io_sim::disk::Disk;

use crate::mailbox::Mailbox;
use crate::wire::Connection;

/// An append on its way to the log's task.
pub(crate) type Append = (u64, Vec<LogWrite>);

/// The queues of one life.
#[derive(Default)]
pub(crate) struct Life {
    pub(crate) inbox: Mailbox<Input>,
    pub(crate) log: Mailbox<Append>,
}

pub(crate) struct Machine {
    pub(crate) id: NodeId,
    pub(crate) config: CoreConfig,
    pub(crate) clock: SkewedClock,
    pub(crate) disk: RefCell<Disk>,
    pub(crate) stores: RefCell<MemoryStores>,
    /// The running process's queues; `None` while there is none.
    pub(crate) life: RefCell<Option<Rc<Life>>>,
    pub(crate) lives: Cell<u64>,
    pub(crate) serving: Cell<bool>,
    pub(crate) answers: RefCell<BTreeMap<Token, OperatorAnswer>>,
    pub(crate) connections: RefCell<BTreeMap<SessionId, Rc<Connection>>>,
}

impl Machine {
    pub(crate) fn new(id: NodeId, config: CoreConfig, clock: SkewedClock) -> Self {
        let stores = RefCell::new(MemoryStores::new(config.faults.clone()));
        Self {
            id,
            config,
            clock,
            disk: RefCell::default(),
            stores,
            life: RefCell::default(),
            lives: Cell::default(),
            serving: Cell::default(),
            answers: RefCell::default(),
            connections: RefCell::default(),
        }
    }

    /// A new process: its queues.
    pub(crate) fn begin_life(&self) -> Rc<Life> {
        let life = Rc::new(Life::default());
        self.lives.set(self.lives.get() + 1);
        *self.life.borrow_mut() = Some(Rc::clone(&life));
        life
    }

    /// Tells the process, if there is one.
    pub(crate) fn tell(&self, input: Input) {
        if let Some(life) = &*self.life.borrow() {
            life.inbox.put(input);
        }
    }

    /// The process is gone and its machine has lost power. Whether unsynced log bytes were lost or
    /// torn.
    pub(crate) fn lose_power(&self, rng: &mut Rng) -> bool {
        *self.life.borrow_mut() = None;
        self.serving.set(false);
        self.stores.borrow_mut().crash(rng);
        for connection in std::mem::take(&mut *self.connections.borrow_mut()).into_values() {
            connection.hung_up();
        }
        self.disk.borrow_mut().crash(rng)
    }

    /// A checksum of everything that clients can see of each shard.
    pub(crate) fn checksums(&self) -> BTreeMap<ShardId, u64> {
        let stores = self.stores.borrow();
        let of = |id: ShardId| stores.store(id).map(|store| store.checksum(FAMILIES));
        stores.ids().filter_map(|id| Some((id, of(id).ok()?))).collect()
    }
}

const FAMILIES: &[Family] = &[Family::Data, Family::Index, Family::Lock];
