//! The node as the JSON-RPC edge sees it.
//!
//! Answers come from memory or by a point lookup on the caller's task; the heavy ones run on blocking threads, of which
//! the edge asks for a bounded number at a time.

mod convert;
mod logs;

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, BlockNumber, Bytes, TxHash, U256, keccak256};
use millrace_executor::{BlockContext, Executor, LayeredView, StateView};
use millrace_rpc::{
    AccountProof, Backend, BaseFeeParams, BlockEvent, BlockRef, CallError, CallRequest, ChainBlock,
    ChainInfo, Heads, Inclusion, LogHit, LogQuery, LogsError, Lookup, PromisedRun, ReadError,
    StateError, SubmitError, WaitError,
};
use millrace_types::{Account, SealedHeader, Transaction};
use tokio::{runtime::Handle, sync::broadcast, time::timeout};

use crate::{
    blocking::off_the_runtime,
    chain::{Chain, News, Open, Served},
    deriver::SafeHeads,
    intake::{Intake, IntakeError, newest_view},
    mempool::SubmitError as PoolError,
    view::ChainView,
};

/// Joins the chain, the pool and the executor into what the edge asks for.
#[derive(Debug)]
pub(crate) struct NodeBackend {
    chain: Arc<Chain>,
    intake: Arc<Intake>,
    executor: Executor,
    /// How far L1 vouches for the chain, if there is an L1.
    safe_heads: Option<Arc<SafeHeads>>,
}

/// A block reference, resolved.
enum At {
    Sealed(BlockNumber),
    Open(Arc<Open>),
}

impl NodeBackend {
    pub(crate) fn new(
        chain: Arc<Chain>,
        intake: Arc<Intake>,
        executor: Executor,
        safe_heads: Option<Arc<SafeHeads>>,
    ) -> Self {
        Self { chain, intake, executor, safe_heads }
    }

    /// The newest safe and final blocks. Without L1 nothing is safer than genesis.
    fn vouched(&self) -> (BlockNumber, BlockNumber) {
        let genesis = self.chain.genesis().number;
        self.safe_heads.as_ref().map_or((genesis, genesis), |heads| {
            let progress = heads.get();
            (progress.safe.id.number, progress.finalized.id.number)
        })
    }

    /// Finds out which block is meant; `None` if there is no such block.
    fn resolve(&self, at: BlockRef) -> Result<Option<At>, crate::index::IndexError> {
        let head = self.chain.head().block.block.number();
        let genesis = self.chain.genesis();
        let number = match at {
            BlockRef::Number(number) => number,
            BlockRef::Latest => head,
            BlockRef::Pending => match self.chain.promised() {
                Some(open) => return Ok(Some(At::Open(open))),
                None => head,
            },
            BlockRef::Safe => self.vouched().0,
            BlockRef::Finalized => self.vouched().1,
            BlockRef::Earliest => genesis.number,
            BlockRef::Hash(hash) => match self.chain.number_of(&hash)? {
                Some(number) => number,
                None => return Ok(None),
            },
        };
        Ok((genesis.number..=head).contains(&number).then_some(At::Sealed(number)))
    }

    fn sealed(&self, block: &Served, index: usize) -> Inclusion {
        Inclusion::Sealed { block: block.answer(&self.chain.spec), index }
    }

    /// Why a transaction that was waited for is not executed yet.
    fn not_in_time(&self, hash: TxHash, waited: Duration) -> WaitError {
        use alloy_consensus::Transaction as _;

        let gap = self
            .intake
            .with_pool(|pool| Some((pool.missing_nonce(&hash)?, pool.get(&hash)?.nonce())));
        match gap {
            Some((expected, nonce)) => WaitError::Gapped { hash, waited, expected, nonce },
            None => WaitError::TimedOut { hash, waited },
        }
    }

    async fn served(&self, number: BlockNumber) -> Result<Option<Arc<Served>>, ReadError> {
        self.chain.block(number).await.map_err(broken)
    }

