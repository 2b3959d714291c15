//! Money is neither made nor lost: every audit sums up, and the balances are those of the transfers
//! that happened.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Oracle, Violation};
use crate::history::{BankOp, Fate, History};
use crate::workload::bank::{ACCOUNTS, INITIAL};

/// What the bank holds at the end.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Balances.
    pub balances: Vec<(u32, i64)>,
    /// Ids of the transfers that happened.
    pub transfers: Vec<u64>,
}

/// Checks all audits, and the books at the end.
///
/// # Errors
///
/// Money made or lost, or a transfer that should be there and is not, or the reverse.
pub fn check(history: &History, last: &Books) -> Result<(), Violation> {
    for (fate, op) in &history.bank {
        if let (Fate::Committed, BankOp::Audit(seen)) = (fate, op) {
            sums_up(seen)?;
        }
    }
    sums_up(&last.balances)?;
    let there = transfers(history, &last.transfers)?;
    let mut expected: BTreeMap<u32, i64> = (0..ACCOUNTS).map(|id| (id, INITIAL)).collect();
    for (_, op) in &history.bank {
        if let BankOp::Transfer { id, from, to, amount } = op
            && there.contains(id)
        {
            *expected.entry(*from).or_default() -= amount;
            *expected.entry(*to).or_default() += amount;
        }
    }
    let balances: BTreeMap<u32, i64> = last.balances.iter().copied().collect();
    if balances != expected {
        let what = format!("balances are {balances:?}, the transfers there make {expected:?}");
        return Err(Violation::new(Oracle::Bank, what));
    }
    Ok(())
}

fn sums_up(balances: &[(u32, i64)]) -> Result<(), Violation> {
    let sum: i64 = balances.iter().map(|(_, balance)| *balance).sum();
    let total = i64::from(ACCOUNTS) * INITIAL;
    if sum == total && balances.len() == ACCOUNTS as usize {
        return Ok(());
    }
    let what = format!("{balances:?} sums to {sum}, there is {total}");
    Err(Violation::new(Oracle::Bank, what))
}

/// The transfers that happened: all acknowledged, none aborted, none from nowhere, none twice.
fn transfers(history: &History, last: &[u64]) -> Result<BTreeSet<u64>, Violation> {
    let mut fates = BTreeMap::new();
    for (fate, op) in &history.bank {
        if let BankOp::Transfer { id, .. } = op {
            fates.insert(*id, *fate);
        }
    }
    let there: BTreeSet<u64> = last.iter().copied().collect();
    for id in &there {
        let foreign = match fates.get(id) {
            Some(Fate::Committed | Fate::Unknown) => continue,
            Some(Fate::Aborted) => "was aborted",
            None => "comes from nowhere",
        };
        let what = format!("transfer {id} is there and {foreign}");
        return Err(Violation::new(Oracle::OnlyCommittedWrites, what));
    }
    if there.len() != last.len() {
        let what = "a transfer is there twice";
        return Err(Violation::new(Oracle::OnlyCommittedWrites, what));
    }
    let lost = fates.iter().find(|(id, fate)| **fate == Fate::Committed && !there.contains(id));
    match lost {
        None => Ok(there),
        Some((id, _)) => {
            let what = format!("acknowledged transfer {id} is lost");
            Err(Violation::new(Oracle::AcknowledgedWrites, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even() -> Vec<(u32, i64)> {
        (0..ACCOUNTS).map(|id| (id, INITIAL)).collect()
    }

    fn moved(amount: i64) -> Vec<(u32, i64)> {
        let mut balances = even();
        balances[0].1 -= amount;
        balances[1].1 += amount;
        balances
    }

    fn verdict(
        bank: Vec<(Fate, BankOp)>,
        balances: Vec<(u32, i64)>,
        transfers: &[u64],
    ) -> Option<Oracle> {
        let history = History { bank, ..History::default() };
        let last = Books { balances, transfers: transfers.to_vec() };
        check(&history, &last).err().map(|violation| violation.oracle)
    }

    fn transfer(id: u64) -> BankOp {
        BankOp::Transfer { id, from: 0, to: 1, amount: 7 }
    }

    use Fate::{Aborted, Committed, Unknown};

    #[test]
    fn bad_books_are_flagged() {
        let mut short = even();
        short[2].1 -= 1;
        let audit = vec![(Committed, BankOp::Audit(short.clone()))];
        assert_eq!(verdict(audit, even(), &[]), Some(Oracle::Bank), "an audit saw half a transfer");
        assert_eq!(verdict(vec![], short, &[]), Some(Oracle::Bank), "money is lost");
        let gone = even()[1..].to_vec();
        assert_eq!(verdict(vec![], gone, &[]), Some(Oracle::Bank), "an account is lost");
        let lost = vec![(Committed, transfer(1))];
        assert_eq!(verdict(lost, even(), &[]), Some(Oracle::AcknowledgedWrites));
        let aborted = vec![(Aborted, transfer(1))];
        assert_eq!(verdict(aborted, moved(7), &[1]), Some(Oracle::OnlyCommittedWrites));
        assert_eq!(verdict(vec![], even(), &[9]), Some(Oracle::OnlyCommittedWrites), "nowhere");
        let half = vec![(Committed, transfer(1))];
        assert_eq!(verdict(half, even(), &[1]), Some(Oracle::Bank), "its row without its money");
        let twice = vec![(Committed, transfer(1))];
        assert_eq!(verdict(twice, moved(14), &[1]), Some(Oracle::Bank), "paid twice");
    }

    #[test]
    fn good_books_pass() {
        assert_eq!(verdict(vec![], even(), &[]), None);
        assert_eq!(verdict(vec![(Committed, transfer(1))], moved(7), &[1]), None);
        assert_eq!(verdict(vec![(Unknown, transfer(1))], moved(7), &[1]), None, "it happened");
        assert_eq!(verdict(vec![(Unknown, transfer(1))], even(), &[]), None, "it did not");
        let wrong = (Aborted, BankOp::Audit(Vec::new()));
        assert_eq!(verdict(vec![wrong], even(), &[]), None, "nobody relied on that audit");
    }
}
