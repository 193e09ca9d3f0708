//! The rules once more, as plainly as possible: batches that were never encoded, judged against whole chains.

use alloy_primitives::{B256, Bytes, U256};
use millrace_derivation::{L2Ref, Provenance};
use millrace_protocol::{BlockId, Eip1559Params, L1Attributes, L1Block, RollupConfig};

use crate::execution::Content;

/// A batch as it is meant.
#[derive(Debug, Clone)]
pub(crate) enum Meant {
    Singular { parent: B256, origin: BlockId, timestamp: u64, transactions: Vec<Bytes> },
    Span { parent: B256, last_origin_hash: B256, blocks: Vec<MeantBlock> },
    Garbage,
}

/// A block of a span as it is meant.
#[derive(Debug, Clone)]
pub(crate) struct MeantBlock {
    pub(crate) timestamp: u64,
    pub(crate) origin: u64,
    pub(crate) transactions: Vec<Bytes>,
}

/// A block of the safe chain.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) block: L2Ref,
    pub(crate) transactions: Vec<Bytes>,
    /// Nothing for genesis.
    pub(crate) from: Option<(BlockId, Provenance)>,
}

/// The safe chain so far.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    config: RollupConfig,
    /// From the genesis of the rollup on.
    l1: Vec<L1Block>,
    pub(crate) chain: Vec<Made>,
    /// The epoch that is being filled when batches stay out: the safe head's, or the next one once it is full.
    filling: u64,
    /// How often each thing happened that is worth testing.
    pub(crate) tally: Tally,
}

/// How often things happened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) batches: u64,
    pub(crate) span_blocks: u64,
    pub(crate) overlaps: u64,
    pub(crate) contradictions: u64,
    pub(crate) past: u64,
    pub(crate) dropped: u64,
    pub(crate) replaced: u64,
    pub(crate) expired: u64,
    pub(crate) late: u64,
    pub(crate) drifted: u64,
}

/// What a batch comes to.
enum Fate {
    ReadOn,
    DropChannel,
}

impl Model {
    pub(crate) fn new(config: RollupConfig) -> Self {
        let genesis = &config.genesis;
        let block = L2Ref {
            id: genesis.l2,
            parent_hash: B256::ZERO,
            timestamp: genesis.l2_time,
            origin: genesis.l1,
            sequence_number: 0,
        };
        let chain = vec![Made { block, transactions: Vec::new(), from: None }];
        let filling = genesis.l1.number;
        Self { config, l1: Vec::new(), chain, filling, tally: Tally::default() }
    }

    pub(crate) fn safe(&self) -> L2Ref {
        self.chain.last().unwrap().block
    }

    fn l1_block(&self, number: u64) -> Option<&L1Block> {
        self.l1.get(number.checked_sub(self.config.genesis.l1.number)? as usize)
    }

    /// The next L1 block, and the channels that were completed in it.
    pub(crate) fn include(&mut self, block: L1Block, channels: &[Vec<Meant>]) {
        let inclusion = block.header.number;
        self.l1.push(block);
        for channel in channels {
            for batch in channel {
                if inclusion <= self.safe().origin.number {
                    continue;
                }
                match self.judge(batch, inclusion) {
                    Fate::ReadOn => {}
                    Fate::DropChannel => {
                        self.tally.dropped += 1;
                        break;
                    }
                }
            }
        }
        self.fill(inclusion);
    }

    fn judge(&mut self, batch: &Meant, inclusion: u64) -> Fate {
        let next_time = self.safe().timestamp + self.config.block_time;
        match batch {
            Meant::Garbage => Fate::DropChannel,
            Meant::Singular { parent, origin, timestamp, transactions } => {
                if *timestamp < next_time {
                    self.tally.past += 1;
                    return Fate::ReadOn;
                }
                let right = *timestamp == next_time
                    && *parent == self.safe().id.hash
                    && self.l1_block(origin.number).is_some_and(|l1| l1.header.hash == origin.hash);
                if !right {
                    return Fate::DropChannel;
                }
                self.take(origin.number, transactions, inclusion)
            }
            Meant::Span { parent, last_origin_hash, blocks } => {
                let (first, last) = (blocks.first().unwrap(), blocks.last().unwrap());
                if last.timestamp < next_time {
                    self.tally.past += 1;
                    return Fate::ReadOn;
                }
                let before = self
                    .chain
                    .iter()
                    .find(|made| made.block.timestamp + self.config.block_time == first.timestamp);
                let Some(before) = before else { return Fate::DropChannel };
                let fits = before.block.id.hash[..20] == parent[..20]
                    && first.origin + self.config.seq_window_size >= inclusion
                    && (first.origin == before.block.origin.number
                        || first.origin == before.block.origin.number + 1)
                    && last.origin >= self.safe().origin.number
                    && self
                        .l1_block(last.origin)
                        .is_some_and(|l1| l1.header.hash == *last_origin_hash);
                if !fits {
                    return Fate::DropChannel;
                }
                let overlap = (self.safe().id.number - before.block.id.number) as usize;
                let safe = &self.chain[before.block.id.number as usize + 1..];
                let agrees = safe.iter().zip(blocks).all(|(made, meant)| {
                    made.block.origin.number == meant.origin
                        && made.transactions == meant.transactions
                });
                if !agrees {
                    self.tally.contradictions += 1;
                    return Fate::DropChannel;
                }
                self.tally.overlaps += u64::from(overlap > 0);
                for block in &blocks[overlap..] {
                    if let Fate::DropChannel =
                        self.take(block.origin, &block.transactions, inclusion)
                    {
                        return Fate::DropChannel;
                    }
                    self.tally.span_blocks += 1;
                }
                Fate::ReadOn
            }
        }
    }

