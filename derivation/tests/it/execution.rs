//! Blocks without execution: a block's hash is that of everything that goes into it.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Keccak256, Signature, U256};
use millrace_derivation::{Attributes, L2Ref};
use millrace_protocol::{BlockId, Eip1559Params};
use op_alloy_consensus::TxDeposit;
use rand::{Rng, rngs::StdRng};

/// The chain that transactions are signed for.
pub(crate) const CHAIN_ID: u64 = 901;

/// A transaction whose input has this in it makes its block invalid.
const POISON: &[u8] = b"this transaction cannot be executed";

/// All that a block's hash depends on.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) parent: L2Ref,
    pub(crate) timestamp: u64,
    pub(crate) origin: BlockId,
    pub(crate) sequence_number: u64,
    pub(crate) deposits: Vec<TxDeposit>,
    pub(crate) transactions: Vec<Bytes>,
    pub(crate) gas_limit: u64,
    pub(crate) eip1559: Eip1559Params,
    pub(crate) prev_randao: B256,
    pub(crate) parent_beacon_block_root: B256,
}

impl Content {
    /// Whether execution would take it.
    pub(crate) fn is_valid(&self) -> bool {
        let poisoned = |transaction: &Bytes| {
            transaction.windows(POISON.len()).any(|bytes| bytes == POISON)
                || !matches!(transaction[0], 2 | 4 | 0xc0..)
        };
        !self.transactions.iter().any(poisoned)
    }

    pub(crate) fn seal(&self) -> L2Ref {
        let mut hasher = Keccak256::new();
        let numbers = [self.timestamp, self.origin.number, self.sequence_number, self.gas_limit];
        numbers.iter().for_each(|number| hasher.update(number.to_be_bytes()));
        let words = [
            self.parent.id.hash,
            self.origin.hash,
            self.prev_randao,
            self.parent_beacon_block_root,
        ];
        words.iter().for_each(|word| hasher.update(word));
        hasher.update(self.eip1559.to_extra_data());
        let deposits = self.deposits.iter().map(|deposit| Bytes::from(deposit.encoded_2718()));
        for transaction in deposits.chain(self.transactions.iter().cloned()) {
            hasher.update(transaction.len().to_be_bytes());
            hasher.update(transaction);
        }
        L2Ref {
            id: BlockId { number: self.parent.id.number + 1, hash: hasher.finalize() },
            parent_hash: self.parent.id.hash,
            timestamp: self.timestamp,
            origin: self.origin,
            sequence_number: self.sequence_number,
        }
    }
}

impl From<&Attributes> for Content {
    fn from(attributes: &Attributes) -> Self {
        let prescribed = &attributes.prescribed;
        Self {
            parent: attributes.parent,
            timestamp: attributes.timestamp,
            origin: attributes.origin,
            sequence_number: prescribed.sequence_number,
            deposits: prescribed.deposits.clone(),
            transactions: attributes.transactions.clone(),
            gas_limit: prescribed.gas_limit,
            eip1559: prescribed.eip1559,
            prev_randao: prescribed.prev_randao,
            parent_beacon_block_root: prescribed.parent_beacon_block_root,
        }
    }
}

/// Any transaction that can be executed.
pub(crate) fn transaction(dice: &mut StdRng) -> Bytes {
    let nonce = dice.random_range(0..1_000);
    let input: Bytes = vec![0xab; dice.random_range(0..200)].into();
    let to = Address::repeat_byte(dice.random());
    let signature = Signature::new(U256::from(dice.random::<u64>()), U256::from(1), dice.random());
    match dice.random_range(0..3) {
        0 => TxLegacy {
            chain_id: Some(CHAIN_ID),
            nonce,
            to: to.into(),
            input,
            ..TxLegacy::default()
        }
        .into_signed(signature)
        .encoded_2718(),
        1 => TxEip7702 { chain_id: CHAIN_ID, nonce, to, input, ..TxEip7702::default() }
            .into_signed(signature)
            .encoded_2718(),
        _ => eip1559(nonce, input, signature),
    }
    .into()
}

/// A transaction that makes its block invalid, though it looks like any other.
pub(crate) fn poison() -> Bytes {
    eip1559(0, Bytes::from_static(POISON), Signature::new(U256::ONE, U256::ONE, false)).into()
}

fn eip1559(nonce: u64, input: Bytes, signature: Signature) -> Vec<u8> {
    let transaction = TxEip1559 { chain_id: CHAIN_ID, nonce, input, ..TxEip1559::default() };
    transaction.into_signed(signature).encoded_2718()
}
