//! Plugs the ports that the floors below declare: each is a few lines over the outbox.

pub(super) mod calls;
pub(super) mod clock;
pub(super) mod consensus;
pub(super) mod log;
pub(super) mod machine;
pub(super) mod snapshot;
pub(super) mod store;
pub(super) mod transport;
