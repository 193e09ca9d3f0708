//! A journal, a ledger and an L1 in memory, with faults: each call may fail before or after it took effect, or be the
//! last thing that the process did.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, Transaction, TxEip1559, TxEip4844WithSidecar,
    transaction::SignerRecoverable,
};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip4844::BlobTransactionSidecar,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, TxKind, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use futures::{FutureExt, future::BoxFuture};
use millrace_batcher::{
    Account, Change, FaceError, Fate, Inclusion, Kind, L1, Ledger, Loaded, LocalSigner, Market,
    Place, Record, SealedBlock, SealedBlocks, SendError, Signer, UnsignedTx,
};
use millrace_protocol::{BlockId, RollupConfig, decode_blob};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

pub(crate) const GWEI: u128 = 1_000_000_000;

/// How often what goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// The process dies in a call.
    pub(crate) crash: f64,
    /// A call fails without effect.
    pub(crate) fail: f64,
    /// A call takes effect and fails.
    pub(crate) lost_reply: f64,
    /// L1 takes a transaction, and its answer is lost.
    pub(crate) unheard: f64,
    /// The signer fails.
    pub(crate) unsigned: f64,
    /// An answer is some blocks old, so that what was included since is unknown.
    pub(crate) stale: f64,
    /// A transaction is left out of a block, with all after it.
    pub(crate) left_out: f64,
    /// L1 is reorganised when a block comes.
    pub(crate) reorg: f64,
    /// The deepest reorg.
    pub(crate) depth_max: usize,
    /// A transaction vanishes in a reorg.
    pub(crate) dropped: f64,
}

