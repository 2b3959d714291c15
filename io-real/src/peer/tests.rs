//! Links and the peer port, over a network within the process: delivery, loss, strangers, garbage.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use shardforge_core::base::id::{ClusterId, Incarnation, NodeId};
use shardforge_core::node::input::{Input, PeerFrame};
use shardforge_proto::peer::PROTOCOL;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};

use super::{Identity, Inbound, Links, Server, serve};
use crate::driver::PeerSender;
use crate::metrics::Metrics;
use crate::ports::{Completions, Listener, Network};
use crate::testing::Pipe;

type Doors = Arc<Mutex<BTreeMap<String, mpsc::Sender<DuplexStream>>>>;

/// Addresses within the process.
#[derive(Clone, Default)]
struct Wires(Doors);

struct Wire(mpsc::Receiver<DuplexStream>);

impl Network for Wires {
    type Stream = Pipe;
    type Listener = Wire;

    async fn listen(&self, address: &str) -> io::Result<Wire> {
        let (sender, receiver) = mpsc::channel(4);
        self.0.lock().unwrap().insert(address.to_owned(), sender);
        Ok(Wire(receiver))
    }

    async fn connect(&self, address: String) -> io::Result<Pipe> {
        let door = self.0.lock().unwrap().get(&address).cloned();
        let door = door.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (here, there) = duplex(1 << 16);
        door.send(there).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Pipe(here))
    }
}

impl Listener for Wire {
    type Stream = Pipe;

    async fn accept(&mut self) -> io::Result<Pipe> {
        match self.0.recv().await {
            Some(stream) => Ok(Pipe(stream)),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok("wire".into())
    }
}

const HERE: NodeId = NodeId::machine(1);
const THERE: NodeId = NodeId::machine(2);

fn frame(cluster: u128, number: u8) -> PeerFrame {
    PeerFrame {
        protocol: PROTOCOL,
        cluster: ClusterId(cluster),
        from: HERE,
        incarnation: Incarnation(1),
        to: THERE,
        number: u64::from(number),
        messages: vec![Bytes::copy_from_slice(&[number])],
    }
}

struct Receiver {
    inbound: Inbound,
    identity: Arc<Identity>,
    stop: watch::Sender<bool>,
}

async fn receiver(wires: &Wires) -> Receiver {
    let identity = Arc::new(Identity::new(THERE));
    let (server, inbound) = Server::new(Arc::clone(&identity));
    let listener = wires.listen("there:1").await.unwrap();
    let (stop, mut stopped) = watch::channel(false);
    tokio::spawn(serve(listener, server, async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    Receiver { inbound, identity, stop }
}

fn sender(wires: &Wires) -> (Links<Wires>, mpsc::UnboundedReceiver<Input>) {
    let (completions, completed) = Completions::channel();
    let identity = Arc::new(Identity::new(HERE));
    let mut links = Links::new(wires.clone(), identity, completions, Metrics::default());
    links.peers_changed(vec![(THERE, "there:1".into())]);
    (links, completed)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it never comes")
}

#[tokio::test]
async fn frames_arrive_whole_and_in_order() {
    let wires = Wires::default();
    let mut receiver = receiver(&wires).await;
    let (mut links, _lost) = sender(&wires);
    for number in 0..50 {
        links.send(THERE, frame(7, number));
    }
    for number in 0..50 {
        assert_eq!(within(receiver.inbound.frames.recv()).await, Some(frame(7, number)));
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_reported_and_the_link_comes_back() {
    let wires = Wires::default();
    let (mut links, mut lost) = sender(&wires);
    links.send(THERE, frame(7, 1));
    let failed = within(lost.recv()).await;
    assert!(matches!(failed, Some(Input::PeerMessageFailed(THERE))), "{failed:?}");
    // Nobody knows this one's address.
    links.send(NodeId::machine(9), frame(7, 1));
    let mut receiver = receiver(&wires).await;
    let arrived = within(async {
        loop {
            links.send(THERE, frame(7, 2));
            let wait =
                tokio::time::timeout(Duration::from_millis(100), receiver.inbound.frames.recv());
            if let Ok(frame) = wait.await {
                return frame;
            }
        }
    });
    assert_eq!(arrived.await, Some(frame(7, 2)));
    receiver.stop.send_replace(true);
}

#[tokio::test]
async fn strangers_frames_do_not_arrive() {
    let wires = Wires::default();
    let mut receiver = receiver(&wires).await;
    receiver.identity.learn(&frame(8, 0));
    let (mut links, mut lost) = sender(&wires);
    links.send(THERE, frame(7, 1));
    let failed = within(lost.recv()).await;
    assert!(matches!(failed, Some(Input::PeerMessageFailed(THERE))), "{failed:?}");
    assert!(receiver.inbound.frames.try_recv().is_err(), "a stranger was listened to");
}

#[tokio::test]
async fn garbage_on_the_peer_port_is_closed() {
    let wires = Wires::default();
    let mut receiver = receiver(&wires).await;
    let mut pipe = wires.connect("there:1".into()).await.unwrap().0;
    pipe.write_all(&[b'x'; 100]).await.unwrap();
    let mut answer = Vec::new();
    // However it ends, it ends.
    let _ = within(pipe.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{answer:?}");
    // Silence is closed too, after a while.
    let mut silent = wires.connect("there:1".into()).await.unwrap().0;
    let _ = within(silent.read_to_end(&mut answer)).await;
    let (mut links, _lost) = sender(&wires);
    links.send(THERE, frame(7, 3));
    assert_eq!(within(receiver.inbound.frames.recv()).await, Some(frame(7, 3)));
}
