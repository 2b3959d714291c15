//! Who belongs to the cluster: getting to know each other, and `init`.
//!
//! Before `init` a node knows addresses only (`--join`); it says Hello to each until a node answers.
//! `init` makes a cluster record, durable here first, then on every member; whoever holds the record
//! is in. The founder initialises the groups, also if it had to restart in between.
//!
//! # Invariants
//!
//! * A node takes one cluster record in its life, and only while its directory is empty.
//! * Members of a record have distinct ids and were all empty when it was made.

use std::collections::{BTreeMap, BTreeSet};

use super::config::CoreConfig;
use super::identity::{ClusterRecord, Identity, Member};
use super::message::Hello;
use super::window::ReplayWindow;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::{ClusterId, NodeId};
use crate::base::time::Mono;
use crate::sql::protocol::ScramVerifier;

/// A peer as this life knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    pub(super) member: Member,
    /// What it said of its cluster; `None` until it said Hello in this life.
    pub(super) hello: Option<(ClusterId, bool)>,
    /// When it was last heard of.
    pub(super) heard: Option<Mono>,
    /// Which of its frames were heard.
    pub(super) window: ReplayWindow,
    /// Frames sent to it in this life.
    pub(super) sent: u64,
}

/// What this node knows of the cluster's members.
pub(super) struct Membership {
    pub(super) me: NodeId,
    pub(super) my_member: Member,
    pub(super) cluster: Option<ClusterRecord>,
    /// The cluster whose record is on its way to the disk: nobody founds another one meanwhile.
    pub(super) accepting: Option<ClusterId>,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    /// Two nodes claimed one id, or a node claimed ours.
    pub(super) clash: Option<String>,
    /// Members that have the record (founder only).
    pub(super) founded: BTreeSet<NodeId>,
    join: Vec<String>,
}

impl Membership {
    pub(super) fn new(me: NodeId, config: &CoreConfig, identity: &Identity) -> Self {
        let my_member = Member {
            peer_addr: config.peer_addr.clone(),
            sql_addr: config.sql_addr.clone(),
            insecure: config.insecure,
        };
        let mut peers = BTreeMap::new();
        for (id, member) in &identity.peers {
            if *id != me {
                let peer = Peer { member: member.clone(), ..Peer::default() };
                peers.insert(*id, peer);
            }
        }
        Self {
            me,
            my_member,
            cluster: identity.cluster.clone(),
            accepting: None,
            peers,
            clash: None,
            founded: BTreeSet::new(),
            join: config.join.clone(),
        }
    }

    pub(super) fn cluster_id(&self) -> ClusterId {
        self.cluster.as_ref().map(|cluster| cluster.id).unwrap_or_default()
    }

    /// Our own Hello.
    pub(super) fn hello(&self, answer_wanted: bool) -> Hello {
        Hello {
            member: self.my_member.clone(),
            cluster: self.cluster_id(),
            empty: self.cluster.is_none(),
            answer_wanted,
        }
    }

    /// Addresses of `--join` behind which no node is known yet.
    pub(super) fn unknown_addresses(&self) -> Vec<String> {
        if self.cluster.is_some() {
            return Vec::new();
        }
        let known = |address: &String| {
            *address == self.my_member.peer_addr
                || self.peers.values().any(|peer| peer.member.peer_addr == *address)
        };
        self.join.iter().filter(|address| !known(address)).cloned().collect()
    }

    /// Takes a Hello in; whether the peer's addresses are news.
    pub(super) fn handle_hello(&mut self, now: Mono, from: NodeId, hello: &Hello) -> bool {
        if from == self.me {
            if hello.member.peer_addr != self.my_member.peer_addr {
                self.clash = Some(format!(
                    "the node at {} has this node's id {from}",
                    hello.member.peer_addr
                ));
            }
            return false;
        }
        if self.cluster.as_ref().is_some_and(|cluster| !cluster.members.contains_key(&from)) {
            return false;
        }
        let peer = self.peers.entry(from).or_default();
        let elsewhere = peer.hello.is_some() && peer.member.peer_addr != hello.member.peer_addr;
        if elsewhere && self.cluster.is_none() {
            self.clash = Some(format!(
                "the nodes at {} and {} both have the id {from}",
                peer.member.peer_addr, hello.member.peer_addr
            ));
        }
        let news = peer.member != hello.member;
        peer.member = hello.member.clone();
        peer.hello = Some((hello.cluster, hello.empty));
        peer.heard = Some(now);
        news
    }

    /// Who is reachable where.
    pub(super) fn addresses(&self) -> Vec<(NodeId, String)> {
        self.peers.iter().map(|(id, peer)| (*id, peer.member.peer_addr.clone())).collect()
    }

    /// All known members, ourselves too.
    pub(super) fn members(&self) -> BTreeMap<NodeId, Member> {
        let mut members: BTreeMap<NodeId, Member> =
            self.peers.iter().map(|(id, peer)| (*id, peer.member.clone())).collect();
        members.insert(self.me, self.my_member.clone());
        members
    }

    /// The record of a new cluster, if `init` may go on.
    ///
    /// # Errors
    ///
    /// `Some` sentence if it can never be made; `None` if some peer has not answered yet.
    pub(super) fn decide_found(
        &self,
        id: ClusterId,
        superuser: Option<ScramVerifier>,
        config: &CoreConfig,
    ) -> Result<ClusterRecord, Option<SqlError>> {
        let refuse = |message: String| {
            Some(SqlError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
        };
        if let Some(cluster) = &self.cluster {
            return Err(refuse(format!("the cluster is already initialised as {}", cluster.id)));
        }
        if let Some(cluster) = self.accepting {
            return Err(refuse(format!("the cluster is being initialised as {cluster}")));
        }
        if let Some(clash) = &self.clash {
            return Err(refuse(clash.clone()));
        }
        for (id, peer) in &self.peers {
            if let Some((cluster, false)) = peer.hello {
                let message =
                    format!("{id} at {} belongs to cluster {cluster}", peer.member.peer_addr);
                return Err(refuse(message));
            }
        }
        if !self.unknown_addresses().is_empty() || self.peers.values().any(|p| p.hello.is_none()) {
            return Err(None);
        }
        let members = self.members();
        let voters: Vec<NodeId> =
            members.keys().copied().take(config.replication_factor.max(1)).collect();
        let data_shards = config.initial_shard_count;
        Ok(ClusterRecord { id, founder: self.me, members, voters, data_shards, superuser })
    }
}
