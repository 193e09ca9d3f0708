//! A real L1: anvil as a child process, and what a test does to it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use alloy_consensus::{
    BlobTransactionSidecar, SignableTransaction, TxEip1559, TxEip4844, TxEip4844WithSidecar,
};
use alloy_eips::{
    eip2718::Encodable2718,
    eip4844::{Blob, c_kzg},
};
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};

use super::{
    node::{Rpc, quantity},
    wallet::GWEI,
};

/// The chain id of L1.
pub(crate) const L1_CHAIN_ID: u64 = 31_337;

/// A running anvil, which makes a block a second once it was told to. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Anvil {
    child: Child,
    /// Where it serves JSON-RPC.
    pub(crate) rpc: Rpc,
    forks: AtomicU64,
}

impl Anvil {
    /// Starts it on a free port. For now each transaction gets a block at once.
    pub(crate) fn start(args: &[&str]) -> Self {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/node_modules/.bin/anvil");
        assert!(
            program.exists(),
            "anvil is missing: `make test` installs it, or `npm ci --prefix conformance`"
        );
        let mut child = Command::new(program)
            .args(["--hardfork", "prague", "--port", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start anvil");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = loop {
            let line = lines.next().expect("anvil says where it listens").expect("UTF-8");
            if let Some(address) = line.strip_prefix("Listening on ") {
                break format!("http://{address}");
            }
        };
        // It goes on writing, and must not be stopped by a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { child, rpc: Rpc::new(url), forks: AtomicU64::new(1) }
    }

    /// From now on there is a block every second, as on a chain that many use.
    pub(crate) fn tick(&self) {
        self.rpc.call("evm_setIntervalMining", json!([1]));
    }

    /// No more blocks for now.
    pub(crate) fn halt(&self) {
        self.rpc.call("evm_setIntervalMining", json!([0]));
    }

    /// So many blocks at once, now.
    pub(crate) fn mine(&self, count: u64) {
        self.rpc.call("anvil_mine", json!([U256::from(count)]));
    }

    /// Replaces the newest blocks by one more empty ones: what was in them is gone. Only while it is halted: a block that
    /// comes in the midst of it leaves anvil with a chain that doesn't hold together.
    pub(crate) fn reorg(&self, depth: u64) {
        // One may be in the making: anvil's state shows it before its chain does. The next one waits until it is finished.
        self.mine(1);
        // Blocks of the same second with the same content would be the same blocks.
        let fork = self.forks.fetch_add(1, Ordering::Relaxed);
        let coinbase = Address::left_padding_from(&fork.to_be_bytes());
        self.rpc.call("anvil_setCoinbase", json!([coinbase]));
        self.rpc.call("anvil_reorg", json!([depth + 1, []]));
    }

    /// Sets an account's balance, in wei.
    pub(crate) fn set_balance(&self, account: Address, wei: U256) {
        self.rpc.call("anvil_setBalance", json!([account, wei]));
    }

    /// Sends a transaction from one of the development accounts, and returns its hash.
    pub(crate) fn send_from(
        &self,
        from: Address,
        to: Option<Address>,
        wei: U256,
        data: &[u8],
    ) -> String {
        let mut transaction = json!({
            "from": from, "value": wei, "data": hex::encode_prefixed(data), "gas": "0x4c4b40",
        });
        if let Some(to) = to {
            transaction["to"] = json!(to);
        }
        let hash = self.rpc.call("eth_sendTransaction", json!([transaction]));
        hash.as_str().expect("a hash").to_owned()
    }

    /// Sends calldata, signed by any key; the hash.
    pub(crate) fn send_calldata(&self, key: &PrivateKeySigner, to: Address, data: Bytes) -> String {
        self.send_calldata_for(key, to, data, 1_000 * GWEI)
    }

    /// The same for this price of a unit of gas at most, in wei.
    pub(crate) fn send_calldata_for(
        &self,
        key: &PrivateKeySigner,
        to: Address,
        data: Bytes,
        max_fee_per_gas: u128,
    ) -> String {
        let mut transaction = TxEip1559 {
            chain_id: L1_CHAIN_ID,
            nonce: self.next_nonce(key.address()),
            gas_limit: 10_000_000,
            max_fee_per_gas,
            max_priority_fee_per_gas: max_fee_per_gas.min(2 * GWEI),
            to: TxKind::Call(to),
            input: data,
            ..Default::default()
        };
        let signature = key.sign_transaction_sync(&mut transaction).expect("sign");
        self.send_raw(&transaction.into_signed(signature).encoded_2718())
    }

    /// Sends blobs, signed by any key; the hash.
    pub(crate) fn send_blobs(
        &self,
        key: &PrivateKeySigner,
        to: Address,
        blobs: Vec<Blob>,
    ) -> String {
        let settings = c_kzg::ethereum_kzg_settings(0);
        let sidecar = BlobTransactionSidecar::try_from_blobs_with_settings(blobs, settings)
            .expect("blobs of field elements");
        let mut transaction = TxEip4844 {
            chain_id: L1_CHAIN_ID,
            nonce: self.next_nonce(key.address()),
            gas_limit: 1_000_000,
            max_fee_per_gas: 1_000 * GWEI,
            max_priority_fee_per_gas: 2 * GWEI,
            to,
            blob_versioned_hashes: sidecar.versioned_hashes().collect(),
            max_fee_per_blob_gas: 1_000 * GWEI,
            ..Default::default()
        };
        let signature = key.sign_transaction_sync(&mut transaction).expect("sign");
        let transaction = TxEip4844WithSidecar { tx: transaction, sidecar };
        self.send_raw(&transaction.into_signed(signature).encoded_2718())
    }

    fn send_raw(&self, raw: &[u8]) -> String {
        let hash = self.rpc.call("eth_sendRawTransaction", json!([hex::encode_prefixed(raw)]));
        hash.as_str().expect("a hash").to_owned()
    }

    fn next_nonce(&self, account: Address) -> u64 {
        self.rpc.quantity("eth_getTransactionCount", json!([account, "pending"]))
    }

    /// How many transactions of an account are on L1.
    pub(crate) fn nonce(&self, account: Address) -> u64 {
        self.rpc.quantity("eth_getTransactionCount", json!([account, "latest"]))
    }

    /// A block's number by its name.
    pub(crate) fn number(&self, name: &str) -> u64 {
        quantity(&self.rpc.call("eth_getBlockByNumber", json!([name, false]))["number"])
    }

    /// Stops it where it is, without anybody being told: requests hang.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &process]).status();
        assert!(status.expect("run kill").success());
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may have ended already, which is fine.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A text of JSON-RPC.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a text"))
}
