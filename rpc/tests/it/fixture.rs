//! A small chain that never changes, and a backend that serves it. It stands for the sequencer.
//!
//! Calls and submissions do what the last byte of the address, or the first of the data, says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_consensus::{Header, SignableTransaction, Signed, TxEip1559, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{
    Address, B256, Bytes, Log, Signature, TxHash, TxKind, U256, address, keccak256,
};
use millrace_rpc::{
    AccountProof, Backend, BaseFeeParams, Before, BlockEvent, BlockRef, CallError, CallRequest,
    ChainBlock, ChainInfo, Heads, Inclusion, L1Fees, L1TxFee, LogHit, LogQuery, LogScope,
    LogsError, Lookup, PromisedRun, ReadError, StateError, StorageProof, SubmitError, WaitError,
};
use millrace_types::{
    Account, Block, DepositReceipt, Receipt, SealedHeader, Transaction, TxEnvelope, TxType,
};
use op_alloy_consensus::TxDeposit;
use tokio::sync::{Semaphore, broadcast};

pub(crate) const ALICE: Address = address!("00000000000000000000000000000000000a11ce");
pub(crate) const EMITTER: Address = address!("00000000000000000000000000000000000e3177");
pub(crate) const TOPIC: B256 = B256::repeat_byte(0x70);
pub(crate) const OLDEST_STATE: u64 = 1;

pub(crate) struct Fixture {
    pub(crate) blocks: Vec<Arc<ChainBlock>>,
    pub(crate) pending: Arc<ChainBlock>,
    pub(crate) pooled: Arc<Transaction>,
    pub(crate) block_events: broadcast::Sender<BlockEvent>,
    pub(crate) transactions: broadcast::Sender<Arc<[Arc<Transaction>]>>,
    pub(crate) promised: broadcast::Sender<Arc<PromisedRun>>,
    pub(crate) logs_asked: AtomicUsize,
    pub(crate) slow_calls: SlowCalls,
    /// How many wait for what they handed in.
    pub(crate) waiting: AtomicUsize,
}

/// One who waits, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Calls to the fifth address, which go on until they are told to end.
pub(crate) struct SlowCalls {
    pub(crate) begun: AtomicUsize,
    pub(crate) end: Semaphore,
}

/// Signs with a signature that recovers to somebody; the sender is said to be Alice.
fn signed<T: SignableTransaction<Signature>>(
    tx: T,
    envelope: fn(Signed<T>) -> TxEnvelope,
) -> Arc<Transaction> {
    let encoded = Bytes::from(envelope(tx.into_signed(Signature::test_signature())).encoded_2718());
    Arc::new(Transaction::decode_with_sender(encoded, ALICE).unwrap())
}

pub(crate) fn legacy(nonce: u64) -> Arc<Transaction> {
    let tx = TxLegacy {
        chain_id: Some(901),
        nonce,
        gas_price: 2_000_000_000,
        gas_limit: 50_000,
        to: TxKind::Call(EMITTER),
        value: U256::from(7),
        input: Bytes::from_static(&[0xab]),
    };
    signed(tx, TxEnvelope::Legacy)
}

fn creation(nonce: u64) -> Arc<Transaction> {
    let tx = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 5_000_000,
        to: TxKind::Create,
        ..Default::default()
    };
    signed(tx, TxEnvelope::Eip1559)
}

fn attributes(number: u64) -> Arc<Transaction> {
    Arc::new(Transaction::deposit(TxDeposit {
        source_hash: B256::with_last_byte(number as u8),
        from: address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001"),
        to: TxKind::Call(address!("4200000000000000000000000000000000000015")),
        gas_limit: 1_000_000,
        input: Bytes::from_static(&[0x09, 0x89, 0x99, 0xbe]),
        ..Default::default()
    }))
}

