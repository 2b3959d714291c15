//! The loop around a scripted core: what it must do whatever the node wishes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use shardforge_core::base::id::{NodeId, SessionId, ShardId, Token};
use shardforge_core::base::time::{Deadline, Now};
use shardforge_core::node::effect::{Effect, HaltReason};
use shardforge_core::node::input::{Input, OperatorAnswer, OperatorRequest, PeerFrame};
use shardforge_core::node::status::ClusterStatus;
use shardforge_core::sql::protocol::{ClientReply, ClientRequest, DataRows};
use shardforge_core::storage::log::{LogFile, LogWrite};
use shardforge_core::storage::port::{Family, ReadReply, ReadRequest, StorageEffect, StorageEvent};
use tokio::io::{AsyncReadExt, duplex};
use tokio::task::LocalSet;

use super::{Cell, Door, Driver, PeerSender};
use crate::clock::{Clock, RuntimeClock};
use crate::front::Connection;
use crate::metrics::Metrics;
use crate::ports::{Completions, CoreNode, LogDisk, Stores};
use crate::testing::Pipe;

type Script = Box<dyn FnMut(&Input) -> Vec<Effect>>;

/// A core that answers each input by a script, and notes what it was given.
struct Scripted {
    script: Script,
    seen: Rc<RefCell<Vec<Input>>>,
    deadline: Rc<RefCell<Option<Deadline>>>,
}

impl CoreNode for Scripted {
    fn handle(&mut self, _: Now, input: Input) -> impl Iterator<Item = Effect> {
        let effects = (self.script)(&input);
        self.seen.borrow_mut().push(input);
        effects.into_iter()
    }
    fn deadline(&self) -> Option<Deadline> {
        *self.deadline.borrow()
    }
    fn status(&self) -> ClusterStatus {
        ClusterStatus::default()
    }
}

/// Stores that answer every read at once.
struct Ready;

impl Stores for Ready {
    fn perform(&mut self, effect: StorageEffect, ready: &mut VecDeque<StorageEvent>) {
        if let StorageEffect::Read(token, ..) = effect {
            ready.push_back(StorageEvent::Read(token, Ok(ReadReply::Value(None))));
        }
    }
}

struct Log(Completions);

impl LogDisk for Log {
    fn append(&mut self, ticket: u64, _: Vec<LogWrite>) {
        self.0.send(Input::LogPersisted { ticket });
    }
    fn retire(&mut self, _: Vec<u64>) {}
}

struct NoPeers;

impl PeerSender for NoPeers {
    fn send(&mut self, _: NodeId, _: PeerFrame) {}
    fn probe(&mut self, _: &str, _: PeerFrame) {}
    fn peers_changed(&mut self, _: Vec<(NodeId, String)>) {}
}

struct World {
    driver: Rc<Driver<Scripted, Ready, Log>>,
    completed: tokio::sync::mpsc::UnboundedReceiver<Input>,
    seen: Rc<RefCell<Vec<Input>>>,
    deadline: Rc<RefCell<Option<Deadline>>>,
    clock: RuntimeClock,
}

/// Must run inside a runtime.
fn world(script: impl FnMut(&Input) -> Vec<Effect> + 'static) -> World {
    let (seen, deadline) = (Rc::default(), Rc::default());
    let node = Scripted {
        script: Box::new(script),
        seen: Rc::clone(&seen),
        deadline: Rc::clone(&deadline),
    };
    let (completions, completed) = Completions::channel();
    let clock = RuntimeClock::new(0);
    let metrics = Metrics::default();
    let cell = Cell::new(
        node,
        Box::new(clock),
        Ready,
        Log(completions),
        Box::new(NoPeers),
        metrics.clone(),
    );
    World { driver: Rc::new(Driver::new(cell, metrics)), completed, seen, deadline, clock }
}

impl World {
    async fn run(&mut self) -> HaltReason {
        let boot = Input::Booted(Default::default());
        tokio::select! {
            reason = self.driver.run(boot, &mut self.completed) => reason,
            () = self.driver.hand_over() => unreachable!("it has no end"),
        }
    }

