//! The peer port: accepts nodes' streams and operators' calls.
//!
//! gRPC's handlers are tasks of their own that never touch the node; they hand what they receive
//! over bounded channels to the thread's local tasks, so a flood waits in its sender's HTTP/2
//! window.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Stream, stream};
use shardforge_core::base::limit;
use shardforge_core::node::input::PeerFrame;
use shardforge_proto::peer::from_wire;
use shardforge_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::admin::{AdminCall, AdminService};
use super::identity::Identity;
use super::stream::{Greeted, greet};
use crate::ports::{ByteStream, Listener};

/// Frames that wait for the node.
const INBOUND_FRAMES_MAX: usize = 64;
/// Connections of the port at once.
const CONNECTIONS_MAX: usize = 256;
/// Calls and streams of one connection at once.
const STREAMS_MAX: u32 = 64;
/// A stream's window: a few frames of entries in flight.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// A connection that does not answer pings so often and so long is dead.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// What the port receives.
pub struct Inbound {
    /// Frames of admitted nodes.
    pub frames: mpsc::Receiver<PeerFrame>,
    /// Operators' calls.
    pub calls: mpsc::Receiver<AdminCall>,
}

/// The port's services.
pub struct Server {
    identity: Arc<Identity>,
    frames: mpsc::Sender<PeerFrame>,
    calls: mpsc::Sender<AdminCall>,
}

impl Server {
    /// Services, and where what they receive comes out.
    pub fn new(identity: Arc<Identity>) -> (Self, Inbound) {
        let (frames, inbound_frames) = mpsc::channel(INBOUND_FRAMES_MAX);
        let (calls, inbound_calls) = mpsc::channel(1);
        let inbound = Inbound { frames: inbound_frames, calls: inbound_calls };
        (Self { identity, frames, calls }, inbound)
    }
}

/// Serves until `stop`.
pub async fn serve<L: Listener>(
    listener: L,
    server: Server,
    stop: impl Future<Output = ()> + Send,
) {
    let (accepted, incoming) = mpsc::channel(1);
    let accepting = tokio::spawn(accept(listener, accepted));
    let peers = v1::peer_server::PeerServer::new(PeerService {
        identity: server.identity,
        frames: server.frames,
    })
    .max_decoding_message_size(limit::PEER_FRAME_BYTES_MAX)
    .max_encoding_message_size(limit::PEER_FRAME_BYTES_MAX);
    let admin = v1::admin_server::AdminServer::new(AdminService::new(server.calls));
    let served = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(peers)
        .add_service(admin)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop)
        .await;
    accepting.abort();
    if let Err(error) = served {
        tracing::error!(%error, "the peer port failed");
    }
}

type Accepted<S> = mpsc::Sender<Result<Greeted<S>, std::io::Error>>;

async fn accept<L: Listener>(mut listener: L, accepted: Accepted<L::Stream>) {
    let greeting = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let name = stream.peer_name();
        if CONNECTIONS_MAX <= greeting.load(Ordering::Relaxed) {
            tracing::warn!(peer = name, "peer refused: too many connections without a greeting");
            continue;
        }
        greeting.fetch_add(1, Ordering::Relaxed);
        let (accepted, greeting) = (accepted.clone(), Arc::clone(&greeting));
        tokio::spawn(async move {
            match greet(stream).await {
                // The server may have stopped.
                Ok(stream) => drop(accepted.send(Ok(stream)).await),
                Err(reason) => tracing::warn!(peer = name, reason, "peer connection closed"),
            }
            greeting.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

struct PeerService {
    identity: Arc<Identity>,
    frames: mpsc::Sender<PeerFrame>,
}

type Outgoing = Pin<Box<dyn Stream<Item = Result<v1::Frame, Status>> + Send>>;

#[tonic::async_trait]
impl v1::peer_server::Peer for PeerService {
    type ExchangeStream = Outgoing;

    async fn exchange(
        &self,
        request: Request<Streaming<v1::Frame>>,
    ) -> Result<Response<Outgoing>, Status> {
        let name = request.extensions().get::<String>().cloned().unwrap_or_default();
        let (identity, frames) = (Arc::clone(&self.identity), self.frames.clone());
        // The response's only item is why it ends: receiving happens while it is awaited.
        let receiving = async move {
            let status = receive(request.into_inner(), &identity, &frames).await;
            tracing::warn!(peer = name, reason = status.message(), "peer stream closed");
            Err(status)
        };
        Ok(Response::new(Box::pin(stream::once(receiving))))
    }
}

/// Takes frames in until the stream ends or must be ended; says why.
async fn receive(
    mut incoming: Streaming<v1::Frame>,
    identity: &Identity,
    frames: &mpsc::Sender<PeerFrame>,
) -> Status {
    loop {
        let frame = match incoming.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Status::cancelled("the peer ended the stream"),
            Err(status) => return status,
        };
        let frame = match from_wire(frame) {
            Ok(frame) => frame,
            Err(error) => return Status::invalid_argument(error.to_string()),
        };
        if let Err(stranger) = identity.admit(&frame) {
            return Status::failed_precondition(stranger.to_string());
        }
        if frames.send(frame).await.is_err() {
            return Status::unavailable("the node stops");
        }
    }
}
