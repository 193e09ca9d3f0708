//! Killed at random moments under load, over and over: what was acknowledged must still be there, unchanged, and what the open
//! block promised must have become true.
//!
//! `MILLRACE_TORTURE_ROUNDS` sets how often (100 by default), `MILLRACE_TORTURE_SEED` replays a run's moments.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use alloy_primitives::{Address, hex, keccak256};
use alloy_signer_local::PrivateKeySigner;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    node::{Node, Rpc, quantity, wait_for},
    wallet::{dev_account, sign, transfer},
};

const ACCOUNTS: usize = 50;

/// Where a client saw its transaction: a receipt's block number, block hash and index.
type Place = (u64, String, u64);

/// Every inclusion that any client was told of, by transaction hash.
type Acknowledged = Arc<Mutex<BTreeMap<String, Place>>>;

/// Every place that `pending` promised a transaction: a block's number and an index in it.
type Promised = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

#[test]
fn torture_kill_nine_loses_nothing_acknowledged() {
    let setting = |name: &str, default: u64| {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's knobs are not the node's configuration"
        )]
        let value = std::env::var(name);
        value.map_or(default, |text| text.parse().expect("a number"))
    };
    let rounds = setting("MILLRACE_TORTURE_ROUNDS", 100);
    let seed = setting("MILLRACE_TORTURE_SEED", rand::random());
    println!("torture: {rounds} rounds, MILLRACE_TORTURE_SEED={seed}");

    let mut rng = StdRng::seed_from_u64(seed);
    let data_dir = tempfile::tempdir().expect("a directory");
    let accounts: Vec<PrivateKeySigner> = (0..ACCOUNTS).map(|_| signer(&mut rng)).collect();
    let (acknowledged, promised) = (Acknowledged::default(), Promised::default());
    // Nor is the very first start spared.
    for _ in 0..3 {
        Node::interrupt_start(data_dir.path(), Duration::from_millis(rng.random_range(0..300)));
    }
    fund(data_dir.path(), &accounts);

    let (mut checked, mut kept) = (0, 0);
    for round in 0..rounds {
        // Now and then it does not even get up again: recovery is interrupted, too.
        if rng.random_ratio(1, 4) {
            Node::interrupt_start(data_dir.path(), Duration::from_millis(rng.random_range(0..400)));
        }
        let node = Node::start(data_dir.path(), &[]);
        // What this round's predecessor was told must be there; all of it is looked at again in the end.
        let told = acknowledged.lock().unwrap().clone();
        for (hash, place) in told.iter().filter(|(_, (number, ..))| *number >= checked) {
            assert_eq!(lookup(&node.rpc, hash).as_ref(), Some(place), "round {round}: {hash}");
        }
        let promises = promised.lock().unwrap().clone();
        for (hash, place) in promises.iter().filter(|(_, (number, _))| *number >= checked) {
            check_kept(&node.rpc, hash, place);
        }
        kept += u64::from(node.log().contains("sealed the block that was promised"));
        checked = node.rpc.block_number().saturating_sub(2);

        let load = Load::start(&node.rpc, &accounts, &acknowledged, &promised);
        thread::sleep(Duration::from_millis(rng.random_range(50..1_800)));
        node.kill();
        load.stop();
    }

    // Without its state directory the node has to recompute every state root of the chain.
    std::fs::remove_dir_all(data_dir.path().join("state")).expect("remove the state");
    let node = Node::start(data_dir.path(), &[]);
    let told = acknowledged.lock().unwrap();
    for (hash, place) in told.iter() {
        assert_eq!(lookup(&node.rpc, hash).as_ref(), Some(place), "in the end: {hash}");
    }
    let promises = promised.lock().unwrap();
    for (hash, place) in promises.iter() {
        check_kept(&node.rpc, hash, place);
    }
    let blocks = check_chain(&node.rpc);
    println!("torture: {} promises kept, {kept} times after a restart", promises.len());
    println!("torture: {} inclusions acknowledged in {blocks} blocks, none lost", told.len());
    assert!(told.len() as u64 >= rounds, "the load never got going");
    assert!(promises.len() as u64 >= rounds, "hardly anything was promised");
    // Half of a slot, on average, is promised when a node is killed.
    assert!(kept > 0 || rounds < 20, "no restart had a promise to keep");
    assert!(node.terminate().success());
}

fn signer(rng: &mut StdRng) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(rng.random::<[u8; 32]>())).expect("a key")
}

/// Gives every account some ether, and waits until it is there.
fn fund(data_dir: &Path, accounts: &[PrivateKeySigner]) {
    let node = Node::start(data_dir, &[]);
    let rich = dev_account(0);
    let mut last = Value::Null;
    for (nonce, account) in accounts.iter().enumerate() {
        let tx = transfer(account.address(), 1_000_000_000_000_000_000, nonce as u64);
        last = node.rpc.call("eth_sendRawTransaction", json!([sign(&rich, tx).1]));
    }
    node.rpc.receipt(last.as_str().expect("a hash"));
    assert!(node.terminate().success());
}

/// Where the node says that a transaction is.
fn lookup(rpc: &Rpc, hash: &str) -> Option<Place> {
    let answer = rpc.answer("eth_getTransactionReceipt", json!([hash]))?;
    place(answer.get("result")?)
}

