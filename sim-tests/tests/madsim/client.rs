//! A SQL client as a task: speaks the simple protocol, runs a script of the world.

use std::rc::Rc;
use std::time::Duration;

use madsim::time::{sleep, timeout};
use shardforge_io_sim::{ClientScript, Next, Outcome, Rows};
use shardforge_io_sim_madsim::{Connection, World};

use crate::backend::{self, Answer, Answers};

/// A client gives up a connection on which it hears nothing for so long.
const PATIENCE: Duration = Duration::from_secs(4);

/// A connection that is closed when it is dropped.
struct Client {
    world: Rc<World>,
    connection: Rc<Connection>,
    answers: Answers,
}

impl Client {
    /// Connects to the node of that number, and waits until it greets.
    async fn connect(world: &Rc<World>, number: usize) -> Option<Self> {
        let ids = world.ids();
        let connection = world.connect(ids[number % ids.len()])?;
        let world = Rc::clone(world);
        let mut client = Self { world, connection, answers: Answers::default() };
        let answer = client.ask(backend::startup()).await?;
        answer.error.is_none().then_some(client)
    }

    /// Says something and waits for the answer; `None` if the connection is lost.
    async fn ask(&mut self, message: Vec<u8>) -> Option<Answer> {
        self.connection.send(&self.world, message);
        let heard = async {
            loop {
                let bytes = self.connection.receive().await?;
                if let Some(answer) = self.answers.feed(&bytes) {
                    return Some(answer);
                }
            }
        };
        timeout(PATIENCE, heard).await.ok().flatten()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.close(&self.world);
    }
}

/// Runs a script to its end: connects to one node after the other as connections break.
pub(crate) async fn drive(world: Rc<World>, mut script: impl ClientScript, first: usize) {
    let mut lost = false;
    for turn in first.. {
        let Some(mut client) = Client::connect(&world, turn).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut outcome = if lost { Outcome::Lost } else { Outcome::Connected };
        lost = false;
        loop {
            outcome = match script.next(world.now(), outcome) {
                Next::Query(sql) => match client.ask(backend::query(&sql)).await {
                    Some(answer) => answer.outcome(),
                    None => {
                        lost = true;
                        break;
                    }
                },
                Next::Sleep(time) => {
                    sleep(time).await;
                    Outcome::Awake
                }
                Next::Reconnect => break,
                Next::Done => return,
            };
        }
    }
}

/// Runs a query on fresh connections to one node until it succeeds; its rows.
///
/// # Panics
///
/// If it does not succeed within 30 s.
pub(crate) async fn insist(world: &Rc<World>, node: usize, sql: &str) -> Rows {
    let until = world.now() + Duration::from_secs(30);
    let mut last = None;
    while world.now() < until {
        if let Some(mut client) = Client::connect(world, node).await {
            last = client.ask(backend::query(sql)).await;
            if let Some(Answer { error: None, rows, .. }) = last {
                return rows;
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("liveness: {sql} was not answered; the last that was heard is {last:?}");
}
