//! Three nodes of the real program as child processes: started, killed, stopped, asked.
//!
//! Processes are ended by their own id only, and all of them with the cluster.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// For anything an operator would wait for.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// One node and its files.
#[derive(Debug)]
pub struct Node {
    /// 1, 2, 3.
    pub id: usize,
    /// Where clients reach it.
    pub sql: String,
    /// Where its peers reach it.
    pub peer: String,
    /// Its data directory.
    pub data: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    /// Environment of its own, the preload shim for instance.
    pub environment: Vec<(String, String)>,
}

/// The nodes.
#[derive(Debug)]
pub struct Cluster {
    program: PathBuf,
    directory: PathBuf,
    /// The nodes, in the order of their ids.
    pub nodes: Vec<Node>,
    /// Environment of every start.
    pub environment: Vec<(String, String)>,
}

/// Addresses that were free a moment ago.
fn free_addresses(count: usize) -> io::Result<Vec<String>> {
    let listeners: Result<Vec<_>, _> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    listeners?.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

impl Cluster {
    /// Prepares `count` nodes under a directory; starts nothing yet.
    ///
    /// # Errors
    ///
    /// Files and ports.
    pub fn new(program: &Path, directory: &Path, count: usize) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let addresses = free_addresses(2 * count)?;
        let node = |number: usize| Node {
            id: number + 1,
            sql: addresses[2 * number].clone(),
            peer: addresses[2 * number + 1].clone(),
            data: directory.join(format!("n{}", number + 1)),
            log: directory.join(format!("n{}.log", number + 1)),
            child: None,
            environment: Vec::new(),
        };
        Ok(Self {
            program: fs::canonicalize(program)?,
            directory: directory.to_owned(),
            nodes: (0..count).map(node).collect(),
            environment: Vec::new(),
        })
    }

    /// SQL addresses of all.
    pub fn addrs(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.sql.clone()).collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.directory).env("HOME", &self.directory);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SHARDFORGE_")) {
            command.env_remove(name);
        }
        command
    }

    /// Starts a node; it may not serve for a while.
    ///
    /// # Errors
    ///
    /// If there is no process.
    pub fn start(&mut self, number: usize) -> io::Result<()> {
        let join: Vec<_> = self.nodes.iter().map(|node| node.peer.as_str()).collect();
        let join = join.join(",");
        let mut command = self.command();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let node = &mut self.nodes[number];
        command.envs(node.environment.iter().map(|(name, value)| (name, value)));
        assert!(node.child.is_none(), "n{} runs", node.id);
        let log: File = OpenOptions::new().create(true).append(true).open(&node.log)?;
        command.args(["start", "--node-id", &node.id.to_string(), "--insecure"]);
        command.args(["--http-addr", "off", "--sql-addr", &node.sql, "--peer-addr", &node.peer]);
        command.args(["--join", &join]).arg("--data").arg(&node.data);
        command.stdin(Stdio::null()).stdout(Stdio::from(log.try_clone()?)).stderr(log);
        node.child = Some(command.spawn()?);
        Ok(())
    }

    /// Starts all and founds the cluster.
    ///
    /// # Errors
    ///
    /// What `init` said.
    pub fn found(&mut self) -> io::Result<()> {
        for number in 0..self.nodes.len() {
            self.start(number)?;
        }
        let mut command = self.command();
        command.args(["init", "--peer-addr", &self.nodes[0].peer, "--timeout", "60s"]);
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// kill -9, and the corpse is taken away.
    ///
    /// # Errors
    ///
    /// If it could not be killed.
    pub fn kill(&mut self, number: usize) -> io::Result<()> {
        if let Some(mut child) = self.nodes[number].child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// kill -9 of all, as nearly at once as signals go.
    ///
    /// # Errors
    ///
    /// If one could not be killed.
    pub fn kill_all(&mut self) -> io::Result<()> {
        for node in &mut self.nodes {
            if let Some(child) = &mut node.child {
                child.kill()?;
            }
        }
        (0..self.nodes.len()).try_for_each(|number| self.kill(number))
    }

    /// SIGSTOP or SIGCONT.
    ///
    /// # Errors
    ///
    /// If the signal was not sent.
    pub fn signal(&self, number: usize, signal: &str) -> io::Result<()> {
        let Some(child) = &self.nodes[number].child else { return Ok(()) };
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err(io::Error::other("kill failed")) }
    }

    /// Nodes that ended by themselves, which none may.
    ///
    /// # Errors
    ///
    /// Which, how, and the end of its log.
    pub fn check_alive(&mut self) -> io::Result<()> {
        for node in &mut self.nodes {
            if let Some(child) = &mut node.child
                && let Some(status) = child.try_wait()?
            {
                let log = fs::read_to_string(&node.log)?;
                let tail: Vec<_> = log.lines().rev().take(8).collect();
                let tail: Vec<_> = tail.into_iter().rev().collect();
                let (id, tail) = (node.id, tail.join("\n"));
                return Err(io::Error::other(format!("n{id} ended: {status}\n{tail}")));
            }
        }
        Ok(())
    }

    /// `shardforge status --format json` of one node; nothing if it cannot be reached.
    pub fn status(&self, number: usize) -> Option<Value> {
        let mut command = self.command();
        command.args(["status", "--format", "json", "--peer-addr", &self.nodes[number].peer]);
        let output = command.stdin(Stdio::null()).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// The newest log index of any shard, as one node knows it.
    pub fn last_index(&self, number: usize) -> Option<u64> {
        let status = self.status(number)?;
        let shards = status["shards"].as_array()?.iter();
        let replicas = shards.filter_map(|shard| shard["replicas"].as_array()).flatten();
        replicas.filter_map(|replica| replica["match_index"].as_u64()).max()
    }

    /// Waits until every shard has a leader and nobody lags by more than `lag_max` entries; the
    /// time it took.
    ///
    /// # Errors
    ///
    /// The last status, if it did not come to that.
    pub fn wait_caught_up(&self, lag_max: u64, patience: Duration) -> io::Result<Duration> {
        let began = Instant::now();
        loop {
            let status = self.status(0);
            if status.as_ref().is_some_and(|status| lag(status).is_some_and(|lag| lag <= lag_max)) {
                return Ok(began.elapsed());
            }
            if patience < began.elapsed() {
                let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
                return Err(io::Error::other(format!("not caught up: {status}")));
            }
            sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a node accepts connections.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn wait_listening(&mut self, number: usize) -> io::Result<Duration> {
        let began = Instant::now();
        while std::net::TcpStream::connect(&self.nodes[number].sql).is_err() {
            self.check_alive()?;
            if PATIENCE < began.elapsed() {
                return Err(io::Error::other(format!("n{} does not listen", number + 1)));
            }
            sleep(POLL);
        }
        Ok(began.elapsed())
    }

    /// Lines of a node's log that hold a text.
    pub fn log_lines(&self, number: usize, text: &str) -> Vec<String> {
        let log = fs::read(&self.nodes[number].log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

/// The most that any replica lags by; nothing if a shard has no leader that counts all of them.
pub fn lag(status: &Value) -> Option<u64> {
    let mut most = 0;
    for shard in status["shards"].as_array()? {
        shard["leader"].as_u64()?;
        for replica in shard["replicas"].as_array()? {
            if replica["match_index"].as_u64()? == 0 {
                return None;
            }
            most = most.max(replica["lag_entries"].as_u64()?);
        }
    }
    Some(most)
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                // It may have ended by itself; also a stopped process dies of SIGKILL.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replica_that_nobody_has_heard_of_is_not_caught_up() {
        let shard = |matched: u64| {
            json!({"leader": 1, "replicas": [
                {"match_index": 9, "lag_entries": 0}, {"match_index": matched, "lag_entries": 2}]})
        };
        assert_eq!(lag(&json!({"shards": [shard(7)]})), Some(2));
        assert_eq!(lag(&json!({"shards": [shard(7), shard(0)]})), None);
        assert_eq!(lag(&json!({"shards": [{"leader": null, "replicas": []}]})), None);
    }
}
