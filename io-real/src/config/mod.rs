//! Configuration: defaults, files, environment, flags; the last one that says something wins.
//!
//! Each source is checked by itself before they are laid over each other (by the crate `config`),
//! so a mistake is reported with its file, line and key even if a later source would have hidden
//! it.
//!
//! # Source
//!
//! `docs/OPERATIONS.md` lists the keys.

mod layer;
pub mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::config::{Config, ConfigError};

pub use layer::{Complaint, Layer, expand_home};

/// What a node is told, all sources together.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The machine's number.
    pub node: Option<u32>,
    /// The data directory, `~` expanded.
    pub data: PathBuf,
    /// Where SQL is served.
    pub sql_addr: String,
    /// What others are told of it, if it is something else.
    pub advertise_addr: Option<String>,
    /// Where peers and operators are served; `None` is off.
    pub peer_addr: Option<String>,
    /// Whether that was said by anybody.
    pub peer_addr_explicit: bool,
    /// Where HTTP is served; `None` is off.
    pub http_addr: Option<String>,
    /// Whether that was said by anybody: a taken default is a warning only.
    pub http_addr_explicit: bool,
    /// All initial peers.
    pub join: Vec<String>,
    /// Clients at once.
    pub connections_max: usize,
    /// The shortest election timeout.
    pub election_timeout_ms: u64,
    /// Between a leader's heartbeats.
    pub heartbeat_interval_ms: u64,
    /// Entries of one group's log before its store is flushed and the log purged.
    pub log_entries_max: u64,
    /// RocksDB's shared cache, bytes.
    pub block_cache_bytes: usize,
    /// Hot rows in memory, of all shards together, bytes.
    pub row_cache_bytes: usize,
    /// All memtables together, bytes.
    pub write_buffer_bytes: usize,
    /// Whether blocks are compressed.
    pub compression: bool,
    /// Voters of a shard.
    pub replication_factor: usize,
    /// Data shards made at `init`.
    pub shard_count: u32,
    /// How long a statement may take; zero: for ever.
    pub query_timeout_sec: u64,
    /// A level or a filter.
    pub log_level: String,
    /// JSON instead of text.
    pub structured_logging: bool,
    /// Keys that were set and do nothing yet.
    pub inactive: Vec<String>,
}

/// Where to look for what.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `--config`: read instead of `./shardforge.toml`, and must be there.
    pub file: Option<PathBuf>,
    /// The directory of `shardforge.toml` and `shardforge.<env>.toml`.
    pub here: PathBuf,
    /// The system's file.
    pub system: PathBuf,
    /// The user's home.
    pub home: Option<String>,
    /// The environment.
    pub variables: Vec<(String, String)>,
}

impl Places {
    /// Those of this process.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self {
            file,
            here: PathBuf::from("."),
            system: PathBuf::from("/etc/shardforge/config.toml"),
            home: std::env::var("HOME").ok(),
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }

    fn files(&self) -> Vec<(PathBuf, bool)> {
        let mut files = vec![(self.system.clone(), false)];
        if let Some(home) = &self.home {
            files.push((PathBuf::from(home).join(".shardforge/config.toml"), false));
        }
        match &self.file {
            Some(file) => files.push((file.clone(), true)),
            None => files.push((self.here.join("shardforge.toml"), false)),
        }
        let environment = self.variables.iter().find(|(name, _)| name == "SHARDFORGE_ENV");
        if let Some((_, environment)) = environment {
            files.push((self.here.join(format!("shardforge.{environment}.toml")), false));
        }
        files
    }
}

/// Reads all sources; `flags` come last.
///
/// # Errors
///
/// The first thing that is wrong, with its place.
pub fn load(places: &Places, flags: Layer) -> Result<Settings, Complaint> {
    let mut layers = Vec::new();
    for (path, wanted) in places.files() {
        match Layer::from_file(&path)? {
            Some(layer) => layers.push(layer),
            None if wanted => {
                return Err(Complaint::new(path.display(), "there is no such file"));
            }
            None => {}
        }
    }
    layers.push(Layer::from_environment(places.variables.iter().cloned())?);
    layers.push(flags);
    let (mut inactive, mut origins) = (Vec::new(), BTreeMap::new());
    let mut builder = Config::builder();
    for layer in layers {
        inactive.extend(layer.inactive.iter().cloned());
        origins.extend(layer.places());
        builder = builder.add_source(layer);
    }
    let config = builder.build().map_err(unforeseen)?;
    let home = places.home.as_deref();
    Reading { config: &config, home, places: origins }.settings(inactive)
}

fn unforeseen(error: ConfigError) -> Complaint {
    Complaint::new("configuration", error.to_string())
}

struct Reading<'a> {
    config: &'a Config,
    home: Option<&'a str>,
    /// Who set what last.
    places: BTreeMap<&'static str, String>,
}

