//! A node of one over disks that cost nothing: what is left is the core.

use std::collections::VecDeque;

use bytes::Bytes;
use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{NodeId, SessionId};
use shardforge_core::base::time::{Mono, Now};
use shardforge_core::node::effect::Effect;
use shardforge_core::node::input::Input;
use shardforge_core::node::{CoreConfig, Node, Seed};
use shardforge_core::sql::protocol::{ClientReply, ClientRequest};
use shardforge_core::storage::memory::MemoryStores;

const SESSION: SessionId = SessionId(1);

/// A node that serves, and one client.
pub(crate) struct Server {
    node: Node,
    stores: MemoryStores,
    now: Now,
    replies: Vec<ClientReply>,
    serving: bool,
}

impl Server {
    /// Starts it and connects the client.
    pub(crate) fn start() -> Self {
        let id = NodeId::machine(1);
        let config = CoreConfig { single_node: true, insecure: true, ..CoreConfig::default() };
        let now = Now::default();
        let node = Node::new(id, config, Seed(7), now);
        let stores = MemoryStores::new(Faults::default());
        let mut server = Self { node, stores, now, replies: Vec::new(), serving: false };
        server.input(Input::Booted(Default::default()));
        for _ in 0..10_000 {
            if server.serving {
                break;
            }
            server.idle_input();
        }
        assert!(server.serving, "the node does not serve");
        server.input(Input::ClientConnected { session: SESSION });
        let request = ClientRequest::Startup {
            user: "postgres".to_owned(),
            database: "postgres".to_owned(),
            parameters: Vec::new(),
        };
        server.input(Input::ClientRequested { session: SESSION, request });
        server.until_ready();
        server
    }

    /// Makes `t(id, v)` with so many rows.
    pub(crate) fn fill(&mut self, rows: u32) {
        self.query("CREATE TABLE t (id int PRIMARY KEY, v int)");
        self.query(&format!("INSERT INTO t SELECT i, 0 FROM generate_series(0, {rows} - 1) i"));
    }

    /// Prepares a statement under a name.
    pub(crate) fn prepare(&mut self, name: &str, sql: &str) {
        let (name, sql) = (name.to_owned(), sql.to_owned());
        let parse = ClientRequest::Parse { name, sql, parameter_types: Vec::new() };
        let requests = vec![parse, ClientRequest::Sync];
        self.input(Input::ClientPipelined { session: SESSION, requests });
        self.until_ready();
    }

    /// Runs a prepared statement as libpq asks for it; how many replies it got.
    pub(crate) fn execute(&mut self, statement: &str, parameters: &[&str]) -> usize {
        let value = |text: &&str| Some(Bytes::copy_from_slice(text.as_bytes()));
        let requests = vec![
            ClientRequest::Bind {
                portal: String::new(),
                statement: statement.to_owned(),
                parameter_formats: Vec::new(),
                parameters: parameters.iter().map(value).collect(),
                result_formats: vec![0],
            },
            ClientRequest::DescribePortal(String::new()),
            ClientRequest::Execute { portal: String::new(), rows_max: 0 },
            ClientRequest::Sync,
        ];
        self.input(Input::ClientPipelined { session: SESSION, requests });
        self.until_ready()
    }

    /// Runs a statement to its end; how many replies it got.
    pub(crate) fn query(&mut self, sql: &str) -> usize {
        let request = ClientRequest::Query(sql.to_owned());
        self.input(Input::ClientRequested { session: SESSION, request });
        self.until_ready()
    }

    /// Ten microseconds pass.
    pub(crate) fn idle_input(&mut self) {
        self.input(Input::DeadlineReached);
    }

    fn until_ready(&mut self) -> usize {
        for _ in 0..100_000 {
            let ready = |reply: &ClientReply| matches!(reply, ClientReply::ReadyForQuery(..));
            if self.replies.iter().any(ready) {
                let failed = |reply: &ClientReply| matches!(reply, ClientReply::Error(..));
                let error = self.replies.iter().find(|reply| failed(reply));
                assert!(error.is_none(), "{error:?}");
                return self.replies.drain(..).count();
            }
            self.idle_input();
        }
        panic!("no answer")
    }

    fn input(&mut self, input: Input) {
        self.now.mono = Mono(self.now.mono.0 + 10_000);
        let mut ready = VecDeque::from([input]);
        while let Some(input) = ready.pop_front() {
            let effects: Vec<Effect> = self.node.handle(self.now, input).collect();
            for effect in effects {
                match effect {
                    Effect::AppendLog { ticket, .. } => {
                        ready.push_back(Input::LogPersisted { ticket });
                    }
                    Effect::Storage(effect) => {
                        let event = self.stores.perform(effect);
                        ready.extend(event.map(Input::StorageCompleted));
                    }
                    Effect::AnswerClient { session, replies } => {
                        self.replies.extend(replies);
                        ready.push_back(Input::ClientDrained { session, unsent_bytes: 0 });
                    }
                    Effect::ServiceChanged(serving) => self.serving = serving,
                    Effect::Halt(reason) => panic!("the node halts: {reason:?}"),
                    _ => {}
                }
            }
        }
    }
}
