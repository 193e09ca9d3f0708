//! What a transaction owes besides its gas: the L1 data fee (Fjord's formula) and the operator fee (Isthmus).

use alloy_primitives::U256;

use crate::{
    chain_spec::OpFork,
    fastlz::compressed_len,
    predeploys::l1_block_slots::{BASE_FEE, BLOB_BASE_FEE, FEE_SCALARS, OPERATOR_FEE},
};

/// How much room a transaction is estimated to take on L1 once it is compressed among others.
///
/// It depends on nothing but the transaction's bytes, so it is worked out once, at admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataSize {
    /// A linear regression has millionths of bytes.
    millionths: u64,
}

impl DataSize {
    const MILLIONTHS_MIN: u64 = 100 * 1_000_000;
    const INTERCEPT: u64 = 42_585_600;
    const FASTLZ_COEFFICIENT: u64 = 836_500;
    const GAS_PER_BYTE: u64 = 16;

    /// Estimates the size of a transaction from its EIP-2718 encoding, signature included.
    pub fn estimate(encoded: &[u8]) -> Self {
        Self::from_compressed_len(compressed_len(encoded))
    }

    /// The estimate for a transaction that FastLZ compresses to so many bytes.
    pub fn from_compressed_len(compressed_len: u32) -> Self {
        // At most 2^52: nothing here can overflow.
        let estimate =
            (u64::from(compressed_len) * Self::FASTLZ_COEFFICIENT).saturating_sub(Self::INTERCEPT);
        Self { millionths: estimate.max(Self::MILLIONTHS_MIN) }
    }

    /// Whole bytes: what limits on a block's data count.
    pub const fn bytes(self) -> u64 {
        self.millionths / 1_000_000
    }

    /// The gas that so much calldata would cost on L1: `l1GasUsed` in a receipt.
    pub const fn l1_gas(self) -> u64 {
        self.millionths * Self::GAS_PER_BYTE / 1_000_000
    }
}

/// The prices that hold throughout one block: set by its L1 attributes, read from the L1Block contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct L1Fees {
    /// The base fee of the L1 origin.
    pub base_fee: U256,
    /// The blob base fee of the L1 origin.
    pub blob_base_fee: U256,
    /// Weighs the base fee, in millionths.
    pub base_fee_scalar: u32,
    /// Weighs the blob base fee, in millionths.
    pub blob_base_fee_scalar: u32,
    /// Operator fee for a million gas. Zero before Isthmus.
    pub operator_fee_scalar: u32,
    /// Operator fee for each transaction. Zero before Isthmus.
    pub operator_fee_constant: u64,
}

impl L1Fees {
    /// Reads the prices from the storage of [`L1_BLOCK`](crate::predeploys::L1_BLOCK).
    ///
    /// They are those of the block once its first transaction has run: the L1 attributes set them. (The one block in
    /// which a chain turned to Ecotone has no such prices yet and pays by an older formula; it came before
    /// [`OpFork::OLDEST_EXECUTED`].)
    pub fn read<E>(fork: OpFork, mut slot: impl FnMut(U256) -> Result<U256, E>) -> Result<Self, E> {
        let scalars = slot(FEE_SCALARS)?.into_limbs();
        let mut fees = Self {
            base_fee: slot(BASE_FEE)?,
            blob_base_fee: slot(BLOB_BASE_FEE)?,
            base_fee_scalar: (scalars[1] >> 32) as u32,
            blob_base_fee_scalar: scalars[1] as u32,
            operator_fee_scalar: 0,
            operator_fee_constant: 0,
        };
        if fork >= OpFork::Isthmus {
            let operator = slot(OPERATOR_FEE)?.into_limbs();
            fees.operator_fee_scalar = operator[1] as u32;
            fees.operator_fee_constant = operator[0];
        }
        Ok(fees)
    }

    /// What a transaction of this size pays for its data.
    ///
    /// The specification computes without bounds. A product past 256 bits, which means a fee above 2^216 wei, more
    /// than any balance can be, is reported as the largest number: either way nobody can pay it.
    pub fn data_fee(&self, size: DataSize) -> U256 {
        const DIVISOR: u64 = 1_000_000_000_000;
        if let Some(fee) = self.data_fee_small(size, DIVISOR) {
            return U256::from(fee);
        }
        let weigh = |fee: U256, scalar: u64| fee.checked_mul(U256::from(scalar));
        let product = || {
            let calldata = weigh(self.base_fee, 16 * u64::from(self.base_fee_scalar))?;
            let blobs = weigh(self.blob_base_fee, u64::from(self.blob_base_fee_scalar))?;
            calldata.checked_add(blobs)?.checked_mul(U256::from(size.millionths))
        };
        product().map_or(U256::MAX, |product| product / U256::from(DIVISOR))
    }

    /// The same in 128 bits, where every price ever seen on L1 fits.
    fn data_fee_small(&self, size: DataSize, divisor: u64) -> Option<u128> {
        let weigh = |fee: U256, scalar: u64| {
            Some(u128::from(u64::try_from(fee).ok()?) * u128::from(scalar))
        };
        let calldata = weigh(self.base_fee, 16 * u64::from(self.base_fee_scalar))?;
        let blobs = weigh(self.blob_base_fee, u64::from(self.blob_base_fee_scalar))?;
        // Below 2^101 together.
        Some((calldata + blobs).checked_mul(u128::from(size.millionths))? / u128::from(divisor))
    }

