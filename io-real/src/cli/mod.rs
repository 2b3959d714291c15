//! The command line: `start`, `init`, `status`. See `docs/OPERATIONS.md`.

mod exit;
mod operator;
#[cfg(feature = "rocksdb")]
mod start;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use exit::Exit;

/// A distributed SQL database that PostgreSQL clients use unchanged.
#[derive(Debug, Parser)]
#[command(name = "shardforge", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node.
    Start(Start),
    /// Makes a cluster of the nodes that were started with the same --join.
    Init(Init),
    /// Shows the cluster as one node sees it.
    Status(Status),
}

/// Flags of `start`.
#[derive(Args, Clone, Debug)]
pub struct Start {
    /// A cluster of one node, founded at the first start.
    #[arg(long, conflicts_with_all = ["join"])]
    pub single_node: bool,
    /// This machine's number, 1 to 16777215.
    #[arg(long, value_name = "N")]
    pub node_id: Option<String>,
    /// The data directory [default: ./shardforge-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Where PostgreSQL clients connect [default: 127.0.0.1:5432].
    #[arg(long, value_name = "ADDR")]
    pub sql_addr: Option<String>,
    /// Where nodes and operators connect, or `off` [default: 127.0.0.1:7432, off with
    /// --single-node].
    #[arg(long, value_name = "ADDR")]
    pub peer_addr: Option<String>,
    /// Where metrics and health are served, or `off` [default: 127.0.0.1:9090].
    #[arg(long, value_name = "ADDR")]
    pub http_addr: Option<String>,
    /// Peer addresses of all initial nodes, this one too.
    #[arg(long, value_name = "P1,P2,P3", value_delimiter = ',')]
    pub join: Vec<String>,
    /// No authentication; needed to listen on anything but loopback.
    #[arg(long)]
    pub insecure: bool,
    /// A configuration file, instead of ./shardforge.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Init {
    /// The peer address of any of the nodes.
    #[arg(long, value_name = "ADDR")]
    peer_addr: String,
    /// How long to wait for all nodes.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
}

#[derive(Args, Debug)]
struct Status {
    /// The peer address of any node.
    #[arg(long, value_name = "ADDR")]
    peer_addr: String,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// `30s`, `500ms`, `2m`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("{text:?} is not a time"))?;
    let ms = match &text[digits..] {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    ms.map(Duration::from_millis).ok_or_else(|| format!("{text:?} is not a time such as 30s"))
}

/// Runs the program.
pub fn run() -> Exit {
    // clap prints usage errors itself and exits with 2.
    match Cli::parse().command {
        Command::Start(flags) => start(flags),
        Command::Init(flags) => operator::init(&flags.peer_addr, flags.timeout),
        Command::Status(flags) => match flags.format {
            Format::Table => operator::status(&flags.peer_addr, operator::table),
            Format::Json => operator::status(&flags.peer_addr, operator::json),
        },
    }
}

#[cfg(feature = "rocksdb")]
fn start(flags: Start) -> Exit {
    start::run(flags)
}

#[cfg(not(feature = "rocksdb"))]
fn start(_: Start) -> Exit {
    exit::fail(Exit::Error, "this build has no storage (feature `rocksdb`) and cannot run a node")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_surface_is_parsed() {
        for line in [
            "shardforge start --single-node",
            "shardforge start --single-node --data d --sql-addr 127.0.0.1:0 --peer-addr off \
             --http-addr off --insecure --config f.toml",
            "shardforge start --node-id 1 --data d --sql-addr a:1 --peer-addr p:1 --http-addr h:1 \
             --join p:1,p:2,p:3 --insecure",
            "shardforge init --peer-addr p:1 --timeout 30s",
            "shardforge status --peer-addr p:1 --format json",
        ] {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        for line in [
            "shardforge start --single-node --join a:1",
            "shardforge init",
            "shardforge status --peer-addr p:1 --format xml",
            "shardforge dance",
        ] {
            let parsed = Cli::try_parse_from(line.split_whitespace());
            assert_eq!(parsed.map_err(|error| error.exit_code()).err(), Some(2), "{line}");
        }
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "3h", "-1s", "99999999999999999999s", "18446744073709551615m"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
