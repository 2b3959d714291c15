//! The one thread-local of the core: which stepper's tasks run right now.
//!
//! openraft asks its runtime through static methods ("spawn this", "what time is it"), so somebody
//! has to know whose question it is. Our own code takes a [`StepHandle`] and never looks here.
//!
//! # Invariants
//!
//! * It is set only while a stepper polls, or inside [`enter`]; it is never nested.
//! * Nothing of openraft runs or is dropped while it is empty.

use std::cell::RefCell;

use super::StepHandle;

thread_local! {
    static CURRENT: RefCell<Option<StepHandle>> = const { RefCell::new(None) };
}

/// Empties the slot again, also when the work panics.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        let left = CURRENT.with(|current| current.borrow_mut().take());
        drop(left);
    }
}

/// Runs `work` as the stepper of `handle`.
///
/// # Panics
///
/// If a stepper is entered already: two nodes on one thread take turns, they never nest.
pub fn enter<T>(handle: &StepHandle, work: impl FnOnce() -> T) -> T {
    CURRENT.with(|current| {
        let mut current = current.borrow_mut();
        assert!(current.is_none(), "a stepper is entered inside another");
        *current = Some(handle.clone());
    });
    let _leave = Leave;
    work()
}

/// Whether a stepper is entered on this thread.
pub fn is_entered() -> bool {
    CURRENT.with(|current| current.borrow().is_some())
}

/// The stepper entered on this thread.
///
/// # Panics
///
/// If there is none: something of openraft ran outside its node.
pub fn current() -> StepHandle {
    let handle = CURRENT.with(|current| current.borrow().clone());
    assert!(handle.is_some(), "no stepper is entered: openraft ran outside its node");
    match handle {
        Some(handle) => handle,
        None => unreachable!("asserted above"),
    }
}
