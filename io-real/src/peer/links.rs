//! Streams to the other nodes: one an address, made when there is something to say.
//!
//! # Invariants
//!
//! - Sending never waits: a link's queue is bounded in frames and bytes, and what does not fit is
//!   lost.
//! - Whenever frames were lost, or may have been, the core hears `PeerMessageFailed`.
//! - A link that cannot connect tries again after a pause that doubles up to [`PAUSE_MAX`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream;
use hyper_util::rt::TokioIo;
use shardforge_core::base::id::NodeId;
use shardforge_core::base::limit;
use shardforge_core::node::input::{Input, PeerFrame};
use shardforge_proto::peer::{check_bounds, to_wire};
use shardforge_proto::v1;
use shardforge_proto::v1::peer_client::PeerClient;
use tokio::sync::mpsc;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::identity::Identity;
use crate::driver::PeerSender;
use crate::metrics::Metrics;
use crate::ports::{Completions, Network};

/// Frames that may wait for one link.
const QUEUED_FRAMES_MAX: usize = 4_096;
/// Bytes that may wait for one link.
const QUEUED_BYTES_MAX: usize = 2 * limit::PEER_FRAME_BYTES_MAX;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// After the other side said that we are strangers.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// All links of a node.
pub struct Links<N> {
    network: N,
    identity: Arc<Identity>,
    completions: Completions,
    metrics: Metrics,
    addresses: BTreeMap<NodeId, String>,
    links: BTreeMap<String, Link>,
}

struct Link {
    queue: mpsc::Sender<v1::Frame>,
    /// Who is there; 0 while nobody is known.
    to: Arc<AtomicU32>,
    queued_bytes: Arc<AtomicUsize>,
}

impl<N: Network> Links<N> {
    /// No links yet.
    pub fn new(
        network: N,
        identity: Arc<Identity>,
        completions: Completions,
        metrics: Metrics,
    ) -> Self {
        let (addresses, links) = (BTreeMap::new(), BTreeMap::new());
        Self { network, identity, completions, metrics, addresses, links }
    }

    /// Queues a frame for an address; whether it was.
    fn send_to(&mut self, address: &str, to: NodeId, frame: PeerFrame) -> bool {
        self.identity.learn(&frame);
        if let Err(error) = check_bounds(&frame.messages) {
            tracing::error!(%to, %error, "a frame of ours is lost");
            return false;
        }
        let bytes = frame.messages.iter().map(bytes::Bytes::len).sum::<usize>();
        let link = self.link(address, to);
        if QUEUED_BYTES_MAX < link.queued_bytes.load(Ordering::Relaxed) + bytes {
            return false;
        }
        link.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let queued = link.queue.try_send(to_wire(frame)).is_ok();
        if !queued {
            link.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        queued
    }

    fn link(&mut self, address: &str, to: NodeId) -> &Link {
        if !self.links.contains_key(address) {
            let (queue, frames) = mpsc::channel(QUEUED_FRAMES_MAX);
            let queued_bytes = Arc::new(AtomicUsize::new(0));
            let node = Arc::new(AtomicU32::new(to.0));
            let task = LinkTask {
                network: self.network.clone(),
                address: address.to_owned(),
                to: Arc::clone(&node),
                queue: Queue {
                    frames: Arc::new(Mutex::new(frames)),
                    bytes: Arc::clone(&queued_bytes),
                    metrics: self.metrics.clone(),
                },
                completions: self.completions.clone(),
                metrics: self.metrics.clone(),
            };
            tokio::spawn(task.run());
            let link = Link { queue, to: node, queued_bytes };
            self.links.insert(address.to_owned(), link);
        }
        let link = &self.links[address];
        if to != NodeId(0) {
            link.to.store(to.0, Ordering::Relaxed);
        }
        link
    }

    fn lost(&self, to: NodeId) {
        self.metrics.peer_frames_lost.inc();
        if to != NodeId(0) {
            self.completions.send(Input::PeerMessageFailed(to));
        }
    }
}

impl<N: Network> PeerSender for Links<N> {
    fn send(&mut self, to: NodeId, frame: PeerFrame) {
        let sent = match self.addresses.get(&to).cloned() {
            Some(address) => self.send_to(&address, to, frame),
            None => false,
        };
        if !sent {
            self.lost(to);
        }
    }

    fn probe(&mut self, address: &str, frame: PeerFrame) {
        // Nobody waits for a probe: the core probes again.
        if !self.send_to(address, NodeId(0), frame) {
            self.lost(NodeId(0));
        }
    }

