//! A block of L1 as the rollup sees it, from a real node.

use std::sync::Arc;

use alloy_eips::{Encodable2718, eip4844::Blob};
use alloy_primitives::{Address, Bytes, LogData, TxKind, U256, address, bytes, keccak256};
use millrace_l1::{At, BlobSchedule, BlobSource, L1Client, ReadError, Reader, ScheduleVerdict};
use millrace_protocol::{
    ChainSpec, ConfigUpdate, OperatorFee, RollupConfig, RollupGenesis, SystemConfig, UserDeposit,
    encode_blob,
};
use serde_json::json;

use crate::support::{
    CHAIN_ID,
    anvil::{Anvil, key},
    client,
    faulty::{Fault, Faulty},
};

pub(crate) const INBOX: Address = address!("ff00000000000000000000000000000000000901");
const PORTAL: Address = address!("0000000000000000000000000000000000001001");
const SYSTEM_CONFIG: Address = address!("0000000000000000000000000000000000001002");

pub(crate) fn rollup() -> RollupConfig {
    RollupConfig {
        spec: ChainSpec::dev(901),
        genesis: RollupGenesis {
            l1: Default::default(),
            l2: Default::default(),
            l2_time: 0,
            system_config: system_config(),
        },
        block_time: 1,
        max_sequencer_drift: 1800,
        seq_window_size: 3600,
        channel_timeout: 50,
        l1_chain_id: CHAIN_ID,
        batch_inbox: INBOX,
        deposit_contract: PORTAL,
        system_config_contract: SYSTEM_CONFIG,
    }
}

pub(crate) fn system_config() -> SystemConfig {
    SystemConfig {
        batcher: key(1).address(),
        gas_limit: 30_000_000,
        base_fee_scalar: 1,
        blob_base_fee_scalar: 1,
        eip1559: None,
        operator_fee: OperatorFee { scalar: 0, constant: 0 },
    }
}

pub(crate) fn reader(client: &L1Client) -> Reader {
    let blobs = BlobSource::new(&[]).unwrap();
    Reader::new(client.clone(), blobs, BlobSchedule::of_chain(CHAIN_ID), Arc::new(rollup()))
}

/// Puts contracts in the places of the portal and the system config that emit what they are told: four topics, or
/// three, come first in the calldata, the data follows.
async fn install_contracts(anvil: &Anvil) {
    // Loads the topics, copies the rest to memory, and logs it.
    let deposits = bytes!("606035604035602035600035608036038060806000376000a400");
    let updates = bytes!("604035602035600035606036038060606000376000a300");
    anvil.rpc("anvil_setCode", json!([PORTAL, deposits])).await;
    anvil.rpc("anvil_setCode", json!([SYSTEM_CONFIG, updates])).await;
}

fn emit(log: &LogData) -> Bytes {
    let mut calldata = log.topics().concat();
    calldata.extend_from_slice(&log.data);
    calldata.into()
}

fn deposit(n: u64) -> UserDeposit {
    UserDeposit {
        from: Address::repeat_byte(5),
        to: TxKind::Call(Address::repeat_byte(6)),
        mint: 7,
        value: U256::from(n),
        gas_limit: 100_000,
        input: bytes!("c0ffee"),
    }
}

