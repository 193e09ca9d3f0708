//! How L1 prices blobs, by time. The price reaches L2 with every block's L1 attributes, so every node of the rollup has
//! to compute the same one; it is not in L1's headers, only what it is computed from.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_eips::eip4844::fake_exponential;
use millrace_protocol::L1Header;

use crate::verify::L1HeaderSealed;

/// The fraction by which the price of blobs follows the excess of blob gas, from when on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobSchedule {
    /// `(from, update fraction)`, by rising time.
    steps: Vec<(u64, u128)>,
}

/// What nodes make of our schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleVerdict {
    /// At least as many endpoints have our price as have another one. Or nobody answers, which says nothing.
    Agrees,
    /// Another price is named, but by one endpoint alone, or by several that don't agree either: nothing to act on.
    Doubted {
        /// Our price.
        ours: u128,
        /// One of theirs.
        theirs: u128,
    },
    /// Several endpoints name the same other price, and more than have ours. L1 has a fork that the schedule lacks: every L2
    /// block from then on would contradict other implementations.
    Refuted {
        /// Our price.
        ours: u128,
        /// Theirs.
        theirs: u128,
    },
}

impl ScheduleVerdict {
    /// Counts the votes.
    pub(crate) fn of(ours: u128, prices: impl IntoIterator<Item = u128>) -> Self {
        let mut votes = BTreeMap::<u128, usize>::new();
        for price in prices {
            *votes.entry(price).or_default() += 1;
        }
        let agreeing = votes.remove(&ours).unwrap_or(0);
        let others: usize = votes.values().sum();
        match votes.into_iter().max_by_key(|(_, count)| *count) {
            Some((theirs, count)) if count > agreeing && count == others && count > 1 => {
                Self::Refuted { ours, theirs }
            }
            Some((theirs, _)) if others > agreeing => Self::Doubted { ours, theirs },
            _ => Self::Agrees,
        }
    }
}

/// EIP-4844.
const CANCUN: u128 = 3_338_477;
/// EIP-7691. Osaka changed how the excess is counted, which headers tell, and left this as it was.
const PRAGUE: u128 = 5_007_716;
/// The first change of blob parameters alone (EIP-7892).
const BPO1: u128 = 8_346_193;
/// The second.
const BPO2: u128 = 11_684_671;

/// The least that a unit of blob gas costs, in wei.
const BLOB_BASE_FEE_MIN: u128 = 1;

/// A header is checked against its hash, but anybody can hash a header: the exponent is kept where the arithmetic
/// can't overflow. At e^40 wei a unit, a blob would cost thirty thousand ether.
const EXPONENT_MAX: u128 = 40;

impl BlobSchedule {
    /// What is known of public chains; Prague's rules at all times for any other.
    ///
    /// A schedule grows with L1's forks, so it can be replaced by configuration with [`BlobSchedule::new`], and
    /// [`Reader::check_blob_schedule`](crate::Reader::check_blob_schedule) compares it with what nodes say.
    pub fn of_chain(l1_chain_id: u64) -> Self {
        let [prague, bpo1, bpo2] = match l1_chain_id {
            1 => [1_746_612_311, 1_765_290_071, 1_767_747_671],
            11_155_111 => [1_741_159_776, 1_761_017_184, 1_761_607_008],
            17_000 => [1_740_434_112, 1_759_800_000, 1_760_389_824],
            560_048 => [1_742_999_832, 1_762_365_720, 1_762_955_544],
            _ => return Self { steps: vec![(0, PRAGUE)] },
        };
        Self { steps: vec![(0, CANCUN), (prague, PRAGUE), (bpo1, BPO1), (bpo2, BPO2)] }
    }

    /// A schedule of `(from, update fraction)`, in any order. Nothing, if it is empty or a fraction is zero or out of
    /// all proportion.
    pub fn new(mut steps: Vec<(u64, u128)>) -> Option<Self> {
        steps.sort_unstable();
        let is_sane = |&(_, fraction): &(u64, u128)| fraction > 0 && fraction <= u32::MAX.into();
        let usable = !steps.is_empty() && steps.iter().all(is_sane);
        usable.then_some(Self { steps })
    }

