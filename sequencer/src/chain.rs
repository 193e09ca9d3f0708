//! The chain as it is served: the journaled head, what is being made on top of it, and everything below.
//!
//! ```text
//! pool ──► open ────► sealing ──► head        a transaction's way; the next place has it before the last one lets it go
//!            └► promised ──────────┘
//! ```
//!
//! The builder and the committer write here, everybody else reads. What stands in the head is journaled. The open block is
//! there twice: as far as it is executed, which is for the pool's eyes, and as far as that is promised, which is what
//! `pending` means. In between lies the block that is sealed and on its way into the journal.

mod places;
mod rewind;
#[cfg(test)]
pub(crate) mod testing;
mod waiters;

pub(crate) use self::{
    places::Places,
    rewind::RewindError,
    waiters::{News, Waiters},
};

use std::sync::{Arc, OnceLock};

use alloy_primitives::{B256, BlockNumber};
use arc_swap::{ArcSwap, ArcSwapOption};
use millrace_executor::{BlockAttributes, LayeredView};
use millrace_protocol::{BlockId, ChainSpec};
use millrace_rpc::{BlockEvent, ChainBlock, PromisedRun};
use millrace_state::State;
use millrace_types::{Block, ExecutedBlock, Header, Receipt, SealedHeader, Transaction};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::{
    index::{Index, IndexError},
    journal::{Journal, ReadError, StoredBlock},
    l1_cost, l2_ref,
    recent::Recent,
    view::{BlockHashes, ChainView},
};

/// How many block events a slow subscriber may be behind.
const EVENTS_MAX: usize = 256;

/// How many groups of promised transactions a slow subscriber may be behind.
const PROMISES_MAX: usize = 1_024;

/// Everything known about one chain, shared by all who read it.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) index: Arc<Index>,
    pub(crate) state: State,
    pub(crate) hashes: Arc<BlockHashes>,
    genesis: Arc<Served>,
    head: ArcSwap<Head>,
    open: ArcSwapOption<Open>,
    promised: ArcSwapOption<Open>,
    sealing: ArcSwapOption<Open>,
    recent: Mutex<Recent>,
    events: broadcast::Sender<BlockEvent>,
    promises: broadcast::Sender<Arc<PromisedRun>>,
    /// Those who wait for one transaction.
    pub(crate) waiters: Waiters,
    tip: watch::Sender<BlockId>,
}

/// A newest block, and the state after it.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) block: Arc<Served>,
    pub(crate) view: ChainView,
}

impl Head {
    pub(crate) fn new(executed: &ExecutedBlock, view: ChainView) -> Self {
        let block = Served::new(executed.block.clone(), executed.receipts.clone());
        Self { block: Arc::new(block), view }
    }
}

/// A run of transactions with their receipts.
pub(crate) type Run = Arc<Vec<(Arc<Transaction>, Receipt)>>;

/// The block under construction, as its last group left it.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) attributes: BlockAttributes,
    /// Transactions with their receipts, in order, in shared runs.
    pub(crate) runs: Vec<Run>,
    pub(crate) gas_used: u64,
    pub(crate) view: LayeredView,
    /// Where each of its transactions is.
    pub(crate) places: Arc<Places>,
}

/// A block as readers get it; what they ask for again and again is worked out once.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) block: Arc<Block>,
    pub(crate) receipts: Arc<Vec<Receipt>>,
    answer: OnceLock<Arc<ChainBlock>>,
}

impl Served {
    pub(crate) fn new(block: Arc<Block>, receipts: Arc<Vec<Receipt>>) -> Self {
        Self { block, receipts, answer: OnceLock::new() }
    }

    /// What it holds in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let transactions = self.block.transactions.iter().map(|tx| 1_000 + 2 * tx.encoded().len());
        let logs = self.receipts.iter().flat_map(|receipt| &receipt.logs);
        let logs = logs.map(|log| 100 + 32 * log.topics().len() + log.data.data.len());
        transactions.chain(logs).sum()
    }

    /// The block with what its transactions paid for L1.
    pub(crate) fn answer(&self, spec: &ChainSpec) -> Arc<ChainBlock> {
        let answer = self.answer.get_or_init(|| {
            Arc::new(ChainBlock {
                l1_fees: l1_cost::of_block(spec, &self.block),
                block: self.block.clone(),
                receipts: self.receipts.clone(),
                pending: false,
            })
        });
        answer.clone()
    }
}

