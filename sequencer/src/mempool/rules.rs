//! The door: what can be said about a transaction without knowing any state.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{TxKind, U256};
use millrace_types::{Transaction, TxType};

use crate::mempool::{SubmitError, floor_gas, intrinsic_gas};

/// What the chain and its operator ask of every transaction.
///
/// The forks up to Prague (Isthmus) are taken as active. Fees above 2^128 are refused by the decoder, as no balance
/// could pay them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The chain that a transaction must be signed for.
    pub chain_id: u64,
    /// The most gas that a block may use.
    pub block_gas_limit: u64,
    /// The longest encoding.
    pub tx_bytes_max: usize,
    /// The longest init code (EIP-3860).
    pub init_code_bytes_max: usize,
    /// The least priority fee, in wei a gas.
    pub tip_min: u128,
    /// Whether legacy transactions without a chain id are welcome.
    pub unprotected_allowed: bool,
}

impl Rules {
    /// The limits that geth has, for a chain with this id and block gas limit, at no least tip.
    pub const fn new(chain_id: u64, block_gas_limit: u64) -> Self {
        Self {
            chain_id,
            block_gas_limit,
            tx_bytes_max: 128 << 10,
            init_code_bytes_max: 49_152,
            tip_min: 0,
            unprotected_allowed: false,
        }
    }

    /// Checks everything that needs no state. Call it without holding the pool's lock.
    ///
    /// `rollup_fee` is what the transaction pays for L1 data and to the operator at the newest prices; zero on chains
    /// without such fees.
    pub fn admit(&self, tx: Arc<Transaction>, rollup_fee: U256) -> Result<Admitted, SubmitError> {
        match tx.tx_type() {
            TxType::Legacy | TxType::Eip2930 | TxType::Eip1559 | TxType::Eip7702 => {}
            TxType::Eip4844 | TxType::Deposit => return Err(SubmitError::TypeNotSupported),
        }
        let size = tx.encoded().len();
        if size > self.tx_bytes_max {
            return Err(SubmitError::Oversized { size, limit: self.tx_bytes_max });
        }
        match tx.chain_id() {
            Some(have) if have != self.chain_id => {
                return Err(SubmitError::ChainId { have, want: self.chain_id });
            }
            None if !self.unprotected_allowed => return Err(SubmitError::Unprotected),
            _ => {}
        }
        if tx.kind() == TxKind::Create && tx.input().len() > self.init_code_bytes_max {
            return Err(SubmitError::InitCodeSize {
                size: tx.input().len(),
                limit: self.init_code_bytes_max,
            });
        }
        let gas = tx.gas_limit();
        if gas > self.block_gas_limit {
            return Err(SubmitError::BlockGasLimit);
        }
        let (tip, max_fee) = (tx.priority_fee_or_price(), tx.max_fee_per_gas());
        if tip > max_fee {
            return Err(SubmitError::TipAboveFeeCap { tip, max_fee });
        }
        if tx.nonce() == u64::MAX {
            return Err(SubmitError::NonceMax);
        }
        let needed = intrinsic_gas(&tx);
        if gas < needed {
            return Err(SubmitError::IntrinsicGas { gas, needed });
        }
        let needed = floor_gas(&tx);
        if gas < needed {
            return Err(SubmitError::FloorDataGas { gas, needed });
        }
        if tip < self.tip_min {
            return Err(SubmitError::TipTooLow { tip, needed: self.tip_min });
        }
        if tx.authorization_list().is_some_and(|list| list.is_empty()) {
            return Err(SubmitError::EmptyAuthorizationList);
        }
        // Neither product can overflow: 64 + 128 bits. A sum past 256 bits is more than anybody has.
        let cost = (U256::from(gas) * U256::from(max_fee))
            .saturating_add(tx.value())
            .saturating_add(rollup_fee);
        Ok(Admitted { nonce: tx.nonce(), gas, tip, max_fee, cost, tx })
    }
}

/// A transaction that passed [`Rules::admit`]: the only kind that the pool takes.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub(super) tx: Arc<Transaction>,
    pub(super) nonce: u64,
    pub(super) gas: u64,
    pub(super) tip: u128,
    pub(super) max_fee: u128,
    /// The most that it can cost its sender.
    pub(super) cost: U256,
}

impl Admitted {
    /// The transaction itself.
    pub const fn transaction(&self) -> &Arc<Transaction> {
        &self.tx
    }

    /// The most gas that it may use.
    pub const fn gas(&self) -> u64 {
        self.gas
    }

