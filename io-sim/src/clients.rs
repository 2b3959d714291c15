//! The world's clients: connections, patience, and what a script does next.

use shardforge_core::base::id::{NodeId, SessionId};
use shardforge_core::node::input::Input;
use shardforge_core::sql::protocol::{ClientReply, ClientRequest};

use crate::client::{Link, Next, Outcome};
use crate::world::{Event, QUERY_PATIENCE, RECONNECT_AFTER, World};

impl World {
    pub(crate) fn connect(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.targets.rotate_left(1);
        let Some(id) = client.targets.back().copied() else { return };
        let reachable = self.net.clients_reach(id) && self.hosts[&id].is_up();
        if !reachable {
            return self.after(RECONNECT_AFTER, Event::Connect(number));
        }
        self.next_session += 1;
        let session = SessionId(self.next_session);
        client.link = Link::Greeting(id, session);
        client.turn += 1;
        client.error = None;
        client.rows.clear();
        client.tags.clear();
        let turn = client.turn;
        self.after(QUERY_PATIENCE, Event::Patience(number, turn));
        if let Some(host) = self.hosts.get_mut(&id) {
            host.sessions.insert(session, number);
        }
        self.input(id, Input::ClientConnected { session });
        let request = ClientRequest::Startup {
            user: "postgres".to_owned(),
            database: "postgres".to_owned(),
            parameters: Vec::new(),
        };
        self.request(id, session, request);
    }

    fn request(&mut self, id: NodeId, session: SessionId, request: ClientRequest) {
        let life = self.hosts[&id].life;
        let latency = self.net.latency(&mut self.net_rng);
        self.after(latency, Event::Request(id, life, session, request));
    }

    fn client_of(&self, id: NodeId, session: SessionId) -> Option<usize> {
        self.clients.iter().position(|client| client.session() == Some((id, session)))
    }

    pub(crate) fn replies(&mut self, id: NodeId, session: SessionId, replies: Vec<ClientReply>) {
        let Some(number) = self.client_of(id, session) else { return };
        if !self.net.clients_reach(id) {
            return; // the client learns by its patience
        }
        for reply in replies {
            if let Some(outcome) = self.clients[number].reply(reply) {
                self.advance(number, outcome);
            }
        }
    }

    pub(crate) fn closed(&mut self, id: NodeId, session: SessionId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.sessions.remove(&session);
        }
        if let Some(number) = self.client_of(id, session) {
            self.drop_link(number);
        }
    }

    fn drop_link(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.lost |= matches!(client.link, Link::Busy(..));
        client.link = Link::Down;
        client.turn += 1;
        self.after(RECONNECT_AFTER, Event::Connect(number));
    }

    pub(crate) fn out_of_patience(&mut self, number: usize, turn: u64) {
        if self.clients[number].turn == turn {
            self.hang_up(number);
        }
    }

    fn hang_up(&mut self, number: usize) {
        if let Some((id, session)) = self.clients[number].session() {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.sessions.remove(&session);
            }
            self.drop_link(number);
            self.input(id, Input::ClientDisconnected { session });
        }
    }

    /// The client is free: asks its script what to do.
    pub(crate) fn advance(&mut self, number: usize, outcome: Outcome) {
        let now = self.now();
        let next = self.clients[number].script.next(now, outcome);
        self.note(format_args!("client {number} {next:?}"));
        let client = &mut self.clients[number];
        client.turn += 1;
        let turn = client.turn;
        match (next, client.session()) {
            (Next::Query(sql), Some((id, session))) => {
                client.link = Link::Busy(id, session);
                self.after(QUERY_PATIENCE, Event::Patience(number, turn));
                self.request(id, session, ClientRequest::Query(sql));
            }
            (Next::Sleep(time), Some(_)) => self.after(time, Event::ClientWakes(number, turn)),
            (Next::Reconnect, Some(_)) => self.hang_up(number),
            (Next::Done, session) => {
                client.link = Link::Done;
                if let Some((id, session)) = session {
                    self.input(id, Input::ClientDisconnected { session });
                }
            }
            (Next::Query(_) | Next::Sleep(_) | Next::Reconnect, None) => {}
        }
    }
}