    /// What a unit of blob gas costs in this block, in wei. Before blobs it counts as the least.
    pub fn blob_base_fee(&self, header: &Header) -> u128 {
        let step = self.steps.iter().rev().find(|&&(from, _)| from <= header.timestamp);
        match (header.excess_blob_gas, step.or(self.steps.first())) {
            (Some(excess), Some(&(_, fraction))) => {
                let excess = u128::from(excess).min(EXPONENT_MAX * fraction);
                fake_exponential(BLOB_BASE_FEE_MIN, excess, fraction)
            }
            _ => BLOB_BASE_FEE_MIN,
        }
    }

    /// The facts of a header that reach L2. Nothing, if it has no base fee: such blocks are older than any rollup.
    pub fn l1_header(&self, header: &L1HeaderSealed) -> Option<L1Header> {
        Some(L1Header {
            number: header.number,
            hash: header.hash(),
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
            base_fee: header.base_fee_per_gas?,
            blob_base_fee: self.blob_base_fee(header),
            prev_randao: header.mix_hash,
            parent_beacon_block_root: header.parent_beacon_block_root.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fee(schedule: &BlobSchedule, timestamp: u64, excess: u64) -> u128 {
        schedule.blob_base_fee(&Header {
            timestamp,
            excess_blob_gas: Some(excess),
            ..Default::default()
        })
    }

    #[test]
    fn the_fee_follows_the_fork_of_the_blocks_time() {
        let mainnet = BlobSchedule::of_chain(1);
        // e^3 = 20.08, e^2 = 7.39, e^1.2 = 3.32 and so on, rounded down.
        let excess = 3 * CANCUN as u64;
        assert_eq!(fee(&mainnet, 1_746_612_310, excess), 20);
        assert_eq!(fee(&mainnet, 1_746_612_311, excess), 7);
        assert_eq!(fee(&mainnet, 1_765_290_071, excess), 3);
        assert_eq!(fee(&mainnet, 1_767_747_671, excess), 2);
        assert_eq!(fee(&BlobSchedule::of_chain(31_337), 0, excess), 7);
    }

    #[test]
    fn one_endpoint_alone_refutes_nothing() {
        let check = |prices: &[u128], expected| {
            assert_eq!(ScheduleVerdict::of(5, prices.iter().copied()), expected, "{prices:?}");
        };
        let (ours, theirs) = (5, 7);
        check(&[], ScheduleVerdict::Agrees);
        check(&[5], ScheduleVerdict::Agrees);
        check(&[7], ScheduleVerdict::Doubted { ours, theirs });
        check(&[5, 7], ScheduleVerdict::Agrees);
        check(&[7, 7], ScheduleVerdict::Refuted { ours, theirs });
        check(&[7, 5, 7], ScheduleVerdict::Refuted { ours, theirs });
        check(&[7, 5, 7, 5], ScheduleVerdict::Agrees);
        check(&[6, 7, 7], ScheduleVerdict::Doubted { ours, theirs });
        check(&[6, 5, 5], ScheduleVerdict::Agrees);
    }

    #[test]
    fn without_blobs_it_costs_the_least() {
        assert_eq!(BlobSchedule::of_chain(1).blob_base_fee(&Header::default()), 1);
    }

    #[test]
    fn an_absurd_excess_overflows_nothing() {
        for fraction in [1, CANCUN, u32::MAX.into()] {
            let schedule = BlobSchedule::new(vec![(0, fraction)]).unwrap();
            assert!(fee(&schedule, 0, u64::MAX) > 1_000_000_000);
        }
    }

    #[test]
    fn a_schedule_has_steps_with_fractions() {
        assert_eq!(BlobSchedule::new(vec![]), None);
        assert_eq!(BlobSchedule::new(vec![(0, 0)]), None);
        assert_eq!(BlobSchedule::new(vec![(0, 1 << 32)]), None);
        let schedule = BlobSchedule::new(vec![(10, CANCUN), (0, PRAGUE)]).unwrap();
        assert_eq!(fee(&schedule, 9, 3 * CANCUN as u64), 7);
        assert_eq!(fee(&schedule, 10, 3 * CANCUN as u64), 20);
    }
}
