//! The network: bytes that arrive later, twice or never.
//!
//! Frames between nodes may be lost, doubled and reordered; a client's connection keeps its order and
//! ends with the process behind it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use madsim::time::timeout;
use prost::Message;
use shardforge_core::base::id::{NodeId, SessionId};
use shardforge_core::base::map::stable_hash;
use shardforge_core::base::time::Mono;
use shardforge_core::node::input::{Input, PeerFrame};
use shardforge_core::sql::protocol::ClientReply;
use shardforge_proto::pgwire::{Decoder, Frontend, encode};
use shardforge_proto::{peer, v1};

use crate::mailbox::Mailbox;
use crate::world::World;

const LOSS: f64 = 0.01;
const REPEAT: f64 = 0.02;

enum Parcel {
    Frame {
        to: NodeId,
        bytes: Vec<u8>,
    },
    ToServer {
        connection: Rc<Connection>,
        bytes: Vec<u8>,
    },
    /// `None`: the server has closed it.
    ToClient {
        connection: Rc<Connection>,
        bytes: Option<Vec<u8>>,
    },
    /// The client has closed it.
    Gone {
        connection: Rc<Connection>,
    },
}

/// What is on its way.
#[derive(Default)]
pub(crate) struct Wire {
    parcels: RefCell<BTreeMap<(Mono, u64), Parcel>>,
    sent: Cell<u64>,
    news: Mailbox<()>,
}

/// A client's connection to one life of a node.
pub struct Connection {
    pub(crate) node: NodeId,
    pub(crate) session: SessionId,
    life: u64,
    decoder: RefCell<Decoder>,
    unread: RefCell<BytesMut>,
    /// Bytes keep their order: nothing arrives before this, in each direction.
    latest: [Cell<Mono>; 2],
    heard: Mailbox<Option<Vec<u8>>>,
}

impl Connection {
    pub(crate) fn new(node: NodeId, session: SessionId, life: u64) -> Self {
        Self {
            node,
            session,
            life,
            decoder: RefCell::default(),
            unread: RefCell::default(),
            latest: [Cell::new(Mono::ZERO), Cell::new(Mono::ZERO)],
            heard: Mailbox::default(),
        }
    }

    /// The process at the other end is gone.
    pub(crate) fn hung_up(&self) {
        self.heard.put(None);
    }

    /// The next bytes from the server; `None` once the connection is lost.
    pub async fn receive(&self) -> Option<Vec<u8>> {
        self.heard.next().await
    }

    /// Sends bytes to the server.
    pub fn send(self: &Rc<Self>, world: &World, bytes: Vec<u8>) {
        let at = self.in_order(0, world);
        world.wire().post(at, Parcel::ToServer { connection: Rc::clone(self), bytes });
    }

    /// Closes it; the server learns of it later.
    pub fn close(self: &Rc<Self>, world: &World) {
        let at = self.in_order(0, world);
        world.wire().post(at, Parcel::Gone { connection: Rc::clone(self) });
    }

    fn in_order(&self, direction: usize, world: &World) -> Mono {
        let latest = &self.latest[direction];
        latest.set(latest.get().max(world.now() + latency(world)));
        latest.get()
    }
}

/// 0.1 to 2 ms, one in fifty up to 100 ms.
fn latency(world: &World) -> Duration {
    let most = if world.below(50) == 0 { 100_000 } else { 2_000 };
    Duration::from_micros(100 + world.below(most))
}

impl Wire {
    fn post(&self, at: Mono, parcel: Parcel) {
        self.sent.set(self.sent.get() + 1);
        self.parcels.borrow_mut().insert((at, self.sent.get()), parcel);
        self.news.put(());
    }

    pub(crate) fn send_frame(&self, world: &World, from: NodeId, to: NodeId, frame: PeerFrame) {
        let bytes = peer::to_wire(frame).encode_to_vec();
        let copies = usize::from(!world.chance(LOSS)) + usize::from(world.chance(REPEAT));
        let hash = stable_hash(&bytes);
        world.note(format_args!("{from} > {to} {} {hash:016x} {copies}", bytes.len()));
        for _ in 0..copies {
            let at = world.now() + latency(world);
            self.post(at, Parcel::Frame { to, bytes: bytes.clone() });
        }
    }

    pub(crate) fn answer(
        &self,
        world: &World,
        connection: &Rc<Connection>,
        replies: &[ClientReply],
    ) {
        let mut bytes = BytesMut::new();
        replies.iter().for_each(|reply| encode(reply, &mut bytes));
        let (session, hash) = (connection.session, stable_hash(&bytes));
        world.note(format_args!("{session} < {} {hash:016x}", bytes.len()));
        let (at, connection) = (connection.in_order(1, world), Rc::clone(connection));
        self.post(at, Parcel::ToClient { connection, bytes: Some(bytes.to_vec()) });
    }

    pub(crate) fn close(&self, world: &World, connection: &Rc<Connection>) {
        let (at, connection) = (connection.in_order(1, world), Rc::clone(connection));
        self.post(at, Parcel::ToClient { connection, bytes: None });
    }

    /// Delivers for ever.
    pub(crate) async fn run(world: Rc<World>) {
        let wire = world.wire();
        loop {
            let first = wire.parcels.borrow().first_key_value().map(|((at, _), _)| *at);
            match first {
                None => wire.news.next().await,
                Some(at) if world.now() < at => {
                    // Either the time has come, or something earlier.
                    let _ = timeout(at.since(world.now()), wire.news.next()).await;
                }
                Some(_) => {
                    let parcel = wire.parcels.borrow_mut().pop_first();
                    parcel.into_iter().for_each(|(_, parcel)| deliver(&world, parcel));
                }
            }
        }
    }
}

fn deliver(world: &World, parcel: Parcel) {
    match parcel {
        Parcel::Frame { to, bytes } => {
            let frame = v1::Frame::decode(&bytes[..]).map(peer::from_wire);
            let Ok(Ok(frame)) = frame else { panic!("a node sent what is no frame: {frame:?}") };
            world.machine(to).tell(Input::PeerMessageReceived(frame));
        }
        Parcel::ToServer { connection, bytes } => {
            let machine = world.machine(connection.node);
            if machine.lives.get() == connection.life {
                let inputs = requests(&connection, &bytes);
                inputs.into_iter().for_each(|input| machine.tell(input));
            }
        }
        Parcel::ToClient { connection, bytes } => connection.heard.put(bytes),
        Parcel::Gone { connection } => {
            let machine = world.machine(connection.node);
            let session = connection.session;
            if machine.connections.borrow_mut().remove(&session).is_some() {
                machine.tell(Input::ClientDisconnected { session });
            }
        }
    }
}

/// What a client has said with these bytes.
fn requests(connection: &Connection, bytes: &[u8]) -> Vec<Input> {
    let mut unread = connection.unread.borrow_mut();
    unread.extend_from_slice(bytes);
    let mut decoder = connection.decoder.borrow_mut();
    let mut inputs = Vec::new();
    loop {
        let request = match decoder.decode(&mut unread) {
            Ok(None) => return inputs,
            Ok(Some(Frontend::Startup { request, .. })) => {
                decoder.authenticated();
                request
            }
            Ok(Some(Frontend::Request(request))) => request,
            other => panic!("a client of ours said {other:?}"),
        };
        inputs.push(Input::ClientRequested { session: connection.session, request });
    }
}