    /// The most that it can cost its sender: gas at the fee cap, value, L1 and operator fees.
    pub const fn cost(&self) -> U256 {
        self.cost
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
    use alloy_eips::{
        eip2930::{AccessList, AccessListItem},
        eip7702::{Authorization, SignedAuthorization},
    };
    use alloy_primitives::{Address, B256, Bytes};
    use millrace_types::TxEnvelope;
    use op_alloy_consensus::TxDeposit;

    use super::*;
    use crate::mempool::testing::{CHAIN_ID, address, rules, signed, wrapped};

    /// A transfer that costs 21,000 gas and nothing is wrong with.
    fn dynamic() -> TxEip1559 {
        TxEip1559 {
            chain_id: CHAIN_ID,
            gas_limit: 21_000,
            max_fee_per_gas: 10,
            max_priority_fee_per_gas: 3,
            to: TxKind::Call(Address::ZERO),
            ..Default::default()
        }
    }

    fn admit(envelope: TxEnvelope) -> Result<Admitted, SubmitError> {
        rules().admit(wrapped(&envelope, address(1)), U256::from(5))
    }

    fn check(change: impl FnOnce(&mut TxEip1559), expected: &str) {
        let mut tx = dynamic();
        change(&mut tx);
        let refused = admit(TxEnvelope::Eip1559(signed(tx))).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn the_cost_is_the_most_that_can_be_spent() {
        let tx = TxEip1559 { value: U256::from(7), ..dynamic() };
        let admitted = admit(TxEnvelope::Eip1559(signed(tx))).unwrap();
        assert_eq!(admitted.cost(), U256::from(21_000 * 10 + 7 + 5));
        let tx = TxEip1559 { value: U256::MAX, ..dynamic() };
        assert_eq!(admit(TxEnvelope::Eip1559(signed(tx))).unwrap().cost(), U256::MAX);
    }

    #[test]
    fn refuses_in_the_words_of_geth() {
        check(|tx| tx.chain_id = 1, "invalid sender: invalid chain id for signer: have 1 want 901");
        check(|tx| tx.gas_limit = 30_000_001, "exceeds block gas limit");
        check(|tx| tx.nonce = u64::MAX, "nonce has max value");
        check(
            |tx| tx.max_priority_fee_per_gas = 11,
            "max priority fee per gas higher than max fee per gas: \
             maxPriorityFeePerGas: 11, maxFeePerGas: 10",
        );
        check(|tx| tx.gas_limit = 20_999, "intrinsic gas too low: gas 20999, minimum needed 21000");
        check(
            |tx| tx.input = vec![0; 128 << 10].into(),
            "oversized data: transaction size 131180, limit 131072",
        );
        check(
            |tx| {
                tx.to = TxKind::Create;
                tx.input = vec![0; 49_153].into();
            },
            "max initcode size exceeded: code size 49153, limit 49152",
        );
    }

    #[test]
    fn asks_for_the_configured_tip() {
        let rules = Rules { tip_min: 4, ..rules() };
        let tx = wrapped(&TxEnvelope::Eip1559(signed(dynamic())), address(1));
        let refused = rules.admit(tx, U256::ZERO).unwrap_err();
        assert_eq!(refused.to_string(), "transaction underpriced: gas tip cap 3, minimum needed 4");
    }

    #[test]
    fn counts_the_gas_of_data_lists_and_creations() {
        // Two zero bytes and one other: 4 + 4 + 16, and 60 by the floor, which is lower than the creation's price.
        check(
            |tx| {
                tx.to = TxKind::Create;
                tx.input = Bytes::from_static(&[0, 0, 1]);
            },
            "intrinsic gas too low: gas 21000, minimum needed 53026",
        );
        check(
            |tx| {
                tx.access_list = AccessList(vec![AccessListItem {
                    address: Address::ZERO,
                    storage_keys: vec![B256::ZERO; 2],
                }]);
            },
            "intrinsic gas too low: gas 21000, minimum needed 27200",
        );
        // 21,000 + 16 × 100 are intrinsic, 21,000 + 40 × 100 the floor.
        check(
            |tx| {
                tx.input = vec![1; 100].into();
                tx.gas_limit = 24_999;
            },
            "insufficient gas for floor data gas cost: gas 24999, minimum needed 25000",
        );
    }

    #[test]
    fn takes_legacy_transactions_for_this_chain() {
        let legacy = |chain_id| TxLegacy {
            chain_id,
            gas_limit: 21_000,
            gas_price: 10,
            to: TxKind::Call(Address::ZERO),
            ..Default::default()
        };
        let protected = TxEnvelope::Legacy(signed(legacy(Some(CHAIN_ID))));
        assert_eq!(admit(protected).unwrap().tip, 10);
        let unprotected = TxEnvelope::Legacy(signed(legacy(None)));
        assert_eq!(
            admit(unprotected.clone()).unwrap_err().to_string(),
            "only replay-protected (EIP-155) transactions allowed over RPC"
        );
        let tx = wrapped(&unprotected, address(1));
        let lenient = Rules { unprotected_allowed: true, ..rules() };
        assert!(lenient.admit(tx, U256::ZERO).is_ok());
        let with_list = TxEip2930 {
            chain_id: CHAIN_ID,
            gas_limit: 21_000,
            to: TxKind::Call(Address::ZERO),
            ..Default::default()
        };
        assert!(admit(TxEnvelope::Eip2930(signed(with_list))).is_ok());
    }

    #[test]
    fn a_delegation_authorises_something() {
        let delegating = |authorization_list| {
            admit(TxEnvelope::Eip7702(signed(TxEip7702 {
                chain_id: CHAIN_ID,
                gas_limit: 46_000,
                authorization_list,
                ..Default::default()
            })))
        };
        let authorization =
            Authorization { chain_id: U256::ZERO, address: Address::ZERO, nonce: 0 };
        let authorization =
            SignedAuthorization::new_unchecked(authorization, 0, U256::ONE, U256::ONE);
        assert_eq!(delegating(vec![]).unwrap_err(), SubmitError::EmptyAuthorizationList);
        assert!(delegating(vec![authorization.clone()]).is_ok());
        assert_eq!(
            delegating(vec![authorization; 2]).unwrap_err(),
            SubmitError::IntrinsicGas { gas: 46_000, needed: 71_000 }
        );
    }

    #[test]
    fn takes_neither_blobs_nor_deposits() {
        let blobs = TxEip4844 { chain_id: CHAIN_ID, gas_limit: 21_000, ..Default::default() };
        assert_eq!(
            admit(TxEnvelope::Eip4844(signed(blobs))).unwrap_err(),
            SubmitError::TypeNotSupported
        );
        let deposit = Arc::new(Transaction::deposit(TxDeposit::default()));
        let refused = rules().admit(deposit, U256::ZERO).unwrap_err();
        assert_eq!(refused.to_string(), "transaction type not supported");
    }
}
