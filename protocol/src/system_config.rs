//! The system config: what the rollup's owner can change on L1 while the chain runs.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, LogData, U256, b256};

use crate::{
    eip1559_params::{Eip1559Params, Eip1559ParamsError},
    l1_attributes::{L1Attributes, OperatorFee},
};

/// `ConfigUpdate(uint256 indexed version, uint8 indexed updateType, bytes data)`.
pub const CONFIG_UPDATE: B256 =
    b256!("1d2b0bda21d56b8bd12d4f94ebacffdfb35f5e226f84b461103bb8beab6353be");

/// What the rollup's owner can change on L1 while the chain runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemConfig {
    /// Whose transactions to the inbox count.
    pub batcher: Address,
    /// The gas limit of L2 blocks.
    pub gas_limit: u64,
    /// Weighs the L1 base fee in data fees, in millionths.
    pub base_fee_scalar: u32,
    /// Weighs the L1 blob base fee in data fees, in millionths.
    pub blob_base_fee_scalar: u32,
    /// How the base fee of L2 moves; nothing means by the chain's constants.
    pub eip1559: Option<Eip1559Params>,
    /// What the operator asks for beside L1's cost.
    pub operator_fee: OperatorFee,
}

/// What an event of the system config contract changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigUpdate {
    /// Another batcher.
    Batcher(Address),
    /// Other weights in data fees.
    FeeScalars {
        /// Of the L1 base fee.
        base_fee: u32,
        /// Of the L1 blob base fee.
        blob_base_fee: u32,
    },
    /// Another gas limit.
    GasLimit(u64),
    /// Another key for gossip between nodes: no matter of the chain's, so it changes nothing here.
    UnsafeBlockSigner,
    /// Another pace of the base fee; nothing means by the chain's constants.
    Eip1559(Option<Eip1559Params>),
    /// Another operator fee.
    OperatorFee(OperatorFee),
}

/// Why a log changes nothing. The specification skips such a log and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigUpdateError {
    /// Another event.
    #[error("the log is not a ConfigUpdate event")]
    Event,
    /// A version that came after us.
    #[error("config update version {0} is unknown")]
    Version(B256),
    /// A type that came after us.
    #[error("config update type {0} is unknown")]
    Type(B256),
    /// The data is not where or as long as the ABI puts it.
    #[error("the config update's data is not ABI-encoded as one byte string of its length")]
    Abi,
    /// A number or address has bits set above its width.
    #[error("the config update's value is too wide")]
    Width,
    /// Fee scalars of another encoding than the two that are known.
    #[error("the config update's fee scalars are encoded in an unknown way")]
    FeeScalars,
    /// A parameter is zero.
    #[error("the config update's parameters: {0}")]
    Eip1559(#[from] Eip1559ParamsError),
}

impl ConfigUpdate {
    /// Reads the event.
    pub fn decode_log(log: &LogData) -> Result<Self, ConfigUpdateError> {
        let &[CONFIG_UPDATE, version, kind] = log.topics() else {
            return Err(ConfigUpdateError::Event);
        };
        if version != B256::ZERO {
            return Err(ConfigUpdateError::Version(version));
        }
        let data = &log.data;
        // The whole word counts: its other 31 bytes are zero in every known type.
        match (kind.0[31], B256::with_last_byte(kind.0[31]) == kind) {
            (0, true) => {
                let [word] = words(data)?;
                let (padding, address) = word.split_at(12);
                is_zero(padding).then(|| Self::Batcher(Address::from_slice(address)))
            }
            (1, true) => {
                // The first word was the overhead, which Ecotone did away with.
                let [_, scalars] = words(data)?;
                return fee_scalars(&scalars);
            }
            (2, true) => {
                let [word] = words(data)?;
                u64::try_from(U256::from_be_bytes(word)).ok().map(Self::GasLimit)
            }
            (3, true) => Some(Self::UnsafeBlockSigner),
            (4, true) => {
                let [word] = words(data)?;
                let (_, params) = lower_numbers(&word);
                let params = match (params >> 32, params & u64::from(u32::MAX)) {
                    (0, 0) => None,
                    (denominator, elasticity) => {
                        Some(Eip1559Params::new(denominator as u32, elasticity as u32)?)
                    }
                };
                Some(Self::Eip1559(params))
            }
            (5, true) => {
                let [word] = words(data)?;
                let (scalar, constant) = lower_numbers(&word);
                Some(Self::OperatorFee(OperatorFee { scalar, constant }))
            }
            _ => return Err(ConfigUpdateError::Type(kind)),
        }
        .ok_or(ConfigUpdateError::Width)
    }