pub(crate) fn blob(data: &[u8]) -> Blob {
    Blob::from(*encode_blob(data).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn deposits_carry_the_blocks_own_log_numbers() {
    let anvil = Anvil::start().await;
    install_contracts(&anvil).await;
    // A log of somebody else's, a deposit, another event of the portal's, another deposit.
    let update = ConfigUpdate::GasLimit(1).encode_log();
    let mut other = deposit(9).encode_log();
    other.topics_mut()[0] = Default::default();
    anvil.send(&key(0), SYSTEM_CONFIG, emit(&update)).await;
    anvil.send(&key(0), PORTAL, emit(&deposit(1).encode_log())).await;
    anvil.send(&key(0), PORTAL, emit(&other)).await;
    anvil.send(&key(0), PORTAL, emit(&deposit(2).encode_log())).await;
    let head = anvil.mine(1).await;
    let block = reader(&anvil.client).block(head.hash, &system_config()).await.unwrap();
    let expected = [deposit(1).into_deposit(head.hash, 1), deposit(2).into_deposit(head.hash, 3)];
    assert_eq!(block.deposits, expected);
    assert_eq!(block.header.id(), head);
    assert_eq!(block.system_config, SystemConfig { gas_limit: 1, ..system_config() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_is_none_stops_the_reader() {
    let anvil = Anvil::start().await;
    install_contracts(&anvil).await;
    let mut log = deposit(1).encode_log();
    log.topics_mut()[3] = U256::from(1).into();
    anvil.send(&key(0), PORTAL, emit(&log)).await;
    let head = anvil.mine(1).await;
    let error = reader(&anvil.client).block(head.hash, &system_config()).await.unwrap_err();
    assert!(matches!(error, ReadError::Deposit { block: 1, index: 0, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_hold_from_their_own_block_on() {
    let anvil = Anvil::start().await;
    install_contracts(&anvil).await;
    let reader = reader(&anvil.client);
    // In one block: the old batcher posts, the batcher changes, the new one posts. And an update that can't be read.
    anvil.send(&key(1), INBOX, bytes!("01")).await;
    let batcher = ConfigUpdate::Batcher(key(2).address()).encode_log();
    anvil.send(&key(0), SYSTEM_CONFIG, emit(&batcher)).await;
    let mut unknown = ConfigUpdate::GasLimit(5).encode_log();
    unknown.topics_mut()[2] = U256::from(99).into();
    anvil.send(&key(0), SYSTEM_CONFIG, emit(&unknown)).await;
    anvil.send(&key(2), INBOX, bytes!("02")).await;
    let head = anvil.mine(1).await;
    let block = reader.block(head.hash, &system_config()).await.unwrap();
    assert_eq!(block.system_config, SystemConfig { batcher: key(2).address(), ..system_config() });
    assert_eq!(block.inbox, [bytes!("02")]);
    // The same block under another parent's config: all that the caller's config says stays.
    let parent = SystemConfig { gas_limit: 77, ..system_config() };
    assert_eq!(reader.block(head.hash, &parent).await.unwrap().system_config.gas_limit, 77);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_has_the_batchers_data_in_order() {
    let anvil = Anvil::start().await;
    let (batcher, stranger) = (key(1), key(5));
    let mut garbage = blob(b"");
    garbage[1] = 1; // an unknown version
    anvil.send(&batcher, INBOX, bytes!("00aa")).await;
    anvil.send_blobs(&batcher, INBOX, vec![blob(b"one"), garbage, blob(b"two")]).await;
    anvil.send_blobs(&stranger, INBOX, vec![blob(b"not ours")]).await;
    anvil.send(&stranger, INBOX, bytes!("00bb")).await;
    anvil.send(&batcher, Address::repeat_byte(1), bytes!("00cc")).await;
    anvil.send(&batcher, INBOX, bytes!("00dd")).await;
    let head = anvil.mine(1).await;
    let client = client(&[&anvil.url]);
    let block = reader(&client).block(head.hash, &system_config()).await.unwrap();
    // Anvil orders transactions of different senders by price, and those of one sender by nonce.
    let expected: [&'static [u8]; 4] = [&[0, 0xaa], b"one", b"two", &[0, 0xdd]];
    assert_eq!(block.inbox, expected.map(Bytes::from_static));
    assert_eq!(client.metrics().blobs.get(), 3, "a stranger's blobs are not fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_blob_is_found_out() {
    let anvil = Anvil::start().await;
    anvil.send_blobs(&key(1), INBOX, vec![blob(b"one")]).await;
    let head = anvil.mine(1).await;
    let faulty = Faulty::start(&anvil.url, Fault::OtherBlob).await;
    let both = client(&[&faulty.url, &anvil.url]);
    let block = reader(&both).block(head.hash, &system_config()).await.unwrap();
    assert_eq!(block.inbox, [Bytes::from_static(b"one")]);
    assert_eq!(both.metrics().endpoints[0].untrue.get(), 1);
    let error = reader(&client(&[&faulty.url])).block(head.hash, &system_config()).await;
    assert!(matches!(error, Err(ReadError::Blob(_))), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_gone_is_told_apart_from_an_l1_that_is_gone() {
    let anvil = Anvil::start().await;
    let gone = anvil.mine(3).await;
    anvil.reorg(2).await;
    let reader = reader(&anvil.client);
    // Anvil forgets what it removes.
    let error = reader.block(gone.hash, &system_config()).await.unwrap_err();
    assert_eq!(error, ReadError::Gone(gone.hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_schedule_that_nodes_disagree_with_is_noticed() {
    let anvil = Anvil::start().await;
    anvil.send_blobs(&key(1), INBOX, vec![blob(b"one")]).await;
    anvil.mine(2).await;
    let faulty = [
        Faulty::start(&anvil.url, Fault::None).await,
        Faulty::start(&anvil.url, Fault::None).await,
    ];
    let client = client(&[&faulty[0].url, &faulty[1].url, &anvil.url]);
    let reader = reader(&client);
    let header = client.header(At::Latest).await.unwrap().unwrap();
    assert_eq!(reader.check_blob_schedule(&header).await, ScheduleVerdict::Agrees);

    faulty[0].set(Fault::BlobFee);
    assert_eq!(reader.check_blob_schedule(&header).await, ScheduleVerdict::Agrees);
    assert_eq!(client.metrics().endpoints[0].set_aside.get(), 1, "one against two is mistaken");
    // Set aside it has no say, and then it has one again.
    faulty[1].set(Fault::BlobFee);
    let refuted = ScheduleVerdict::Refuted { ours: 1, theirs: 7 };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while reader.check_blob_schedule(&header).await != refuted {
        assert!(tokio::time::Instant::now() < deadline, "two against one are right");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonated_transaction_is_read_under_its_own_hash() {
    let anvil = Anvil::start().await;
    let somebody = Address::repeat_byte(0x1f);
    anvil.rpc("anvil_setBalance", json!([somebody, "0xde0b6b3a7640000"])).await;
    anvil.rpc("anvil_impersonateAccount", json!([somebody])).await;
    let transaction = json!([{ "from": somebody, "to": INBOX, "data": "0x01", "gas": "0x186a0" }]);
    let foreign = anvil.rpc("eth_sendTransaction", transaction).await;
    // Impersonating the batcher makes nobody the batcher, either: there is no signature of his.
    anvil.rpc("anvil_impersonateAccount", json!([key(1).address()])).await;
    let transaction =
        json!([{ "from": key(1).address(), "to": INBOX, "data": "0x02", "gas": "0x186a0" }]);
    anvil.rpc("eth_sendTransaction", transaction).await;
    anvil.send(&key(1), INBOX, bytes!("03")).await;
    let head = anvil.mine(1).await;
    let block = anvil.client.block(head.hash).await.unwrap().unwrap();
    assert_eq!(block.transactions.len(), 3);
    for transaction in &block.transactions {
        assert_eq!(*transaction.tx_hash(), keccak256(transaction.encoded_2718()));
    }
    let hashes: Vec<_> = block.transactions.iter().map(|tx| json!(tx.tx_hash())).collect();
    assert!(!hashes.contains(&foreign), "anvil names it otherwise");
    let read = reader(&anvil.client).block(head.hash, &system_config()).await.unwrap();
    assert_eq!(read.inbox, [bytes!("03")]);
}
