//! What operators ask: the core's [`ClusterStatus`] to protocol buffers and back.

use shardforge_core::base::id::{ClusterId, NodeId, ShardId};
use shardforge_core::node::status::{ClusterStatus, NodeStatus, ReplicaStatus, ShardStatus};

use crate::v1;

/// A cluster id as the wire has it.
pub fn cluster_to_wire(id: ClusterId) -> bytes::Bytes {
    id.0.to_be_bytes().to_vec().into()
}

/// A cluster id from the wire; `None` unless it is 16 bytes.
pub fn cluster_from_wire(bytes: &[u8]) -> Option<ClusterId> {
    bytes.try_into().ok().map(|id| ClusterId(u128::from_be_bytes(id)))
}

/// A status as protocol buffers.
pub fn status_to_wire(status: ClusterStatus, version: &str) -> v1::StatusReply {
    v1::StatusReply {
        cluster_id: cluster_to_wire(status.cluster_id),
        nodes: status.nodes.into_iter().map(node_to_wire).collect(),
        shards: status.shards.into_iter().map(shard_to_wire).collect(),
        version: version.to_owned(),
    }
}

fn node_to_wire(node: NodeStatus) -> v1::NodeStatus {
    v1::NodeStatus {
        id: node.id.0,
        peer_addr: node.peer_addr,
        sql_addr: node.sql_addr,
        live: node.live,
        last_seen_ms: node.last_seen_ms,
        insecure: node.insecure,
    }
}

fn shard_to_wire(shard: ShardStatus) -> v1::ShardStatus {
    v1::ShardStatus {
        id: shard.id.0,
        epoch: shard.epoch,
        leader: shard.leader.map(|node| node.0),
        term: shard.term,
        replicas: shard.replicas.into_iter().map(replica_to_wire).collect(),
    }
}

fn replica_to_wire(replica: ReplicaStatus) -> v1::ReplicaStatus {
    v1::ReplicaStatus {
        node: replica.node.0,
        role: replica.role,
        match_index: replica.match_index,
        applied_index: replica.applied_index,
        lag_entries: replica.lag_entries,
    }
}

/// A status from protocol buffers; a cluster id that is not 16 bytes reads as none.
pub fn status_from_wire(status: v1::StatusReply) -> ClusterStatus {
    ClusterStatus {
        cluster_id: cluster_from_wire(&status.cluster_id).unwrap_or_default(),
        nodes: status.nodes.into_iter().map(node_from_wire).collect(),
        shards: status.shards.into_iter().map(shard_from_wire).collect(),
    }
}

fn node_from_wire(node: v1::NodeStatus) -> NodeStatus {
    NodeStatus {
        id: NodeId(node.id),
        peer_addr: node.peer_addr,
        sql_addr: node.sql_addr,
        live: node.live,
        last_seen_ms: node.last_seen_ms,
        insecure: node.insecure,
    }
}

fn shard_from_wire(shard: v1::ShardStatus) -> ShardStatus {
    ShardStatus {
        id: ShardId(shard.id),
        epoch: shard.epoch,
        leader: shard.leader.map(NodeId),
        term: shard.term,
        replicas: shard.replicas.into_iter().map(replica_from_wire).collect(),
    }
}

fn replica_from_wire(replica: v1::ReplicaStatus) -> ReplicaStatus {
    ReplicaStatus {
        node: NodeId(replica.node),
        role: replica.role,
        match_index: replica.match_index,
        applied_index: replica.applied_index,
        lag_entries: replica.lag_entries,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn a_status_survives_the_wire() {
        let replica = ReplicaStatus {
            node: NodeId::machine(2),
            role: "leader".into(),
            match_index: 7,
            applied_index: 6,
            lag_entries: 1,
        };
        let shard = |leader| ShardStatus {
            id: ShardId(1),
            epoch: 3,
            leader,
            term: 9,
            replicas: vec![replica.clone()],
        };
        let status = ClusterStatus {
            cluster_id: ClusterId(1 << 100),
            nodes: vec![NodeStatus {
                id: NodeId::machine(2),
                peer_addr: "127.0.0.1:7432".into(),
                sql_addr: "127.0.0.1:5432".into(),
                live: true,
                last_seen_ms: 12,
                insecure: true,
            }],
            // A shard without a leader must not come back as one that node 0 leads.
            shards: vec![shard(Some(NodeId::machine(2))), shard(None)],
        };
        let bytes = status_to_wire(status.clone(), "0.1.0").encode_to_vec();
        let reply = v1::StatusReply::decode(&bytes[..]);
        assert_eq!(reply.as_ref().map(|reply| reply.version.as_str()), Ok("0.1.0"));
        assert_eq!(reply.map(status_from_wire), Ok(status));
    }
}
