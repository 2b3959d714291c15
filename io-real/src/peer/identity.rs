//! Who this node is, as far as the peer port must know to turn strangers away.

use std::sync::{Mutex, PoisonError};

use shardforge_core::base::id::{ClusterId, NodeId};
use shardforge_core::node::input::PeerFrame;
use shardforge_proto::peer::PROTOCOL;

/// A node's name and cluster; the cluster becomes known while the node runs.
#[derive(Debug)]
pub struct Identity {
    node: NodeId,
    cluster: Mutex<ClusterId>,
}

/// Why a frame is turned away.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stranger {
    /// Another version of the program.
    #[error("{from} speaks peer protocol {theirs}, this node {PROTOCOL}")]
    Protocol {
        /// Who.
        from: NodeId,
        /// Its version.
        theirs: u32,
    },
    /// Another cluster.
    #[error("{from} belongs to cluster {theirs}, this node to {ours}")]
    Cluster {
        /// Who.
        from: NodeId,
        /// Its cluster.
        theirs: ClusterId,
        /// Our cluster.
        ours: ClusterId,
    },
    /// It looks for somebody else at this address.
    #[error("{from} looks for {wanted} here, this is {ours}")]
    Receiver {
        /// Who.
        from: NodeId,
        /// For whom it looks.
        wanted: NodeId,
        /// Who we are.
        ours: NodeId,
    },
}

impl Identity {
    /// A node without a cluster yet.
    pub fn new(node: NodeId) -> Self {
        Self { node, cluster: Mutex::new(ClusterId::default()) }
    }

    /// The node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Our cluster, as our own frames say it.
    pub fn learn(&self, frame: &PeerFrame) {
        *self.cluster.lock().unwrap_or_else(PoisonError::into_inner) = frame.cluster;
    }

    /// Whether to listen to a frame. While either side has no cluster it may be the beginning of
    /// one: then the core decides.
    ///
    /// # Errors
    ///
    /// [`Stranger`]: end the stream and log why.
    pub fn admit(&self, frame: &PeerFrame) -> Result<(), Stranger> {
        let from = frame.from;
        if frame.protocol != PROTOCOL {
            return Err(Stranger::Protocol { from, theirs: frame.protocol });
        }
        if frame.to != NodeId(0) && frame.to != self.node {
            return Err(Stranger::Receiver { from, wanted: frame.to, ours: self.node });
        }
        let ours = *self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let founded = ours != ClusterId::default() && frame.cluster != ClusterId::default();
        if founded && ours != frame.cluster {
            return Err(Stranger::Cluster { from, theirs: frame.cluster, ours });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shardforge_core::base::id::Incarnation;

    use super::*;

    fn frame(cluster: u128, to: NodeId, protocol: u32) -> PeerFrame {
        PeerFrame {
            protocol,
            cluster: ClusterId(cluster),
            from: NodeId::machine(2),
            incarnation: Incarnation(1),
            to,
            number: 1,
            messages: Vec::new(),
        }
    }

    #[test]
    fn strangers_are_told_apart() {
        let me = NodeId::machine(1);
        let identity = Identity::new(me);
        assert_eq!(identity.admit(&frame(9, me, PROTOCOL)), Ok(()), "may be our first cluster");
        identity.learn(&frame(7, NodeId::machine(2), PROTOCOL));
        assert_eq!(identity.admit(&frame(7, me, PROTOCOL)), Ok(()));
        assert_eq!(identity.admit(&frame(0, NodeId(0), PROTOCOL)), Ok(()), "a new node's Hello");
        assert!(matches!(identity.admit(&frame(9, me, PROTOCOL)), Err(Stranger::Cluster { .. })));
        let misled = frame(7, NodeId::machine(3), PROTOCOL);
        assert!(matches!(identity.admit(&misled), Err(Stranger::Receiver { .. })));
        let newer = frame(7, me, PROTOCOL + 1);
        assert!(matches!(identity.admit(&newer), Err(Stranger::Protocol { theirs: 2, .. })));
    }
}
