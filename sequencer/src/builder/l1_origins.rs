//! Origins on a real L1: the blocks of it that we know, and which of them the next L2 block refers to.

use std::{collections::BTreeMap, sync::Arc};

use millrace_protocol::{BlockId, Epoch, RollupConfig};
use millrace_types::Block;
use parking_lot::Mutex;

use super::origin::{Origin, Plan, Stalled};
use crate::l2_ref;

/// The newest L1 blocks, as derivation has read them. Derivation writes, the builder reads.
#[derive(Debug, Default)]
pub(crate) struct L1Window {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By number, each the parent of the next.
    blocks: BTreeMap<u64, Arc<Epoch>>,
    /// Derivation has used up all of L1 that there is.
    is_complete: bool,
}

impl L1Window {
    /// Adds the next block; whatever stood there or above is gone.
    pub(crate) fn push(&self, block: impl Into<Epoch>) {
        let epoch = block.into();
        let number = epoch.header.number;
        let mut known = self.known.lock();
        known.blocks.split_off(&number);
        known.blocks.insert(number, Arc::new(epoch));
    }

    /// Forgets blocks above a number: L1 was reorganized.
    pub(crate) fn truncate(&self, number: u64) {
        self.known.lock().blocks.split_off(&(number + 1));
    }

    /// Forgets blocks below a number: no block that may still come refers to them.
    pub(crate) fn forget_below(&self, number: u64) {
        let mut known = self.known.lock();
        known.blocks = known.blocks.split_off(&number);
    }

    /// Says whether derivation has used up all of L1 that there is: otherwise it may yet decide against what we would
    /// build.
    pub(crate) fn set_complete(&self, is_complete: bool) {
        self.known.lock().is_complete = is_complete;
    }
}

/// Chooses origins by the rules: the parent's, or the next one.
pub(crate) struct L1Origins {
    pub(crate) rollup: Arc<RollupConfig>,
    pub(crate) window: Arc<L1Window>,
    /// An origin is so many blocks below L1's newest one: a reorganization of L1 takes our blocks with it.
    pub(crate) confirmations: u64,
}

impl L1Origins {
    /// Which L1 block the next L2 block refers to, and whether anything but deposits may be in it.
    fn choose(&self, parent: BlockId, timestamp: u64) -> Result<(Arc<Epoch>, bool), Stalled> {
        let known = self.window.known.lock();
        if !known.is_complete {
            return Err(Stalled::Deriving);
        }
        let current = known.blocks.get(&parent.number);
        let gone = Stalled::OriginGone { number: parent.number };
        let current = current.filter(|block| block.header.hash == parent.hash).ok_or(gone)?;
        let newest = known.blocks.last_key_value().map_or(0, |(number, _)| *number);
        let next_number = parent.number + 1;
        let is_confirmed = next_number.saturating_add(self.confirmations) <= newest;
        let next = known.blocks.get(&next_number).filter(|_| is_confirmed);
        if let Some(next) = next
            && next.header.timestamp <= timestamp
        {
            let ahead_s = timestamp - next.header.timestamp;
            return Ok((next.clone(), ahead_s > self.rollup.max_sequencer_drift));
        }
        let ahead_s = timestamp.saturating_sub(current.header.timestamp);
        let too_far = ahead_s > self.rollup.max_sequencer_drift;
        // Past the drift a block has to take the next origin if it can, and nobody can tell while that is unknown.
        if too_far && next.is_none() {
            return Err(Stalled::Drift { origin: parent.number, ahead_s });
        }
        Ok((current.clone(), too_far))
    }
}

impl Origin for L1Origins {
    fn plan(&mut self, parent: &Block, timestamp: u64) -> Result<Plan, Stalled> {
        let parent = l2_ref::of_ours(parent, &self.rollup);
        let (epoch, deposits_only) = self.choose(parent.origin, timestamp)?;
        let prescribed = epoch.prescribe(&self.rollup.spec, parent.place(), timestamp);
        Ok(Plan { prescribed, deposits_only })
    }

