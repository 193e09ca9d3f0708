//! The base fee of the next block.

use alloy_consensus::Header;

use crate::{
    chain_spec::{ChainSpec, OpFork},
    eip1559_params::{Eip1559Params, Eip1559ParamsError},
};

/// Why a parent has no next base fee. Its header is not one that the chain can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseFeeError {
    /// From before EIP-1559.
    #[error("the parent has no base fee")]
    NoBaseFee,
    /// Holocene's parameters are unreadable.
    #[error("the parent's extraData: {0}")]
    ExtraData(#[from] Eip1559ParamsError),
}

impl ChainSpec {
    /// The base fee of the block with this timestamp on top of `parent`.
    ///
    /// Under Holocene's rules the parent says how fast it moves; before them, and on plain Ethereum, the chain does.
    pub fn next_base_fee(&self, parent: &Header, timestamp: u64) -> Result<u64, BaseFeeError> {
        let base_fee = parent.base_fee_per_gas.ok_or(BaseFeeError::NoBaseFee)?;
        let params = if self.rules(parent.timestamp).is_active(OpFork::Holocene) {
            Eip1559Params::from_extra_data(&parent.extra_data)?
        } else {
            self.eip1559_constants(timestamp)
        };
        Ok(step(params, base_fee, parent.gas_used, parent.gas_limit))
    }
}

/// EIP-1559's formula.
///
/// `alloy_eips` has the same, but it overflows where a small denominator meets a large elasticity, which the owner of
/// an OP chain may configure: this one stops at the largest number instead. Both leave the base fee alone where the
/// target would be zero.
fn step(params: Eip1559Params, base_fee: u64, gas_used: u64, gas_limit: u64) -> u64 {
    let target = gas_limit / u64::from(params.elasticity().get());
    if target == 0 {
        return base_fee;
    }
    // Below 2^96; the product below stays under 2^128.
    let slowness = u128::from(target) * u128::from(params.denominator().get());
    let change = |gas: u64| {
        u64::try_from(u128::from(base_fee) * u128::from(gas) / slowness).unwrap_or(u64::MAX)
    };
    if gas_used > target {
        base_fee.saturating_add(change(gas_used - target).max(1))
    } else {
        base_fee.saturating_sub(change(target - gas_used))
    }
}

#[cfg(test)]
mod tests {
    use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
    use alloy_primitives::hex;
    use proptest::prelude::*;

    use super::*;
    use crate::chain_spec::{EthereumForks, OptimismSpec};

    fn parent(timestamp: u64, base_fee: u64, gas_used: u64, extra_data: &'static [u8]) -> Header {
        Header {
            timestamp,
            gas_used,
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(base_fee),
            extra_data: extra_data.into(),
            ..Header::default()
        }
    }

    /// Canyon at 100, Holocene at 200; the denominator goes from 50 to 250 and then where the header says.
    fn op_chain() -> ChainSpec {
        let spec = OptimismSpec {
            eip1559: Eip1559Params::new(50, 6).unwrap(),
            eip1559_canyon: Eip1559Params::new(250, 6).unwrap(),
            canyon_time: Some(100),
            delta_time: Some(100),
            ecotone_time: Some(100),
            fjord_time: Some(100),
            granite_time: Some(100),
            holocene_time: Some(200),
            isthmus_time: None,
        };
        ChainSpec::optimism(10, spec).unwrap()
    }

    /// OP Sepolia: headers of the parents, and the base fees of their children (which their hashes prove).
    #[test]
    fn real_blocks() {
        let spec = ChainSpec::dev(11_155_420);
        let extra_data = &hex!("00000000fa00000006");
        let check = |base_fee, gas_used, expected| {
            assert_eq!(
                spec.next_base_fee(&parent(300, base_fee, gas_used, extra_data), 302),
                Ok(expected)
            );
        };
        // Block 26207960 on 26207959, and so on: all of them far below the target of 10,000,000.
        check(270, 0x20_9966, 270);
        check(270, 0x54_2ccd, 270);
        check(285, 0x2e_5362, 285);
        check(278, 0x43_47b3, 278);
    }