pub(crate) struct World {
    pub(crate) rollup: Arc<RollupConfig>,
    pub(crate) crashed: Notify,
    tip: watch::Sender<BlockId>,
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    pub(crate) rng: StdRng,
    /// The batcher's key. The account that L1 knows is this one's: others have no money.
    signer: LocalSigner,
    pub(crate) faults: Faults,
    pub(crate) market: Market,
    /// Miners take none of our transactions.
    pub(crate) closed: bool,
    pub(crate) journal: Vec<Arc<SealedBlock>>,
    pub(crate) l1: Vec<MinedBlock>,
    pub(crate) pool: BTreeMap<u64, Pooled>,
    pub(crate) ledger: BTreeMap<TxHash, (Record, Option<Fate>)>,
    pub(crate) crashes: u64,
    pub(crate) sends: u64,
    /// How often each transaction was looked for.
    pub(crate) searches: BTreeMap<TxHash, u64>,
    /// How many transactions a block of ours has at most.
    pub(crate) load: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct MinedBlock {
    pub(crate) id: BlockId,
    pub(crate) transactions: Vec<Pooled>,
    account: Account,
}

/// A transaction in the pool or in a block.
#[derive(Debug, Clone)]
pub(crate) struct Pooled {
    pub(crate) hash: TxHash,
    sender: Option<Address>,
    pub(crate) nonce: u64,
    pub(crate) kind: Kind,
    pub(crate) tip: u128,
    pub(crate) fee_cap: u128,
    pub(crate) blob_fee_cap: u128,
    pub(crate) gas: u64,
    pub(crate) blobs: u64,
    /// What the inbox gets.
    pub(crate) inbox: Vec<Bytes>,
}

impl World {
    pub(crate) fn new(rollup: Arc<RollupConfig>, seed: u64, faults: Faults) -> Arc<Self> {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let account = Account { nonce: 0, balance: U256::from(10u128.pow(21)) };
        let genesis = SealedBlock {
            id: rollup.genesis.l2,
            parent_hash: B256::ZERO,
            timestamp: rollup.genesis.l2_time,
            epoch: rollup.genesis.l1,
            sequence_number: 0,
            transactions: Vec::new(),
        };
        let inner = Inner {
            rng: StdRng::seed_from_u64(seed),
            signer: LocalSigner::new(key),
            faults,
            market: Market { base_fee: 10 * GWEI, blob_base_fee: 1, tip: GWEI },
            closed: false,
            journal: vec![Arc::new(genesis)],
            l1: vec![MinedBlock { id: rollup.genesis.l1, transactions: Vec::new(), account }],
            pool: BTreeMap::new(),
            ledger: BTreeMap::new(),
            crashes: 0,
            sends: 0,
            searches: BTreeMap::new(),
            load: 5,
        };
        let (tip, _) = watch::channel(rollup.genesis.l2);
        Arc::new(Self { rollup, crashed: Notify::new(), tip, inner: Mutex::new(inner) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Seals the next L2 block.
    pub(crate) fn seal(&self) {
        let tip = self.lock().seal(&self.rollup);
        self.tip.send_replace(tip);
    }

    /// Rolls the unsafe chain back by so many blocks.
    pub(crate) fn roll_back(&self, blocks: usize) {
        let tip = {
            let mut inner = self.lock();
            let len = inner.journal.len() - blocks;
            inner.journal.truncate(len);
            inner.tip()
        };
        self.tip.send_replace(tip);
    }

    /// A call: it may take a while, fail or be the last one.
    async fn step(&self, failure: impl Fn(&Faults) -> f64) -> Result<(), FaceError> {
        let (wait, crash, fail) = {
            let mut inner = self.lock();
            let faults = inner.faults;
            let rng = &mut inner.rng;
            let wait = rng.random_range(0..300);
            let (crash, fail) = (rng.random_bool(faults.crash), rng.random_bool(failure(&faults)));
            inner.crashes += u64::from(crash);
            (wait, crash, fail)
        };
        sleep(Duration::from_millis(wait)).await;
        if crash {
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
        if fail { Err(FaceError("injected".into())) } else { Ok(()) }
    }

    /// A call with an effect, around which things go wrong.
    async fn call<T>(&self, effect: impl FnOnce(&mut Inner) -> T) -> Result<T, FaceError> {
        self.step(|faults| faults.fail).await?;
        let result = effect(&mut self.lock());
        self.step(|faults| faults.lost_reply).await?;
        Ok(result)
    }
}

impl Inner {
    pub(crate) fn tip(&self) -> BlockId {
        self.journal.last().unwrap().id
    }

    pub(crate) fn head(&self) -> BlockId {
        self.l1.last().unwrap().id
    }

    pub(crate) fn account(&mut self) -> &mut Account {
        &mut self.l1.last_mut().unwrap().account
    }

    /// From now on the batcher has this key, whose account is rich and has done nothing so far.
    pub(crate) fn change_key(&mut self, key: u8) {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(key)).unwrap();
        self.signer = LocalSigner::new(key);
        *self.account() = Account { nonce: 0, balance: U256::from(10u128.pow(21)) };
        self.pool.clear();
    }

    fn random_hash(&mut self) -> B256 {
        B256::from(self.rng.random::<[u8; 32]>())
    }

    fn seal(&mut self, rollup: &RollupConfig) -> BlockId {
        /// Deeper than any reorg here: L2 blocks never lose their origin.
        const ORIGIN_DEPTH: u64 = 12;
        let parent = self.journal.last().unwrap().clone();
        let newest = self.head().number.saturating_sub(ORIGIN_DEPTH);
        let advances = newest > parent.epoch.number;
        let epoch_number = parent.epoch.number + u64::from(advances);
        let count = self.rng.random_range(0..=self.load);
        let transactions = (0..count).map(|_| self.transaction(rollup)).collect();
        let block = SealedBlock {
            id: BlockId { number: parent.id.number + 1, hash: self.random_hash() },
            parent_hash: parent.id.hash,
            timestamp: parent.timestamp + rollup.block_time,
            epoch: self.l1[epoch_number as usize].id,
            sequence_number: if advances { 0 } else { parent.sequence_number + 1 },
            transactions,
        };
        self.journal.push(Arc::new(block));
        self.tip()
    }

    /// Nobody checks signatures here.
    fn transaction(&mut self, rollup: &RollupConfig) -> Bytes {
        let scalar = |rng: &mut StdRng| U256::from_be_bytes(rng.random::<[u8; 32]>());
        let signature =
            Signature::new(scalar(&mut self.rng), scalar(&mut self.rng), self.rng.random());
        let transaction = TxEip1559 {
            chain_id: rollup.spec.chain_id(),
            nonce: self.rng.random_range(0..1_000),
            gas_limit: 21_000,
            max_fee_per_gas: 2 * GWEI,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::from(self.rng.random::<[u8; 20]>())),
            value: U256::from(self.rng.random::<u32>()),
            ..TxEip1559::default()
        };
        transaction.into_signed(signature).encoded_2718().into()
    }

    /// Mines a block and at once replaces it by an empty one, so that what was in it is nowhere. How many that were.
    pub(crate) fn mine_in_vain(&mut self) -> usize {
        self.mine_one();
        let lost = self.l1.pop().expect("a block was mined");
        let pool = std::mem::take(&mut self.pool);
        self.mine_one();
        self.pool = pool;
        lost.transactions.len()
    }

    /// Appends an L1 block, perhaps after a reorg.
    pub(crate) fn mine(&mut self) {
        let faults = self.faults;
        if self.rng.random_bool(faults.reorg) {
            let depth = self.rng.random_range(1..=faults.depth_max).min(self.l1.len() - 1);
            let lost = self.l1.split_off(self.l1.len() - depth);
            for transaction in lost.into_iter().flat_map(|block| block.transactions) {
                if !self.rng.random_bool(faults.dropped) {
                    self.pool.entry(transaction.nonce).or_insert(transaction);
                }
            }
            for _ in 0..depth {
                self.mine_one();
            }
        }
        self.mine_one();
    }

    fn mine_one(&mut self) {
        const BLOBS_MAX: u64 = 6;
        let market = self.market;
        let mut account = *self.account();
        let (mut transactions, mut blobs) = (Vec::new(), 0);
        while let Some(next) = self.pool.get(&account.nonce) {
            let (cost, cost_max) = (next.cost(&market), next.cost_max());
            let fits = next.fee_cap >= market.base_fee
                && (next.blobs == 0 || next.blob_fee_cap >= market.blob_base_fee)
                && blobs + next.blobs <= BLOBS_MAX
                && cost_max <= account.balance;
            if self.closed || !fits || self.rng.random_bool(self.faults.left_out) {
                break;
            }
            let next = self.pool.remove(&account.nonce).unwrap();
            blobs += next.blobs;
            account.nonce += 1;
            account.balance -= cost;
            transactions.push(next);
        }
        // A pool keeps nothing whose nonce is used.
        self.pool.retain(|nonce, _| *nonce >= account.nonce);
        let id = BlockId { number: self.head().number + 1, hash: self.random_hash() };
        self.l1.push(MinedBlock { id, transactions, account });
    }

    fn accept(&mut self, offered: Pooled) -> Result<(), SendError> {
        self.sends += 1;
        let account = *self.account();
        if offered.nonce < account.nonce {
            return Err(SendError::NonceTooLow);
        }
        if offered.sender != Some(self.signer.address()) || offered.cost_max() > account.balance {
            return Err(SendError::InsufficientFunds);
        }
        if self.pool.values().any(|other| other.kind != offered.kind) {
            return Err(SendError::KindReserved);
        }
        if let Some(old) = self.pool.get(&offered.nonce) {
            if old.hash == offered.hash {
                return Err(SendError::AlreadyKnown);
            }
            let percent = if offered.kind == Kind::Blobs { 200 } else { 110 };
            let pays = |new: u128, old: u128| new * 100 >= old * percent;
            let enough = pays(offered.tip, old.tip)
                && pays(offered.fee_cap, old.fee_cap)
                && pays(offered.blob_fee_cap, old.blob_fee_cap);
            if !enough {
                return Err(SendError::ReplacementUnderpriced);
            }
        }
        self.pool.insert(offered.nonce, offered);
        Ok(())
    }

    /// What the node that is asked knows of L1.
    fn known(&mut self) -> &[MinedBlock] {
        let stale = self.rng.random_bool(self.faults.stale);
        let lag = if stale { self.rng.random_range(1..4).min(self.l1.len() - 1) } else { 0 };
        &self.l1[..self.l1.len() - lag]
    }

    fn inclusion(&mut self, hash: TxHash) -> Option<Inclusion> {
        let market = self.market;
        self.known().iter().rev().find_map(|block| {
            let found = block.transactions.iter().find(|transaction| transaction.hash == hash)?;
            Some(Inclusion { block: block.id, cost: found.cost(&market) })
        })
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Insert(record) => {
                    self.ledger.entry(record.hash).or_insert((record, None));
                }
                Change::Close { hash, fate } => {
                    self.ledger.get_mut(&hash).expect("closed what was inserted").1 = Some(fate);
                }
            }
        }
    }