    /// Writes the event as the contract does. Simulated L1s and tests need it; a chain never does.
    pub fn encode_log(&self) -> LogData {
        let mut data = Vec::with_capacity(128);
        let mut push = |value: U256| data.extend(value.to_be_bytes::<32>());
        let pack = |upper: u32, lower: u64| (U256::from(upper) << 64) | U256::from(lower);
        push(U256::from(32));
        push(U256::from(if matches!(self, Self::FeeScalars { .. }) { 64 } else { 32 }));
        let kind = match *self {
            Self::Batcher(batcher) => {
                push(batcher.into_word().into());
                0
            }
            Self::FeeScalars { base_fee, blob_base_fee } => {
                push(U256::ZERO);
                let version = U256::from(1) << 248;
                push(version | U256::from((u64::from(blob_base_fee) << 32) | u64::from(base_fee)));
                1
            }
            Self::GasLimit(gas_limit) => {
                push(U256::from(gas_limit));
                2
            }
            Self::UnsafeBlockSigner => {
                push(U256::ZERO);
                3
            }
            Self::Eip1559(params) => {
                let params = params.map_or(0, |params| u64::from_be_bytes(params.to_payload().0));
                push(U256::from(params));
                4
            }
            Self::OperatorFee(fee) => {
                push(pack(fee.scalar, fee.constant));
                5
            }
        };
        let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
        LogData::new_unchecked(topics, data.into())
    }
}

impl SystemConfig {
    /// Applies the event of the system config contract that this log is.
    ///
    /// The caller offers the logs of that contract, of successful transactions, in order. One that is refused leaves
    /// the config as it was.
    pub fn apply_log(&mut self, log: &LogData) -> Result<(), ConfigUpdateError> {
        self.apply(ConfigUpdate::decode_log(log)?);
        Ok(())
    }

    /// Applies an update.
    pub const fn apply(&mut self, update: ConfigUpdate) {
        match update {
            ConfigUpdate::Batcher(batcher) => self.batcher = batcher,
            ConfigUpdate::FeeScalars { base_fee, blob_base_fee } => {
                self.base_fee_scalar = base_fee;
                self.blob_base_fee_scalar = blob_base_fee;
            }
            ConfigUpdate::GasLimit(gas_limit) => self.gas_limit = gas_limit,
            ConfigUpdate::UnsafeBlockSigner => {}
            ConfigUpdate::Eip1559(params) => self.eip1559 = params,
            ConfigUpdate::OperatorFee(fee) => self.operator_fee = fee,
        }
    }

    /// The config under which an L2 block was built: a block says all of it, in its header and its L1 attributes.
    ///
    /// A header never says "the chain's constants" but what they are. Both mean the same to the blocks that follow.
    /// The genesis block has no attributes; its config is part of the rollup's.
    pub fn of_l2_block(
        header: &Header,
        attributes: &L1Attributes,
    ) -> Result<Self, Eip1559ParamsError> {
        Ok(Self {
            batcher: attributes.batcher(),
            gas_limit: header.gas_limit,
            base_fee_scalar: attributes.base_fee_scalar,
            blob_base_fee_scalar: attributes.blob_base_fee_scalar,
            eip1559: Some(Eip1559Params::from_extra_data(&header.extra_data)?),
            operator_fee: attributes.operator_fee.unwrap_or_default(),
        })
    }
}

/// The words of ABI-encoded data that is one byte string of exactly so many of them.
fn words<const N: usize>(data: &[u8]) -> Result<[[u8; 32]; N], ConfigUpdateError> {
    let (words, rest) = data.as_chunks::<32>();
    let [offset, len, words @ ..] = words else { return Err(ConfigUpdateError::Abi) };
    let expected = (U256::from(32), U256::from(N * 32));
    if (U256::from_be_bytes(*offset), U256::from_be_bytes(*len)) != expected || !rest.is_empty() {
        return Err(ConfigUpdateError::Abi);
    }
    words.try_into().map_err(|_| ConfigUpdateError::Abi)
}

/// The lowest twelve bytes of a word, as two numbers. What lies above them is not looked at, here as elsewhere.
fn lower_numbers(word: &[u8; 32]) -> (u32, u64) {
    let limbs = U256::from_be_bytes(*word).into_limbs();
    (limbs[1] as u32, limbs[0])
}

