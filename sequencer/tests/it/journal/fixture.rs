//! Chains of made-up blocks, the same for the same seed.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction as _, Transaction as _, TxEip1559};
use alloy_eips::{BlockNumHash, eip2718::Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, TxKind, U256};
use millrace_sequencer::journal::{ChainIdentity, StoredBlock};
use millrace_types::{
    Account, AccountDiff, Block, DepositReceipt, DiffBuilder, ExecutedBlock, Header, Receipt,
    SealedHeader, StateDiff, Transaction, TxType, Waypoint,
};
use op_alloy_consensus::TxDeposit;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

pub(crate) const IDENTITY: ChainIdentity =
    ChainIdentity { chain_id: 901, genesis_hash: B256::repeat_byte(0x6e) };

pub(crate) const GENESIS: BlockNumHash = BlockNumHash { number: 0, hash: IDENTITY.genesis_hash };

/// The block after `parent`: a deposit and so many transfers. `seed` tells blocks with one parent apart.
pub(crate) fn block(parent: BlockNumHash, seed: u64, transfers: usize) -> ExecutedBlock {
    let mut rng = StdRng::seed_from_u64(parent.number.wrapping_mul(1 << 32) ^ seed);
    let number = parent.number + 1;
    let deposit = Transaction::deposit(TxDeposit {
        source_hash: B256::from(rng.random::<[u8; 32]>()),
        to: TxKind::Call(Address::repeat_byte(0x15)),
        gas_limit: 1_000_000,
        input: Bytes::from(rng.random::<[u8; 32]>()),
        ..Default::default()
    });
    let mut transactions = vec![Arc::new(deposit)];
    let mut receipts = vec![Receipt {
        tx_type: TxType::Deposit,
        success: true,
        cumulative_gas_used: 46_000,
        logs: Vec::new(),
        deposit: Some(DepositReceipt { nonce: number - 1, version: 1 }),
    }];
    for index in 0..transfers {
        transactions.push(Arc::new(transfer(&mut rng, index)));
        receipts.push(Receipt {
            tx_type: TxType::Eip1559,
            success: rng.random_bool(0.9),
            cumulative_gas_used: 46_000 + 21_000 * (index as u64 + 1),
            logs: Vec::new(),
            deposit: None,
        });
    }
    seal(parent, seed, transactions, receipts)
}

/// A sealed block of these.
pub(crate) fn seal(
    parent: BlockNumHash,
    seed: u64,
    transactions: Vec<Arc<Transaction>>,
    receipts: Vec<Receipt>,
) -> ExecutedBlock {
    let header = SealedHeader::seal_slow(Header {
        number: parent.number + 1,
        parent_hash: parent.hash,
        timestamp: 1_700_000_000 + parent.number,
        gas_used: receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used),
        mix_hash: B256::from(U256::from(seed)),
        extra_data: Bytes::from_static(&[0, 0, 0, 0, 250, 0, 0, 0, 6]),
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(B256::repeat_byte(0x16)),
        ..Default::default()
    });
    ExecutedBlock {
        block: Arc::new(Block { header, transactions }),
        receipts: Arc::new(receipts),
        diff: Arc::default(),
        waypoints: Vec::new(),
    }
}

/// The block with the waypoints that transfers leave, a group of so many at a time: the parties' balances, and in each
/// stretch the four vaults' again; before the first, some slots of predeploys.
pub(crate) fn with_waypoints(mut executed: ExecutedBlock, group: usize) -> ExecutedBlock {
    let mut rng = StdRng::seed_from_u64(executed.block.number());
    let mut account = |address: Address, nonce: u64| {
        // Balances in wei have some 80 bits.
        let balance = U256::from(rng.random::<u128>() >> 48);
        let account = Some(Account { nonce, balance, bytecode_hash: None });
        AccountDiff { address, account, wiped: false }
    };
    let slots = (0..8).map(|slot| (U256::from(slot), U256::MAX >> slot));
    let opening = StateDiff::from_iter([(account(Address::repeat_byte(0x15), 1), slots)]);
    executed.waypoints = vec![Waypoint { transactions: 0, diff: Arc::new(opening) }];
    let mut transactions = 0;
    for transfers in executed.block.transactions.chunks(group) {
        let mut diff = DiffBuilder::default();
        for transfer in transfers {
            diff.change(account(transfer.sender(), transfer.nonce() + 1), []);
            diff.change(account(transfer.to().unwrap_or_default(), 0), []);
        }
        for vault in 0x11..0x15 {
            diff.change(account(Address::repeat_byte(vault), 0), []);
        }
        transactions += transfers.len();
        executed.waypoints.push(Waypoint { transactions, diff: Arc::new(diff.build()) });
    }
    executed
}

/// A chain from genesis on.
pub(crate) fn chain(length: usize) -> Vec<ExecutedBlock> {
    extend(GENESIS, 0, length)
}

/// A chain on top of a block.
pub(crate) fn extend(mut parent: BlockNumHash, seed: u64, length: usize) -> Vec<ExecutedBlock> {
    let mut blocks = Vec::new();
    for _ in 0..length {
        let next = block(parent, seed, parent.number as usize % 4);
        parent = next.block.header.num_hash();
        blocks.push(next);
    }
    blocks
}

/// As the journal should give it back.
pub(crate) fn stored(executed: &ExecutedBlock) -> StoredBlock {
    StoredBlock { block: executed.block.clone(), receipts: executed.receipts.clone() }
}

pub(crate) fn log(address: Address, topics: Vec<B256>) -> Log {
    Log::new_unchecked(address, topics, Bytes::from_static(b"data"))
}

/// Looks signed; nobody below the mempool checks.
fn transfer(rng: &mut StdRng, index: usize) -> Transaction {
    let signed = TxEip1559 {
        chain_id: IDENTITY.chain_id,
        nonce: index as u64,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_007,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::from(rng.random::<[u8; 20]>())),
        value: U256::from(rng.random::<u64>()),
        ..Default::default()
    }
    .into_signed(Signature::new(
        U256::from_be_bytes(rng.random::<[u8; 32]>()),
        U256::from_be_bytes(rng.random::<[u8; 32]>()) >> 1,
        rng.random(),
    ));
    let sender = Address::from(rng.random::<[u8; 20]>());
    Transaction::decode_with_sender(signed.encoded_2718().into(), sender).unwrap()
}
