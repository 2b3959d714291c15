//! The four tables.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::session::connect;

/// Rows inserted by one statement.
const CHUNK: i32 = 10_000;
/// How long the tables may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Until the cluster answers at all.
const CONNECT: Duration = Duration::from_secs(5);

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Branches.
    pub branches: i32,
    /// Accounts of one branch.
    pub accounts_per_branch: i32,
}

impl Scale {
    /// Branches.
    pub fn branches(self) -> i32 {
        self.branches
    }

    /// Tellers.
    pub fn tellers(self) -> i32 {
        self.branches * 10
    }

    /// Accounts.
    pub fn accounts(self) -> i32 {
        self.branches * self.accounts_per_branch
    }
}

const TABLES: &str = "\
    DROP TABLE IF EXISTS tpcb_branches, tpcb_tellers, tpcb_accounts, tpcb_history;\
    CREATE TABLE tpcb_branches (bid int PRIMARY KEY, balance bigint NOT NULL);\
    CREATE TABLE tpcb_tellers (tid int PRIMARY KEY, bid int, balance bigint NOT NULL);\
    CREATE TABLE tpcb_accounts (aid int PRIMARY KEY, bid int, balance bigint NOT NULL);\
    CREATE TABLE tpcb_history (id bigint NOT NULL, tid int, bid int, aid int, delta int NOT NULL, \
        mtime timestamp)";

/// Makes the tables anew and fills them; tries again while the cluster is finding its leaders.
///
/// # Errors
///
/// The last error when the time is over.
pub async fn create(addrs: &[String], scale: Scale) -> Result<(), String> {
    let began = Instant::now();
    let mut turn = 0;
    loop {
        let address = &addrs[turn % addrs.len()];
        let error = match attempt(address, scale).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if PATIENCE < began.elapsed() {
            return Err(format!("no tables: {error}"));
        }
        turn += 1;
        sleep(Duration::from_millis(200)).await;
    }
}

async fn attempt(address: &str, scale: Scale) -> Result<(), String> {
    let client = connect(address, CONNECT).await?;
    let run = async |text: String| match timeout(PATIENCE, client.batch_execute(&text)).await {
        Err(_) => Err(format!("no answer to {text}")),
        Ok(answer) => answer.map_err(|error| format!("{text}: {error:?}")),
    };
    for table in TABLES.split(';') {
        run(table.to_owned()).await?;
    }
    fill(&run, "tpcb_branches", "i, 0", scale.branches()).await?;
    fill(&run, "tpcb_tellers", "i, 1 + (i - 1) / 10, 0", scale.tellers()).await?;
    let account = format!("i, 1 + (i - 1) / {}, 0", scale.accounts_per_branch);
    fill(&run, "tpcb_accounts", &account, scale.accounts()).await
}

async fn fill(
    run: &impl AsyncFn(String) -> Result<(), String>,
    table: &str,
    row: &str,
    rows: i32,
) -> Result<(), String> {
    let mut from = 1;
    while from <= rows {
        let to = rows.min(from + CHUNK - 1);
        let series = format!("generate_series({from}, {to})");
        run(format!("INSERT INTO {table} SELECT {row} FROM {series} AS s(i)")).await?;
        from = to + 1;
    }
    Ok(())
}