    /// The state after a block.
    fn state_at(&self, at: BlockRef) -> Result<View, StateError> {
        let resolve = || self.resolve(at).map_err(state_broken)?.ok_or(StateError::UnknownBlock);
        let view = self.state_of(resolve()?)?;
        if let BlockRef::Hash(_) = at {
            // The chain may have gone back and on between finding the number and taking the view. It does neither
            // unnoticed now: a view of a block that is taken back says so.
            resolve()?;
        }
        Ok(view)
    }

    fn state_of(&self, at: At) -> Result<View, StateError> {
        let number = match at {
            At::Open(open) => return Ok(View::Open(open.view.clone())),
            At::Sealed(number) => number,
        };
        let head = self.chain.head();
        if number == head.block.block.number() {
            return Ok(View::Sealed(head.view.clone()));
        }
        let view = self.chain.state.view_at(number).map_err(|error| match error {
            millrace_state::ViewError::Pruned { oldest } => StateError::Pruned { number, oldest },
            millrace_state::ViewError::NotYet { .. } => StateError::UnknownBlock,
        })?;
        Ok(View::Sealed(ChainView::new(view, self.chain.hashes.clone())))
    }

    /// What a call runs on, and the block that it runs in: both of the same block, even if a new one comes meanwhile.
    async fn call_site(
        &self,
        named: BlockRef,
    ) -> Result<(Arc<dyn StateView>, BlockContext), StateError> {
        let at = self.resolve(named).map_err(state_broken)?.ok_or(StateError::UnknownBlock)?;
        let context = match &at {
            At::Open(open) => BlockContext::from(&open.attributes),
            At::Sealed(number) => {
                let header = self.chain.header(*number).await.map_err(state_broken)?;
                let header = header.filter(|header| may_be(named, header.hash()));
                BlockContext::from(header.ok_or(StateError::UnknownBlock)?.header())
            }
        };
        let view = self.state_of(at)?;
        if let BlockRef::Hash(_) = named {
            // As in `state_at`.
            self.resolve(named).map_err(state_broken)?.ok_or(StateError::UnknownBlock)?;
        }
        Ok((view.share(), context))
    }
}

/// A state to read, sealed or open.
enum View {
    Sealed(ChainView),
    Open(LayeredView),
}

impl View {
    fn read(&self) -> &dyn StateView {
        match self {
            Self::Sealed(view) => view,
            Self::Open(view) => view,
        }
    }

    fn share(self) -> Arc<dyn StateView> {
        match self {
            Self::Sealed(view) => Arc::new(view),
            Self::Open(view) => Arc::new(view),
        }
    }
}

impl Backend for NodeBackend {
    fn chain(&self) -> ChainInfo {
        let timestamp = self.chain.head().block.block.header.timestamp;
        let base_fee = self.chain.spec.eip1559_constants(timestamp);
        ChainInfo {
            chain_id: self.chain.spec.chain_id(),
            client_version: format!(
                "millrace/v{}/{}-{}",
                env!("CARGO_PKG_VERSION"),
                std::env::consts::OS,
                std::env::consts::ARCH
            ),
            genesis_number: self.chain.genesis().number,
            base_fee: BaseFeeParams {
                denominator: base_fee.denominator().get().into(),
                elasticity: base_fee.elasticity().get().into(),
            },
        }
    }

    fn heads(&self) -> Heads {
        let genesis = self.chain.genesis().number;
        let latest = self.chain.head().block.block.number();
        let (safe, finalized) = self.vouched();
        Heads { latest, safe, finalized, earliest: genesis }
    }

    async fn block(&self, at: BlockRef) -> Result<Option<Arc<ChainBlock>>, ReadError> {
        for _ in 0..looks(at) {
            let number = match self.resolve(at).map_err(broken)? {
                None => break,
                Some(At::Open(open)) => return Ok(Some(Arc::new(open.answer(&self.chain.spec)))),
                Some(At::Sealed(number)) => number,
            };
            let block = self.served(number).await?;
            if let Some(block) = block.filter(|block| may_be(at, block.block.header.hash())) {
                return Ok(Some(block.answer(&self.chain.spec)));
            }
        }
        Ok(None)
    }

