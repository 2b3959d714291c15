//! The way to the leader when nodes are silent, or lead in name only.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::world::World;
use crate::base::buggify::Faults;
use crate::base::id::{Epoch, NodeId, ShardId};
use crate::base::time::Mono;
use crate::replica::error::ReplicaError;
use crate::replica::request::{RequestBody, ShardRequest, ShardResponse};
use crate::replica::testing::Sim;
use crate::shard::cache::ShardCache;
use crate::shard::map::ShardMap;
use crate::txn::ports::{CallError, ShardCalls};
use crate::txn::router::{Repeat, Router};

const SHARD: ShardId = ShardId(1);
/// Far longer than any of the waits that a request may meet on its way.
const PATIENCE: Duration = Duration::from_secs(60);
const YES: ShardResponse = ShardResponse::Refreshed(true);

/// What a node does when asked.
#[derive(Clone)]
enum Manner {
    Says(Result<ShardResponse, CallError>),
    Silent,
}

struct Nodes {
    manners: Vec<(NodeId, Manner)>,
    asked: RefCell<Vec<NodeId>>,
}

impl ShardCalls for Nodes {
    fn call(
        &self,
        to: NodeId,
        _: Rc<ShardRequest>,
    ) -> LocalBoxFuture<'static, Result<ShardResponse, CallError>> {
        self.asked.borrow_mut().push(to);
        match self.manners.iter().find(|(node, _)| *node == to) {
            Some((_, Manner::Says(answer))) => Box::pin(std::future::ready(answer.clone())),
            Some((_, Manner::Silent)) | None => Box::pin(std::future::pending()),
        }
    }
}

fn refuses(error: ReplicaError) -> Manner {
    Manner::Says(Err(CallError::Refused(error)))
}

/// Asks from node 9, which believes in `leader`; tells how long it took and who was asked.
fn ask(leader: Option<u32>, manners: &[(u32, Manner)], repeat: Repeat) -> (Duration, Vec<NodeId>) {
    let sim = Sim::new(1);
    let manners: Vec<_> =
        manners.iter().map(|(n, manner)| (NodeId::machine(*n), manner.clone())).collect();
    let replicas: Vec<NodeId> = manners.iter().map(|(node, _)| *node).collect();
    let cache = Rc::new(ShardCache::new(ShardMap::initial(1, &replicas)));
    if let Some(leader) = leader {
        cache.set_leader(SHARD, NodeId::machine(leader));
    }
    let nodes = Rc::new(Nodes { manners, asked: RefCell::default() });
    let router = Router::new(NodeId::machine(9), nodes.clone(), sim.clock(), cache);
    let began: Mono = sim.clock().now().mono;
    let body = RequestBody::Keep { txns: Vec::new() };
    let deadline = began + PATIENCE;
    let answer = sim.block_on(async move { router.send(SHARD, body, repeat, deadline).await });
    assert_eq!(answer, Ok(YES));
    let asked = nodes.asked.borrow().clone();
    (sim.clock().now().mono.since(began), asked)
}

#[test]
fn a_guess_that_is_not_answered_is_soon_another() {
    let manners = [(1, Manner::Silent), (2, Manner::Silent), (3, Manner::Says(Ok(YES)))];
    let (took, asked) = ask(None, &manners, Repeat::Freely);
    assert_eq!(asked, [1, 2, 3].map(NodeId::machine));
    assert!(took < Duration::from_millis(600), "{took:?}");
    // Who is believed to lead may be slow for a good reason.
    let (took, _) = ask(Some(1), &manners, Repeat::Freely);
    assert!(Duration::from_millis(1_500) < took, "{took:?}");
}

#[test]
fn a_leader_that_takes_office_is_asked_again_and_one_that_never_does_is_left() {
    let hint = || refuses(ReplicaError::NotLeader { hint: Some(NodeId::machine(2)) });
    let manners = [(1, hint()), (2, refuses(ReplicaError::NotReady)), (3, Manner::Says(Ok(YES)))];
    for repeat in [Repeat::Freely, Repeat::AfterRefusal] {
        let (took, asked) = ask(Some(2), &manners, repeat);
        assert_eq!(asked[..8], [NodeId::machine(2); 8], "patience first");
        assert!(took < Duration::from_secs(3), "{took:?}: {asked:?}");
    }
}

#[test]
fn who_has_just_been_elected_does_not_deny_it() {
    let world = World::new(1, 1, &Faults::default());
    let host = &world.hosts[1];
    host.group.elect();
    let body = RequestBody::Keep { txns: Vec::new() };
    let request = Rc::new(ShardRequest { shard: SHARD, epoch: Epoch(1), body });
    let answer = world.sim.block_on(host.replica.clone().serve(request));
    assert_eq!(answer, Err(ReplicaError::NotReady));
}
