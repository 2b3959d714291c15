//! The loop that drives a node, as a task.

use std::rc::Rc;
use std::time::Duration;

use madsim::task::spawn_local;
use madsim::time::{sleep, timeout};
use shardforge_core::base::id::NodeId;
use shardforge_core::node::effect::Effect;
use shardforge_core::node::input::Input;
use shardforge_core::node::{Node, Seed};
use shardforge_core::storage::port::StorageEffect;

use crate::log;
use crate::machine::{Life, Machine};
use crate::world::World;

/// Runs a node until it is killed.
///
/// # Panics
///
/// If the node halts: nothing here gives it a reason to.
pub(crate) async fn run(world: Rc<World>, id: NodeId) {
    let machine = world.machine(id);
    let life = machine.begin_life();
    let lives = machine.lives.get();
    world.note(format_args!("{id} starts, life {lives}"));
    spawn_local(log::write(Rc::clone(&world), Rc::clone(&machine), Rc::clone(&life)));
    let seed = Seed(world.seed() ^ u64::from(id.0) << 32 ^ lives);
    let mut node = Node::new(id, machine.config.clone(), seed, machine.clock.now(world.now()));
    let mut image = machine.disk.borrow().image();
    image.stores = machine.stores.borrow().ids().collect();
    life.inbox.put(Input::Booted(image));
    loop {
        let input = next_input(&world, &machine, &life, &node).await;
        let now = machine.clock.now(world.now());
        let effects: Vec<Effect> = node.handle(now, input).collect();
        node.check_invariants();
        for effect in effects {
            perform(&world, &machine, &life, effect);
            world.perhaps_pause().await;
        }
    }
}

/// An event, or the moment that the node's deadline names.
async fn next_input(world: &World, machine: &Machine, life: &Life, node: &Node) -> Input {
    let Some(deadline) = node.deadline() else { return life.inbox.next().await };
    let left = machine.clock.truth_of(deadline.at).since(world.now());
    if left.is_zero() {
        return life.inbox.take().unwrap_or(Input::DeadlineReached);
    }
    timeout(left, life.inbox.next()).await.unwrap_or(Input::DeadlineReached)
}

fn perform(world: &Rc<World>, machine: &Rc<Machine>, life: &Rc<Life>, effect: Effect) {
    let id = machine.id;
    match effect {
        Effect::SendPeerMessage { to, frame } => world.wire().send_frame(world, id, to, frame),
        Effect::ProbePeer { address, frame } => {
            if let Some(to) = world.node_at(&address) {
                world.wire().send_frame(world, id, to, frame);
            }
        }
        Effect::PeersChanged(_) => {} // addresses never change here
        Effect::AppendLog { ticket, writes } => life.log.put((ticket, writes)),
        Effect::RetireSegments(segments) => machine.disk.borrow_mut().retire(segments),
        Effect::Storage(effect) => perform_storage(world, machine, life, effect),
        Effect::AnswerClient { session, replies } => {
            if let Some(connection) = machine.connections.borrow().get(&session) {
                world.wire().answer(world, connection, &replies);
            }
            life.inbox.put(Input::ClientDrained { session, unsent_bytes: 0 });
        }
        Effect::CloseClient { session } => {
            if let Some(connection) = machine.connections.borrow_mut().remove(&session) {
                world.wire().close(world, &connection);
            }
        }
        Effect::AnswerOperator { token, answer } => {
            machine.answers.borrow_mut().insert(token, answer);
        }
        Effect::ServiceChanged(serving) => {
            world.note(format_args!("{id} serving={serving}"));
            machine.serving.set(serving);
        }
        Effect::Log { level, message } => world.note(format_args!("{id} {level:?} {message}")),
        Effect::Halt(reason) => panic!("{id} halts: {reason:?}"),
    }
}

/// Stores answer at once or later; a flush that is killed has not happened.
fn perform_storage(
    world: &Rc<World>,
    machine: &Rc<Machine>,
    life: &Rc<Life>,
    effect: StorageEffect,
) {
    let flush = matches!(effect, StorageEffect::Flush(..));
    let late = match &effect {
        StorageEffect::Flush(..)
        | StorageEffect::ReadSnapshotChunk { .. }
        | StorageEffect::Stage { .. }
        | StorageEffect::Install { .. } => true,
        StorageEffect::Read(..) => world.below(50) == 0,
        _ => false, // opens and writes have their effect when they are asked for
    };
    let (effect, event) = match flush {
        true => (Some(effect), None),
        false => (None, machine.stores.borrow_mut().perform(effect)),
    };
    if !late {
        event.into_iter().for_each(|event| life.inbox.put(Input::StorageCompleted(event)));
        return;
    }
    let delay = Duration::from_micros(world.below(20_000));
    let (machine, life) = (Rc::clone(machine), Rc::clone(life));
    spawn_local(async move {
        sleep(delay).await;
        let flushed = effect.and_then(|effect| machine.stores.borrow_mut().perform(effect));
        for event in event.into_iter().chain(flushed) {
            life.inbox.put(Input::StorageCompleted(event));
        }
    });
}
