//! Deposits: paid for on L1, and refused by nobody.

use std::sync::Arc;

use alloy_primitives::{Address, TxKind, U256};
use millrace_executor::{ExecuteError, Executor, ExecutorConfig, Invalid, Rejection, StateView};
use millrace_protocol::{
    ChainSpec, EthereumForks,
    predeploys::{BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT, SEQUENCER_FEE_VAULT},
};
use millrace_types::{Receipt, TxType};
use op_alloy_consensus::TxDeposit;

use crate::world::*;

fn from_bob() -> TxDeposit {
    TxDeposit {
        from: BOB,
        to: TxKind::Call(CONTRACT),
        mint: 100,
        value: U256::from(40),
        gas_limit: 200_000,
        ..TxDeposit::default()
    }
}

#[test]
fn mints_and_sends_without_fees() {
    let world = World::new().with_nonce(BOB, 7);
    let mut block = world.open();
    let included = include_deposit(&mut block, from_bob());
    assert_eq!(included.gas_used, 21_000);
    assert_eq!(included.l1_fee, U256::ZERO);
    let Receipt { tx_type, success, cumulative_gas_used, deposit, .. } = included.receipt;
    assert_eq!((tx_type, success, cumulative_gas_used), (TxType::Deposit, true, 21_000));
    let deposit = deposit.unwrap();
    assert_eq!((deposit.nonce, deposit.version), (7, 1));

    let view = block.view();
    assert_eq!((account(&view, BOB).nonce, balance(&view, BOB)), (8, U256::from(60)));
    assert_eq!(balance(&view, CONTRACT), U256::from(40));
    for vault in [SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT] {
        assert_eq!(view.account(&vault).unwrap(), None, "{vault}");
    }
}

/// What is minted stays and the nonce moves, however the deposit fails. `gas` is what the receipt must say.
fn check_failure(world: World, tx: TxDeposit, gas: u64) {
    let (mint, from) = (tx.mint, tx.from);
    let mut block = world.open();
    let included = include_deposit(&mut block, tx);
    assert!(!included.receipt.success);
    assert_eq!(included.gas_used, gas);
    assert!(included.receipt.logs.is_empty());
    let view = block.view();
    let sender = account(&view, from);
    assert_eq!((sender.nonce, sender.balance), (1, U256::from(mint)));
    assert_eq!(balance(&view, CONTRACT), U256::ZERO);

    // And the block goes on.
    assert!(include(&mut block, candidate(transfer(0))).receipt.success);
}

#[test]
fn failures_keep_the_mint_and_bump_the_nonce() {
    // A revert uses what it used; six instructions of it.
    check_failure(World::new().with_code(CONTRACT, REVERT), from_bob(), 21_000 + 3 + 2 + 6 + 3 + 3);
    // A halt uses everything.
    check_failure(World::new().with_code(CONTRACT, INVALID), from_bob(), 200_000);
}

#[test]
fn what_would_be_refused_fails_with_all_its_gas() {
    let too_much = TxDeposit { value: U256::from(101), ..from_bob() };
    check_failure(World::new(), too_much, 200_000);
    let intrinsic = TxDeposit { gas_limit: 20_999, ..from_bob() };
    check_failure(World::new(), intrinsic, 20_999);
    // 1,000 non-zero bytes: 37,000 gas before the first instruction, but 61,000 at least (EIP-7623).
    let floor = TxDeposit { gas_limit: 60_999, input: vec![1; 1_000].into(), ..from_bob() };
    check_failure(World::new(), floor.clone(), 60_999);
    let system = TxDeposit { is_system_transaction: true, ..from_bob() };
    check_failure(World::new(), system, 200_000);
    let init_code = TxDeposit {
        to: TxKind::Create,
        gas_limit: 10_000_000,
        input: vec![0; 49_153].into(),
        ..from_bob()
    };
    check_failure(World::new(), init_code, 10_000_000);

    let enough = TxDeposit { gas_limit: 61_000, ..floor };
    assert!(include_deposit(&mut World::new().open(), enough).receipt.success);
}

#[test]
fn the_sender_may_be_a_contract() {
    let world = World::new().with_code(BOB, [0x00]);
    let included = include_deposit(&mut world.open(), from_bob());
    assert!(included.receipt.success);
}

#[test]
fn creates_a_contract_at_the_senders_nonce() {
    let world = World::new().with_nonce(BOB, 3);
    let mut block = world.open();
    // Init code that returns one byte of code, STOP.
    let input = vec![0x60, 1, 0x5f, 0xf3].into();
    let tx = TxDeposit { to: TxKind::Create, value: U256::ZERO, input, ..from_bob() };
    let included = include_deposit(&mut block, tx);
    assert!(included.receipt.success);
    let view = block.view();
    assert_eq!(account(&view, BOB).nonce, 4);
    let created = account(&view, BOB.create(3));
    assert_eq!(created.nonce, 1);
    let code = view.code(&created.bytecode_hash.unwrap()).unwrap();
    assert_eq!(code.as_ref(), [0x00]);
}

#[test]
fn a_failed_creation_bumps_the_nonce_once() {
    let world = World::new();
    let mut block = world.open();
    let tx =
        TxDeposit { to: TxKind::Create, value: U256::ZERO, input: INVALID.into(), ..from_bob() };
    assert!(!include_deposit(&mut block, tx).receipt.success);
    assert_eq!(account(&block.view(), BOB).nonce, 1);
    assert_eq!(balance(&block.view(), BOB), U256::from(100));
}

#[test]
fn deposits_fill_the_block_and_come_first() {
    let world = World::new();
    let mut block = world.open();
    let huge = TxDeposit { gas_limit: GAS_LIMIT + 1, ..from_bob() };
    let error = block.include_deposits(&[deposit(huge)]).unwrap_err();
    assert!(matches!(error, ExecuteError::GasLimitReached { index: 0, .. }));

    let mut block = world.open();
    include(&mut block, candidate(transfer(0)));
    let error = block.include_deposits(&[deposit(from_bob())]).unwrap_err();
    let ExecuteError::InvalidTransaction { index: 1, reason, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(*reason, Rejection::Invalid(Invalid::Misplaced));
}

/// Minting is no transfer: nothing is taken from anybody.
#[test]
fn minting_to_a_new_account_creates_it() {
    let world = World::new();
    let mut block = world.open();
    let nobody = Address::repeat_byte(0x77);
    let tx = TxDeposit { from: nobody, to: TxKind::Call(nobody), value: U256::ZERO, ..from_bob() };
    include_deposit(&mut block, tx);
    assert_eq!(balance(&block.view(), nobody), U256::from(100));
}

/// Where there is no L1 there is nobody who could have paid for a deposit.
#[test]
fn a_chain_that_is_no_rollup_refuses_them() {
    let forks = EthereumForks {
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        osaka_time: None,
    };
    let chain = ChainSpec::ethereum(1, forks).unwrap();
    let executor = Executor::new(Arc::new(chain), ExecutorConfig::default());
    let mut block = World::new().open_on(&executor);
    let error = block.include_deposits(&[deposit(from_bob())]).unwrap_err();
    let ExecuteError::InvalidTransaction { index: 0, reason, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(*reason, Rejection::Invalid(Invalid::Type));
}