impl From<StoredBlock> for Served {
    fn from(stored: StoredBlock) -> Self {
        Self::new(stored.block, stored.receipts)
    }
}

impl Open {
    /// The open block as if it were sealed: its header lacks what sealing finds out.
    pub(crate) fn answer(&self, spec: &ChainSpec) -> ChainBlock {
        let (transactions, receipts): (Vec<_>, Vec<_>) = self.included().cloned().unzip();
        let block = Arc::new(Block { header: self.header(), transactions });
        let l1_fees = l1_cost::of_block(spec, &block);
        ChainBlock { block, receipts: Arc::new(receipts), l1_fees, pending: true }
    }

    /// The transactions so far, with their receipts.
    pub(crate) fn included(&self) -> impl Iterator<Item = &(Arc<Transaction>, Receipt)> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    pub(crate) fn header(&self) -> SealedHeader {
        let attributes = &self.attributes;
        let header = Header {
            parent_hash: attributes.parent.hash(),
            number: attributes.number(),
            timestamp: attributes.timestamp,
            beneficiary: attributes.beneficiary,
            gas_limit: attributes.gas_limit,
            gas_used: self.gas_used,
            base_fee_per_gas: Some(attributes.base_fee),
            mix_hash: attributes.prev_randao,
            extra_data: attributes.extra_data.clone(),
            parent_beacon_block_root: Some(attributes.parent_beacon_block_root),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(attributes.excess_blob_gas),
            ..Header::default()
        };
        SealedHeader::new(header, B256::ZERO)
    }
}

/// What a chain is opened with.
pub(crate) struct Resources {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) journal: Journal,
    pub(crate) index: Arc<Index>,
    pub(crate) state: State,
    pub(crate) hashes: Arc<BlockHashes>,
    pub(crate) genesis: SealedHeader,
    /// The newest journaled block; `None` while there is only genesis.
    pub(crate) tip: Option<StoredBlock>,
}

impl Chain {
    pub(crate) fn new(resources: Resources) -> Self {
        let Resources { spec, journal, index, state, hashes, genesis, tip } = resources;
        let genesis = Block { header: genesis, transactions: Vec::new() };
        let genesis = Arc::new(Served::new(Arc::new(genesis), Arc::default()));
        let block = tip.map_or_else(|| genesis.clone(), |tip| Arc::new(Served::from(tip)));
        let view = ChainView::new(state.head(), hashes.clone());
        let tip = l2_ref::id(&block.block);
        Self {
            spec,
            journal: Arc::new(journal),
            index,
            state,
            hashes,
            head: ArcSwap::from_pointee(Head { block: block.clone(), view }),
            open: ArcSwapOption::empty(),
            promised: ArcSwapOption::empty(),
            sealing: ArcSwapOption::empty(),
            recent: Mutex::new(Recent::new(block)),
            events: broadcast::Sender::new(EVENTS_MAX),
            promises: broadcast::Sender::new(PROMISES_MAX),
            waiters: Waiters::default(),
            tip: watch::Sender::new(tip),
            genesis,
        }
    }

    /// The newest journaled block.
    pub(crate) fn head(&self) -> Arc<Head> {
        self.head.load_full()
    }

    /// The block under construction, if there is one, as far as it is executed.
    pub(crate) fn open(&self) -> Option<Arc<Open>> {
        self.open.load_full()
    }

    /// The same as far as anybody was promised it. Nothing between two blocks: then the head is the newest there is.
    pub(crate) fn promised(&self) -> Option<Arc<Open>> {
        let promised = self.promised.load_full()?;
        (promised.attributes.number() > self.head.load().block.block.number()).then_some(promised)
    }

