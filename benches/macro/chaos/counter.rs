//! A counter that only grows: whoever asks for it must be told at least what was acknowledged before
//! the question was sent, or be refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use crate::tpcb::session::connect;

/// Between two increments, and between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// For one statement of the writer.
const PATIENCE: Duration = Duration::from_secs(5);
/// For one answer of a node that is stopped meanwhile.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// Questions of one reader under way at once.
const UNDER_WAY_MAX: usize = 100;

const UPDATE: &str = "UPDATE chaos_counter SET value = value + 1 WHERE id = 1 RETURNING value";
const SELECT: &str = "SELECT value FROM chaos_counter WHERE id = 1";

/// What is known of the counter.
#[derive(Debug, Default)]
pub struct Counter {
    /// The newest value acknowledged to the writer.
    acknowledged: AtomicI64,
    /// Increments acknowledged.
    pub increments: AtomicU64,
    /// Answers that were new enough.
    pub fresh: AtomicU64,
    /// Questions that failed, which is allowed.
    pub refused: AtomicU64,
    /// Answers older than what was acknowledged before they were asked for.
    pub stale: AtomicU64,
}

/// Makes the counter.
///
/// # Errors
///
/// The server's.
pub async fn create(address: &str) -> Result<(), String> {
    let client = connect(address, PATIENCE).await?;
    let text = "DROP TABLE IF EXISTS chaos_counter; \
        CREATE TABLE chaos_counter (id int PRIMARY KEY, value bigint NOT NULL)";
    for text in text.split(';').chain(["INSERT INTO chaos_counter VALUES (1, 0)"]) {
        client.batch_execute(text).await.map_err(|error| format!("{text}: {error:?}"))?;
    }
    Ok(())
}

/// Counts up until the time is over, at whichever node answers.
pub async fn write(counter: Arc<Counter>, addrs: Vec<String>, until: Instant) {
    let mut node = 0;
    while Instant::now() < until {
        node += 1;
        let Ok(client) = connect(&addrs[node % addrs.len()], PATIENCE).await else {
            sleep(PAUSE).await;
            continue;
        };
        while Instant::now() < until {
            let Ok(Ok(row)) = timeout(PATIENCE, client.query_one(UPDATE, &[])).await else { break };
            counter.acknowledged.fetch_max(row.get(0), Ordering::SeqCst);
            counter.increments.fetch_add(1, Ordering::SeqCst);
            sleep(PAUSE).await;
        }
    }
}

/// Asks one node all the time, without waiting for answers: also while it is stopped.
pub async fn read(counter: Arc<Counter>, address: String, until: Instant) {
    while Instant::now() < until {
        let Ok(client) = connect(&address, READER_PATIENCE).await else {
            counter.refused.fetch_add(1, Ordering::SeqCst);
            sleep(PAUSE).await;
            continue;
        };
        let client = Arc::new(client);
        let mut under_way = tokio::task::JoinSet::new();
        while Instant::now() < until && !client.is_closed() {
            if under_way.len() < UNDER_WAY_MAX {
                under_way.spawn(ask(Arc::clone(&counter), Arc::clone(&client)));
            }
            while under_way.try_join_next().is_some() {}
            sleep(PAUSE).await;
        }
        while under_way.join_next().await.is_some() {}
    }
}

async fn ask(counter: Arc<Counter>, client: Arc<Client>) {
    let due = counter.acknowledged.load(Ordering::SeqCst);
    let verdict = match timeout(READER_PATIENCE, client.query_one(SELECT, &[])).await {
        Ok(Ok(row)) if due <= row.get::<_, i64>(0) => &counter.fresh,
        Ok(Ok(_)) => &counter.stale,
        Ok(Err(_)) | Err(_) => &counter.refused,
    };
    verdict.fetch_add(1, Ordering::SeqCst);
}