impl Reading<'_> {
    fn optional<T>(&self, found: Result<T, ConfigError>) -> Result<Option<T>, Complaint> {
        match found {
            Ok(value) => Ok(Some(value)),
            Err(ConfigError::NotFound(_)) => Ok(None),
            Err(error) => Err(unforeseen(error)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Complaint> {
        self.optional(self.config.get_string(key))
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, Complaint> {
        Ok(self.optional(self.config.get_bool(key))?.unwrap_or(default))
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Complaint> {
        // The schema's bounds are all above zero.
        Ok(self.optional(self.config.get_int(key))?.and_then(|number| u64::try_from(number).ok()))
    }

    fn size(&self, key: &str, default: usize) -> Result<usize, Complaint> {
        let size = self.number(key)?.and_then(|size| usize::try_from(size).ok());
        Ok(size.unwrap_or(default))
    }

    fn settings(&self, inactive: Vec<String>) -> Result<Settings, Complaint> {
        let data = self.text("cluster.data_directory")?;
        let data = expand_home(data.as_deref().unwrap_or("./shardforge-data"), self.home);
        let join = self.optional(self.config.get_array("cluster.cluster_members"))?;
        let join = join.unwrap_or_default().into_iter();
        let join: Result<Vec<String>, ConfigError> = join.map(|item| item.into_string()).collect();
        let peer_addr = self.text("network.peer_address")?;
        let (http_addr, http_addr_explicit) = self.http()?;
        let (election_timeout_ms, heartbeat_interval_ms) = self.timings()?;
        self.refuse_asynchronous()?;
        let shard_count = match self.text("sharding.initial_shard_count")?.as_deref() {
            None | Some("auto") => 1,
            Some(number) => number.parse().unwrap_or(1),
        };
        let connections = self.number("sql.max_connections")?;
        let connections = match connections {
            Some(number) => Some(number),
            None => self.number("network.max_connections")?,
        };
        Ok(Settings {
            node: self.number("cluster.node_id")?.and_then(|node| u32::try_from(node).ok()),
            data,
            sql_addr: self.text("cluster.bind_address")?.unwrap_or("127.0.0.1:5432".into()),
            advertise_addr: self.text("cluster.advertise_address")?,
            peer_addr_explicit: peer_addr.is_some(),
            peer_addr: peer_addr.filter(|address| address != "off"),
            http_addr,
            http_addr_explicit,
            join: join.map_err(unforeseen)?,
            connections_max: connections.and_then(|n| usize::try_from(n).ok()).unwrap_or(1_000),
            election_timeout_ms,
            heartbeat_interval_ms,
            log_entries_max: self.number("raft.max_log_entries")?.unwrap_or(100_000),
            block_cache_bytes: self.size("storage.block_cache_size", 128 << 20)?,
            row_cache_bytes: self.size("storage.row_cache_size", 256 << 20)?,
            write_buffer_bytes: self.size("storage.write_buffer_size", 64 << 20)?,
            compression: self.text("storage.compression")?.as_deref() != Some("none"),
            replication_factor: self.size("replication.factor", 3)?,
            shard_count,
            query_timeout_sec: self.number("sql.query_timeout_sec")?.unwrap_or(0),
            log_level: self.text("monitoring.log_level")?.unwrap_or("info".into()),
            structured_logging: self.flag("monitoring.structured_logging", false)?,
            inactive,
        })
    }

    fn http(&self) -> Result<(Option<String>, bool), Complaint> {
        if !self.flag("monitoring.metrics_enabled", true)? {
            return Ok((None, true));
        }
        let address = self.text("monitoring.http_address")?;
        let port = self.number("monitoring.metrics_port")?;
        Ok(match (address, port) {
            (Some(address), _) => (Some(address).filter(|address| address != "off"), true),
            (None, Some(port)) => (Some(format!("127.0.0.1:{port}")), true),
            (None, None) => (Some("127.0.0.1:9090".into()), false),
        })
    }

    fn timings(&self) -> Result<(u64, u64), Complaint> {
        let election = self.number("raft.election_timeout_ms")?;
        let heartbeat = self.number("raft.heartbeat_interval_ms")?.unwrap_or(50);
        let timeout = election.unwrap_or(200);
        if timeout < 3 * heartbeat {
            let problem = format!(
                "{timeout} ms is less than three heartbeats of {heartbeat} ms: \
                 followers would call elections under a healthy leader"
            );
            let place = self.origin("raft.election_timeout_ms", "raft.heartbeat_interval_ms");
            return Err(Complaint::new(place, problem));
        }
        Ok((timeout, heartbeat))
    }

    fn refuse_asynchronous(&self) -> Result<(), Complaint> {
        if !self.flag("replication.async_replication", false)? {
            return Ok(());
        }
        let key = "replication.async_replication";
        Err(Complaint::new(
            self.origin(key, key),
            "asynchronous replication could lose acknowledged writes; this database never does \
             that. For cheaper reads set replication.consistency_level to bounded_staleness",
        ))
    }

    /// Where a key was set; the second if the first was not.
    fn origin(&self, key: &str, otherwise: &str) -> String {
        let place = self.places.get(key).or_else(|| self.places.get(otherwise));
        place.cloned().unwrap_or_else(|| key.to_owned())
    }
}

/// Whether an address can be reached from this machine only.
pub fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a text can be an address of ours: a host and a port.
pub fn is_address(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// The directory that holds secrets.
pub fn security_directory(data: &Path) -> PathBuf {
    data.join("cluster/security")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
