//! A remote signer: anvil holds keys, too.

use alloy_consensus::{SignableTransaction, TxEip1559, TypedTransaction};
use alloy_primitives::{Address, TxKind};
use millrace_l1::{EndpointConfig, RemoteSigner, SignError};

use crate::support::{
    CHAIN_ID,
    anvil::{Anvil, key},
    faulty::{Fault, Faulty},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_key_signs() {
    let anvil = Anvil::start().await;
    let faulty = Faulty::start(&anvil.url, Fault::None).await;
    let address = key(0).address();
    let signer = RemoteSigner::new(&EndpointConfig::new("signer", &faulty.url), address).unwrap();
    let transaction: TypedTransaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce: 7,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(1)),
        ..Default::default()
    }
    .into();
    let signature = signer.sign(&transaction).await.unwrap();
    let hash = transaction.signature_hash();
    assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), address);

    let stranger = Address::repeat_byte(9);
    let other = RemoteSigner::new(&EndpointConfig::new("signer", &faulty.url), stranger).unwrap();
    assert!(matches!(other.sign(&transaction).await, Err(SignError::Refused(_))));
    faulty.set(Fault::Html);
    assert!(matches!(signer.sign(&transaction).await, Err(SignError::Unavailable(_))));
}
