//! How fast the base fee moves, and the two encodings of that: `extraData` of a header, `eip1559Params` of a payload.

use std::num::NonZeroU32;

use alloy_primitives::B64;

/// How fast the base fee moves. Neither part can be zero, so nothing here ever divides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Eip1559Params {
    denominator: NonZeroU32,
    elasticity: NonZeroU32,
}

/// Why bytes are not EIP-1559 parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Eip1559ParamsError {
    /// `extraData` of another length than nine bytes.
    #[error("extraData has {0} bytes instead of {EXTRA_DATA_LEN}")]
    Length(usize),
    /// `extraData` of another version than zero.
    #[error("extraData has version {0} instead of 0")]
    Version(u8),
    /// The denominator is zero.
    #[error("EIP-1559 denominator is zero")]
    ZeroDenominator,
    /// The elasticity is zero.
    #[error("EIP-1559 elasticity is zero")]
    ZeroElasticity,
}

const EXTRA_DATA_LEN: usize = 9;
const EXTRA_DATA_VERSION: u8 = 0;

impl Eip1559Params {
    /// Ethereum's constants.
    pub const ETHEREUM: Self = Self::constant(8, 2);
    /// The constants of the OP Stack's chains since Canyon, and ours.
    pub const OPTIMISM: Self = Self::constant(250, 6);

    /// Both parts must be positive.
    pub const fn new(denominator: u32, elasticity: u32) -> Result<Self, Eip1559ParamsError> {
        match (NonZeroU32::new(denominator), NonZeroU32::new(elasticity)) {
            (None, _) => Err(Eip1559ParamsError::ZeroDenominator),
            (_, None) => Err(Eip1559ParamsError::ZeroElasticity),
            (Some(denominator), Some(elasticity)) => Ok(Self { denominator, elasticity }),
        }
    }

    const fn constant(denominator: u32, elasticity: u32) -> Self {
        match Self::new(denominator, elasticity) {
            Ok(params) => params,
            Err(_) => panic!("a constant is not zero"),
        }
    }

    /// The most that the base fee can change in a block is one part in this many.
    pub const fn denominator(self) -> NonZeroU32 {
        self.denominator
    }

    /// The gas limit is this many times the gas target.
    pub const fn elasticity(self) -> NonZeroU32 {
        self.elasticity
    }

    /// Reads a payload's `eip1559Params`, where two zeros stand for the chain's constants.
    pub fn from_payload(params: B64, constants: Self) -> Result<Self, Eip1559ParamsError> {
        match Self::split(params.0) {
            (0, 0) => Ok(constants),
            (denominator, elasticity) => Self::new(denominator, elasticity),
        }
    }

    /// Writes a payload's `eip1559Params`.
    pub fn to_payload(self) -> B64 {
        B64::from((u64::from(self.denominator.get()) << 32) | u64::from(self.elasticity.get()))
    }

    /// Reads the `extraData` of a header under Holocene's rules.
    pub fn from_extra_data(extra_data: &[u8]) -> Result<Self, Eip1559ParamsError> {
        let &[version, ref params @ ..] = extra_data else {
            return Err(Eip1559ParamsError::Length(0));
        };
        let params: [u8; 8] =
            params.try_into().map_err(|_| Eip1559ParamsError::Length(extra_data.len()))?;
        if version != EXTRA_DATA_VERSION {
            return Err(Eip1559ParamsError::Version(version));
        }
        let (denominator, elasticity) = Self::split(params);
        Self::new(denominator, elasticity)
    }

    /// Writes the `extraData` of a header under Holocene's rules.
    pub fn to_extra_data(self) -> [u8; EXTRA_DATA_LEN] {
        let mut extra_data = [EXTRA_DATA_VERSION; EXTRA_DATA_LEN];
        extra_data[1..].copy_from_slice(self.to_payload().as_slice());
        extra_data
    }

    const fn split([d0, d1, d2, d3, e0, e1, e2, e3]: [u8; 8]) -> (u32, u32) {
        (u32::from_be_bytes([d0, d1, d2, d3]), u32::from_be_bytes([e0, e1, e2, e3]))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{b64, hex};
    use op_alloy_consensus::{decode_holocene_extra_data, encode_holocene_extra_data};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_real_headers_and_payloads() {
        // OP Sepolia, block 26207959 and the payload that followed it.
        let params = Eip1559Params::from_extra_data(&hex!("00000000fa00000006")).unwrap();
        assert_eq!(params, Eip1559Params::new(250, 6).unwrap());
        assert_eq!(params.to_extra_data(), hex!("00000000fa00000006"));

        let payload = b64!("000000fa00000006");
        assert_eq!(Eip1559Params::from_payload(payload, Eip1559Params::ETHEREUM), Ok(params));
        assert_eq!(params.to_payload(), payload);
    }

    #[test]
    fn two_zeros_in_a_payload_stand_for_the_constants() {
        let constants = Eip1559Params::new(50, 10).unwrap();
        assert_eq!(Eip1559Params::from_payload(B64::ZERO, constants), Ok(constants));
        // One zero stands for nothing.
        assert_eq!(
            Eip1559Params::from_payload(b64!("0000000000000006"), constants),
            Err(Eip1559ParamsError::ZeroDenominator)
        );
        assert_eq!(
            Eip1559Params::from_payload(b64!("000000fa00000000"), constants),
            Err(Eip1559ParamsError::ZeroElasticity)
        );
    }

    #[test]
    fn refuses_malformed_extra_data() {
        let check =
            |bytes: &[u8], error| assert_eq!(Eip1559Params::from_extra_data(bytes), Err(error));
        check(&[], Eip1559ParamsError::Length(0));
        check(&hex!("00"), Eip1559ParamsError::Length(1));
        check(&hex!("00000000fa000000"), Eip1559ParamsError::Length(8));
        check(&hex!("00000000fa0000000600"), Eip1559ParamsError::Length(10));
        check(&hex!("01000000fa00000006"), Eip1559ParamsError::Version(1));
        check(&hex!("000000000000000006"), Eip1559ParamsError::ZeroDenominator);
        check(&hex!("00000000fa00000000"), Eip1559ParamsError::ZeroElasticity);
        // Zeros stand for the constants in a payload only: a header says what it means.
        check(&hex!("000000000000000000"), Eip1559ParamsError::ZeroDenominator);
    }

    proptest! {
        #[test]
        fn both_encodings_round_trip_and_agree_with_op_alloy(denominator in 1u32.., elasticity in 1u32..) {
            let params = Eip1559Params::new(denominator, elasticity).unwrap();
            let extra_data = params.to_extra_data();
            prop_assert_eq!(Eip1559Params::from_extra_data(&extra_data), Ok(params));
            prop_assert_eq!(Eip1559Params::from_payload(params.to_payload(), Eip1559Params::ETHEREUM), Ok(params));

            prop_assert_eq!(decode_holocene_extra_data(&extra_data), Ok((elasticity, denominator)));
            let constants = alloy_eips::eip1559::BaseFeeParams::ethereum();
            let theirs = encode_holocene_extra_data(params.to_payload(), constants).unwrap();
            prop_assert_eq!(&extra_data[..], &theirs[..]);
        }
    }
}
