//! A node's ports around its driver: everything of a running node but files, flags and signals.
//!
//! The program calls this over TCP with RocksDB; simulations call it over a simulated network with
//! stores in memory.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shardforge_core::node::effect::HaltReason;
use shardforge_core::node::input::{Input, OperatorRequest};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::driver::{Cell, Door, Driver};
use crate::front::{http, pgwire};
use crate::metrics::Metrics;
use crate::peer::{Identity, Links, Server, admin, serve};
use crate::ports::{Completions, CoreNode, LogDisk, Network, Stores};
use crate::security::Security;

/// A node's rooms.
pub struct Parts<N, S, L> {
    /// The core.
    pub node: N,
    /// Its stores.
    pub stores: S,
    /// Its log.
    pub log: L,
    /// Its clock.
    pub clock: Box<dyn Clock>,
    /// What it is told first.
    pub boot: Input,
    /// Its figures.
    pub metrics: Metrics,
}

/// A node's ports, bound.
pub struct Ports<L> {
    /// For PostgreSQL clients.
    pub sql: L,
    /// For nodes and operators.
    pub peer: Option<L>,
    /// For metrics and health.
    pub http: Option<L>,
}

/// The rest that a shell must know.
pub struct Setting {
    /// Client connections at once.
    pub connections_max: usize,
    /// Posture.
    pub security: Security,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// Becomes true when the node is to drain.
    pub stop: watch::Receiver<bool>,
}

/// How often the node's thread is looked at, and how late that look may be before the log says so.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const STOOD_STILL: Duration = Duration::from_millis(500);

/// Runs a node until it halts. Must run where tasks can be spawned locally: in a
/// `LocalRuntime` or a `LocalSet`.
///
/// `on_serving` is called whenever SQL begins to be served.
pub async fn run<Net: Network, N, S, L>(
    network: Net,
    identity: Arc<Identity>,
    ports: Ports<Net::Listener>,
    parts: Parts<N, S, L>,
    (completions, mut completed): (Completions, mpsc::UnboundedReceiver<Input>),
    setting: Setting,
    on_serving: impl Fn() + 'static,
) -> HaltReason
where
    N: CoreNode + 'static,
    S: Stores + 'static,
    L: LogDisk + 'static,
{
    let metrics = parts.metrics.clone();
    let links = Links::new(network, Arc::clone(&identity), completions, metrics.clone());
    let cell = Cell::new(
        parts.node,
        parts.clock,
        parts.stores,
        parts.log,
        Box::new(links),
        metrics.clone(),
    );
    let driver = Rc::new(Driver::new(cell, metrics.clone()));
    let door: Rc<dyn Door> = Rc::clone(&driver) as Rc<dyn Door>;
    let (ended, end) = watch::channel(false);

    if let Some(listener) = ports.peer {
        let (server, inbound) = Server::new(identity);
        tokio::spawn(serve(listener, server, until(end.clone())));
        let security = Rc::new(setting.security);
        tokio::task::spawn_local(admin::answer(Rc::clone(&door), inbound.calls, security));
        tokio::task::spawn_local(receive_frames(Rc::clone(&door), inbound.frames));
    }
    if let Some(listener) = ports.http {
        let serving = door.serving();
        tokio::spawn(http::serve(listener, metrics.registry(), serving, until(end.clone())));
    }
    let clients =
        pgwire::serve(ports.sql, Rc::clone(&door), setting.connections_max, setting.stop.clone());
    tokio::task::spawn_local(clients);
    tokio::task::spawn_local(announce(door.serving(), on_serving));
    let watch = tokio::task::spawn_local(watch_thread());
    let gathering = Rc::clone(&driver);
    let gathering = tokio::task::spawn_local(async move { gathering.hand_over().await });

    let drained = drain(Rc::clone(&door), setting.stop, setting.drain_timeout);
    // A task, so that its wakes stay in the runtime's queue: those of the future that a runtime blocks
    // on go through epoll.
    let running = Rc::clone(&driver);
    let mut running =
        tokio::task::spawn_local(async move { running.run(parts.boot, &mut completed).await });
    let reason = tokio::select! {
        ended = &mut running => ended.unwrap_or_else(|e| HaltReason::Invariant(e.to_string())),
        reason = drained => reason,
    };
    running.abort();
    watch.abort();
    gathering.abort();
    // Nobody listens any more if all ports are gone.
    let _ = ended.send(true);
    match reason {
        HaltReason::Drained => driver.close(),
        // Whatever stopped the node, its files are not to be touched again: the next start recovers.
        HaltReason::Fenced(_) | HaltReason::DataDirectory(_) | HaltReason::Invariant(_) => {
            driver.close_clients();
        }
    }
    // Last answers and goodbyes leave before the runtime does.
    tokio::task::yield_now().await;
    reason
}

async fn until(mut end: watch::Receiver<bool>) {
    // An error means that the sender is gone: that is the end, too.
    let _ = end.wait_for(|end| *end).await;
}

async fn receive_frames(
    door: Rc<dyn Door>,
    mut frames: mpsc::Receiver<shardforge_core::node::input::PeerFrame>,
) {
    while let Some(frame) = frames.recv().await {
        door.metrics().peer_frames_received.inc();
        door.give(Input::PeerMessageReceived(frame));
    }
}

/// Says when the node's thread stood still: the process was stopped, the machine has no time for it, or
/// a store made it wait.
async fn watch_thread() {
    loop {
        let due = Instant::now() + LOOK_EVERY;
        tokio::time::sleep_until(due).await;
        let late = Instant::now() - due;
        if STOOD_STILL <= late {
            tracing::warn!(ms = late.as_millis(), "the node's thread stood still");
        }
    }
}

async fn announce(mut serving: watch::Receiver<bool>, on_serving: impl Fn()) {
    while serving.wait_for(|serving| *serving).await.is_ok() {
        on_serving();
        if serving.wait_for(|serving| !*serving).await.is_err() {
            return;
        }
    }
}

/// Asks the node to drain when told to stop; gives up on it after a while.
async fn drain(door: Rc<dyn Door>, stop: watch::Receiver<bool>, timeout: Duration) -> HaltReason {
    until(stop).await;
    tracing::info!("draining: no new clients; what runs is finished");
    let answer = door.ask(OperatorRequest::Drain);
    tokio::time::sleep(timeout).await;
    drop(answer);
    HaltReason::Invariant("the node did not drain in time; what it acknowledged is durable".into())
}