    fn may_skip_time(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use millrace_protocol::{L1Attributes, L1Header, Prescribed};
    use millrace_types::Transaction;

    use super::*;

    const DRIFT_S: u64 = 1_800;

    fn id(number: u64) -> BlockId {
        BlockId { number, hash: B256::repeat_byte(number as u8) }
    }

    /// An L1 with a block every 12 seconds, as far as derivation has read it.
    fn origins(newest: u64, confirmations: u64) -> L1Origins {
        let rollup = RollupConfig { max_sequencer_drift: DRIFT_S, ..RollupConfig::usual(901) };
        let window = Arc::new(L1Window::default());
        for number in 10..=newest {
            window.push(Epoch {
                header: L1Header {
                    number,
                    hash: id(number).hash,
                    parent_hash: id(number - 1).hash,
                    timestamp: 12 * number,
                    base_fee: 1,
                    blob_base_fee: 1,
                    prev_randao: B256::ZERO,
                    parent_beacon_block_root: B256::ZERO,
                },
                system_config: rollup.genesis.system_config,
                deposits: Vec::new(),
            });
        }
        window.set_complete(true);
        L1Origins { rollup: Arc::new(rollup), window, confirmations }
    }

    fn check(
        origins: &L1Origins,
        parent: BlockId,
        timestamp: u64,
        expected: Result<(u64, bool), Stalled>,
    ) {
        let chosen = origins.choose(parent, timestamp);
        let chosen = chosen.map(|(block, only_deposits)| (block.header.number, only_deposits));
        assert_eq!(chosen, expected, "after {} at {timestamp}", parent.number);
    }

    #[test]
    fn the_next_origin_is_taken_as_soon_as_it_is_no_newer_than_the_block() {
        let origins = origins(20, 0);
        check(&origins, id(10), 131, Ok((10, false)));
        check(&origins, id(10), 132, Ok((11, false)));
        // By one at most, however late the block is.
        check(&origins, id(10), 240, Ok((11, false)));
    }

    #[test]
    fn what_is_not_confirmed_is_not_known() {
        check(&origins(12, 2), id(10), 200, Ok((10, false)));
        check(&origins(13, 2), id(10), 200, Ok((11, false)));
    }

    #[test]
    fn past_the_drift_a_block_is_empty_or_does_not_come() {
        let late = 120 + DRIFT_S + 1;
        let drift = Stalled::Drift { origin: 10, ahead_s: DRIFT_S + 1 };
        check(&origins(10, 0), id(10), late - 1, Ok((10, false)));
        check(&origins(10, 0), id(10), late, Err(drift.clone()));
        check(&origins(11, 1), id(10), late, Err(drift));
        // The next one is known and must be taken, but the block is too far ahead of that one, too.
        check(&origins(11, 0), id(10), late, Ok((11, false)));
        check(&origins(11, 0), id(10), late + 12, Ok((11, true)));
    }

    #[test]
    fn nothing_is_built_on_an_origin_that_is_gone() {
        let other = BlockId { number: 12, hash: B256::repeat_byte(0xee) };
        let origins = origins(12, 0);
        check(&origins, other, 150, Err(Stalled::OriginGone { number: 12 }));
        origins.window.truncate(11);
        check(&origins, id(12), 150, Err(Stalled::OriginGone { number: 12 }));
        check(&origins, id(11), 150, Ok((11, false)));
        origins.window.forget_below(11);
        check(&origins, id(10), 150, Err(Stalled::OriginGone { number: 10 }));
        origins.window.set_complete(false);
        check(&origins, id(11), 150, Err(Stalled::Deriving));
    }

    /// What the origin decides about the next block, after one of ours with this origin that comes so late in its epoch.
    fn prescribed(origins: &mut L1Origins, origin: u64, sequence_number: u64) -> Prescribed {
        let known = origins.window.known.lock().blocks[&origin].clone();
        let attributes =
            L1Attributes::for_block(&known.system_config, &known.header, sequence_number);
        let header = millrace_types::Header {
            number: 100,
            timestamp: 12 * origin,
            ..millrace_types::Header::default()
        };
        let header = millrace_types::SealedHeader::new(header, B256::ZERO);
        let first = Arc::new(Transaction::deposit(attributes.to_deposit()));
        let parent = Block { header, transactions: vec![first] };
        origins.plan(&parent, 12 * origin + 12).expect("an origin").prescribed
    }

    fn attributes(prescribed: &Prescribed) -> L1Attributes {
        L1Attributes::decode(&prescribed.deposits[0].input).expect("L1 attributes")
    }

    #[test]
    fn the_first_block_of_an_epoch_has_its_deposits_and_obeys_its_system_config() {
        let mut origins = origins(12, 0);
        let deposit = op_alloy_consensus::TxDeposit { mint: 5, ..Default::default() };
        let mut changed = Epoch::clone(&origins.window.known.lock().blocks[&12]);
        changed.deposits = vec![deposit.clone(), deposit];
        changed.system_config.gas_limit = 40_000_000;
        let params = millrace_protocol::Eip1559Params::new(50, 3).expect("not zero");
        changed.system_config.eip1559 = Some(params);
        origins.window.push(changed);

        let before = prescribed(&mut origins, 10, 3);
        assert_eq!((attributes(&before).l1_number, attributes(&before).sequence_number), (11, 0));
        assert_eq!((before.deposits.len(), before.gas_limit), (1, 30_000_000));
        let constants = origins.rollup.spec.eip1559_constants(132);
        assert_eq!(before.eip1559, constants, "what the config does not say the chain does");

        let first = prescribed(&mut origins, 11, 3);
        assert_eq!((attributes(&first).l1_number, attributes(&first).sequence_number), (12, 0));
        assert_eq!((first.deposits.len(), first.gas_limit), (3, 40_000_000));
        assert_eq!(first.eip1559, params);

        // Nothing follows block 12 yet.
        let second = prescribed(&mut origins, 12, 0);
        assert_eq!((attributes(&second).l1_number, attributes(&second).sequence_number), (12, 1));
        assert_eq!((second.deposits.len(), second.gas_limit), (1, 40_000_000));
    }

    #[test]
    fn confirmations_without_end_are_never_reached() {
        check(&origins(20, u64::MAX), id(10), 200, Ok((10, false)));
    }

    #[test]
    fn a_block_that_is_replaced_takes_what_was_above_with_it() {
        let origins = origins(14, 0);
        let mut other = Epoch::clone(&origins.window.known.lock().blocks[&12]);
        other.header.hash = B256::repeat_byte(0xee);
        let other_id = other.header.id();
        origins.window.push(other);
        check(&origins, id(12), 200, Err(Stalled::OriginGone { number: 12 }));
        check(&origins, other_id, 200, Ok((12, false)));
        check(&origins, id(11), 200, Ok((12, false)));
    }
}