    fn load_ledger(&self) -> Loaded {
        let open = self.ledger.values().filter(|(_, fate)| fate.is_none());
        let mut open: Vec<_> = open.map(|(record, _)| record.clone()).collect();
        open.sort_by_key(|record| (record.nonce, record.attempt));
        let settled = self.ledger.values().filter(|(_, fate)| *fate == Some(Fate::Settled));
        Loaded { open, settled: settled.map(|(record, _)| record.blocks.last).max() }
    }
}

impl Pooled {
    fn decode(raw: &[u8]) -> Self {
        type Envelope = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecar>>;
        let envelope = Envelope::decode_2718_exact(raw).expect("what is sent decodes");
        let (kind, inbox) = match &envelope {
            Envelope::Eip4844(signed) => {
                let sidecar = &signed.tx().sidecar;
                let hashes: Vec<_> = sidecar.versioned_hashes().collect();
                assert_eq!(signed.tx().tx.blob_versioned_hashes, hashes);
                let data = |blob: &alloy_eips::eip4844::Blob| decode_blob(&blob.0).unwrap();
                (Kind::Blobs, sidecar.blobs.iter().map(data).collect())
            }
            other => (Kind::Calldata, vec![other.input().clone()]),
        };
        Self {
            hash: *envelope.tx_hash(),
            sender: Some(envelope.recover_signer().expect("what is sent is signed")),
            nonce: envelope.nonce(),
            kind,
            tip: envelope.max_priority_fee_per_gas().unwrap(),
            fee_cap: envelope.max_fee_per_gas(),
            blob_fee_cap: envelope.max_fee_per_blob_gas().unwrap_or(0),
            gas: envelope.gas_limit(),
            blobs: envelope.blob_versioned_hashes().map_or(0, |hashes| hashes.len() as u64),
            inbox,
        }
    }

