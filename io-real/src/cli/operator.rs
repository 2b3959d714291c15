//! `init` and `status`: ask a running node and print what it says.

use std::fmt::Write;
use std::time::{Duration, Instant};

use shardforge_core::base::id::NodeId;
use shardforge_core::node::status::ClusterStatus;
use shardforge_proto::admin::cluster_from_wire;

use super::exit::{Exit, fail};
use crate::peer::admin::{AdminError, request_init, request_status};
use crate::security::psql_line;
use crate::tcp::Tcp;

/// Between attempts to reach a node that is still starting.
const RETRY: Duration = Duration::from_millis(100);

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(future))
        .map_err(|error| fail(Exit::Error, format!("cannot start: {error}")))
}

/// Runs `init`.
pub(super) fn init(address: &str, timeout: Duration) -> Exit {
    let began = Instant::now();
    let asked = block_on(async {
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            match request_init(Tcp, address, left).await {
                Err(AdminError::Unreachable(_)) if began.elapsed() + RETRY < timeout => {
                    tokio::time::sleep(RETRY).await;
                }
                other => return other,
            }
        }
    });
    match asked {
        Err(exit) => exit,
        Ok(Err(error)) => fail(Exit::Error, error),
        Ok(Ok(reply)) => {
            let cluster = cluster_from_wire(&reply.cluster_id).unwrap_or_default();
            println!("shardforge initialised cluster={cluster}");
            if !reply.password_file.is_empty() {
                println!("{}", psql_line(&reply.password_file, &reply.sql_addr));
            }
            Exit::Ok
        }
    }
}

/// Runs `status`.
pub(super) fn status(address: &str, print: fn(&ClusterStatus, &str) -> String) -> Exit {
    match block_on(request_status(Tcp, address)) {
        Err(exit) => exit,
        Ok(Err(error)) => fail(Exit::Error, error),
        Ok(Ok((status, version))) => {
            print!("{}", print(&status, &version));
            let leaderless = status.shards.iter().any(|shard| shard.leader.is_none());
            if leaderless { Exit::Unhealthy } else { Exit::Ok }
        }
    }
}

/// The number that operators know a node by.
fn number(node: NodeId) -> u32 {
    node.machine_number()
}

/// For scripts.
pub(super) fn json(status: &ClusterStatus, version: &str) -> String {
    let nodes = status.nodes.iter().map(|node| {
        serde_json::json!({
            "id": number(node.id),
            "peer_addr": node.peer_addr,
            "sql_addr": node.sql_addr,
            "live": node.live,
            "last_seen_ms": node.last_seen_ms,
            "insecure": node.insecure,
        })
    });
    let shards = status.shards.iter().map(|shard| {
        let replicas = shard.replicas.iter().map(|replica| {
            serde_json::json!({
                "node": number(replica.node),
                "role": replica.role,
                "match_index": replica.match_index,
                "applied_index": replica.applied_index,
                "lag_entries": replica.lag_entries,
            })
        });
        serde_json::json!({
            "id": shard.id.0,
            "epoch": shard.epoch,
            "leader": shard.leader.map(number),
            "term": shard.term,
            "replicas": replicas.collect::<Vec<_>>(),
        })
    });
    let all = serde_json::json!({
        "cluster_id": status.cluster_id.to_string(),
        "version": version,
        "nodes": nodes.collect::<Vec<_>>(),
        "shards": shards.collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

/// For people.
pub(super) fn table(status: &ClusterStatus, version: &str) -> String {
    let mut out = format!("cluster {}  version {version}\n\n", status.cluster_id);
    let mut nodes =
        vec![["node", "live", "seen ms ago", "sql", "peer", "access"].map(String::from)];
    for node in &status.nodes {
        nodes.push([
            node.id.to_string(),
            if node.live { "yes" } else { "NO" }.into(),
            node.last_seen_ms.to_string(),
            node.sql_addr.clone(),
            node.peer_addr.clone(),
            if node.insecure { "INSECURE: no passwords" } else { "passwords" }.into(),
        ]);
    }
    rows(&mut out, &nodes);
    out.push('\n');
    let mut shards = vec![
        ["shard", "epoch", "leader", "term", "replica", "role", "match", "applied", "lag"]
            .map(String::from),
    ];
    for shard in &status.shards {
        let leader = shard.leader.map_or_else(|| "NONE".into(), |node| node.to_string());
        let head = [shard.id.to_string(), shard.epoch.to_string(), leader, shard.term.to_string()];
        for (i, replica) in shard.replicas.iter().enumerate() {
            let [id, epoch, leader, term] = match i {
                0 => head.clone(),
                _ => Default::default(),
            };
            shards.push([
                id,
                epoch,
                leader,
                term,
                replica.node.to_string(),
                replica.role.clone(),
                replica.match_index.to_string(),
                replica.applied_index.to_string(),
                replica.lag_entries.to_string(),
            ]);
        }
    }
    rows(&mut out, &shards);
    out
}

fn rows<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use shardforge_core::base::id::{ClusterId, ShardId};
    use shardforge_core::node::status::{NodeStatus, ReplicaStatus, ShardStatus};

    use super::*;

    fn example() -> ClusterStatus {
        ClusterStatus {
            cluster_id: ClusterId(0xabc),
            nodes: vec![NodeStatus {
                id: NodeId::machine(1),
                peer_addr: "127.0.0.1:7432".into(),
                sql_addr: "127.0.0.1:5432".into(),
                live: true,
                last_seen_ms: 0,
                insecure: true,
            }],
            shards: vec![ShardStatus {
                id: ShardId(0),
                epoch: 1,
                leader: None,
                term: 3,
                replicas: vec![ReplicaStatus {
                    node: NodeId::machine(1),
                    role: "follower".into(),
                    match_index: 9,
                    applied_index: 8,
                    lag_entries: 1,
                }],
            }],
        }
    }

    #[test]
    fn json_has_the_promised_shape() {
        let value: serde_json::Value = serde_json::from_str(&json(&example(), "1.2.3")).unwrap();
        assert_eq!(value["cluster_id"], "00000000000000000000000000000abc");
        assert_eq!(value["version"], "1.2.3");
        assert_eq!(value["nodes"][0]["id"], 1);
        assert_eq!(value["nodes"][0]["live"], true);
        assert_eq!(value["shards"][0]["leader"], serde_json::Value::Null);
        assert_eq!(value["shards"][0]["replicas"][0]["node"], 1);
        assert_eq!(value["shards"][0]["replicas"][0]["applied_index"], 8);
    }

    #[test]
    fn the_table_shows_what_is_wrong() {
        let text = table(&example(), "1.2.3");
        for word in ["n1", "INSECURE", "NONE", "follower"] {
            assert!(text.contains(word), "{word} is missing in\n{text}");
        }
        assert!(!text.contains(" \n"), "trailing spaces in\n{text}");
    }
}