fn place(receipt: &Value) -> Option<Place> {
    let block_hash = receipt.get("blockHash")?.as_str()?.to_owned();
    Some((quantity(&receipt["blockNumber"]), block_hash, quantity(&receipt["transactionIndex"])))
}

/// A transaction has to be where it was promised to be.
fn check_kept(rpc: &Rpc, hash: &str, promised: &(u64, u64)) {
    let found = lookup(rpc, hash).map(|(number, _, index)| (number, index));
    assert_eq!(found.as_ref(), Some(promised), "promised, and not kept: {hash}");
}

/// Clients that send as fast as they get receipts, and one that looks at what is promised, until the node is gone.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(
        rpc: &Rpc,
        accounts: &[PrivateKeySigner],
        acknowledged: &Acknowledged,
        promised: &Promised,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        // Five threads of ten accounts each leave the two cores of a CI machine to the node.
        let senders = accounts.chunks(10).map(|accounts| {
            let (rpc, accounts) = (rpc.clone(), accounts.to_vec());
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            let promised = promised.clone();
            thread::spawn(move || {
                // Relaxed: the flag carries no data; seeing it late costs one more request.
                while !stop.load(Ordering::Relaxed) {
                    if burst(&rpc, &accounts, &acknowledged, &promised).is_none() {
                        return;
                    }
                }
            })
        });
        let watcher = {
            let (rpc, stop, promised) = (rpc.clone(), stop.clone(), promised.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) && watch(&rpc, &promised).is_some() {
                    thread::sleep(Duration::from_millis(15));
                }
            })
        };
        let clients = senders.chain([watcher]).collect();
        Self { stop, clients }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client");
        }
    }
}

/// Sends a few transfers from each account and collects the receipts; `None` once the node is gone.
fn burst(
    rpc: &Rpc,
    accounts: &[PrivateKeySigner],
    acknowledged: &Acknowledged,
    promised: &Promised,
) -> Option<()> {
    let mut sent = Vec::new();
    for account in accounts {
        let count = rpc.answer("eth_getTransactionCount", json!([account.address(), "pending"]))?;
        let first = quantity(count.get("result")?);
        for nonce in first..first + 4 {
            let (_, raw) = sign(account, transfer(Address::repeat_byte(7), 1, nonce));
            let answer = rpc.answer("eth_sendRawTransaction", json!([raw]))?;
            match answer.get("result") {
                Some(hash) => sent.push(hash.as_str()?.to_owned()),
                // A transaction that the last process had journaled and this one sees twice is no failure.
                None => assert!(answer["error"]["code"].is_i64(), "{answer}"),
            }
        }
        // The last one waits for its receipt, which is a promise, and may not come if an earlier one got lost.
        let (_, raw) = sign(account, transfer(Address::repeat_byte(7), 1, first + 4));
        let answer = rpc.answer("eth_sendRawTransactionSync", json!([raw, 500]))?;
        match answer.get("result") {
            Some(receipt) => {
                let hash = receipt["transactionHash"].as_str()?.to_owned();
                let (number, _, index) = place(receipt)?;
                let first_told = *promised.lock().unwrap().entry(hash).or_insert((number, index));
                assert_eq!(first_told, (number, index), "{receipt}");
            }
            None => assert!(answer["error"]["code"].is_i64(), "{answer}"),
        }
    }
    for hash in sent {
        // Dropped transactions exist (a killed pool is gone), so nobody waits for ever.
        for _ in 0..200 {
            if let Some(place) = lookup(rpc, &hash) {
                acknowledged.lock().unwrap().insert(hash, place);
                break;
            }
            rpc.answer("eth_chainId", json!([]))?;
            thread::sleep(Duration::from_millis(20));
        }
    }
    Some(())
}

/// Writes down what is promised at the moment; `None` once the node is gone. Nothing may be promised another place.
fn watch(rpc: &Rpc, promised: &Promised) -> Option<()> {
    let block = rpc.answer("eth_getBlockByNumber", json!(["pending", false]))?;
    let block = block.get("result")?;
    let number = quantity(&block["number"]);
    let mut promised = promised.lock().unwrap();
    // The L1 attributes come first. Nobody sent them.
    for (index, hash) in (0..).zip(block["transactions"].as_array()?).skip(1) {
        let hash = hash.as_str()?.to_owned();
        let place = *promised.entry(hash.clone()).or_insert((number, index));
        assert_eq!(place, (number, index), "{hash} has moved");
    }
    Some(())
}

/// Walks the whole chain: numbers and parent hashes must link. Returns its length.
fn check_chain(rpc: &Rpc) -> u64 {
    let tip = rpc.block_number();
    let mut parent: Option<String> = None;
    let mut timestamp = 0;
    for number in 0..=tip {
        let block = wait_for("a block", || {
            Some(rpc.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false])))
                .filter(|b| !b.is_null())
        });
        assert_eq!(quantity(&block["number"]), number);
        if let Some(parent) = &parent {
            assert_eq!(block["parentHash"].as_str(), Some(parent.as_str()), "block {number}");
        }
        assert!(quantity(&block["timestamp"]) > timestamp, "block {number}");
        timestamp = quantity(&block["timestamp"]);
        parent = block["hash"].as_str().map(String::from);
        assert_eq!(hex::decode(parent.as_deref().expect("a hash")).expect("hex").len(), 32);
    }
    tip
}
