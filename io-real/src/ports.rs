//! What the driver needs from the rooms around it, as small traits: a node, its stores, its log, a
//! network. The driver knows nothing of RocksDB, files or sockets; simulations plug their own.

use std::collections::VecDeque;
use std::future::Future;
use std::io;

use shardforge_core::base::id::SessionId;
use shardforge_core::base::time::{Deadline, Now};
use shardforge_core::node::effect::Effect;
use shardforge_core::node::input::Input;
use shardforge_core::node::status::ClusterStatus;
use shardforge_core::storage::log::LogWrite;
use shardforge_core::storage::port::{StorageEffect, StorageEvent};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// The core's door, as the driver uses it.
pub trait CoreNode {
    /// Takes one fact; its wishes must be drained before the next one, which the borrow enforces.
    fn handle(&mut self, now: Now, input: Input) -> impl Iterator<Item = Effect>;
    /// When to call again if nothing happens.
    fn deadline(&self) -> Option<Deadline>;
    /// Whether a client should be read: its session has not too much waiting already.
    fn wants_input(&self, _: SessionId) -> bool {
        true
    }
    /// What the node knows of the cluster.
    fn status(&self) -> ClusterStatus;
}

/// The stores of a node's shards.
pub trait Stores {
    /// Performs a wish. Answers that are ready at once go to `ready`, in order; the others come
    /// over the [`Completions`] that the stores were made with.
    fn perform(&mut self, effect: StorageEffect, ready: &mut VecDeque<StorageEvent>);
    /// Closes files in good order; nothing is performed afterwards.
    fn close(&mut self) {}
}

/// The files of a node's log.
pub trait LogDisk {
    /// Writes and syncs, off this thread; `Input::LogPersisted` or `LogFailed` comes over the
    /// [`Completions`]. Appends that arrive while one sync runs share the next one.
    fn append(&mut self, ticket: u64, writes: Vec<LogWrite>);
    /// Gives up segments once all earlier appends are durable.
    fn retire(&mut self, segments: Vec<u64>);
    /// Finishes what was handed in and closes the files.
    fn close(&mut self) {}
}

/// Where answers from other threads go in. Cheap to clone.
///
/// Without a bound of its own: each entry answers one question of the core, whose questions are
/// bounded.
#[derive(Clone, Debug)]
pub struct Completions {
    sender: mpsc::UnboundedSender<Input>,
}

impl Completions {
    /// A queue for one driver.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    /// Hands an answer to the driver and wakes it; answers to a driver that has ended are dropped.
    pub fn send(&self, input: Input) {
        // The driver ends first when the process stops.
        let _ = self.sender.send(input);
    }
}

/// A connection's bytes, both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Who is at the other end, for the log.
    fn peer_name(&self) -> String;
}

/// Where connections arrive.
pub trait Listener: Send + 'static {
    /// Its connections.
    type Stream: ByteStream;
    /// The next connection. Errors concern one connection, or last until descriptors are free
    /// again.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    /// The bound address.
    fn local_addr(&self) -> io::Result<String>;
}

/// How to listen and connect: TCP, or a simulation of it.
pub trait Network: Clone + Send + Sync + 'static {
    /// Connections, both accepted and made.
    type Stream: ByteStream;
    /// Listeners.
    type Listener: Listener<Stream = Self::Stream>;
    /// Listens on `host:port`.
    fn listen(&self, address: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;
    /// Connects to `host:port`.
    fn connect(&self, address: String) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}