    fn names(&self) -> Vec<String> {
        self.seen.borrow().iter().map(name).collect()
    }
}

/// An input's variant.
fn name(input: &Input) -> String {
    let text = format!("{input:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

fn read(token: u64) -> Effect {
    let request = ReadRequest::Get { family: Family::Meta, key: Bytes::new() };
    Effect::Storage(StorageEffect::Read(Token(token), ShardId(1), request))
}

fn local<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test))
}

#[test]
fn ready_answers_are_handled_before_the_next_input() {
    local(async {
        let world = world(|input| match input {
            Input::Booted(_) => vec![read(1), read(2)],
            Input::DeadlineReached => vec![],
            _ => vec![],
        });
        world.driver.give(Input::Booted(Default::default()));
        world.driver.give(Input::DeadlineReached);
        assert_eq!(
            world.names(),
            ["Booted", "StorageCompleted", "StorageCompleted", "DeadlineReached"]
        );
    });
}

#[test]
fn a_core_that_always_has_one_more_question_does_not_starve_the_others() {
    local(async {
        let mut world = world(|input| match input {
            Input::Booted(_) | Input::StorageCompleted(_) => vec![read(1)],
            Input::OperatorRequested { .. } => vec![Effect::Halt(HaltReason::Drained)],
            _ => vec![],
        });
        let door = Rc::clone(&world.driver);
        tokio::task::spawn_local(async move { drop(door.ask(OperatorRequest::Drain)) });
        assert_eq!(world.run().await, HaltReason::Drained);
    });
}

#[test]
fn nothing_is_performed_after_halt() {
    local(async {
        let world = world(|input| match input {
            Input::Booted(_) => vec![Effect::Halt(HaltReason::Drained), read(1)],
            _ => vec![],
        });
        world.driver.give(Input::Booted(Default::default()));
        world.driver.give(Input::DeadlineReached);
        assert_eq!(world.names(), ["Booted"]);
    });
}

#[test]
fn a_deadline_is_given_when_it_comes_and_an_earlier_one_wakes_the_loop() {
    local(async {
        let mut world = world(|input| match input {
            Input::DeadlineReached => vec![Effect::Halt(HaltReason::Drained)],
            _ => vec![],
        });
        let at = world.clock.now().mono + Duration::from_secs(60);
        *world.deadline.borrow_mut() = Some(Deadline { at, reason: "late" });
        let (driver, deadline, clock) =
            (Rc::clone(&world.driver), Rc::clone(&world.deadline), world.clock);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let at = clock.now().mono + Duration::from_millis(10);
            *deadline.borrow_mut() = Some(Deadline { at, reason: "soon" });
            driver.give(Input::PeerMessageFailed(NodeId::machine(2)));
        });
        let began = world.clock.now().mono;
        assert_eq!(world.run().await, HaltReason::Drained);
        let took = world.clock.now().mono.since(began);
        assert!(Duration::from_millis(15) <= took, "{took:?}: before its time");
        assert!(took < Duration::from_secs(1), "{took:?}: slept for the late deadline");
        assert_eq!(world.names(), ["Booted", "PeerMessageFailed", "DeadlineReached"]);
    });
}

#[test]
fn answers_of_other_threads_arrive() {
    local(async {
        let mut world = world(|input| match input {
            Input::Booted(_) => vec![Effect::AppendLog { ticket: 7, writes: vec![] }],
            Input::LogPersisted { ticket: 7 } => vec![Effect::Halt(HaltReason::Drained)],
            _ => vec![],
        });
        assert_eq!(world.run().await, HaltReason::Drained);
        assert_eq!(world.names(), ["Booted", "LogPersisted"]);
    });
}