fn block(
    number: u64,
    parent: B256,
    transactions: Vec<(Arc<Transaction>, u64, usize)>,
) -> Arc<ChainBlock> {
    let mut cumulative_gas_used = 0;
    let mut receipts = Vec::new();
    for (tx, gas, logs) in &transactions {
        cumulative_gas_used += gas;
        let log = |index: usize| {
            let topics = vec![TOPIC, B256::with_last_byte(index as u8)];
            Log::new_unchecked(EMITTER, topics, Bytes::from(vec![index as u8; 3]))
        };
        receipts.push(Receipt {
            tx_type: tx.tx_type(),
            success: true,
            cumulative_gas_used,
            logs: (0..*logs).map(log).collect(),
            deposit: (tx.tx_type() == TxType::Deposit)
                .then_some(DepositReceipt { nonce: number, version: 1 }),
        });
    }
    let header = Header {
        parent_hash: parent,
        number,
        timestamp: 1_700_000_000 + number,
        gas_limit: 30_000_000,
        gas_used: cumulative_gas_used,
        base_fee_per_gas: Some(1_000_000_000),
        extra_data: Bytes::from_static(&[0, 0, 0, 0, 250, 0, 0, 0, 6]),
        withdrawals_root: Some(B256::repeat_byte(0x16)),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(B256::repeat_byte(0xe3)),
        logs_bloom: receipts.iter().flat_map(|receipt| &receipt.logs).collect(),
        ..Default::default()
    };
    let l1_fees = L1Fees {
        base_fee: U256::from(100),
        blob_base_fee: U256::from(200),
        base_fee_scalar: 1368,
        blob_base_fee_scalar: 810_949,
        operator_fee_scalar: 0,
        operator_fee_constant: 0,
        transactions: transactions
            .iter()
            .map(|(tx, ..)| match tx.is_deposit() {
                true => L1TxFee::default(),
                false => L1TxFee { fee: U256::from(0x1234), gas_used: U256::from(1600) },
            })
            .collect(),
    };
    Arc::new(ChainBlock {
        block: Arc::new(Block {
            header: SealedHeader::seal_slow(header),
            transactions: transactions.into_iter().map(|(tx, ..)| tx).collect(),
        }),
        receipts: Arc::new(receipts),
        l1_fees: Some(Arc::new(l1_fees)),
        pending: false,
    })
}

