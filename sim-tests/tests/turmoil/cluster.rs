//! Three nodes as turmoil hosts, and clients of them.

use std::sync::Arc;
use std::time::Duration;

use shardforge_core::base::id::NodeId;
use shardforge_core::node::input::{DiskImage, Input};
use shardforge_core::node::{CoreConfig, Node, Seed};
use shardforge_core::storage::memory::MemoryStores;
use shardforge_io_real::clock::{Clock, RuntimeClock};
use shardforge_io_real::memory::MemoryLog;
use shardforge_io_real::metrics::Metrics;
use shardforge_io_real::peer::{Identity, admin};
use shardforge_io_real::ports::{Completions, Network};
use shardforge_io_real::security::Security;
use shardforge_io_real::shell::{self, Parts, Ports, Setting};
use tokio::sync::watch;
use turmoil::{Builder, Sim};

use crate::backend::planted;
use crate::libc_shim::Guard;
use crate::network::{self, Simulated, Traced};

/// The hosts' names.
pub(crate) const HOSTS: [&str; 3] = ["n1", "n2", "n3"];
/// Where each of them speaks SQL.
pub(crate) const SQL_PORT: u16 = 5432;
const PEER_PORT: u16 = 7432;

/// A simulation and this thread's fakes, which go last.
pub(crate) struct Simulation(pub(crate) Sim<'static>, Guard);

/// A simulation of three nodes that have not been told to `init`. Wants a fresh thread.
pub(crate) fn simulation(seed: u64) -> Simulation {
    let guard = Guard::enter(seed);
    let mut sim = Builder::new()
        .rng_seed(seed)
        .simulation_duration(Duration::from_secs(120))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_micros(200))
        .max_message_latency(Duration::from_millis(5))
        // One connection's queue is one HTTP/2 window of small writes.
        .tcp_capacity(1 << 16)
        .build();
    for (i, host) in HOSTS.into_iter().enumerate() {
        sim.host(host, move || node(i as u32 + 1, host, seed));
    }
    Simulation(sim, guard)
}

/// Runs it until all clients are done; what passed over the network.
///
/// # Panics
///
/// If a client or a node fails, with the command that shows it again.
pub(crate) fn run(seed: u64, test: &str, simulation: Simulation) -> Traced {
    let Simulation(mut sim, guard) = simulation;
    network::begin();
    loop {
        guard.set_time(sim.elapsed());
        match sim.step() {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => panic!("{}{error}", network::replay(seed, test)),
        }
    }
    network::end(seed, test)
}

async fn node(number: u32, host: &'static str, seed: u64) -> turmoil::Result {
    let id = NodeId::machine(number);
    let peers = HOSTS.map(|host| format!("{host}:{PEER_PORT}"));
    let ports = Ports {
        sql: Simulated.listen(&format!("0.0.0.0:{SQL_PORT}")).await?,
        peer: Some(Simulated.listen(&format!("0.0.0.0:{PEER_PORT}")).await?),
        http: None,
    };
    let config = CoreConfig {
        peer_addr: format!("{host}:{PEER_PORT}"),
        sql_addr: format!("{host}:{SQL_PORT}"),
        join: peers.to_vec(),
        insecure: true,
        faults: planted(),
        ..CoreConfig::default()
    };
    let clock = RuntimeClock::new(1_700_000_000_000_000);
    let (completions, completed) = Completions::channel();
    let parts = Parts {
        node: Node::new(id, config, Seed(seed ^ u64::from(number)), clock.now()),
        stores: MemoryStores::new(planted()),
        log: MemoryLog::new(completions.clone()),
        clock: Box::new(clock),
        boot: Input::Booted(DiskImage::default()),
        metrics: Metrics::default(),
    };
    let (_running, stop) = watch::channel(false);
    let setting = Setting {
        connections_max: 100,
        security: Security { entropy: |bytes| bytes.fill(7), ..Security::default() },
        drain_timeout: Duration::from_secs(5),
        stop,
    };
    let identity = Arc::new(Identity::new(id));
    let queue = (completions, completed);
    let ended = shell::run(Simulated, identity, ports, parts, queue, setting, || {}).await;
    Err(format!("{host} halted: {ended:?}").into())
}

/// Makes the cluster, patiently.
pub(crate) async fn init() {
    let address = format!("n1:{PEER_PORT}");
    let asked = admin::request_init(Simulated, &address, Duration::from_secs(20)).await;
    assert!(asked.is_ok(), "{asked:?}");
}