    /// Somebody else's, with the batcher's key.
    pub(crate) fn foreign(nonce: u64, kind: Kind, tip: u128, fee_cap: u128) -> Self {
        Self {
            hash: keccak256(nonce.to_be_bytes()),
            sender: None,
            nonce,
            kind,
            tip,
            fee_cap,
            blob_fee_cap: u128::from(kind == Kind::Blobs),
            gas: 21_000,
            blobs: 0,
            inbox: Vec::new(),
        }
    }

    fn cost_max(&self) -> U256 {
        let gas = U256::from(self.gas) * U256::from(self.fee_cap);
        gas + U256::from(self.blobs * 131_072) * U256::from(self.blob_fee_cap)
    }

    fn cost(&self, market: &Market) -> U256 {
        let price = self.fee_cap.min(market.base_fee + self.tip);
        let gas = U256::from(self.gas) * U256::from(price);
        gas + U256::from(self.blobs * 131_072) * U256::from(market.blob_base_fee)
    }
}

impl SealedBlocks for World {
    fn tip(&self) -> watch::Receiver<BlockId> {
        self.tip.subscribe()
    }

    fn blocks(
        &self,
        first: u64,
        count: u64,
    ) -> BoxFuture<'_, Result<Vec<Arc<SealedBlock>>, FaceError>> {
        self.call(move |inner| {
            let blocks = inner.journal.iter().skip(first as usize).take(count as usize);
            blocks.cloned().collect()
        })
        .boxed()
    }

    fn hash(&self, number: u64) -> BoxFuture<'_, Result<Option<B256>, FaceError>> {
        self.call(move |inner| inner.journal.get(number as usize).map(|block| block.id.hash))
            .boxed()
    }
}

impl L1 for World {
    fn head(&self) -> BoxFuture<'_, Result<BlockId, FaceError>> {
        self.call(|inner| inner.known().last().unwrap().id).boxed()
    }

    fn market(&self) -> BoxFuture<'_, Result<Market, FaceError>> {
        self.call(|inner| inner.market).boxed()
    }

    fn account(&self, _address: Address) -> BoxFuture<'_, Result<Account, FaceError>> {
        self.call(|inner| inner.known().last().unwrap().account).boxed()
    }

    fn find(&self, hash: TxHash) -> BoxFuture<'_, Result<Place, FaceError>> {
        self.call(move |inner| {
            *inner.searches.entry(hash).or_default() += 1;
            match inner.inclusion(hash) {
                Some(inclusion) => Place::Block(inclusion),
                None if inner.pool.values().any(|pooled| pooled.hash == hash) => Place::Pool,
                None => Place::Nowhere,
            }
        })
        .boxed()
    }

    fn send(&self, raw: Bytes) -> BoxFuture<'_, Result<(), SendError>> {
        let offered = Pooled::decode(&raw);
        // Now, as it may be given up while it is on its way.
        assert!(
            matches!(self.lock().ledger.get(&offered.hash), Some((_, None))),
            "a transaction is sent that the ledger does not hold open"
        );
        let sent = self.call(move |inner| {
            let unheard = inner.faults.unheard;
            let accepted = inner.accept(offered);
            if inner.rng.random_bool(unheard) {
                return Err(SendError::Unavailable("nobody answered".into()));
            }
            accepted
        });
        sent.map(|result| result.unwrap_or_else(|error| Err(SendError::Unavailable(error.0))))
            .boxed()
    }
}

impl Ledger for World {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, FaceError>> {
        self.call(|inner| inner.load_ledger()).boxed()
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), FaceError>> {
        self.call(move |inner| inner.apply(changes)).boxed()
    }
}

impl Signer for World {
    fn address(&self) -> Address {
        self.lock().signer.address()
    }

    fn sign(&self, transaction: UnsignedTx) -> BoxFuture<'_, Result<Signature, FaceError>> {
        let signer = self.lock().signer.clone();
        async move {
            let signature = signer.sign(transaction).await?;
            self.step(|faults| faults.unsigned).await?;
            self.call(|_| signature).await
        }
        .boxed()
    }
}
