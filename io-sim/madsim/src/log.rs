//! A node's log as a task: writes one after the other, then a sync, then the answer.

use std::rc::Rc;
use std::time::Duration;

use madsim::time::sleep;
use shardforge_core::node::input::Input;

use crate::machine::{Life, Machine};
use crate::world::World;

/// Runs until its node is killed, perhaps between two writes of an append.
pub(crate) async fn write(world: Rc<World>, machine: Rc<Machine>, life: Rc<Life>) {
    loop {
        let mut next = Some(life.log.next().await);
        while let Some((ticket, writes)) = next {
            for write in writes {
                machine.disk.borrow_mut().append(ticket, vec![write]);
                world.perhaps_pause().await;
            }
            next = life.log.take();
        }
        // Appends that arrive from here on share the next sync.
        loop {
            sleep(Duration::from_micros(world.below(3_000))).await;
            let Some((ticket, again)) = machine.disk.borrow_mut().synced() else { break };
            life.inbox.put(Input::LogPersisted { ticket });
            if !again {
                break;
            }
        }
    }
}
