//! `start`: from flags to a running node, and from its end to an exit code.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shardforge_core::base::id::NodeId;
use shardforge_core::node::effect::HaltReason;
use shardforge_core::node::input::{DiskImage, Input};
use shardforge_core::node::{CoreConfig, Node, Seed};
use shardforge_core::sql::protocol::ScramVerifier;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Start;
use super::exit::{Exit, fail};
use crate::clock::{BootClock, Clock};
use crate::config::{self, Complaint, Layer, Places, Settings};
use crate::disk::{DataDirectory, DirectoryError, LogFiles, LogSync};
use crate::front::scram;
use crate::logs;
use crate::metrics::Metrics;
use crate::password;
use crate::peer::Identity;
use crate::ports::{Completions, Listener, Network};
use crate::real::log_input;
use crate::rocks::{RocksConfig, RocksStores};
use crate::security::{Security, psql_line};
use crate::shell::{self, Parts, Ports, Setting};
use crate::tcp::Tcp;

/// SQL is parsed and executed on the cell's thread, recursively within bounds.
const STACK_BYTES: usize = 64 << 20;
/// Longer than any statement should take; what is not finished then is cut off.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections beyond the sessions' cap, so that the core can say why it refuses.
const CONNECTIONS_SPARE: usize = 64;

/// Runs `start`.
pub(super) fn run(flags: Start) -> Exit {
    let settings = match configure(&flags) {
        Ok(settings) => settings,
        Err(Refused::Usage(sentence)) => return fail(Exit::Usage, sentence),
        Err(Refused::Configuration(complaint)) => return fail(Exit::Configuration, complaint),
    };
    logs::start(&settings.log_level, settings.structured_logging);
    for place in &settings.inactive {
        tracing::warn!(key = place, "this key is known but has no effect in this version");
    }
    if flags.insecure {
        tracing::warn!("INSECURE: clients are let in without a password (--insecure)");
    }
    let cell = std::thread::Builder::new()
        .name("cell-0".into())
        .stack_size(STACK_BYTES)
        .spawn(move || run_cell(&flags, &settings));
    match cell.map(std::thread::JoinHandle::join) {
        Ok(Ok(exit)) => exit,
        Ok(Err(_)) => fail(Exit::Error, "the node's thread panicked; the log is whole"),
        Err(error) => fail(Exit::Error, format!("no thread for the node: {error}")),
    }
}

enum Refused {
    Usage(&'static str),
    Configuration(Complaint),
}

impl From<Complaint> for Refused {
    fn from(complaint: Complaint) -> Self {
        Self::Configuration(complaint)
    }
}

/// Everything that can be wrong before anything is opened.
fn configure(flags: &Start) -> Result<Settings, Refused> {
    let mut layer = Layer::default();
    for (flag, key, value) in [
        ("--node-id", "cluster.node_id", &flags.node_id),
        ("--data", "cluster.data_directory", &flags.data),
        ("--sql-addr", "cluster.bind_address", &flags.sql_addr),
        ("--peer-addr", "network.peer_address", &flags.peer_addr),
        ("--http-addr", "monitoring.http_address", &flags.http_addr),
    ] {
        if let Some(value) = value {
            layer.set_flag(flag, key, value)?;
        }
    }
    if !flags.join.is_empty() {
        layer.set_list("--join", "cluster.cluster_members", &flags.join)?;
    }
    let mut settings = config::load(&Places::of_process(flags.config.clone()), layer)?;
    if flags.single_node {
        settings.join.clear();
        settings.node.get_or_insert(1);
    } else if settings.join.is_empty() {
        return Err(Refused::Usage("start needs --single-node, or --node-id and --join"));
    } else {
        if settings.node.is_none() {
            return Err(Refused::Usage("start needs --node-id beside --join"));
        }
        if !settings.peer_addr_explicit {
            settings.peer_addr = Some("127.0.0.1:7432".into());
        }
    }
    check_addresses(&settings, flags.insecure)?;
    Ok(settings)
}

fn check_addresses(settings: &Settings, insecure: bool) -> Result<(), Complaint> {
    let ports = [
        ("--sql-addr", Some(&settings.sql_addr)),
        ("--peer-addr", settings.peer_addr.as_ref()),
        ("--http-addr", settings.http_addr.as_ref()),
    ];
    for (flag, address) in ports {
        let Some(address) = address else { continue };
        if !config::is_address(address) {
            return Err(Complaint::new(flag, format!("{address} is not host:port")));
        }
        if !insecure && !config::is_loopback(address) {
            let problem = format!(
                "{address} can be reached from other machines and there is no TLS yet; \
                 --insecure says that this is meant"
            );
            return Err(Complaint::new(flag, problem));
        }
    }
    match settings.join.iter().find(|address| !config::is_address(address)) {
        Some(wrong) => Err(Complaint::new("--join", format!("{wrong} is not host:port"))),
        None => Ok(()),
    }
}

/// A start that did not work: the code and the sentence.
struct Failure(Exit, String);

fn run_cell(flags: &Start, settings: &Settings) -> Exit {
    // A local runtime: a socket that becomes ready wakes its task without a word to epoll, which a
    // `LocalSet` would write to on every wake from outside of its tasks.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::Error, format!("cannot start: {error}")),
    };
    let ended = runtime.block_on(serve(flags, settings));
    match ended {
        Err(Failure(exit, sentence)) => fail(exit, sentence),
        Ok(HaltReason::Drained) => Exit::Ok,
        Ok(HaltReason::Fenced(reason)) => {
            fail(Exit::Io, format!("stopped by an I/O error: {reason}"))
        }
        Ok(HaltReason::DataDirectory(reason)) => fail(Exit::DataDirectory, reason),
        Ok(HaltReason::Invariant(reason)) => fail(Exit::Error, format!("stopped: {reason}")),
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        let exit = if error.exit_code() == 74 { Exit::Io } else { Exit::DataDirectory };
        Self(exit, error.to_string())
    }
}

