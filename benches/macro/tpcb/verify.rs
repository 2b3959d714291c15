//! Holding what is there against what was promised.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::outcome::Tally;
use super::session::connect;

/// How long one node may take to be read.
const PATIENCE: Duration = Duration::from_secs(90);
/// One reading of all tables.
const READING: Duration = Duration::from_secs(30);
/// Ids listed of each kind of breach.
const LISTED_MAX: usize = 5;

/// One history row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// The transaction.
    pub id: i64,
    /// Its teller.
    pub teller: i32,
    /// Its branch.
    pub branch: i32,
    /// Its account.
    pub account: i32,
    /// What it moved.
    pub delta: i32,
}

/// Everything that one node shows in one transaction.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Picture {
    /// The history.
    pub history: Vec<Row>,
    /// Balances that are not zero, by table (accounts, tellers, branches) and key.
    pub balances: [BTreeMap<i32, i64>; 3],
}

/// Reads one node, trying until it serves.
///
/// # Errors
///
/// The last error when the time is over.
pub async fn picture(address: &str) -> Result<Picture, String> {
    let began = Instant::now();
    loop {
        let error = match timeout(READING, read(address)).await {
            Ok(Ok(picture)) => return Ok(picture),
            Ok(Err(error)) => error,
            Err(_) => "reading takes too long".to_owned(),
        };
        if PATIENCE < began.elapsed() {
            return Err(format!("{address} cannot be read: {error}"));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn read(address: &str) -> Result<Picture, String> {
    let client = connect(address, Duration::from_secs(5)).await?;
    let said = |error: tokio_postgres::Error| format!("{error:?}");
    client.batch_execute("BEGIN").await.map_err(said)?;
    let rows = client.query("SELECT id, tid, bid, aid, delta FROM tpcb_history", &[]).await;
    let rows = rows.map_err(said)?;
    let history = rows.iter().map(|row| Row {
        id: row.get(0),
        teller: row.get(1),
        branch: row.get(2),
        account: row.get(3),
        delta: row.get(4),
    });
    let balances = [
        balances(&client, "aid", "tpcb_accounts").await.map_err(said)?,
        balances(&client, "tid", "tpcb_tellers").await.map_err(said)?,
        balances(&client, "bid", "tpcb_branches").await.map_err(said)?,
    ];
    let history = history.collect();
    client.batch_execute("COMMIT").await.map_err(said)?;
    Ok(Picture { history, balances })
}

async fn balances(
    client: &Client,
    key: &str,
    table: &str,
) -> Result<BTreeMap<i32, i64>, tokio_postgres::Error> {
    let text = format!("SELECT {key}, balance FROM {table} WHERE balance <> 0");
    let rows = client.query(&text, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The promises that a picture breaks, in words; none if all is well.
pub fn breaches(picture: &Picture, tally: &Tally) -> Vec<String> {
    let mut found = Vec::new();
    let mut present: BTreeMap<i64, u64> = BTreeMap::new();
    for row in &picture.history {
        *present.entry(row.id).or_default() += 1;
    }
    let mut list = |what: &str, ids: Vec<i64>| {
        if !ids.is_empty() {
            let some = &ids[..LISTED_MAX.min(ids.len())];
            found.push(format!("{} ids {what}, for example {some:?}", ids.len()));
        }
    };
    let lost = tally.acknowledged.iter().filter(|id| !present.contains_key(id));
    list("were acknowledged and are not there", lost.copied().collect());
    let twice = present.iter().filter(|(_, times)| 1 < **times);
    list("are there more than once", twice.map(|(id, _)| *id).collect());
    let foreign =
        present.keys().filter(|id| !tally.acknowledged.contains(id) && !tally.unknown.contains(id));
    list("are there though they failed or were never sent", foreign.copied().collect());

    let keys: [fn(&Row) -> i32; 3] = [|row| row.account, |row| row.teller, |row| row.branch];
    for ((table, key), balances) in
        ["accounts", "tellers", "branches"].iter().zip(keys).zip(&picture.balances)
    {
        let mut due: BTreeMap<i32, i64> = BTreeMap::new();
        for row in &picture.history {
            *due.entry(key(row)).or_default() += i64::from(row.delta);
        }
        due.retain(|_, sum| *sum != 0);
        if due != *balances {
            let (due_sum, sum) = (due.values().sum::<i64>(), balances.values().sum::<i64>());
            let wrong = due.iter().filter(|(key, sum)| balances.get(key) != Some(sum)).count();
            found.push(format!(
                "{table}: balances sum to {sum}, the history to {due_sum}; {wrong} rows differ"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64) -> Row {
        Row { id, teller: 1, branch: 1, account: 7, delta: 5 }
    }

    fn tally(acknowledged: &[i64], unknown: &[i64]) -> Tally {
        let mut tally = Tally::new(Instant::now());
        tally.acknowledged.extend(acknowledged);
        tally.unknown.extend(unknown);
        tally
    }

    fn honest(ids: &[i64]) -> Picture {
        let sum = 5 * i64::try_from(ids.len()).unwrap();
        let balance = |key| if sum == 0 { BTreeMap::new() } else { BTreeMap::from([(key, sum)]) };
        Picture {
            history: ids.iter().map(|id| row(*id)).collect(),
            balances: [balance(7), balance(1), balance(1)],
        }
    }

    #[test]
    fn what_was_promised_is_no_breach() {
        assert!(breaches(&honest(&[1, 2, 3]), &tally(&[1, 2], &[3, 4])).is_empty());
    }

    #[test]
    fn every_kind_of_breach_is_seen() {
        let lost = breaches(&honest(&[1]), &tally(&[1, 2], &[]));
        assert!(lost[0].contains("are not there"), "{lost:?}");
        let twice = breaches(&honest(&[1, 1]), &tally(&[1], &[]));
        assert!(twice[0].contains("more than once"), "{twice:?}");
        let foreign = breaches(&honest(&[1, 2]), &tally(&[1], &[]));
        assert!(foreign[0].contains("never sent"), "{foreign:?}");
        let mut picture = honest(&[1]);
        picture.balances[2].insert(1, 4);
        let wrong = breaches(&picture, &tally(&[1], &[]));
        assert!(wrong[0].starts_with("branches"), "{wrong:?}");
    }
}