    /// Makes the next block of this if the rules allow it.
    fn take(&mut self, origin: u64, transactions: &[Bytes], inclusion: u64) -> Fate {
        let safe = self.safe();
        let timestamp = safe.timestamp + self.config.block_time;
        let time_of = |number| self.l1_block(number).map(|l1: &L1Block| l1.header.timestamp);
        let moves = origin == safe.origin.number + 1;
        if origin + self.config.seq_window_size < inclusion {
            self.tally.late += 1;
            return Fate::DropChannel;
        }
        let Some(origin_time) = time_of(origin).filter(|time| *time <= timestamp) else {
            return Fate::DropChannel;
        };
        let drifted = timestamp > origin_time + self.config.max_sequencer_drift;
        let could_move = time_of(origin + 1).is_some_and(|time| time <= timestamp);
        let allowed = (moves || origin == safe.origin.number)
            && (!drifted || (transactions.is_empty() && (moves || !could_move)))
            && transactions
                .iter()
                .all(|transaction| !matches!(transaction.first(), None | Some(0x7e)));
        if !allowed {
            return Fate::DropChannel;
        }
        self.tally.drifted += u64::from(drifted);
        let content = self.content(origin, transactions.to_vec());
        if content.is_valid() {
            self.tally.batches += 1;
            self.make(content, inclusion, Provenance::Batch);
            return Fate::ReadOn;
        }
        self.tally.replaced += 1;
        let content = self.content(origin, Vec::new());
        self.make(content, inclusion, Provenance::Replacement);
        Fate::DropChannel
    }

    /// Fills the epochs for which no batch can come any more. When one is full, the next waits for its own end.
    fn fill(&mut self, newest: u64) {
        self.filling = self.filling.max(self.safe().origin.number);
        while self.filling + self.config.seq_window_size <= newest {
            let safe = self.safe();
            let Some(next) = self.l1_block(self.filling + 1) else { return };
            let has_time = safe.timestamp + self.config.block_time < next.header.timestamp;
            let is_new = self.filling > safe.origin.number;
            if !has_time && !is_new {
                self.filling += 1;
                return;
            }
            self.tally.expired += 1;
            let content = self.content(self.filling, Vec::new());
            self.make(content, newest, Provenance::WindowExpired);
        }
    }

    /// The block behind the safe head with this origin.
    pub(crate) fn content(&self, origin: u64, transactions: Vec<Bytes>) -> Content {
        content(&self.config, self.safe(), self.l1_block(origin).unwrap(), transactions)
    }

    fn make(&mut self, content: Content, inclusion: u64, provenance: Provenance) {
        let from = self.l1_block(inclusion).map(|l1| (l1.header.id(), provenance));
        let block = content.seal();
        self.chain.push(Made { block, transactions: content.transactions, from });
    }
}

/// The block behind this one with this origin.
pub(crate) fn content(
    config: &RollupConfig,
    parent: L2Ref,
    l1: &L1Block,
    transactions: Vec<Bytes>,
) -> Content {
    let (header, system) = (&l1.header, &l1.system_config);
    let is_first = header.number != parent.origin.number;
    let sequence_number = if is_first { 0 } else { parent.sequence_number + 1 };
    let attributes = L1Attributes {
        l1_number: header.number,
        l1_timestamp: header.timestamp,
        l1_hash: header.hash,
        sequence_number,
        base_fee: U256::from(header.base_fee),
        blob_base_fee: U256::from(header.blob_base_fee),
        base_fee_scalar: system.base_fee_scalar,
        blob_base_fee_scalar: system.blob_base_fee_scalar,
        batcher_hash: system.batcher.into_word(),
        operator_fee: Some(system.operator_fee),
    };
    let mut deposits = vec![attributes.to_deposit()];
    if is_first {
        deposits.extend(l1.deposits.iter().cloned());
    }
    Content {
        parent,
        timestamp: parent.timestamp + config.block_time,
        origin: header.id(),
        sequence_number,
        deposits,
        transactions,
        gas_limit: system.gas_limit,
        eip1559: system.eip1559.unwrap_or(Eip1559Params::OPTIMISM),
        prev_randao: header.prev_randao,
        parent_beacon_block_root: header.parent_beacon_block_root,
    }
}
