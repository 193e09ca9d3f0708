//! What decoding a transaction and recovering its sender costs, one by one and on every core.
//!
//! About 33 µs on one core says libsecp256k1; about 147 µs would say k256.

#![expect(clippy::print_stdout, reason = "results are for whoever runs the benchmark")]

use std::time::Instant;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use millrace_types::{Transaction, TxEnvelope};
use rayon::prelude::*;

fn main() {
    let signer = PrivateKeySigner::from_slice(&[7; 32]).expect("a valid key");
    let encoded: Vec<Bytes> = (0..8_192)
        .map(|nonce| {
            let tx = TxEip1559 {
                chain_id: 901,
                nonce,
                gas_limit: 21_000,
                max_fee_per_gas: 1_000_000_000,
                to: TxKind::Call(Address::ZERO),
                value: U256::from(nonce),
                ..Default::default()
            };
            let signature = signer.sign_hash_sync(&tx.signature_hash()).expect("signs");
            TxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718().into()
        })
        .collect();
    for group in [1, 64, 1_024] {
        let start = Instant::now();
        for chunk in encoded.chunks(group) {
            chunk.par_iter().for_each(|bytes| {
                let transaction = Transaction::decode(bytes.clone()).expect("is valid");
                assert_eq!(transaction.sender(), signer.address());
            });
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / encoded.len() as f64;
        println!("RESULT name=recover group={group} us_per_tx={us:.1}");
    }
}