    #[test]
    fn the_new_block_decides_before_holocene_and_the_parent_from_then_on() {
        let spec = op_chain();
        // A full block: five targets too much, so the change is 5 / denominator.
        let full = 60_000_000;
        let next = |parent_time, time, extra_data| {
            spec.next_base_fee(&parent(parent_time, 1_000_000, full, extra_data), time).unwrap()
        };
        assert_eq!(next(98, 99, b""), 1_000_000 + 1_000_000 * 5 / 50);
        assert_eq!(next(99, 100, b""), 1_000_000 + 1_000_000 * 5 / 250);
        // The first block of Holocene still goes by the constants: its parent has no parameters.
        assert_eq!(next(199, 200, b""), 1_000_000 + 1_000_000 * 5 / 250);
        assert_eq!(next(200, 201, &hex!("000000000a00000003")), 1_000_000 + 1_000_000 * 2 / 10);
    }

    #[test]
    fn a_parent_that_cannot_be_is_an_error() {
        let spec = op_chain();
        let bad = |extra_data| spec.next_base_fee(&parent(200, 1, 0, extra_data), 201).unwrap_err();
        assert_eq!(bad(b""), BaseFeeError::ExtraData(Eip1559ParamsError::Length(0)));
        assert_eq!(
            bad(&hex!("000000000000000006")),
            BaseFeeError::ExtraData(Eip1559ParamsError::ZeroDenominator)
        );
        let header = Header { base_fee_per_gas: None, ..parent(0, 1, 0, b"") };
        assert_eq!(spec.next_base_fee(&header, 1), Err(BaseFeeError::NoBaseFee));
    }

    #[test]
    fn ethereum_ignores_extra_data() {
        let spec = ChainSpec::ethereum(1, EthereumForks::default()).unwrap();
        let header = parent(0, 1_000_000_000, 60_000_000, b"somebody's graffiti");
        assert_eq!(spec.next_base_fee(&header, 12), Ok(1_125_000_000));
        let empty = Header { gas_used: 0, ..header };
        assert_eq!(spec.next_base_fee(&empty, 12), Ok(875_000_000));
    }

    #[test]
    fn edges() {
        let params = Eip1559Params::OPTIMISM;
        // Exactly at the target nothing moves; one gas more moves it by one.
        assert_eq!(step(params, 7, 10_000_000, 60_000_000), 7);
        assert_eq!(step(params, 7, 10_000_001, 60_000_000), 8);
        assert_eq!(step(params, 7, 9_999_999, 60_000_000), 7);
        assert_eq!(step(params, 0, 60_000_000, 60_000_000), 1);
        assert_eq!(step(params, 0, 0, 60_000_000), 0);
        // No target, no movement.
        assert_eq!(step(params, 7, 5, 5), 7);
        // Nothing leaves its range.
        let wild = Eip1559Params::new(1, u32::MAX).unwrap();
        assert_eq!(step(wild, u64::MAX, u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(step(wild, 1_000_000, 0, u64::MAX), 0);
        assert_eq!(step(wild, u64::MAX / 2, 1_000_000_000, u64::from(u32::MAX)), u64::MAX);
    }

    proptest! {
        #[test]
        fn agrees_with_alloy_where_that_cannot_overflow(
            base_fee in 0u64..1 << 50, used in 0u64..=120_000_000, gas_limit in 0u64..=120_000_000,
            denominator in 1u32..2_000, elasticity in 1u32..100,
        ) {
            let params = Eip1559Params::new(denominator, elasticity).unwrap();
            let theirs = BaseFeeParams::new(denominator.into(), elasticity.into());
            let used = used.min(gas_limit);
            prop_assert_eq!(
                step(params, base_fee, used, gas_limit),
                calc_next_block_base_fee(used, gas_limit, base_fee, theirs)
            );
        }

        #[test]
        fn never_panics(base_fee: u64, used: u64, gas_limit: u64, denominator in 1u32.., elasticity in 1u32..) {
            step(Eip1559Params::new(denominator, elasticity).unwrap(), base_fee, used, gas_limit);
        }
    }
}
