//! What the rollup's owner changes on L1, and how the chain obeys: from the first block of the epoch on, in which it happened.

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use millrace_protocol::{
    BlockId, ChannelId, CompressionAlgo, Frame, L1Attributes, SingularBatch, compress,
    encode_frames,
};
use rand::Rng;
use serde_json::{Value, json};

use super::{
    deposits::{epoch, first_of_epoch},
    fixture::{Rollup, balance, fresh_key, hash, number, rng, wait_for_safe, wait_until_derived},
    load::Load,
};
use crate::support::{
    anvil::text,
    node::{Rpc, quantity, wait_for},
    wallet::{dev_account, sign, transfer},
};

/// The owner's call of a setter.
fn set(rollup: &Rollup, signature: &str, words: &[U256]) -> String {
    let mut call = keccak256(signature)[..4].to_vec();
    words.iter().for_each(|word| call.extend(word.to_be_bytes::<32>()));
    let contract = Some(rollup.config.system_config_contract);
    rollup.l1.send_from(dev_account(0).address(), contract, U256::ZERO, &call)
}

fn block(rpc: &Rpc, number: u64) -> Value {
    rpc.call("eth_getBlockByNumber", json!([format!("{number:#x}"), true]))
}

fn attributes(block: &Value) -> L1Attributes {
    let input = hex::decode(text(&block["transactions"][0]["input"])).expect("hex");
    L1Attributes::decode(&input).expect("L1 attributes")
}

#[test]
fn the_chain_obeys_its_owner_from_the_epoch_on() {
    let rng = rng("the owner's changes");
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&["--batcher-bump-after", "2s"]);
    let l1 = &rollup.l1;
    let before = rollup.config.genesis.system_config;
    Load::new(&node.rpc, rng.clone()).send(&node.rpc, 50);

    // All in one L1 block.
    l1.halt();
    let word = |number: u64| U256::from(number);
    let settings = [
        set(&rollup, "setGasLimit(uint64)", &[word(60_000_000)]),
        set(&rollup, "setEIP1559Params(uint32,uint32)", &[word(50), word(3)]),
        set(&rollup, "setGasConfigEcotone(uint32,uint32)", &[word(5_000), word(7_000)]),
        set(&rollup, "setOperatorFeeScalars(uint32,uint64)", &[word(2_000_000), word(13)]),
        // No concern of the chain, and nothing that stops it.
        set(&rollup, "setUnsafeBlockSigner(address)", &[word(1)]),
    ];
    l1.mine(1);
    let changed = l1.number("latest");
    for hash in settings {
        let receipt = l1.rpc.receipt(&hash);
        assert_eq!(
            (&receipt["status"], quantity(&receipt["blockNumber"])),
            (&json!("0x1"), changed)
        );
    }
    l1.tick();

    let first = first_of_epoch(&node.rpc, changed);
    let first_number = quantity(&first["number"]);
    let last_before = block(&node.rpc, first_number - 1);
    assert_eq!(epoch(&last_before).1, changed - 1);
    assert_eq!(quantity(&last_before["gasLimit"]), before.gas_limit);
    assert_eq!(attributes(&last_before).base_fee_scalar, before.base_fee_scalar);
    assert_eq!(quantity(&first["gasLimit"]), 60_000_000);
    assert_eq!(first["extraData"], "0x000000003200000003");
    let attributes = attributes(&first);
    assert_eq!((attributes.base_fee_scalar, attributes.blob_base_fee_scalar), (5_000, 7_000));
    let operator_fee = attributes.operator_fee.expect("a fee");
    assert_eq!((operator_fee.scalar, operator_fee.constant), (2_000_000, 13));

    // A transfer costs what these say.
    let sender = dev_account(9);
    let had = balance(&node.rpc, sender.address());
    let raw = sign(&sender, transfer(Address::repeat_byte(0x55), 5, 0)).1;
    let hash = node.rpc.call("eth_sendRawTransaction", json!([raw]));
    let receipt = node.rpc.receipt(text(&hash));
    let fee = |name: &str| U256::from(quantity(&receipt[name]));
    assert_eq!(fee("l1BaseFeeScalar"), U256::from(5_000));
    assert_eq!(fee("gasUsed"), U256::from(21_000));
    let paid = fee("gasUsed") * fee("effectiveGasPrice") + fee("l1Fee") + U256::from(42_000 + 13);
    wait_for("the transfer's block", || {
        (node.rpc.block_number() >= quantity(&receipt["blockNumber"])).then_some(())
    });
    assert_eq!(had - balance(&node.rpc, sender.address()), paid + U256::from(5));

    // The pool takes nothing that would fit no block now.
    let mut large = transfer(Address::repeat_byte(0x55), 5, 1);
    large.gas_limit = 59_000_001;
    let (_, refusal) = node.rpc.error("eth_sendRawTransaction", json!([sign(&sender, large).1]));
    assert!(refusal.contains("gas limit"), "{refusal}");

    // What L1 takes back was never said.
    l1.halt();
    set(&rollup, "setGasLimit(uint64)", &[word(70_000_000)]);
    l1.mine(1);
    let changed = l1.number("latest");
    l1.mine(1);
    let gas_limit = |block: &Value| quantity(&block["gasLimit"]);
    assert_eq!(gas_limit(&first_of_epoch(&node.rpc, changed)), 70_000_000);
    l1.reorg(2);
    l1.tick();
    wait_for("the change to be taken back", || {
        let newest = node.rpc.call("eth_getBlockByNumber", json!(["latest", true]));
        (epoch(&newest).1 > changed).then(|| assert_eq!(gas_limit(&newest), 60_000_000))
    });

    let last = Load::new(&node.rpc, rng).send(&node.rpc, 200);
    rollup.verify(&node, last);
}