    /// The block that was open before, while it is sealed and not journaled yet.
    pub(crate) fn sealing(&self) -> Option<Arc<Open>> {
        self.sealing.load_full()
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<BlockEvent> {
        self.events.subscribe()
    }

    /// Transactions as they are promised, or sealed if that was sooner, each once.
    pub(crate) fn promises(&self) -> broadcast::Receiver<Arc<PromisedRun>> {
        self.promises.subscribe()
    }

    /// The newest journaled block, whenever it changes. It may go back.
    pub(crate) fn tip(&self) -> watch::Receiver<BlockId> {
        self.tip.subscribe()
    }

    /// Shows the pool what the open block has come to.
    pub(crate) fn show_open(&self, open: Arc<Open>) {
        self.open.store(Some(open));
    }

    /// Shows everybody what the open block has come to, and tells those who wait for it.
    pub(crate) fn show_promised(&self, open: Arc<Open>) {
        let before = self.promised.swap(Some(open.clone()));
        let told =
            before.filter(|before| before.is_of_same_block(&open)).map_or(0, |old| old.len());
        self.waiters.promised(&open, told);
        if self.promises.receiver_count() > 0
            && let Some(run) = open.promises_from(told)
        {
            // Nobody listening any more is no error.
            self.promises.send(Arc::new(run)).ok();
        }
    }

    /// Shows no open block to anybody any more.
    pub(crate) fn withdraw_promised(&self) {
        self.promised.store(None);
    }

    /// Remembers the open block while it is on its way into the journal, and another one is opened.
    pub(crate) fn show_sealing(&self) {
        self.sealing.store(self.open.load_full());
    }

    /// Makes a journaled block the head. From here on everybody sees it.
    pub(crate) fn advance(&self, head: Head) {
        let block = head.block.clone();
        self.recent.lock().push(block.clone());
        self.head.store(Arc::new(head));
        self.sealing.store(None);
        self.tip.send_replace(l2_ref::id(&block.block));
        self.waiters.sealed(&block);
        if self.promises.receiver_count() > 0 {
            // What came from L1, or was sealed before it could be promised by itself.
            let told = self.promised.load_full().filter(|open| open.became(&block.block));
            if let Some(run) = places::promises_of_block(&block, told.map_or(0, |open| open.len()))
            {
                self.promises.send(Arc::new(run)).ok();
            }
        }
        if self.events.receiver_count() > 0 {
            // Nobody listening any more is no error.
            self.events.send(BlockEvent::Sealed(block.answer(&self.spec))).ok();
        }
    }

    /// A sealed block by its number.
    pub(crate) async fn block(
        &self,
        number: BlockNumber,
    ) -> Result<Option<Arc<Served>>, ReadError> {
        if number == self.genesis.block.number() {
            return Ok(Some(self.genesis.clone()));
        }
        // The journal may be ahead of what is acknowledged for as long as it takes to publish a block.
        if number > self.head.load().block.block.number() {
            return Ok(None);
        }
        if let Some(block) = self.recent.lock().get(number) {
            return Ok(Some(block));
        }
        Ok(self.journal.block(number).await?.map(|stored| Arc::new(Served::from(stored))))
    }

    /// A sealed block's header by its number.
    pub(crate) async fn header(
        &self,
        number: BlockNumber,
    ) -> Result<Option<SealedHeader>, ReadError> {
        if number == self.genesis.block.number() {
            return Ok(Some(self.genesis.block.header.clone()));
        }
        if number > self.head.load().block.block.number() {
            return Ok(None);
        }
        if let Some(block) = self.recent.lock().get(number) {
            return Ok(Some(block.block.header.clone()));
        }
        self.journal.header(number).await
    }

    /// The number of the block with a hash.
    pub(crate) fn number_of(&self, hash: &B256) -> Result<Option<BlockNumber>, IndexError> {
        if *hash == self.genesis().hash() {
            return Ok(Some(self.genesis().number));
        }
        self.index.block_number(hash)
    }

    /// The first block's header.
    pub(crate) fn genesis(&self) -> &SealedHeader {
        &self.genesis.block.header
    }
}