impl Fixture {
    /// Genesis, an empty block, a busy block, an empty block; and one in the making.
    pub(crate) fn new() -> Self {
        let mut blocks = vec![block(0, B256::ZERO, Vec::new())];
        for number in 1..=3 {
            let mut txs = vec![(attributes(number), 45_000, 0)];
            if number == 2 {
                txs.push((legacy(0), 30_000, 2));
                txs.push((creation(1), 90_000, 1));
            }
            let parent = blocks.last().unwrap().block.header.hash();
            blocks.push(block(number, parent, txs));
        }
        let parent = blocks.last().unwrap().block.header.hash();
        let txs = vec![(attributes(4), 45_000, 0), (legacy(2), 30_000, 1)];
        let mut in_the_making = (*block(4, parent, txs)).clone();
        in_the_making.pending = true;
        Self {
            blocks,
            pending: Arc::new(in_the_making),
            pooled: legacy(3),
            block_events: broadcast::channel(16).0,
            transactions: broadcast::channel(16).0,
            promised: broadcast::channel(16).0,
            logs_asked: AtomicUsize::new(0),
            slow_calls: SlowCalls { begun: AtomicUsize::new(0), end: Semaphore::new(0) },
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn busy_block(&self) -> &Arc<ChainBlock> {
        &self.blocks[2]
    }

    /// A run of the transactions of the block in the making, from an index on.
    pub(crate) fn promised_run(&self, first: usize, count: usize) -> Arc<PromisedRun> {
        let block = &self.pending;
        let (earlier, receipts) = block.receipts.split_at(first);
        let transactions = block.block.transactions[first..].iter().cloned();
        let fees = block.l1_fees.as_deref().unwrap();
        Arc::new(PromisedRun {
            header: block.block.header.clone(),
            before: Before {
                transactions: first,
                logs: earlier.iter().map(|receipt| receipt.logs.len()).sum(),
                gas: earlier.last().map_or(0, |receipt| receipt.cumulative_gas_used),
            },
            transactions: transactions.zip(receipts.iter().cloned()).take(count).collect(),
            l1_fees: Some(Arc::new(L1Fees {
                transactions: fees.transactions[first..].to_vec(),
                ..fees.clone()
            })),
        })
    }

    /// A block that follows the latest.
    pub(crate) fn next_block(
        &self,
        transactions: Vec<(Arc<Transaction>, u64, usize)>,
    ) -> Arc<ChainBlock> {
        block(4, self.blocks[3].block.header.hash(), transactions)
    }

    fn find(&self, at: BlockRef) -> Option<&Arc<ChainBlock>> {
        let number = match at {
            BlockRef::Number(number) => number,
            BlockRef::Hash(hash) => {
                return self.blocks.iter().find(|block| block.block.header.hash() == hash);
            }
            BlockRef::Latest => 3,
            BlockRef::Pending => return Some(&self.pending),
            BlockRef::Safe => 2,
            BlockRef::Finalized => 1,
            BlockRef::Earliest => 0,
        };
        self.blocks.get(usize::try_from(number).ok()?)
    }

    fn state(&self, at: BlockRef) -> Result<u64, StateError> {
        let number = self.find(at).ok_or(StateError::UnknownBlock)?.block.number();
        match number < OLDEST_STATE {
            true => Err(StateError::Pruned { number, oldest: OLDEST_STATE }),
            false => Ok(number),
        }
    }
}

impl Backend for Fixture {
    fn chain(&self) -> ChainInfo {
        ChainInfo {
            chain_id: 901,
            client_version: "millrace/test".into(),
            genesis_number: 0,
            base_fee: BaseFeeParams { denominator: 50, elasticity: 6 },
        }
    }

    fn heads(&self) -> Heads {
        Heads { latest: 3, safe: 2, finalized: 1, earliest: 0 }
    }

    async fn block(&self, at: BlockRef) -> Result<Option<Arc<ChainBlock>>, ReadError> {
        match at {
            BlockRef::Number(0xdead) => Err(ReadError::Pruned),
            BlockRef::Number(0xbad) => Err(ReadError::Internal("the disk is on fire".into())),
            at => Ok(self.find(at).cloned()),
        }
    }

    async fn header(&self, at: BlockRef) -> Result<Option<SealedHeader>, ReadError> {
        Ok(self.find(at).map(|block| block.block.header.clone()))
    }

    async fn transaction(&self, hash: TxHash) -> Result<Option<Lookup>, ReadError> {
        if self.pooled.hash() == hash {
            return Ok(Some(Lookup::Pooled(self.pooled.clone())));
        }
        let index_in =
            |block: &ChainBlock| block.block.transactions.iter().position(|tx| tx.hash() == hash);
        if let Some(index) = index_in(&self.pending) {
            let run = self.promised_run(index, 1);
            return Ok(Some(Lookup::Included(Inclusion::Promised(run))));
        }
        Ok(self.blocks.iter().find_map(|block| {
            let index = index_in(block)?;
            Some(Lookup::Included(Inclusion::Sealed { block: block.clone(), index }))
        }))
    }

    async fn account(&self, address: Address, at: BlockRef) -> Result<Option<Account>, StateError> {
        let number = self.state(at)?;
        Ok((address == ALICE).then(|| Account {
            nonce: number,
            balance: U256::from(1_000_000 + number),
            bytecode_hash: None,
        }))
    }

    async fn storage(&self, _: Address, slot: U256, at: BlockRef) -> Result<U256, StateError> {
        self.state(at)?;
        Ok(slot + U256::from(1))
    }

    async fn code(&self, address: Address, at: BlockRef) -> Result<Bytes, StateError> {
        self.state(at)?;
        Ok(if address == EMITTER { Bytes::from_static(&[0x60, 0x00]) } else { Bytes::new() })
    }

    async fn proof(
        &self,
        _: Address,
        slots: Vec<B256>,
        at: BlockRef,
    ) -> Result<AccountProof, StateError> {
        self.state(at)?;
        Ok(AccountProof {
            account: None,
            storage_root: B256::repeat_byte(0x56),
            proof: vec![Bytes::from_static(&[0xc0])],
            storage: slots
                .into_iter()
                .map(|slot| StorageProof { slot, value: U256::ZERO, proof: Vec::new() })
                .collect(),
        })
    }

    async fn next_nonce(&self, address: Address) -> Result<u64, StateError> {
        Ok(if address == ALICE { 4 } else { 0 })
    }

    async fn submit(&self, encoded: Bytes) -> Result<TxHash, SubmitError> {
        let rejected = |text: &str| Err(SubmitError::Rejected(text.into()));
        match encoded.first() {
            None => rejected("typed transaction too short"),
            Some(1) => rejected("nonce too low: next nonce 4, tx nonce 3"),
            Some(2) => rejected("already known"),
            Some(3) => Err(SubmitError::Unavailable("the journal is not writable".into())),
            Some(4) => Err(SubmitError::Internal("secret detail".into())),
            Some(_) => Ok(keccak256(&encoded)),
        }
    }

    async fn submit_and_wait(
        &self,
        encoded: Bytes,
        patience: Duration,
    ) -> Result<Inclusion, WaitError> {
        let _waiting = Waiting::new(&self.waiting);
        let hash = keccak256(&encoded);
        match encoded.first() {
            Some(0x10) => Ok(Inclusion::Promised(self.promised_run(1, 1))),
            Some(0x11) => Ok(Inclusion::Sealed { block: self.busy_block().clone(), index: 1 }),
            Some(0x12) => {
                tokio::time::sleep(patience).await;
                Err(WaitError::TimedOut { hash, waited: patience })
            }
            Some(0x13) => Err(WaitError::Gapped { hash, waited: patience, expected: 4, nonce: 6 }),
            Some(0x14) => {
                Err(WaitError::Dropped { hash, reason: "evicted from a full pool".into() })
            }
            _ => Err(self.submit(encoded).await.expect_err("bytes that are refused").into()),
        }
    }

    async fn call(&self, request: CallRequest) -> Result<Bytes, CallError> {
        self.state(request.at)?;
        match request.message.to.map(|to| to.0[19]) {
            Some(1) => Err(CallError::Reverted(Bytes::new())),
            Some(2) => {
                let mut data = vec![0x08, 0xc3, 0x79, 0xa0];
                data.extend(U256::from(32).to_be_bytes::<32>());
                data.extend(U256::from(4).to_be_bytes::<32>());
                data.extend(b"nope");
                data.extend([0; 28]);
                Err(CallError::Reverted(data.into()))
            }
            Some(3) => Err(CallError::Failed("out of gas".into())),
            Some(4) => panic!("a handler's panic stays with its request"),
            Some(5) => {
                self.slow_calls.begun.fetch_add(1, Ordering::Relaxed);
                self.slow_calls.end.acquire().await.unwrap().forget();
                Ok(Bytes::new())
            }
            Some(6) => Err(CallError::Busy),
            Some(7) => Ok(Bytes::from(vec![0; 10_000])),
            Some(8) => Err(CallError::Timeout(std::time::Duration::from_secs(5))),
            _ => Ok(request.message.input),
        }
    }

    async fn estimate_gas(&self, request: CallRequest) -> Result<u64, CallError> {
        match request.message.to.map(|to| to.0[19]) {
            Some(1) => Err(CallError::Failed("gas required exceeds allowance (50000000)".into())),
            _ => Ok(21_000),
        }
    }

    async fn logs(&self, query: LogQuery) -> Result<Vec<LogHit>, LogsError> {
        self.logs_asked.fetch_add(1, Ordering::Relaxed);
        let wanted = |block: &&Arc<ChainBlock>| match query.scope {
            LogScope::Block(hash) => block.block.header.hash() == hash,
            LogScope::Range(first, last) => (first..=last).contains(&block.block.number()),
        };
        if let LogScope::Block(hash) = query.scope
            && self.find(BlockRef::Hash(hash)).is_none()
        {
            return Err(LogsError::UnknownBlock);
        }
        let mut hits = Vec::new();
        for block in self.blocks.iter().filter(wanted) {
            let mut log_index = 0;
            for (index, receipt) in block.receipts.iter().enumerate() {
                for log in &receipt.logs {
                    if query.filter.matches(log) {
                        hits.push(LogHit {
                            log: log.clone(),
                            block_hash: block.block.header.hash(),
                            block_number: block.block.number(),
                            block_timestamp: block.block.header.timestamp,
                            transaction_hash: block.block.transactions[index].hash(),
                            transaction_index: index as u64,
                            log_index,
                        });
                    }
                    log_index += 1;
                }
            }
        }
        match query.scope {
            LogScope::Range(first, last) if first != last && hits.len() > query.results_max => {
                Err(LogsError::TooMany { last: first.max(hits[0].block_number.saturating_sub(1)) })
            }
            _ => Ok(hits),
        }
    }

    fn block_events(&self) -> broadcast::Receiver<BlockEvent> {
        self.block_events.subscribe()
    }

    fn promised_transactions(&self) -> broadcast::Receiver<Arc<PromisedRun>> {
        self.promised.subscribe()
    }

    fn pooled_transactions(&self) -> broadcast::Receiver<Arc<[Arc<Transaction>]>> {
        self.transactions.subscribe()
    }
}
