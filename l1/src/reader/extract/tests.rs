use alloy_consensus::{
    Eip658Value, EthereumTypedTransaction, Receipt, SignableTransaction, TxEip1559, TxEip2930,
    TxEip4844, TxEip7702, TxLegacy,
};
use alloy_network::TxSignerSync;
use alloy_primitives::{LogData, Signature, TxKind, U256, bytes};
use alloy_signer_local::PrivateKeySigner;
use millrace_protocol::{ChainSpec, ConfigUpdate, OperatorFee, RollupGenesis};

use super::*;

const INBOX: Address = Address::repeat_byte(0xff);
const PORTAL: Address = Address::repeat_byte(0x10);
const SYSTEM_CONFIG: Address = Address::repeat_byte(0x20);

fn config() -> SystemConfig {
    SystemConfig {
        batcher: key(1).address(),
        gas_limit: 30_000_000,
        base_fee_scalar: 1,
        blob_base_fee_scalar: 1,
        eip1559: None,
        operator_fee: OperatorFee { scalar: 0, constant: 0 },
    }
}

fn rollup() -> RollupConfig {
    RollupConfig {
        spec: ChainSpec::dev(901),
        genesis: RollupGenesis {
            l1: Default::default(),
            l2: Default::default(),
            l2_time: 0,
            system_config: config(),
        },
        block_time: 1,
        max_sequencer_drift: 1800,
        seq_window_size: 3600,
        channel_timeout: 50,
        l1_chain_id: 1,
        batch_inbox: INBOX,
        deposit_contract: PORTAL,
        system_config_contract: SYSTEM_CONFIG,
    }
}

fn key(n: u64) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&U256::from(n).into()).unwrap()
}

fn sign<T>(key: &PrivateKeySigner, mut transaction: T) -> L1Transaction
where
    T: SignableTransaction<Signature>,
    EthereumTypedTransaction<TxEip4844>: From<T>,
{
    let signature = key.sign_transaction_sync(&mut transaction).unwrap();
    let transaction: EthereumTypedTransaction<TxEip4844> = transaction.into();
    transaction.into_envelope(signature)
}

fn receipt(success: bool, logs: Vec<Log>) -> ReceiptEnvelope<Log> {
    let receipt = Receipt { status: Eip658Value::Eip658(success), cumulative_gas_used: 0, logs };
    ReceiptEnvelope::Eip1559(receipt.with_bloom())
}

fn log(address: Address, data: LogData) -> Log {
    Log { address, data }
}

fn deposit(n: u64) -> LogData {
    let deposit = UserDeposit {
        from: Address::repeat_byte(5),
        to: TxKind::Create,
        mint: 0,
        value: U256::from(n),
        gas_limit: 100_000,
        input: Bytes::new(),
    };
    deposit.encode_log()
}

#[test]
fn only_what_succeeded_counts_but_every_log_is_numbered() {
    let block = B256::repeat_byte(9);
    // A failed transaction has no logs on L1; if one had, its deposits must not count.
    let receipts = [
        receipt(true, vec![log(PORTAL, deposit(0)), log(SYSTEM_CONFIG, deposit(1))]),
        receipt(false, vec![log(PORTAL, deposit(2))]),
        receipt(true, vec![log(Address::ZERO, deposit(3)), log(PORTAL, deposit(4))]),
        receipt(true, vec![log(PORTAL, ConfigUpdate::GasLimit(1).encode_log())]),
        receipt(true, vec![log(PORTAL, LogData::default())]),
    ];
    let expected = [(0, 0), (4, 4)]
        .map(|(n, index)| UserDeposit::decode_log(&deposit(n)).unwrap().into_deposit(block, index));
    assert_eq!(deposits(&rollup(), block, &receipts).unwrap(), expected);
}

#[test]
fn updates_apply_in_order_and_only_the_contracts_own() {
    let update = |address, gas_limit| log(address, ConfigUpdate::GasLimit(gas_limit).encode_log());
    let receipts = [
        receipt(true, vec![update(SYSTEM_CONFIG, 1), update(PORTAL, 2)]),
        receipt(false, vec![update(SYSTEM_CONFIG, 3)]),
        receipt(true, vec![update(SYSTEM_CONFIG, 4), log(SYSTEM_CONFIG, LogData::default())]),
    ];
    let updated = system_config(&rollup(), &config(), &receipts);
    assert_eq!(updated, SystemConfig { gas_limit: 4, ..config() });
    assert_eq!(system_config(&rollup(), &config(), &[]), config());
}

#[test]
fn the_inbox_takes_the_batchers_transactions_of_the_types_that_carry_batches() {
    let (to, batcher) = (TxKind::Call(INBOX), key(1));
    let input = |n: u8| Bytes::from(vec![n]);
    let hashes = vec![B256::repeat_byte(1), B256::repeat_byte(2)];
    let mut forged = sign(&batcher, TxEip1559 { to, input: input(7), ..Default::default() });
    if let L1Transaction::Eip1559(signed) = &mut forged {
        *signed.tx_mut() = TxEip1559 { to, input: input(8), ..Default::default() };
    }
    let transactions = [
        sign(&batcher, TxLegacy { to, input: input(1), ..Default::default() }),
        sign(&batcher, TxEip2930 { to, input: input(2), ..Default::default() }),
        sign(&batcher, TxEip1559 { to, input: input(3), ..Default::default() }),
        sign(
            &batcher,
            TxEip4844 {
                to: INBOX,
                input: input(4),
                blob_versioned_hashes: hashes.clone(),
                ..Default::default()
            },
        ),
        sign(&batcher, TxEip7702 { to: INBOX, input: input(5), ..Default::default() }),
        sign(&batcher, TxEip1559 { to: TxKind::Create, input: input(6), ..Default::default() }),
        sign(
            &batcher,
            TxEip1559 { to: TxKind::Call(PORTAL), input: input(6), ..Default::default() },
        ),
        sign(&key(2), TxEip1559 { to, input: input(6), ..Default::default() }),
        forged,
        sign(&batcher, TxEip1559 { to, input: bytes!(""), ..Default::default() }),
    ];
    let expected = [
        Posted::Calldata(input(1)),
        Posted::Calldata(input(2)),
        Posted::Calldata(input(3)),
        Posted::Blob(hashes[0]),
        Posted::Blob(hashes[1]),
        Posted::Calldata(bytes!("")),
    ];
    assert_eq!(posted(&rollup(), batcher.address(), &transactions), expected);
}