    /// What a transaction pays to the operator for this much gas: the limit when it is charged, what was used when it
    /// is settled.
    pub fn operator_fee(&self, gas: u64) -> U256 {
        // At most 77 bits.
        let fee = u128::from(gas) * u128::from(self.operator_fee_scalar) / 1_000_000;
        U256::from(fee + u128::from(self.operator_fee_constant))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use alloy_primitives::{hex, uint};
    use proptest::prelude::*;

    use super::*;

    fn published() -> L1Fees {
        L1Fees {
            base_fee: U256::from(1_000_000_000),
            blob_base_fee: U256::from(10_000_000),
            base_fee_scalar: 2,
            blob_base_fee_scalar: 3,
            operator_fee_scalar: 0,
            operator_fee_constant: 0,
        }
    }

    #[test]
    fn small_transactions_pay_for_a_hundred_bytes() {
        // op-geth's vector: 100e6 * (2 * 1000e6 * 16 + 3 * 10e6) / 1e12.
        let size = DataSize::estimate(&hex!(
            "dd80808094095e7baea6a6c7c4c2dfeb977efac326af552d878080808080"
        ));
        assert_eq!(published().data_fee(size), U256::from(3_203_000));
        assert_eq!(size.bytes(), 100);
        assert_eq!(size.l1_gas(), 1_600);
        assert_eq!(size, DataSize::from_compressed_len(0));
        // 170 bytes estimate to just below the minimum, 171 to just above it.
        assert_eq!(DataSize::from_compressed_len(170), size);
        assert_eq!(DataSize::from_compressed_len(171).millionths, 171 * 836_500 - 42_585_600);
    }

    #[test]
    fn larger_transactions_pay_by_the_regression() {
        // 235 * 836500 - 42585600 = 153991900, times 32030000000, over 1e12, rounded down.
        let size = DataSize::from_compressed_len(235);
        assert_eq!(published().data_fee(size), U256::from(4_932_360));
        assert_eq!(size.bytes(), 153);
        assert_eq!(size.l1_gas(), 2_463);
    }

    #[test]
    fn nothing_overflows() {
        let largest = DataSize::from_compressed_len(u32::MAX);
        assert_eq!(largest.millionths, u64::from(u32::MAX) * 836_500 - 42_585_600);
        assert_eq!(largest.l1_gas(), (u128::from(largest.millionths) * 16 / 1_000_000) as u64);

        let fees = L1Fees {
            base_fee: U256::MAX,
            blob_base_fee: U256::MAX,
            base_fee_scalar: u32::MAX,
            blob_base_fee_scalar: u32::MAX,
            operator_fee_scalar: u32::MAX,
            operator_fee_constant: u64::MAX,
        };
        assert_eq!(fees.data_fee(largest), U256::MAX);
        // The specification works this one out: about 7.92e22.
        assert_eq!(fees.operator_fee(u64::MAX), uint!(79246609239891303067154_U256));
    }

    #[test]
    fn the_operator_fee_rounds_down_before_its_constant() {
        let fees =
            L1Fees { operator_fee_scalar: 1_500, operator_fee_constant: 7, ..L1Fees::default() };
        assert_eq!(fees.operator_fee(0), U256::from(7));
        assert_eq!(fees.operator_fee(21_000), U256::from(31 + 7));
        assert_eq!(fees.operator_fee(1_999), U256::from(2 + 7));
    }

    #[test]
    fn reads_packed_slots() {
        let slots = |slot: U256| -> Result<U256, Infallible> {
            Ok(match slot.to::<u64>() {
                1 => U256::from(30_549_709),
                3 => uint!(
                    0xffffffff_ffffffff_ffffffff_ffffffff_00001db0_000d2730_0000000000000004_U256
                ),
                7 => U256::from(1),
                8 => uint!(
                    0xffffffff_ffffffff_ffffffff_ffffffff_ffffffff_000003e8_00000000000f4240_U256
                ),
                other => panic!("slot {other} has no part in fees"),
            })
        };
        let isthmus = L1Fees::read(OpFork::Isthmus, slots).unwrap();
        let expected = L1Fees {
            base_fee: U256::from(30_549_709),
            blob_base_fee: U256::from(1),
            base_fee_scalar: 7_600,
            blob_base_fee_scalar: 862_000,
            operator_fee_scalar: 1_000,
            operator_fee_constant: 1_000_000,
        };
        assert_eq!(isthmus, expected);

        // Before Isthmus that slot means nothing.
        let holocene = L1Fees::read(OpFork::Holocene, slots).unwrap();
        assert_eq!(
            holocene,
            L1Fees { operator_fee_scalar: 0, operator_fee_constant: 0, ..expected }
        );
        assert_eq!(L1Fees::read(OpFork::Isthmus, |_| Err("no such block")), Err("no such block"));
    }

    proptest! {
        /// Whatever the width of the prices, the fee is what unbounded integers say.
        #[test]
        fn both_widths_agree(
            base_fee in any::<u64>(), blob_base_fee in any::<u64>(), shift in 0usize..140,
            base_fee_scalar: u32, blob_base_fee_scalar: u32, compressed_len in 0u32..200_000,
        ) {
            use alloy_primitives::U512;

            let fees = L1Fees {
                base_fee: U256::from(base_fee) << shift,
                blob_base_fee: U256::from(blob_base_fee) << shift,
                base_fee_scalar,
                blob_base_fee_scalar,
                ..L1Fees::default()
            };
            let size = DataSize::from_compressed_len(compressed_len);
            let scaled = U512::from(fees.base_fee) * U512::from(16) * U512::from(base_fee_scalar)
                + U512::from(fees.blob_base_fee) * U512::from(blob_base_fee_scalar);
            let product = scaled * U512::from(size.millionths);
            let fee = fees.data_fee(size);
            if product >> 256 == U512::ZERO {
                prop_assert_eq!(U512::from(fee), product / U512::from(1_000_000_000_000u64));
            } else {
                prop_assert_eq!(fee, U256::MAX);
            }
        }
    }
}
