//! The first transaction of every block: what L2 learns about its L1 origin.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use op_alloy_consensus::{L1InfoDepositSource, TxDeposit};

use crate::{
    fees::L1Fees,
    l1_block::{BlockId, L1Header},
    predeploys::{L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK},
    system_config::SystemConfig,
};

/// What a block says about its L1 origin, in either of the two forms that execution can meet.
///
/// The form goes by the *parent*: a block whose parent follows Isthmus' rules says it in the Isthmus form, every other
/// one in the Ecotone form. (In the block that activates a fork the contract is not yet upgraded.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1Attributes {
    /// The origin's number.
    pub l1_number: u64,
    /// The origin's timestamp.
    pub l1_timestamp: u64,
    /// The origin's hash.
    pub l1_hash: B256,
    /// How many blocks of the same origin came before this one.
    pub sequence_number: u64,
    /// The origin's base fee.
    pub base_fee: U256,
    /// The origin's blob base fee.
    pub blob_base_fee: U256,
    /// Weighs the base fee in data fees, in millionths.
    pub base_fee_scalar: u32,
    /// Weighs the blob base fee in data fees, in millionths.
    pub blob_base_fee_scalar: u32,
    /// Who may post batches, as the 32 bytes of the system config.
    pub batcher_hash: B256,
    /// The operator fee; its presence is what makes this the Isthmus form.
    pub operator_fee: Option<OperatorFee>,
}

/// The part of the L1 attributes that came with Isthmus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperatorFee {
    /// For a million gas.
    pub scalar: u32,
    /// For each transaction.
    pub constant: u64,
}

/// Why bytes are not L1 attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum L1AttributesError {
    /// Neither form begins like this.
    #[error("L1 attributes begin with an unknown selector")]
    Selector,
    /// Not the length of the form that the selector announces.
    #[error("L1 attributes have {actual} bytes instead of {expected}")]
    Length {
        /// What the form has.
        expected: usize,
        /// What was there.
        actual: usize,
    },
}

/// `setL1BlockValuesEcotone()`.
const ECOTONE_SELECTOR: [u8; 4] = [0x44, 0x0a, 0x5e, 0x20];
/// `setL1BlockValuesIsthmus()`.
const ISTHMUS_SELECTOR: [u8; 4] = [0x09, 0x89, 0x99, 0xbe];
const ECOTONE_LEN: usize = 164;
const ISTHMUS_LEN: usize = 176;
const GAS_LIMIT: u64 = 1_000_000;

impl L1Attributes {
    /// What a block of this origin says, in the Isthmus form.
    ///
    /// The config is that with the origin's own updates applied.
    pub fn for_block(config: &SystemConfig, origin: &L1Header, sequence_number: u64) -> Self {
        Self {
            l1_number: origin.number,
            l1_timestamp: origin.timestamp,
            l1_hash: origin.hash,
            sequence_number,
            base_fee: U256::from(origin.base_fee),
            blob_base_fee: U256::from(origin.blob_base_fee),
            base_fee_scalar: config.base_fee_scalar,
            blob_base_fee_scalar: config.blob_base_fee_scalar,
            batcher_hash: config.batcher.into_word(),
            operator_fee: Some(config.operator_fee),
        }
    }

    /// The origin.
    pub const fn origin(&self) -> BlockId {
        BlockId { number: self.l1_number, hash: self.l1_hash }
    }