#[test]
fn a_core_that_panics_halts() {
    local(async {
        let mut world = world(|input| match input {
            Input::Booted(_) => panic!("a broken invariant"),
            _ => vec![],
        });
        let reason = world.run().await;
        assert_eq!(reason, HaltReason::Invariant("a broken invariant".into()));
        world.driver.give(Input::DeadlineReached);
        assert_eq!(world.names(), Vec::<String>::new(), "given to a node that panicked");
    });
}

#[test]
fn operators_are_answered() {
    local(async {
        let world = world(|input| match input {
            Input::OperatorRequested { token, .. } => {
                vec![Effect::AnswerOperator { token: *token, answer: OperatorAnswer::Done }]
            }
            _ => vec![],
        });
        let answer = world.driver.ask(OperatorRequest::Status);
        assert_eq!(answer.await, Ok(OperatorAnswer::Done));
    });
}

fn append(ticket: u64) -> Effect {
    let file = LogFile::Segment(1);
    let bytes = Bytes::copy_from_slice(&[ticket as u8]);
    Effect::AppendLog { ticket, writes: vec![LogWrite { file, offset: ticket, bytes }] }
}

#[test]
fn turns_that_follow_each_other_share_an_append_and_clients_hear_after_them() {
    local(async {
        let mut ticket = 0;
        let mut world = world(move |input| match input {
            Input::ClientRequested { session, .. } => {
                ticket += 1;
                let replies = vec![ClientReply::CommandComplete("BEGIN".into())];
                vec![append(ticket), Effect::AnswerClient { session: *session, replies }]
            }
            _ => vec![],
        });
        let mut clients = Vec::new();
        for _ in 0..2 {
            let (here, client) = duplex(1 << 10);
            world.driver.open_session(Rc::new(Connection::new(Box::new(Pipe(here)))));
            clients.push(client);
        }
        for session in [SessionId(1), SessionId(2)] {
            world.driver.give(Input::ClientRequested { session, request: ClientRequest::Sync });
        }
        for client in &mut clients {
            let heard = client.read_u8().now_or_never();
            assert!(heard.is_none(), "answered between two turns");
        }
        assert!(world.completed.try_recv().is_err(), "appended between two turns");
        for client in &mut clients {
            let heard = tokio::select! {
                heard = client.read_u8() => heard,
                () = world.driver.hand_over() => unreachable!("it has no end"),
            };
            assert_eq!(heard.ok(), Some(b'C'));
        }
        let persisted = world.completed.try_recv();
        assert!(matches!(persisted, Ok(Input::LogPersisted { ticket: 2 })), "{persisted:?}");
        assert!(world.completed.try_recv().is_err(), "one append for both turns");
    });
}

fn row() -> ClientReply {
    let bytes = Bytes::from_static(&[0, 1, 0, 0, 0, 1, b'x']);
    ClientReply::DataRows(DataRows { bytes, ends: vec![7] })
}

#[test]
fn a_streaming_session_hears_that_its_rows_are_sent_and_an_idle_one_does_not() {
    local(async {
        let world = world(|input| match input {
            Input::ClientConnected { session } => {
                vec![Effect::AnswerClient { session: *session, replies: vec![row()] }]
            }
            Input::ClientDrained { session, unsent_bytes: 0 } => vec![Effect::AnswerClient {
                session: *session,
                replies: vec![row(), ClientReply::CommandComplete("SELECT 2".into())],
            }],
            _ => vec![],
        });
        let (here, mut client) = duplex(1 << 10);
        let connection = Rc::new(Connection::new(Box::new(Pipe(here))));
        let session = world.driver.open_session(connection);
        assert_eq!(session, SessionId(1));
        assert_eq!(world.names(), ["ClientConnected", "ClientDrained"]);
        let mut sent = [0; 24];
        assert!(client.read_exact(&mut sent).await.is_ok());
        assert_eq!(&sent[..12], b"D\0\0\0\x0b\0\x01\0\0\0\x01x");
        world.driver.close_session(session);
        assert_eq!(world.names().last().map(String::as_str), Some("ClientDisconnected"));
    });
}
