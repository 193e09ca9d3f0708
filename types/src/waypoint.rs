//! What stretches of a block changed, recorded when it was built.

use std::sync::Arc;

use crate::{Receipt, StateDiff};

/// Where the state stood after a stretch of a block's transactions, told as the change since the stretch before.
///
/// A block's waypoints follow each other without a gap and end with its last transaction. Whoever executes the block
/// again may start each stretch at once, from the state that the waypoints before it promise, and compare what comes out
/// with the promise of the stretch itself: if every one is kept, so is the order. They are hints: a block without them,
/// or with wrong ones, executes to the same result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waypoint {
    /// How many of the block's transactions lie before its end.
    pub transactions: usize,
    /// What the stretch changed. The first includes what precedes the block's first transaction.
    pub diff: Arc<StateDiff>,
}

impl Waypoint {
    /// Joins neighbouring stretches until there are at most `stretches_max`, of about equal gas.
    ///
    /// A block is recorded in as many stretches as it was built in, which may be hundreds of a few transactions. That
    /// many help nobody who has a few cores, and each repeats what all of them change, such as the fee vaults.
    ///
    /// A stretch joins those whose middle falls into the same share of the block's gas, so that none is longer than a
    /// share by more than one of those given. A stretch without transactions always joins another.
    pub fn coalesce(waypoints: &[Self], receipts: &[Receipt], stretches_max: usize) -> Vec<Self> {
        let gas_after = |transactions: usize| {
            let before = &receipts[..transactions.min(receipts.len())];
            before.last().map_or(0, |receipt| u128::from(receipt.cumulative_gas_used))
        };
        let (shares, gas) = (stretches_max.max(1) as u128, gas_after(receipts.len()).max(1));
        let share_of = |start: usize, end: usize| {
            let middle = (gas_after(start) + gas_after(end)) / 2;
            (middle * shares / gas).min(shares - 1)
        };
        let first_end = waypoints.iter().map(|waypoint| waypoint.transactions).find(|&end| end > 0);
        let (mut start, mut share) = (0, share_of(0, first_end.unwrap_or(0)));
        let mut shared = Vec::with_capacity(waypoints.len());
        for waypoint in waypoints {
            if waypoint.transactions > start {
                share = share_of(start, waypoint.transactions);
                start = waypoint.transactions;
            }
            shared.push((share, waypoint));
        }
        let runs = shared.chunk_by(|(left, _), (right, _)| left == right);
        runs.filter_map(|run| Self::join(run.iter().map(|(_, waypoint)| *waypoint))).collect()
    }

    /// One stretch in place of several that follow each other; nothing in place of none.
    pub fn join<'a>(run: impl ExactSizeIterator<Item = &'a Self> + Clone) -> Option<Self> {
        let last = run.clone().last()?;
        if run.len() == 1 {
            return Some(last.clone());
        }
        let diff = StateDiff::merge(run.map(|waypoint| &*waypoint.diff));
        Some(Self { transactions: last.transactions, diff: Arc::new(diff) })
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};

    use super::*;
    use crate::{Account, AccountDiff, TxType};

    /// Receipts of transactions that used so much gas.
    fn receipts(gas: &[u64]) -> Vec<Receipt> {
        let mut cumulative_gas_used = 0;
        let receipt = |gas: &u64| {
            cumulative_gas_used += gas;
            let tx_type = TxType::Eip1559;
            Receipt { tx_type, success: true, cumulative_gas_used, logs: Vec::new(), deposit: None }
        };
        gas.iter().map(receipt).collect()
    }

    /// Stretches of so many transactions, each with an account of its own and one that all of them change.
    fn waypoints(lengths: &[usize]) -> Vec<Waypoint> {
        let mut transactions = 0;
        let waypoint = |(index, length): (usize, &usize)| {
            transactions += length;
            let account = |address: Address, nonce: usize| {
                let account = Some(Account { nonce: nonce as u64, ..Account::default() });
                let slot = (U256::from(nonce), U256::from(index));
                (AccountDiff { address, account, wiped: false }, [slot])
            };
            let own = account(Address::with_last_byte(index as u8 + 1), 1);
            let vault = account(Address::ZERO, index);
            Waypoint { transactions, diff: Arc::new([own, vault].into_iter().collect()) }
        };
        lengths.iter().enumerate().map(waypoint).collect()
    }

    fn ends(waypoints: &[Waypoint]) -> Vec<usize> {
        waypoints.iter().map(|waypoint| waypoint.transactions).collect()
    }

    fn whole(waypoints: &[Waypoint]) -> StateDiff {
        StateDiff::merge(waypoints.iter().map(|waypoint| &*waypoint.diff))
    }

    #[test]
    fn joined_stretches_span_the_block_without_a_gap_and_change_the_same() {
        // Lengths and costs that repeat with different periods, so that they meet in many ways.
        for stretches in 1..60 {
            let lengths: Vec<usize> = (0..stretches).map(|index| index * 7 % 5).collect();
            let given = waypoints(&lengths);
            let gas: Vec<u64> = (0..ends(&given)[stretches - 1] as u64)
                .map(|index| 21_000 + index * 13 % 11 * 40_000)
                .collect();
            let receipts = receipts(&gas);
            for stretches_max in 1..20 {
                let joined = Waypoint::coalesce(&given, &receipts, stretches_max);
                assert!((1..=stretches_max).contains(&joined.len()));
                assert_eq!(joined.last().unwrap().transactions, gas.len());
                assert_eq!(whole(&joined), whole(&given));
                let ends = ends(&joined);
                assert!(gas.is_empty() || ends[0] > 0 && ends.is_sorted_by(|a, b| a < b));
                // None is longer than its share by more than one of those given.
                let cost = |start: usize, end: usize| gas[start..end].iter().sum::<u64>();
                let costs = |ends: &[usize]| {
                    let starts = std::iter::once(&0).chain(ends);
                    starts.zip(ends).map(|(start, end)| cost(*start, *end)).max().unwrap()
                };
                let share = cost(0, gas.len()) / stretches_max as u64 + 1;
                assert!(costs(&ends) <= share + costs(&super::tests::ends(&given)));
            }
        }
    }

    #[test]
    fn gas_decides_and_not_the_number_of_transactions() {
        let given = waypoints(&[1, 1, 1, 1, 1, 1]);
        let receipts = receipts(&[3_000_000, 3_000_000, 21_000, 21_000, 21_000, 21_000]);
        assert_eq!(ends(&Waypoint::coalesce(&given, &receipts, 2)), [1, 6]);
    }

    #[test]
    fn what_precedes_the_first_transaction_is_no_stretch() {
        let given = waypoints(&[0, 5, 0]);
        let receipts = receipts(&[21_000; 5]);
        let joined = Waypoint::coalesce(&given, &receipts, 16);
        assert_eq!(ends(&joined), [5]);
        assert_eq!(*joined[0].diff, whole(&given));
    }

    #[test]
    fn few_stretches_are_left_as_they_are() {
        let given = waypoints(&[2, 2, 2]);
        assert_eq!(Waypoint::coalesce(&given, &receipts(&[21_000; 6]), 16), given);
        assert_eq!(Waypoint::coalesce(&[], &[], 16), []);
    }
}