/// Both versions of the encoding; the older one had no blobs.
fn fee_scalars(word: &[u8; 32]) -> Result<ConfigUpdate, ConfigUpdateError> {
    let (upper, lower) = word.split_at(24);
    let (_, scalars) = lower_numbers(word);
    let (blob_base_fee, base_fee) = ((scalars >> 32) as u32, scalars as u32);
    let known = match upper[0] {
        0 => is_zero(upper) && is_zero(&lower[..4]),
        1 => is_zero(&upper[1..]),
        _ => false,
    };
    known
        .then_some(ConfigUpdate::FeeScalars { base_fee, blob_base_fee })
        .ok_or(ConfigUpdateError::FeeScalars)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, address, keccak256};
    use alloy_sol_types::SolValue;
    use proptest::prelude::*;

    use super::*;

    fn config() -> SystemConfig {
        SystemConfig {
            batcher: address!("1111111111111111111111111111111111111111"),
            gas_limit: 30_000_000,
            base_fee_scalar: 1,
            blob_base_fee_scalar: 2,
            eip1559: None,
            operator_fee: OperatorFee { scalar: 3, constant: 4 },
        }
    }

    /// The log as a contract emits it, by another encoder than ours.
    fn log(kind: u8, payload: &[U256]) -> LogData {
        let payload: Vec<u8> = payload.iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
        let data = Bytes::from(payload).abi_encode();
        let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
        LogData::new_unchecked(topics, data.into())
    }

    fn check(kind: u8, payload: &[U256], expected: Result<SystemConfig, ConfigUpdateError>) {
        let mut config = config();
        let before = config;
        let result = config.apply_log(&log(kind, payload));
        assert_eq!(result.map(|()| config), expected);
        if result.is_err() {
            assert_eq!(config, before);
        }
    }

    #[test]
    fn the_topic_is_the_events() {
        assert_eq!(CONFIG_UPDATE, keccak256("ConfigUpdate(uint256,uint8,bytes)"));
    }

    #[test]
    fn applies_every_type() {
        let word = |words: [u64; 4]| U256::from_limbs([words[3], words[2], words[1], words[0]]);
        let batcher = address!("2222222222222222222222222222222222222222");
        check(0, &[batcher.into_word().into()], Ok(SystemConfig { batcher, ..config() }));
        let scalars = Ok(SystemConfig { base_fee_scalar: 8, blob_base_fee_scalar: 7, ..config() });
        let scalars_of = (7 << 32) | 8;
        // The overhead counts for nothing.
        check(1, &[U256::from(99), word([1 << 56, 0, 0, scalars_of])], scalars);
        check(2, &[U256::from(60_000_000)], Ok(SystemConfig { gas_limit: 60_000_000, ..config() }));
        check(3, &[U256::from(5)], Ok(config()));
        let eip1559 = Some(Eip1559Params::new(50, 10).unwrap());
        check(4, &[U256::from((50u64 << 32) | 10)], Ok(SystemConfig { eip1559, ..config() }));
        let operator_fee = OperatorFee { scalar: 9, constant: 10 };
        check(5, &[word([0, 0, 9, 10])], Ok(SystemConfig { operator_fee, ..config() }));
    }

    #[test]
    fn two_zeros_are_the_chains_constants() {
        let mut config = SystemConfig { eip1559: Some(Eip1559Params::ETHEREUM), ..config() };
        config.apply_log(&log(4, &[U256::ZERO])).unwrap();
        assert_eq!(config.eip1559, None);
        let error = |error| Err(ConfigUpdateError::Eip1559(error));
        check(4, &[U256::from(6)], error(Eip1559ParamsError::ZeroDenominator));
        check(4, &[U256::from(250u64 << 32)], error(Eip1559ParamsError::ZeroElasticity));
    }

    #[test]
    fn the_older_scalars_know_no_blobs() {
        let expected = SystemConfig { base_fee_scalar: 8, blob_base_fee_scalar: 0, ..config() };
        check(1, &[U256::ZERO, U256::from(8)], Ok(expected));
        let unknown = Err(ConfigUpdateError::FeeScalars);
        check(1, &[U256::ZERO, U256::from(1u64 << 32)], unknown);
        check(1, &[U256::ZERO, U256::from(1) << 64], unknown);
        check(1, &[U256::ZERO, (U256::from(1) << 248) | (U256::from(1) << 64)], unknown);
        check(1, &[U256::ZERO, U256::from(2) << 248], unknown);
    }

    #[test]
    fn refuses_malformed_logs() {
        check(0, &[U256::from(1) << 160], Err(ConfigUpdateError::Width));
        check(2, &[U256::from(1) << 64], Err(ConfigUpdateError::Width));
        for kind in [0, 1, 2, 4, 5] {
            check(kind, &[], Err(ConfigUpdateError::Abi));
            check(kind, &[U256::ZERO; 3], Err(ConfigUpdateError::Abi));
        }
        check(1, &[U256::ZERO], Err(ConfigUpdateError::Abi));
        for kind in [6, 7, 255] {
            let topic = B256::with_last_byte(kind);
            check(kind, &[U256::from(1)], Err(ConfigUpdateError::Type(topic)));
        }

        let gas_limit = log(2, &[U256::from(7)]);
        let check = |topics: &[B256], data: &[u8], expected| {
            let log = LogData::new_unchecked(topics.to_vec(), Bytes::copy_from_slice(data));
            assert_eq!(ConfigUpdate::decode_log(&log), Err(expected));
        };
        let (topics, data) = (gas_limit.topics(), &gas_limit.data[..]);
        check(&topics[..2], data, ConfigUpdateError::Event);
        check(&[topics, &[B256::ZERO]].concat(), data, ConfigUpdateError::Event);
        check(&[B256::ZERO, topics[1], topics[2]], data, ConfigUpdateError::Event);
        let version = B256::with_last_byte(1);
        check(&[topics[0], version, topics[2]], data, ConfigUpdateError::Version(version));
        let mut kind = topics[2];
        kind[0] = 1;
        check(&[topics[0], topics[1], kind], data, ConfigUpdateError::Type(kind));
        for len in 0..data.len() {
            check(topics, &data[..len], ConfigUpdateError::Abi);
        }
        check(topics, &[data, &[0]].concat(), ConfigUpdateError::Abi);
        check(topics, &[data, &[0; 32]].concat(), ConfigUpdateError::Abi);
        let mut offset = data.to_vec();
        offset[31] = 64;
        check(topics, &offset, ConfigUpdateError::Abi);
        offset[31] = 32;
        offset[0] = 1;
        check(topics, &offset, ConfigUpdateError::Abi);
    }

    #[test]
    fn a_block_says_its_config() {
        let operator_fee = OperatorFee { scalar: 3, constant: 4 };
        let eip1559 = Eip1559Params::new(100, 3).unwrap();
        let config = SystemConfig { eip1559: Some(eip1559), operator_fee, ..config() };
        let l1 = crate::l1_attributes::tests::l1_header();
        let header = Header {
            gas_limit: config.gas_limit,
            extra_data: eip1559.to_extra_data().into(),
            ..Header::default()
        };
        let attributes = L1Attributes::for_block(&config, &l1, 5);
        assert_eq!(SystemConfig::of_l2_block(&header, &attributes), Ok(config));
        assert_eq!(
            SystemConfig::of_l2_block(&Header::default(), &attributes),
            Err(Eip1559ParamsError::Length(0))
        );
    }

    fn update() -> impl Strategy<Value = ConfigUpdate> {
        prop_oneof![
            any::<[u8; 20]>().prop_map(|batcher| ConfigUpdate::Batcher(batcher.into())),
            any::<(u32, u32)>().prop_map(|(base_fee, blob_base_fee)| ConfigUpdate::FeeScalars {
                base_fee,
                blob_base_fee
            }),
            any::<u64>().prop_map(ConfigUpdate::GasLimit),
            Just(ConfigUpdate::UnsafeBlockSigner),
            any::<(u32, u32)>().prop_map(|(denominator, elasticity)| ConfigUpdate::Eip1559(
                Eip1559Params::new(denominator, elasticity).ok()
            )),
            any::<(u32, u64)>().prop_map(|(scalar, constant)| ConfigUpdate::OperatorFee(
                OperatorFee { scalar, constant }
            )),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(update in update()) {
            prop_assert_eq!(ConfigUpdate::decode_log(&update.encode_log()), Ok(update));
        }

        #[test]
        fn arbitrary_logs_never_panic(kind in 0u8..8, data in prop::collection::vec(any::<u8>(), 0..200)) {
            let topics = vec![CONFIG_UPDATE, B256::ZERO, B256::with_last_byte(kind)];
            let _ = ConfigUpdate::decode_log(&LogData::new_unchecked(topics, data.into()));
        }
    }
}