/// An I/O error at start: lack of space is one of its own.
fn io_failure(what: &str, error: &std::io::Error) -> Failure {
    let full = error.kind() == std::io::ErrorKind::StorageFull;
    let exit = if full { Exit::Io } else { Exit::DataDirectory };
    Failure(exit, format!("{what}: {error}"))
}

async fn serve(flags: &Start, settings: &Settings) -> Result<HaltReason, Failure> {
    // `configure` saw to it that there is a number, and the schema that it fits.
    let node = NodeId::machine(settings.node.unwrap_or(1));
    let directory = DataDirectory::open(&settings.data, node)?;
    let (files, image) = LogFiles::open(&directory.log())
        .map_err(|error| io_failure("cannot read the log", &error))?;
    let stores =
        directory.stores().map_err(|error| io_failure("cannot read the stores", &error))?;
    let image = DiskImage { segments: image.segments, vote_files: image.vote_files, stores };
    let ports = bind(settings).await?;
    let addresses = Addresses::of(&ports, settings);
    let (superuser, password_file) = superuser(flags, &directory.security(), &image)?;
    let first_start = image.segments.is_empty();

    let metrics = Metrics::default();
    let (completions, completed) = Completions::channel();
    let reports = completions.clone();
    let report = move |report| reports.send(log_input(report));
    let log = LogSync::start(files, metrics.log.clone(), report)
        .map_err(|error| Failure(Exit::Error, format!("no thread for the log: {error}")))?;
    let stores = open_stores(&directory, settings, &completions)?;

    let clock = BootClock::default();
    let config = core_config(flags, settings, &addresses, superuser);
    let parts = Parts {
        node: Node::new(node, config, seed(), clock.now()),
        stores,
        log,
        clock: Box::new(clock),
        boot: Input::Booted(image),
        metrics,
    };
    let (stop, stopped) = watch::channel(false);
    let setting = Setting {
        connections_max: settings.connections_max + CONNECTIONS_SPARE,
        security: Security {
            directory: (!flags.insecure).then(|| directory.security()),
            sql_addr: addresses.sql.clone(),
            ..Security::default()
        },
        drain_timeout: DRAIN_TIMEOUT,
        stop: stopped,
    };
    tokio::task::spawn_local(signals(stop));
    let on_serving = move || {
        addresses.announce(node);
        if let (true, Some(file)) = (first_start, &password_file) {
            eprintln!("{}", psql_line(&file.display().to_string(), &addresses.sql));
        }
    };
    let identity = Arc::new(Identity::new(node));
    let queue = (completions, completed);
    let ended = shell::run(Tcp, identity, ports, parts, queue, setting, on_serving).await;
    // The lock goes last.
    drop(directory);
    Ok(ended)
}

fn open_stores(
    directory: &DataDirectory,
    settings: &Settings,
    completions: &Completions,
) -> Result<RocksStores, Failure> {
    let config = RocksConfig {
        block_cache_bytes: settings.block_cache_bytes,
        write_buffer_bytes: settings.write_buffer_bytes,
        ..RocksConfig::default()
    };
    let completions = completions.clone();
    let report = move |event| completions.send(Input::StorageCompleted(event));
    RocksStores::open(&directory.path().join("shards"), config, report)
        .map_err(|error| io_failure("cannot open the stores", &error))
}