    /// The calldata, which is packed rather than ABI-encoded.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ISTHMUS_LEN);
        out.extend(if self.operator_fee.is_some() { ISTHMUS_SELECTOR } else { ECOTONE_SELECTOR });
        out.extend(self.base_fee_scalar.to_be_bytes());
        out.extend(self.blob_base_fee_scalar.to_be_bytes());
        out.extend(self.sequence_number.to_be_bytes());
        out.extend(self.l1_timestamp.to_be_bytes());
        out.extend(self.l1_number.to_be_bytes());
        out.extend(self.base_fee.to_be_bytes::<32>());
        out.extend(self.blob_base_fee.to_be_bytes::<32>());
        out.extend(self.l1_hash);
        out.extend(self.batcher_hash);
        if let Some(operator_fee) = self.operator_fee {
            out.extend(operator_fee.scalar.to_be_bytes());
            out.extend(operator_fee.constant.to_be_bytes());
        }
        out
    }

    /// Reads the calldata of either form.
    pub fn decode(data: &[u8]) -> Result<Self, L1AttributesError> {
        let (selector, mut rest) =
            data.split_first_chunk::<4>().ok_or(L1AttributesError::Selector)?;
        let (isthmus, expected) = match *selector {
            ECOTONE_SELECTOR => (false, ECOTONE_LEN),
            ISTHMUS_SELECTOR => (true, ISTHMUS_LEN),
            _ => return Err(L1AttributesError::Selector),
        };
        let wrong_length = L1AttributesError::Length { expected, actual: data.len() };
        if data.len() != expected {
            return Err(wrong_length);
        }
        Self::decode_fields(&mut rest, isthmus).ok_or(wrong_length)
    }

    /// The fields in their order; nothing if they run out.
    fn decode_fields(rest: &mut &[u8], isthmus: bool) -> Option<Self> {
        fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
            let (taken, left) = rest.split_first_chunk::<N>()?;
            *rest = left;
            Some(*taken)
        }
        let base_fee_scalar = u32::from_be_bytes(take(rest)?);
        let blob_base_fee_scalar = u32::from_be_bytes(take(rest)?);
        let sequence_number = u64::from_be_bytes(take(rest)?);
        let l1_timestamp = u64::from_be_bytes(take(rest)?);
        let l1_number = u64::from_be_bytes(take(rest)?);
        let base_fee = U256::from_be_bytes::<32>(take(rest)?);
        let blob_base_fee = U256::from_be_bytes::<32>(take(rest)?);
        let l1_hash = B256::new(take(rest)?);
        let batcher_hash = B256::new(take(rest)?);
        let operator_fee = if isthmus {
            Some(OperatorFee {
                scalar: u32::from_be_bytes(take(rest)?),
                constant: u64::from_be_bytes(take(rest)?),
            })
        } else {
            None
        };
        Some(Self {
            l1_number,
            l1_timestamp,
            l1_hash,
            sequence_number,
            base_fee,
            blob_base_fee,
            base_fee_scalar,
            blob_base_fee_scalar,
            batcher_hash,
            operator_fee,
        })
    }

    /// The whole transaction, as it stands first in its block.
    pub fn to_deposit(&self) -> TxDeposit {
        TxDeposit {
            source_hash: L1InfoDepositSource::new(self.l1_hash, self.sequence_number).source_hash(),
            from: L1_ATTRIBUTES_DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            mint: 0,
            value: U256::ZERO,
            gas_limit: GAS_LIMIT,
            is_system_transaction: false,
            input: Bytes::from(self.encode()),
        }
    }

    /// The address that [`Self::batcher_hash`] stands for: version 0 is an address, left-padded.
    pub fn batcher(&self) -> Address {
        Address::from_word(self.batcher_hash)
    }

    /// The prices that follow for the block's other transactions.
    pub fn fees(&self) -> L1Fees {
        let operator_fee = self.operator_fee.unwrap_or_default();
        L1Fees {
            base_fee: self.base_fee,
            blob_base_fee: self.blob_base_fee,
            base_fee_scalar: self.base_fee_scalar,
            blob_base_fee_scalar: self.blob_base_fee_scalar,
            operator_fee_scalar: operator_fee.scalar,
            operator_fee_constant: operator_fee.constant,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use alloy_eips::eip2718::{Decodable2718, Encodable2718};
    use alloy_primitives::{address, b256, hex, keccak256};
    use proptest::prelude::*;

    use super::*;

    /// The first transactions of OP Sepolia's blocks 26207960, 26207962, 26208384 and 26208927.
    const REAL: [&[u8]; 4] = [
        &hex!(
            "7ef8f8a077efb5d9d697e7e37fffcb8b904e28df49667b73d9fc17515eb0e4a0c377d3db94deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8a4440a5e2000001db0000d273000000000000000000000000067f6a91000000000007b5f410000000000000000000000000000000000000000000000000000000001d276cd00000000000000000000000000000000000000000000000000000000000000019244875342f5e0c1624d00f249b1a7996137b1eb44bdf16396f98f76a1bec6fa0000000000000000000000008f23bb38f531600e5d8fddaaec41f13fab46e98c"
        ),
        &hex!(
            "7ef8f8a03f24649fdf3d0aef25ab739ad41e99f9feac34c71242ae65d67ba51083d6318494deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8a4440a5e2000001db0000d273000000000000000020000000067f6a91000000000007b5f410000000000000000000000000000000000000000000000000000000001d276cd00000000000000000000000000000000000000000000000000000000000000019244875342f5e0c1624d00f249b1a7996137b1eb44bdf16396f98f76a1bec6fa0000000000000000000000008f23bb38f531600e5d8fddaaec41f13fab46e98c"
        ),
        &hex!(
            "7ef8f8a0a106c5d162ee45f8f98a80d2f2d527bde0682a7340b54946aa14ea9fb7837a8194deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8a4440a5e2000001db0000d273000000000000000020000000067f6ac6400000000007b5f850000000000000000000000000000000000000000000000000000000001cdee2b0000000000000000000000000000000000000000000000000000000000000001b19b54533a9f45f39c6ec5fda635510b5ad63683b0c34db63c22a23a714ac8890000000000000000000000008f23bb38f531600e5d8fddaaec41f13fab46e98c"
        ),
        &hex!(
            "7ef8f8a003e3bc2898ac715a14905b9ac3b29227299b5b8526e8a634c7705524824198fb94deaddeaddeaddeaddeaddeaddeaddeaddead00019442000000000000000000000000000000000000158080830f424080b8a4440a5e2000001db0000d273000000000000000040000000067f6b07800000000007b5fd30000000000000000000000000000000000000000000000000000000001e79fce0000000000000000000000000000000000000000000000000000000000000001f5671b7878fc71c62323c3a5b6fea83c55a6213cc78d98366f4058ec09205fdf0000000000000000000000008f23bb38f531600e5d8fddaaec41f13fab46e98c"
        ),
    ];

    #[test]
    fn reproduces_real_transactions_byte_for_byte() {
        for encoded in REAL {
            let deposit = TxDeposit::decode_2718_exact(encoded).unwrap();
            let attributes = L1Attributes::decode(&deposit.input).unwrap();
            assert_eq!(attributes.operator_fee, None);
            assert_eq!(attributes.to_deposit(), deposit, "source hash included");
            assert_eq!(attributes.to_deposit().encoded_2718(), encoded);
        }
    }

    #[test]
    fn reads_every_field() {
        let deposit = TxDeposit::decode_2718_exact(REAL[3]).unwrap();
        let attributes = L1Attributes::decode(&deposit.input).unwrap();
        let expected = L1Attributes {
            l1_number: 0x7b_5fd3,
            l1_timestamp: 0x67f6_b078,
            l1_hash: b256!("f5671b7878fc71c62323c3a5b6fea83c55a6213cc78d98366f4058ec09205fdf"),
            sequence_number: 4,
            base_fee: U256::from(0x01e7_9fce),
            blob_base_fee: U256::from(1),
            base_fee_scalar: 7_600,
            blob_base_fee_scalar: 862_000,
            batcher_hash: b256!("0000000000000000000000008f23bb38f531600e5d8fddaaec41f13fab46e98c"),
            operator_fee: None,
        };
        assert_eq!(attributes, expected);
        assert_eq!(attributes.batcher(), address!("8f23bb38f531600e5d8fddaaec41f13fab46e98c"));
    }

    #[test]
    fn isthmus_appends_the_operator_fee() {
        let ecotone = TxDeposit::decode_2718_exact(REAL[0]).unwrap().input;
        let operator_fee = OperatorFee { scalar: 0x0102_0304, constant: 0x0506_0708_090a_0b0c };
        let isthmus = L1Attributes {
            operator_fee: Some(operator_fee),
            ..L1Attributes::decode(&ecotone).unwrap()
        };
        let expected =
            [&hex!("098999be")[..], &ecotone[4..], &hex!("0102030405060708090a0b0c")].concat();
        assert_eq!(isthmus.encode(), expected);
        assert_eq!(expected.len(), 176);
        assert_eq!(L1Attributes::decode(&expected), Ok(isthmus));
        assert_eq!(isthmus.fees().operator_fee_scalar, operator_fee.scalar);
        assert_eq!(isthmus.fees().operator_fee_constant, operator_fee.constant);
    }

    pub(crate) fn l1_header() -> L1Header {
        L1Header {
            number: 7,
            hash: B256::repeat_byte(8),
            parent_hash: B256::repeat_byte(9),
            timestamp: 1_000,
            base_fee: 20_000_000_000,
            blob_base_fee: 1 << 100,
            prev_randao: B256::repeat_byte(10),
            parent_beacon_block_root: B256::repeat_byte(11),
        }
    }

    #[test]
    fn a_block_says_its_origin_and_config() {
        let config = SystemConfig {
            batcher: address!("1111111111111111111111111111111111111111"),
            gas_limit: 30_000_000,
            base_fee_scalar: 1,
            blob_base_fee_scalar: 2,
            eip1559: None,
            operator_fee: OperatorFee { scalar: 3, constant: 4 },
        };
        let attributes = L1Attributes::for_block(&config, &l1_header(), 5);
        let encoded = attributes.encode();
        assert_eq!(encoded.len(), ISTHMUS_LEN);
        assert_eq!(L1Attributes::decode(&encoded), Ok(attributes));
        assert_eq!(attributes.batcher(), config.batcher);
        assert_eq!(attributes.origin(), l1_header().id());
        assert_eq!(attributes.l1_timestamp, 1_000);
        assert_eq!(attributes.sequence_number, 5);
        let fees = L1Fees {
            base_fee: U256::from(20_000_000_000u64),
            blob_base_fee: U256::from(1u128 << 100),
            base_fee_scalar: 1,
            blob_base_fee_scalar: 2,
            operator_fee_scalar: 3,
            operator_fee_constant: 4,
        };
        assert_eq!(attributes.fees(), fees);
    }

    #[test]
    fn selectors_are_those_of_the_functions() {
        assert_eq!(ECOTONE_SELECTOR, keccak256("setL1BlockValuesEcotone()")[..4]);
        assert_eq!(ISTHMUS_SELECTOR, keccak256("setL1BlockValuesIsthmus()")[..4]);
    }

    #[test]
    fn refuses_other_bytes() {
        let ecotone = TxDeposit::decode_2718_exact(REAL[0]).unwrap().input;
        assert_eq!(L1Attributes::decode(&[]), Err(L1AttributesError::Selector));
        assert_eq!(L1Attributes::decode(&ecotone[..3]), Err(L1AttributesError::Selector));
        // Bedrock's form.
        assert_eq!(L1Attributes::decode(&hex!("015d8eb9")), Err(L1AttributesError::Selector));
        let check = |data: &[u8], expected| {
            let error = L1AttributesError::Length { expected, actual: data.len() };
            assert_eq!(L1Attributes::decode(data), Err(error));
        };
        check(&ecotone[..163], 164);
        check(&[&ecotone[..], &[0]].concat(), 164);
        check(&[&hex!("098999be")[..], &ecotone[4..]].concat(), 176);
        check(&hex!("098999be"), 176);
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_back(isthmus: bool, body in prop::collection::vec(any::<u8>(), 172)) {
            let data = if isthmus {
                [&ISTHMUS_SELECTOR[..], &body].concat()
            } else {
                [&ECOTONE_SELECTOR[..], &body[..160]].concat()
            };
            prop_assert_eq!(L1Attributes::decode(&data).unwrap().encode(), data);
        }

        #[test]
        fn arbitrary_bytes_never_panic(isthmus: bool, body in prop::collection::vec(any::<u8>(), 0..400)) {
            let selector = if isthmus { ISTHMUS_SELECTOR } else { ECOTONE_SELECTOR };
            let data = [&selector[..], &body].concat();
            let _ = L1Attributes::decode(&body);
            prop_assert_eq!(L1Attributes::decode(&data).is_ok(), data.len() == if isthmus { 176 } else { 164 });
        }
    }
}
