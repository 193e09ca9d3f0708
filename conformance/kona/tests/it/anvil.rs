//! A real L1: anvil, which mines when it is told to.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use alloy_consensus::{Header, SignableTransaction, TxEip4844, TxEip4844WithSidecar, TxEnvelope};
use alloy_eips::{
    eip2718::Encodable2718,
    eip4844::{Blob, BlobTransactionSidecar, env_settings::EnvKzgSettings},
};
use alloy_primitives::{Address, Bytes, Signature, U64, U256, address, hex};
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};

pub(crate) const CHAIN_ID: u64 = 900;

/// The second of the accounts that anvil begins with, whose key everybody knows.
pub(crate) const BATCHER: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
const BATCHER_KEY: [u8; 32] =
    hex!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
/// The third of them.
pub(crate) const STRANGER: Address = address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");

#[derive(Debug)]
pub(crate) struct Anvil {
    process: Child,
    pub(crate) url: String,
}

impl Anvil {
    pub(crate) fn start(timestamp: u64) -> Self {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node_modules/.bin/anvil");
        let program = if installed.exists() { installed.as_path() } else { Path::new("anvil") };
        let mut process = Command::new(program)
            .args(["--port", "0", "--hardfork", "prague", "--no-mining"])
            .args(["--chain-id", &CHAIN_ID.to_string(), "--timestamp", &timestamp.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil has to be installed: tools/install.sh test does it");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| line.unwrap().strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil did not start");
        // It goes on to log, and would wait for a pipe that nobody empties.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("http://{address}") }
    }

    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut answer = ureq::post(&self.url)
            .content_type("application/json")
            .send(request.to_string())
            .unwrap();
        let mut answer: Value =
            serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub(crate) fn header(&self) -> Header {
        let block = self.call("eth_getBlockByNumber", json!(["latest", false]));
        serde_json::from_value(block).unwrap()
    }

    pub(crate) fn mine(&self, timestamp: u64) -> Header {
        self.call("evm_setNextBlockTimestamp", json!([timestamp]));
        self.call("evm_mine", json!([]));
        self.header()
    }

    pub(crate) fn send(&self, from: Address, to: Address, input: Bytes) {
        let transaction = json!({ "from": from, "to": to, "input": input, "gas": "0xf42400" });
        self.call("eth_sendTransaction", json!([transaction]));
    }

    /// From the batcher, all in one transaction.
    pub(crate) fn send_blobs(&self, to: Address, blobs: &[Blob]) {
        let count = self.call("eth_getTransactionCount", json!([BATCHER, "pending"]));
        let nonce = serde_json::from_value::<U64>(count).unwrap().to();
        let sidecar = sidecar(blobs);
        let transaction = TxEip4844WithSidecar {
            tx: TxEip4844 {
                chain_id: CHAIN_ID,
                nonce,
                gas_limit: 100_000,
                max_fee_per_gas: 100_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to,
                value: U256::ZERO,
                access_list: Default::default(),
                blob_versioned_hashes: sidecar.versioned_hashes().collect(),
                max_fee_per_blob_gas: 100_000_000_000,
                input: Bytes::new(),
            },
            sidecar,
        };
        let key = SigningKey::from_slice(&BATCHER_KEY).unwrap();
        let hash = transaction.tx.signature_hash();
        let signature = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
        let signed = transaction.into_signed(Signature::from(signature));
        let signed = Bytes::from(TxEnvelope::from(signed).encoded_2718());
        self.call("eth_sendRawTransaction", json!([signed]));
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn sidecar(blobs: &[Blob]) -> BlobTransactionSidecar {
    let settings = EnvKzgSettings::Default.get();
    let mut sidecar = BlobTransactionSidecar::default();
    for blob in blobs {
        let bytes = c_kzg::Blob::new(blob.0);
        let commitment = settings.blob_to_kzg_commitment(&bytes).unwrap().to_bytes();
        let proof = settings.compute_blob_kzg_proof(&bytes, &commitment).unwrap().to_bytes();
        sidecar.blobs.push(*blob);
        sidecar.commitments.push(commitment.into_inner().into());
        sidecar.proofs.push(proof.into_inner().into());
    }
    sidecar
}
