//! Accounts that sign: the development mnemonic's, and fresh ones.

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};

/// The chain id of a development chain.
pub(crate) const CHAIN_ID: u64 = 901;

/// One gwei.
pub(crate) const GWEI: u128 = 1_000_000_000;

/// A funded account of the development chain.
pub(crate) fn dev_account(index: u32) -> PrivateKeySigner {
    MnemonicBuilder::<English>::default()
        .phrase("test test test test test test test test test test test junk")
        .index(index)
        .and_then(|builder| builder.build())
        .expect("a valid mnemonic")
}

/// A plain transfer with generous fees, not yet signed.
pub(crate) fn transfer(to: Address, value: u64, nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(to),
        value: U256::from(value),
        ..Default::default()
    }
}

/// Signs a transaction: its bytes, and as the hex that JSON-RPC takes.
pub(crate) fn sign(signer: &PrivateKeySigner, mut tx: TxEip1559) -> (Bytes, String) {
    let signature = signer.sign_transaction_sync(&mut tx).expect("sign");
    let encoded: Bytes = tx.into_signed(signature).encoded_2718().into();
    let text = hex::encode_prefixed(&encoded);
    (encoded, text)
}

/// Puts a contract on the chain, not yet signed.
pub(crate) fn creation(code: Vec<u8>, nonce: u64) -> TxEip1559 {
    let transaction = transfer(Address::ZERO, 0, nonce);
    TxEip1559 { gas_limit: 500_000, to: TxKind::Create, input: code.into(), ..transaction }
}
