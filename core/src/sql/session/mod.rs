//! Sessions: one per client. Messages in, replies out, a transaction in between.
//!
//! A session is an `async fn` on the stepper ([`session`]): it takes one message after the other from
//! its inbox and answers in bursts. It knows the protocol's rules, transaction blocks, settings and
//! prepared statements; what a statement does is `execute`'s business.

mod at_once;
mod cache;
mod copy;
mod extended;
mod inbox;
pub mod instance;
pub mod ports;
mod prepared;
mod replies;
mod run;
#[expect(clippy::module_inception, reason = "the room is named after its one citizen")]
mod session;
mod setting_table;
mod setting_value;
pub(crate) mod settings;
mod simple;
mod startup;
pub(crate) mod transaction;
mod utility;

pub use inbox::SessionHandle;
pub use setting_table::SERVER_VERSION;