    fn peers_changed(&mut self, peers: Vec<(NodeId, String)>) {
        self.addresses = peers.into_iter().filter(|(_, address)| !address.is_empty()).collect();
        // Dropping a link's queue ends its task once the queue is empty.
        let kept: Vec<&String> = self.addresses.values().collect();
        self.links.retain(|address, _| kept.contains(&address));
    }
}

/// A link's queue, shared with the stream that empties it.
#[derive(Clone)]
struct Queue {
    frames: Arc<Mutex<mpsc::Receiver<v1::Frame>>>,
    bytes: Arc<AtomicUsize>,
    metrics: Metrics,
}

impl Queue {
    fn poll_next(&self, context: &mut std::task::Context<'_>) -> Poll<Option<v1::Frame>> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = frames.poll_recv(context);
        if let Poll::Ready(Some(frame)) = &frame {
            self.taken(frame);
            self.metrics.peer_frames_sent.inc();
        }
        frame
    }

    fn taken(&self, frame: &v1::Frame) {
        let bytes = frame.messages.iter().map(bytes::Bytes::len).sum::<usize>();
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Throws away what is queued; whether that was anything, and whether more can come.
    fn clear(&self) -> (usize, bool) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cleared = 0;
        loop {
            match frames.try_recv() {
                Ok(frame) => {
                    self.taken(&frame);
                    cleared += 1;
                }
                Err(mpsc::error::TryRecvError::Empty) => return (cleared, true),
                Err(mpsc::error::TryRecvError::Disconnected) => return (cleared, false),
            }
        }
    }
}

struct LinkTask<N> {
    network: N,
    address: String,
    to: Arc<AtomicU32>,
    queue: Queue,
    completions: Completions,
    metrics: Metrics,
}

/// How a connection ended.
enum End {
    /// It never began, or broke.
    Broken(String),
    /// The other side does not know us.
    Refused(String),
}

impl<N: Network> LinkTask<N> {
    fn to(&self) -> NodeId {
        NodeId(self.to.load(Ordering::Relaxed))
    }

    async fn run(self) {
        let mut pause = PAUSE_MIN;
        let mut said = String::new();
        loop {
            let end = match self.connect().await {
                Ok(client) => {
                    pause = PAUSE_MIN;
                    said.clear();
                    tracing::info!(peer = %self.to(), address = self.address, "link is up");
                    self.metrics.peer_links.inc();
                    let end = self.exchange(client).await;
                    self.metrics.peer_links.dec();
                    end
                }
                Err(reason) => End::Broken(reason),
            };
            let reason = match end {
                End::Broken(reason) => reason,
                End::Refused(reason) => {
                    pause = PAUSE_REFUSED;
                    reason
                }
            };
            if reason != said {
                tracing::warn!(peer = %self.to(), address = self.address, reason, "link is down");
                said = reason;
            }
            if !self.lose_queue() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX.max(pause));
        }
    }

    /// Reports what is lost; whether the link is still wanted.
    fn lose_queue(&self) -> bool {
        let (cleared, wanted) = self.queue.clear();
        self.metrics.peer_frames_lost.inc_by(cleared as u64);
        if self.to() != NodeId(0) {
            self.completions.send(Input::PeerMessageFailed(self.to()));
        }
        wanted
    }

    async fn connect(&self) -> Result<PeerClient<Channel>, String> {
        let channel = connect(self.network.clone(), &self.address, CONNECT_TIMEOUT).await?;
        Ok(PeerClient::new(channel).max_encoding_message_size(limit::PEER_FRAME_BYTES_MAX))
    }

    async fn exchange(&self, mut client: PeerClient<Channel>) -> End {
        let queue = self.queue.clone();
        let frames = stream::poll_fn(move |context| queue.poll_next(context));
        let ended = async {
            let mut answers = client.exchange(frames).await?.into_inner();
            while answers.message().await?.is_some() {}
            Ok::<(), tonic::Status>(())
        };
        match ended.await {
            Ok(()) => End::Broken("the peer ended the stream".into()),
            Err(status) if status.code() == Code::FailedPrecondition => {
                End::Refused(status.message().to_owned())
            }
            Err(status) => End::Broken(status.message().to_owned()),
        }
    }
}

/// A gRPC channel to an address over a network of ours.
///
/// # Errors
///
/// A sentence.
pub(super) async fn connect<N: Network>(
    network: N,
    address: &str,
    timeout: Duration,
) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| format!("{address} is no address: {error}"))?
        .connect_timeout(timeout)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let target = address.to_owned();
    let connector = tower::service_fn(move |_| {
        let (network, target) = (network.clone(), target.clone());
        async move { network.connect(target).await.map(TokioIo::new) }
    });
    let connecting = endpoint.connect_with_connector(connector);
    match tokio::time::timeout(timeout, connecting).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(cause(&error)),
        Err(_) => Err("it did not answer in time".into()),
    }
}

/// The innermost reason of an error: tonic's own words are "transport error".
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