#[test]
fn a_batcher_that_was_replaced_is_not_heard_any_more() {
    let mut rng = rng("another batcher");
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&[]);
    let l1 = &rollup.l1;
    let mut load = Load::new(&node.rpc, rng.clone());
    wait_for_safe(&node.rpc, load.send(&node.rpc, 50));
    let successor = fresh_key(&mut rng);
    set(&rollup, "setBatcherHash(bytes32)", &[successor.address().into_word().into()]);
    wait_for("the new batcher's name", || {
        let newest = node.rpc.call("eth_getBlockByNumber", json!(["latest", true]));
        (attributes(&newest).batcher_hash == successor.address().into_word()).then_some(())
    });
    let last = load.send(&node.rpc, 50);
    wait_for("the operator to be told", || {
        node.ops("/readyz").contains("nothing is posted").then_some(())
    });
    assert_eq!(node.metric("millrace_batcher_unauthorized"), 1.0);
    assert!(node.terminate().success());

    // Its key makes no difference now, even where it says what could be true.
    let node = rollup.silent_sequencer(&[]);
    l1.halt();
    wait_until_derived(l1, &node);
    let safe = number(&node.rpc, "safe");
    assert!(safe < last);
    let served = block(&node.rpc, safe + 1);
    let batch = rival(&rollup, &served, &mut rng);
    l1.send_calldata(&rollup.batcher, rollup.config.batch_inbox, batch);
    l1.mine(1);
    wait_until_derived(l1, &node);
    l1.tick();
    assert_eq!(number(&node.rpc, "safe"), safe);
    assert_eq!(node.metric("millrace_derivation_contradictions_total"), 0.0);
    assert!(node.terminate().success());

    // What nobody heard of the old one is posted by the new one.
    let node = rollup.sequencer_of(&successor, &[]);
    wait_for_safe(&node.rpc, last);
    assert_eq!(hash(&node.rpc, safe + 1), text(&served["hash"]));
    let last = Load::new(&node.rpc, rng).send(&node.rpc, 50);
    rollup.verify(&node, last);
    assert!(l1.nonce(successor.address()) > 0);
}

/// A batch for a block of ours that says that there is nothing but deposits in it.
fn rival(rollup: &Rollup, served: &Value, rng: &mut impl Rng) -> Bytes {
    let attributes = attributes(served);
    let batch = SingularBatch {
        parent_hash: text(&served["parentHash"]).parse::<B256>().expect("a hash"),
        epoch: BlockId { number: attributes.l1_number, hash: attributes.l1_hash },
        timestamp: quantity(&served["timestamp"]),
        transactions: Vec::new(),
    };
    assert!(batch.timestamp > rollup.config.genesis.l2_time);
    let data = compress(&[batch.encode()], CompressionAlgo::Zlib { level: 9 }).expect("small");
    let channel = ChannelId(rng.random());
    let frame = Frame { channel, number: 0, data: data.into(), is_last: true };
    encode_frames(&[frame]).into()
}