    async fn header(&self, at: BlockRef) -> Result<Option<SealedHeader>, ReadError> {
        for _ in 0..looks(at) {
            let number = match self.resolve(at).map_err(broken)? {
                None => break,
                Some(At::Open(open)) => return Ok(Some(open.header())),
                Some(At::Sealed(number)) => number,
            };
            let header = self.chain.header(number).await.map_err(broken)?;
            if let Some(header) = header.filter(|header| may_be(at, header.hash())) {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    async fn transaction(&self, hash: TxHash) -> Result<Option<Lookup>, ReadError> {
        // A transaction moves from the pool to the open block, the one that is being sealed and the index, so whoever looks
        // in that order meets it.
        let pooled = self.intake.with_pool(|pool| pool.get(&hash).cloned());
        let executed = |open: Arc<Open>| open.transaction_at(open.find(&hash)?);
        let open = self.chain.open().and_then(executed);
        let sealing = self.chain.sealing().and_then(executed);
        let promised = self.chain.promised().and_then(|open| Some((open.find(&hash)?, open)));
        if let Some((number, index)) = self.chain.index.transaction(&hash).map_err(broken)?
            // The index is ahead of what is acknowledged for as long as it takes to publish a block.
            && let Some(block) = self.served(number).await?
            // Another block may have come in its place meanwhile.
            && block.block.transactions.get(index).is_some_and(|tx| tx.hash() == hash)
        {
            return Ok(Some(Lookup::Included(self.sealed(&block, index))));
        }
        if let Some((place, open)) = promised {
            let run = open.promise_at(place, &self.chain.spec);
            return Ok(Some(Lookup::Included(Inclusion::Promised(Arc::new(run)))));
        }
        // What is executed and not promised yet is shown as if it were in the pool still.
        Ok(pooled.or(open).or(sealing).map(Lookup::Pooled))
    }

    async fn account(&self, address: Address, at: BlockRef) -> Result<Option<Account>, StateError> {
        self.state_at(at)?.read().account(&address).map_err(state_broken)
    }

    async fn storage(
        &self,
        address: Address,
        slot: U256,
        at: BlockRef,
    ) -> Result<U256, StateError> {
        self.state_at(at)?.read().storage(&address, &slot).map_err(state_broken)
    }

    async fn code(&self, address: Address, at: BlockRef) -> Result<Bytes, StateError> {
        let view = self.state_at(at)?;
        let account = view.read().account(&address).map_err(state_broken)?;
        match account.and_then(|account| account.bytecode_hash) {
            Some(hash) => view.read().code(&hash).map_err(state_broken),
            None => Ok(Bytes::new()),
        }
    }

    async fn proof(
        &self,
        address: Address,
        slots: Vec<B256>,
        at: BlockRef,
    ) -> Result<AccountProof, StateError> {
        let number =
            match self.resolve(at).map_err(state_broken)?.ok_or(StateError::UnknownBlock)? {
                At::Sealed(number) => number,
                // The open block has no root yet: what can be proved is the block before it.
                At::Open(open) => open.attributes.parent.number,
            };
        let chain = self.chain.clone();
        off_the_runtime(move || convert::proof(number, chain.state.proof(address, &slots, number)))
            .await
    }

    async fn next_nonce(&self, address: Address) -> Result<u64, StateError> {
        if let Some(nonce) = self.intake.with_pool(|pool| pool.next_nonce(&address)) {
            return Ok(nonce);
        }
        // What the pool let go is executed, whether it is promised yet or not.
        let account = newest_view(&self.chain).account(&address).map_err(state_broken)?;
        Ok(account.map_or(0, |account| account.nonce))
    }

    async fn submit(&self, encoded: Bytes) -> Result<TxHash, SubmitError> {
        self.intake.submit(encoded).await.map_err(refusal)
    }

    async fn submit_all(&self, encoded: Vec<Bytes>) -> Vec<Result<TxHash, SubmitError>> {
        let results = self.intake.submit_all(encoded).await;
        results.into_iter().map(|result| result.map_err(refusal)).collect()
    }

    async fn submit_and_wait(
        &self,
        encoded: Bytes,
        patience: Duration,
    ) -> Result<Inclusion, WaitError> {
        self.intake.check_size(&encoded).map_err(|error| refusal(error.into()))?;
        let hash = keccak256(&encoded);
        // Before anybody can know of it, so that no news are missed.
        let mut waiting = self.chain.waiters.wait(hash);
        if let Err(refused) = self.intake.submit(encoded).await {
            // Whoever sends the same again has lost an answer, and wants to know what became of it.
            match self.transaction(hash).await? {
                Some(Lookup::Included(inclusion)) => return Ok(inclusion),
                Some(Lookup::Pooled(_)) => {}
                None => return Err(refusal(refused).into()),
            }
        }
        match timeout(patience, waiting.news()).await {
            Ok(Some(News::Promised(open, place))) => {
                let run = open.promise_at(place, &self.chain.spec);
                Ok(Inclusion::Promised(Arc::new(run)))
            }
            Ok(Some(News::Sealed(block, index))) => Ok(self.sealed(&block, index)),
            Ok(Some(News::Dropped(reason))) => Err(WaitError::Dropped { hash, reason }),
            Ok(None) | Err(_) => Err(self.not_in_time(hash, patience)),
        }
    }

    async fn call(&self, request: CallRequest) -> Result<Bytes, CallError> {
        let (view, context) = self.call_site(request.at).await?;
        let (executor, chain_id) = (self.executor.clone(), self.chain.spec.chain_id());
        off_the_runtime(move || {
            let (request, overrides, context) = convert::call(request, chain_id, &context)?;
            convert::outcome(executor.call(view, &context, &request, &overrides))
        })
        .await
    }

    async fn estimate_gas(&self, request: CallRequest) -> Result<u64, CallError> {
        let (view, context) = self.call_site(request.at).await?;
        let (executor, chain_id) = (self.executor.clone(), self.chain.spec.chain_id());
        off_the_runtime(move || {
            let (request, overrides, context) = convert::call(request, chain_id, &context)?;
            convert::estimate(executor.estimate_gas(view, &context, &request, &overrides))
        })
        .await
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<LogHit>, LogsError> {
        // Walking the index reads the disk over and over, which the runtime's own threads must not wait for.
        let (chain, runtime) = (self.chain.clone(), Handle::current());
        off_the_runtime(move || runtime.block_on(logs::find(&chain, query))).await
    }

    fn block_events(&self) -> broadcast::Receiver<BlockEvent> {
        self.chain.events()
    }

    fn promised_transactions(&self) -> broadcast::Receiver<Arc<PromisedRun>> {
        self.chain.promises()
    }

    fn pooled_transactions(&self) -> broadcast::Receiver<Arc<[Arc<Transaction>]>> {
        self.intake.admitted()
    }
}

/// Whether a block with this hash can be the one that is meant. A block that was found by its hash may be taken back, and
/// another come in its place, before it is read by its number.
fn may_be(at: BlockRef, hash: B256) -> bool {
    !matches!(at, BlockRef::Hash(named) if named != hash)
}

/// How often to look for the block that is meant. Should the one that a tag names be taken back before it is read, then the tag
/// names another one.
const fn looks(at: BlockRef) -> usize {
    match at {
        BlockRef::Latest | BlockRef::Pending | BlockRef::Safe | BlockRef::Finalized => 8,
        BlockRef::Number(_) | BlockRef::Hash(_) | BlockRef::Earliest => 1,
    }
}

fn broken(error: impl std::fmt::Display) -> ReadError {
    ReadError::Internal(error.to_string())
}

fn state_broken(error: impl std::fmt::Display) -> StateError {
    StateError::Internal(error.to_string())
}

/// Why a transaction was not taken, in the edge's words.
fn refusal(error: IntakeError) -> SubmitError {
    match error {
        IntakeError::Closed(reason) => SubmitError::Unavailable(reason),
        IntakeError::Refused(PoolError::Accounts(error)) => {
            SubmitError::Internal(error.to_string())
        }
        IntakeError::Panicked => SubmitError::Internal(error.to_string()),
        IntakeError::Decode(_) | IntakeError::Refused(_) => {
            SubmitError::Rejected(error.to_string())
        }
    }
}
