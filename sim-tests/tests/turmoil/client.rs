//! A SQL client over simulated TCP: speaks the simple protocol, runs a script of the world.

use std::io;
use std::time::Duration;

use shardforge_core::base::time::Mono;
use shardforge_io_real::ports::Network;
use shardforge_io_sim::{ClientScript, Next, Outcome, Rows};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::backend::{self, Answer, Answers};
use crate::cluster::{HOSTS, SQL_PORT};
use crate::network::{Simulated, Stream};

/// A client gives up a connection on which it hears nothing for so long.
const PATIENCE: Duration = Duration::from_secs(4);

/// A connection that has been greeted.
pub(crate) struct Client {
    stream: Stream,
    answers: Answers,
}

/// The simulated time, as all hosts see it.
pub(crate) fn now() -> Mono {
    Mono::ZERO + turmoil::sim_elapsed().unwrap_or_default()
}

impl Client {
    /// Connects and waits for the first ReadyForQuery.
    pub(crate) async fn connect(host: &str) -> io::Result<Self> {
        let stream = Simulated.connect(format!("{host}:{SQL_PORT}")).await?;
        let mut client = Self { stream, answers: Answers::default() };
        match client.ask(&backend::startup()).await?.error {
            None => Ok(client),
            Some(error) => Err(io::Error::other(error)),
        }
    }

    /// Runs a query.
    pub(crate) async fn query(&mut self, sql: &str) -> io::Result<Answer> {
        self.ask(&backend::query(sql)).await
    }

    async fn ask(&mut self, message: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(message).await?;
        let mut bytes = vec![0; 8 << 10];
        loop {
            let count = self.stream.read(&mut bytes).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(answer) = self.answers.feed(&bytes[..count]) {
                return Ok(answer);
            }
        }
    }
}

/// Runs a script to its end: connects to one node after the other as connections break.
pub(crate) async fn drive(mut script: impl ClientScript, first: usize) {
    let mut lost = false;
    for turn in first.. {
        let connecting = Client::connect(HOSTS[turn % HOSTS.len()]);
        let Ok(Ok(mut client)) = timeout(PATIENCE, connecting).await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let greeting = if lost { Outcome::Lost } else { Outcome::Connected };
        match converse(&mut script, &mut client, greeting).await {
            End::Done => return,
            End::Lost => lost = true,
            End::Reconnect => lost = false,
        }
    }
}

enum End {
    Done,
    Lost,
    Reconnect,
}

async fn converse(script: &mut impl ClientScript, client: &mut Client, greeting: Outcome) -> End {
    let mut outcome = greeting;
    loop {
        outcome = match script.next(now(), outcome) {
            Next::Query(sql) => match timeout(PATIENCE, client.query(&sql)).await {
                Ok(Ok(answer)) => answer.outcome(),
                Ok(Err(_)) | Err(_) => return End::Lost,
            },
            Next::Sleep(time) => {
                tokio::time::sleep(time).await;
                Outcome::Awake
            }
            Next::Reconnect => return End::Reconnect,
            Next::Done => return End::Done,
        };
    }
}

/// Runs a query on a fresh connection until it succeeds; its rows.
///
/// # Panics
///
/// If it does not succeed for so long.
pub(crate) async fn insist(host: &str, sql: &str, patience: Duration) -> Rows {
    let began = tokio::time::Instant::now();
    let attempt = async || {
        let mut client = Client::connect(host).await.map_err(|error| error.to_string())?;
        let answer = client.query(sql).await.map_err(|error| error.to_string())?;
        answer.error.map_or(Ok(answer.rows), |error| Err(error.to_string()))
    };
    loop {
        match timeout(patience, attempt()).await {
            Ok(Ok(rows)) => return rows,
            other => assert!(began.elapsed() < patience, "{sql} on {host}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