/// The verifier for a cluster that this node founds by itself, and its password's file.
fn superuser(
    flags: &Start,
    security: &Path,
    image: &DiskImage,
) -> Result<(Option<ScramVerifier>, Option<PathBuf>), Failure> {
    if flags.insecure || !flags.single_node {
        return Ok((None, None));
    }
    // A cluster that is already here has its verifier; a new password would open nothing.
    if !image.segments.is_empty() && password::existing(security).is_none() {
        return Ok((None, None));
    }
    let (verifier, file) = password::for_single_node(security)
        .map_err(|error| io_failure("cannot write the password", &error))?;
    Ok((Some(verifier), Some(file)))
}

fn core_config(
    flags: &Start,
    settings: &Settings,
    addresses: &Addresses,
    superuser: Option<ScramVerifier>,
) -> CoreConfig {
    CoreConfig {
        peer_addr: addresses.peer.clone().unwrap_or_default(),
        sql_addr: settings.advertise_addr.clone().unwrap_or_else(|| addresses.sql.clone()),
        join: settings.join.clone(),
        single_node: flags.single_node,
        insecure: flags.insecure,
        superuser,
        election_timeout_ms: settings.election_timeout_ms,
        heartbeat_interval_ms: settings.heartbeat_interval_ms,
        replication_factor: settings.replication_factor,
        initial_shard_count: settings.shard_count,
        row_cache_bytes: settings.row_cache_bytes,
        log_flush_entries: settings.log_entries_max,
        statement_timeout: Duration::from_secs(settings.query_timeout_sec),
        sessions_max: settings.connections_max,
        ..CoreConfig::default()
    }
}

fn seed() -> Seed {
    let mut bytes = [0; 8];
    scram::random(&mut bytes);
    Seed(u64::from_be_bytes(bytes))
}

/// Where the ports are, for the ready line and for other nodes.
#[derive(Clone)]
struct Addresses {
    sql: String,
    peer: Option<String>,
    http: Option<String>,
}

impl Addresses {
    fn of(ports: &Ports<TcpListener>, settings: &Settings) -> Self {
        let bound = |listener: &TcpListener| Listener::local_addr(listener).ok();
        let peer = ports.peer.as_ref().and_then(bound).map(|bound| {
            // Peers compare addresses as texts: what was said is what is told, but for port 0.
            match &settings.peer_addr {
                Some(said) if !said.ends_with(":0") => said.clone(),
                _ => bound,
            }
        });
        Self {
            sql: bound(&ports.sql).unwrap_or_else(|| settings.sql_addr.clone()),
            peer,
            http: ports.http.as_ref().and_then(bound),
        }
    }

    /// The one line on stdout.
    fn announce(&self, node: NodeId) {
        let off = || "off".to_owned();
        let line = format!(
            "shardforge ready sql={} http={} peer={} node={} pid={}\n",
            self.sql,
            self.http.clone().unwrap_or_else(off),
            self.peer.clone().unwrap_or_else(off),
            node.machine_number(),
            std::process::id()
        );
        let mut stdout = std::io::stdout().lock();
        // Nobody may be reading any more; the node serves all the same.
        let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
    }
}

async fn bind(settings: &Settings) -> Result<Ports<TcpListener>, Failure> {
    let refused = |name: &str, address: &str, error: std::io::Error| {
        Failure(Exit::Error, format!("cannot listen on {address} for {name}: {error}"))
    };
    let sql = Tcp
        .listen(&settings.sql_addr)
        .await
        .map_err(|error| refused("SQL", &settings.sql_addr, error))?;
    let peer = match &settings.peer_addr {
        Some(address) => {
            Some(Tcp.listen(address).await.map_err(|error| refused("peers", address, error))?)
        }
        None => None,
    };
    let http = match &settings.http_addr {
        None => None,
        Some(address) => match Tcp.listen(address).await {
            Ok(listener) => Some(listener),
            Err(error) if settings.http_addr_explicit => {
                return Err(refused("HTTP", address, error));
            }
            Err(error) => {
                tracing::warn!(address, %error, "no metrics: the default HTTP port is taken");
                None
            }
        },
    };
    Ok(Ports { sql, peer, http })
}

/// The first SIGTERM or SIGINT drains; the second ends the process at once.
async fn signals(stop: watch::Sender<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("no signal handlers: only kill -9 will stop this process");
        // Dropping the sender would stop the node.
        return std::future::pending().await;
    };
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    stop.send_replace(true);
    next().await;
    eprintln!("shardforge: stopped by a second signal; what was acknowledged is durable");
    std::process::exit(i32::from(Exit::Error as u8));
}
