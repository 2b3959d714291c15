//! Accounts that pay each other; whoever reads all balances sees their sum.
//!
//! Every transfer leaves a row with a unique id, so that the end tells which ones happened.

use shardforge_core::base::rng::Rng;
use shardforge_io_sim::Rows;

use super::driver::{Span, Work};
use crate::history::{BankOp, Fate, History};

/// Accounts.
pub const ACCOUNTS: u32 = 5;
/// What each begins with.
pub const INITIAL: i64 = 100;

/// The tables and their rows.
pub fn schema() -> String {
    let rows: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, {INITIAL})")).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS accounts (id int PRIMARY KEY, balance bigint NOT NULL); \
         CREATE TABLE IF NOT EXISTS transfers (id bigint PRIMARY KEY, payer int NOT NULL, \
         payee int NOT NULL, amount bigint NOT NULL); \
         INSERT INTO accounts VALUES {}",
        rows.join(", ")
    )
}

/// The work of one client.
#[derive(Debug)]
pub struct Teller {
    client: usize,
    count: u64,
    op: BankOp,
    payer: i64,
    payee: i64,
}

impl Teller {
    /// For a client.
    pub fn new(client: usize) -> Self {
        Self { client, count: 0, op: BankOp::Audit(Vec::new()), payer: 0, payee: 0 }
    }
}

fn number(rows: &Rows) -> i64 {
    let cell = rows.first().and_then(|row| row.first()).cloned().flatten();
    cell.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN / 4)
}

/// Rows of pairs.
pub fn balances(rows: &Rows) -> Vec<(u32, i64)> {
    let parse = |row: &Vec<Option<String>>| {
        let [Some(id), Some(balance)] = row.as_slice() else { return None };
        Some((id.parse().ok()?, balance.parse().ok()?))
    };
    rows.iter().filter_map(parse).collect()
}

impl Work for Teller {
    fn begin(&mut self, rng: &mut Rng) -> bool {
        if rng.chance(0.25) {
            self.op = BankOp::Audit(Vec::new());
            return rng.chance(0.5);
        }
        self.count += 1;
        let from = rng.below(u64::from(ACCOUNTS)) as u32;
        let to = (from + 1 + rng.below(u64::from(ACCOUNTS) - 1) as u32) % ACCOUNTS;
        let id = (self.client as u64 + 1) * 1_000_000 + self.count;
        self.op = BankOp::Transfer { id, from, to, amount: rng.between(1, 20) as i64 };
        false
    }

    fn statement(&mut self, step: usize, rows: &Rows, _: &str) -> Option<String> {
        match (&mut self.op, step) {
            (BankOp::Audit(_), 0) => {
                Some("SELECT id, balance FROM accounts ORDER BY id".to_owned())
            }
            (BankOp::Audit(seen), _) => {
                *seen = balances(rows);
                None
            }
            (BankOp::Transfer { from, .. }, 0) => {
                Some(format!("SELECT balance FROM accounts WHERE id = {from}"))
            }
            (BankOp::Transfer { to, .. }, 1) => {
                self.payer = number(rows);
                Some(format!("SELECT balance FROM accounts WHERE id = {to}"))
            }
            (BankOp::Transfer { from, amount, .. }, 2) => {
                self.payee = number(rows);
                let left = self.payer - *amount;
                Some(format!("UPDATE accounts SET balance = {left} WHERE id = {from}"))
            }
            (BankOp::Transfer { to, amount, .. }, 3) => {
                let right = self.payee + *amount;
                Some(format!("UPDATE accounts SET balance = {right} WHERE id = {to}"))
            }
            (BankOp::Transfer { id, from, to, amount }, 4) => {
                Some(format!("INSERT INTO transfers VALUES ({id}, {from}, {to}, {amount})"))
            }
            (BankOp::Transfer { .. }, _) => None,
        }
    }

    fn end(&mut self, history: &mut History, _: Span, fate: Fate) {
        history.bank.push((fate, self.op.clone()));
    }
}
