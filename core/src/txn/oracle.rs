//! The oracle's client: one question at a time, for all transactions of the node that wait.
//!
//! A grant belongs to those who asked before the question was sent: whoever comes later waits for the
//! next one. That is what makes real time and timestamps agree.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::error::TxnError;
use super::router::{Repeat, Router, SendError};
use crate::base::id::{SYSTEM_SHARD, TxnId};
use crate::base::time::Mono;
use crate::base::timestamp::Timestamp;
use crate::replica::ports::TimestampSource;
use crate::replica::request::{Grant, RequestBody, ShardResponse, TimestampBody};
use crate::replica::wait::{Resolver, promise, within};

/// Timestamps in one question.
const BATCH_MAX: usize = 4_096;
/// One question's patience.
const PATIENCE: Duration = Duration::from_millis(5_000);
/// A new leader's patience for its first timestamp.
const OFFICE_PATIENCE: Duration = Duration::from_millis(400);

type Granted = Result<Grant, TxnError>;
/// Who waits for a grant above what.
type Waiting = Vec<(Timestamp, Resolver<Granted>)>;

#[derive(Default)]
struct State {
    asking: bool,
    waiting: Waiting,
}

/// The oracle's client of a node.
pub struct OracleClient {
    me: Weak<Self>,
    router: Rc<Router>,
    state: RefCell<State>,
}

impl OracleClient {
    /// A client over a router.
    pub fn new(router: Rc<Router>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self { me: me.clone(), router, state: RefCell::default() })
    }

    /// A timestamp of at least `at_least`, granted after this call.
    ///
    /// # Errors
    ///
    /// [`TxnError::Unavailable`] at the deadline.
    pub async fn grant(&self, at_least: Timestamp, deadline: Mono) -> Granted {
        if let Some(granted) = self.grant_now(at_least) {
            return Ok(granted);
        }
        let (resolver, answer) = promise();
        let begin = {
            let mut state = self.state.borrow_mut();
            let begin = !std::mem::replace(&mut state.asking, true);
            if !begin {
                state.waiting.push((at_least, resolver));
                None
            } else {
                Some(resolver)
            }
        };
        if let (Some(resolver), Some(me)) = (begin, self.me.upgrade()) {
            let question = Box::pin(me.clone().question(1, at_least));
            let first = (vec![(at_least, resolver)], question);
            self.router.clock().spawn(Box::pin(me.ask(first)));
        }
        match within(&**self.router.clock(), deadline, answer).await {
            Some(Some(granted)) => granted,
            Some(None) | None => Err(unavailable()),
        }
    }

    /// As [`Self::grant`], if the oracle is on this node and nobody waits for it.
    pub fn grant_now(&self, at_least: Timestamp) -> Option<Grant> {
        if self.state.borrow().asking {
            return None;
        }
        let body = RequestBody::Timestamp(TimestampBody { count: 1, at_least, hold: None });
        match self.router.send_now(SYSTEM_SHARD, body) {
            Some(Ok(ShardResponse::Granted(grant))) => Some(grant),
            Some(_) | None => None,
        }
    }

    /// A timestamp for a transaction that changes the catalog: for a moment nobody else gets one.
    ///
    /// # Errors
    ///
    /// [`TxnError::Unavailable`] at the deadline.
    pub async fn grant_held(&self, txn: TxnId, at_least: Timestamp, deadline: Mono) -> Granted {
        self.request(TimestampBody { count: 1, at_least, hold: Some(txn) }, deadline).await
    }

    async fn request(&self, body: TimestampBody, deadline: Mono) -> Granted {
        let body = RequestBody::Timestamp(body);
        match self.router.send(SYSTEM_SHARD, body, Repeat::Freely, deadline).await {
            Ok(ShardResponse::Granted(grant)) => Ok(grant),
            Ok(_) => Err(TxnError::Unavailable("oracle answered another question".to_owned())),
            Err(SendError::Refused(error)) => Err(TxnError::from_refusal(error)),
            Err(SendError::Unavailable | SendError::Lost) => Err(unavailable()),
        }
    }

    async fn question(self: Rc<Self>, count: u32, at_least: Timestamp) -> Granted {
        let deadline = self.router.clock().now().mono + PATIENCE;
        self.request(TimestampBody { count, at_least, hold: None }, deadline).await
    }

    /// Waits for the answer to a first question, then asks for all who came meanwhile.
    async fn ask(self: Rc<Self>, first: (Waiting, Pin<Box<impl Future<Output = Granted>>>)) {
        let (mut batch, question) = first;
        let mut granted = question.await;
        loop {
            for (number, (_, resolver)) in (0u64..).zip(batch) {
                resolver.resolve(
                    granted
                        .clone()
                        .map(|grant| Grant { first: Timestamp(grant.first.0 + number), ..grant }),
                );
            }
            batch = {
                let mut state = self.state.borrow_mut();
                state.waiting.retain(|(_, resolver)| !resolver.is_abandoned());
                let len = state.waiting.len().min(BATCH_MAX);
                if len == 0 {
                    state.asking = false;
                    return;
                }
                state.waiting.drain(..len).collect()
            };
            let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            let at_least = batch.iter().map(|(floor, _)| *floor).max().unwrap_or_default();
            granted = self.clone().question(count, at_least).await;
        }
    }
}

fn unavailable() -> TxnError {
    TxnError::Unavailable("no timestamp from the system shard".to_owned())
}

impl TimestampSource for OracleClient {
    fn timestamp(&self) -> LocalBoxFuture<'static, Result<Timestamp, ()>> {
        let me = self.me.upgrade();
        Box::pin(async move {
            let me = me.ok_or(())?;
            let deadline = me.router.clock().now().mono + OFFICE_PATIENCE;
            let granted = me.grant(Timestamp::ZERO, deadline).await;
            granted.map(|grant| grant.first).map_err(|_| ())
        })
    }
}
