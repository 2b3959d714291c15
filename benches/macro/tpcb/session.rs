//! One client's connection: bounded waits, and errors told apart by what they leave possible.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::outcome::Outcome;
use super::schema::Scale;

/// Errors at COMMIT after which the transaction cannot have happened: conflicts, a transaction that
/// had failed before, refusals for its shape or size.
const DEFINITE: [&str; 9] =
    ["40001", "40P01", "40P02", "25P02", "55P03", "0A000", "54000", "23505", "25006"];

/// Why a statement did not succeed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The server said so, and the session goes on.
    Refused(String),
    /// The connection is gone, with the server's word or without.
    Gone(String),
    /// No answer within the client's patience; the connection is given up.
    Hung,
}

impl Trouble {
    fn of(error: &tokio_postgres::Error, client: &Client) -> Self {
        match error.as_db_error() {
            Some(said) if said.severity() == "FATAL" || client.is_closed() => {
                Self::Gone(said.code().code().to_owned())
            }
            Some(said) => Self::Refused(said.code().code().to_owned()),
            None => Self::Gone("closed".to_owned()),
        }
    }

    /// In a word, for the counts.
    pub fn reason(&self) -> String {
        match self {
            Self::Refused(state) | Self::Gone(state) => state.clone(),
            Self::Hung => "hung".to_owned(),
        }
    }

    /// What a COMMIT that was answered so became.
    pub fn at_commit(&self) -> Outcome {
        match self {
            Self::Refused(state) | Self::Gone(state) if DEFINITE.contains(&state.as_str()) => {
                Outcome::Failed(state.clone())
            }
            other => Outcome::Unknown(other.reason()),
        }
    }
}

/// One TPC-B transaction's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    /// The history row's unique id.
    pub id: i64,
    /// Account.
    pub account: i32,
    /// Teller.
    pub teller: i32,
    /// Branch.
    pub branch: i32,
    /// What is moved.
    pub delta: i32,
}

/// A connection with its statements prepared.
pub struct Session {
    client: Client,
    patience: Duration,
    statements: Vec<Statement>,
}

/// The statements between BEGIN and COMMIT, in order.
const STATEMENTS: [&str; 5] = [
    "UPDATE tpcb_accounts SET balance = balance + $1 WHERE aid = $2",
    "SELECT balance FROM tpcb_accounts WHERE aid = $1",
    "UPDATE tpcb_tellers SET balance = balance + $1 WHERE tid = $2",
    "UPDATE tpcb_branches SET balance = balance + $1 WHERE bid = $2",
    "INSERT INTO tpcb_history (id, tid, bid, aid, delta, mtime) \
     VALUES ($1, $2, $3, $4, $5, CURRENT_TIMESTAMP)",
];

/// Connects, in bounded time.
///
/// # Errors
///
/// The SQLSTATE, or `refused`, or `hung`.
pub async fn connect(address: &str, patience: Duration) -> Result<Client, String> {
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(format!("{address}: an address is host:port"));
    };
    let port: u16 = port.parse().map_err(|_| format!("{address}: not a port"))?;
    let mut config = Config::new();
    config.host(host).port(port).user("postgres").dbname("postgres").connect_timeout(patience);
    config.application_name("tpcb");
    let connecting = timeout(patience, config.connect(NoTls)).await;
    let (client, connection) = connecting.map_err(|_| "hung".to_owned())?.map_err(|error| {
        error.code().map_or_else(|| "refused".to_owned(), |state| state.code().to_owned())
    })?;
    // Its end is seen by the client's next statement.
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

impl Session {
    /// Connects and prepares.
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub async fn open(address: &str, patience: Duration, isolation: &str) -> Result<Self, String> {
        let client = connect(address, patience).await?;
        let mut session = Self { client, patience, statements: Vec::new() };
        let set = format!("SET default_transaction_isolation = '{isolation}'");
        session.run(&set).await.map_err(|trouble| trouble.reason())?;
        for text in STATEMENTS {
            let preparing = session.client.prepare(text);
            let prepared = session.within(preparing).await.map_err(|trouble| trouble.reason())?;
            session.statements.push(prepared);
        }
        Ok(session)
    }

    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        match timeout(self.patience, asked).await {
            Err(_) => Err(Trouble::Hung),
            Ok(answer) => answer.map_err(|error| Trouble::of(&error, &self.client)),
        }
    }

    async fn run(&self, text: &str) -> Result<(), Trouble> {
        self.within(self.client.batch_execute(text)).await
    }

    /// Runs one transaction. The second value says whether the session is still good.
    pub async fn transaction(&self, numbers: &Numbers) -> (Outcome, Option<Trouble>) {
        if let Err(trouble) = self.body(numbers).await {
            let failed = Outcome::Failed(trouble.reason());
            let trouble = match trouble {
                Trouble::Refused(_) => self.run("ROLLBACK").await.err(),
                gone => Some(gone),
            };
            return (failed, trouble);
        }
        match self.run("COMMIT").await {
            Ok(()) => (Outcome::Acknowledged, None),
            Err(trouble) => {
                let outcome = trouble.at_commit();
                let lost = !matches!(trouble, Trouble::Refused(_));
                (outcome, lost.then_some(trouble))
            }
        }
    }

    async fn body(&self, numbers: &Numbers) -> Result<(), Trouble> {
        let Numbers { id, account, teller, branch, delta } = *numbers;
        let [accounts, read, tellers, branches, history] = &self.statements[..] else {
            return Err(Trouble::Gone("unprepared".to_owned()));
        };
        let wide = i64::from(delta);
        self.run("BEGIN").await?;
        self.one(self.within(self.client.execute(accounts, &[&wide, &account])).await?)?;
        self.within(self.client.query_one(read, &[&account])).await?;
        self.one(self.within(self.client.execute(tellers, &[&wide, &teller])).await?)?;
        self.one(self.within(self.client.execute(branches, &[&wide, &branch])).await?)?;
        let row: [&(dyn ToSql + Sync); 5] = [&id, &teller, &branch, &account, &delta];
        self.one(self.within(self.client.execute(history, &row)).await?)
    }

    /// Every statement touches one row; a row that is not there would be a lost write.
    fn one(&self, rows: u64) -> Result<(), Trouble> {
        if rows == 1 { Ok(()) } else { Err(Trouble::Refused(format!("{rows}-rows"))) }
    }
}

impl Numbers {
    /// Draws a transaction.
    pub fn draw(id: i64, scale: Scale, mut random: impl FnMut(u64) -> u64) -> Self {
        let mut up_to = |max: i32| {
            let drawn = random(u64::from(max.unsigned_abs()));
            i32::try_from(drawn).unwrap_or(0) + 1
        };
        let (account, teller) = (up_to(scale.accounts()), up_to(scale.tellers()));
        let branch = up_to(scale.branches());
        Self { id, account, teller, branch, delta: up_to(10_000) - 5_001 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_definite_refusal_makes_a_commit_a_failure() {
        let refused = |state: &str| Trouble::Refused(state.to_owned()).at_commit();
        assert_eq!(refused("40001"), Outcome::Failed("40001".to_owned()));
        assert_eq!(refused("40003"), Outcome::Unknown("40003".to_owned()));
        assert_eq!(refused("XX000"), Outcome::Unknown("XX000".to_owned()));
        let gone = Trouble::Gone("57P01".to_owned()).at_commit();
        assert_eq!(gone, Outcome::Unknown("57P01".to_owned()));
        assert_eq!(Trouble::Hung.at_commit(), Outcome::Unknown("hung".to_owned()));
    }
}
