//! Clocks and tasks over the stepper and the time of the present input.

use futures_util::future::LocalBoxFuture;

use super::super::outbox::Outbox;
use crate::base::time::{Mono, Now};
use crate::replica::ports::Clock;
use crate::step::StepHandle;

/// The node's clock.
#[derive(Clone)]
pub(in super::super) struct NodeClock {
    pub(in super::super) outbox: Outbox,
    pub(in super::super) step: StepHandle,
}

impl Clock for NodeClock {
    fn now(&self) -> Now {
        self.outbox.now()
    }

    fn sleep_until(&self, at: Mono) -> LocalBoxFuture<'static, ()> {
        Box::pin(self.step.sleep_until(at))
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.step.spawn_detached(task);
    }
}
