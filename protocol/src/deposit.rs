//! Deposits by users: the event of the portal on L1, and the transaction that it becomes on L2.

use alloy_primitives::{Address, B256, Bytes, LogData, TxKind, U256, b256};
use op_alloy_consensus::{TxDeposit, UserDepositSource};

/// `TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData)`.
pub const TRANSACTION_DEPOSITED: B256 =
    b256!("b3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32");

/// A deposit that a user made on L1: what the portal's event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDeposit {
    /// The sender on L2: a contract's address is already aliased.
    pub from: Address,
    /// The recipient, or a contract creation.
    pub to: TxKind,
    /// What comes into existence on L2, in wei.
    pub mint: u128,
    /// What the transaction carries, in wei.
    pub value: U256,
    /// Gas, bought on L1.
    pub gas_limit: u64,
    /// Calldata or init code.
    pub input: Bytes,
}

/// Why a log is not a deposit.
///
/// The portal never emits such a log, so a verifier that meets one at the portal's address must stop: it does not
/// understand its L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserDepositError {
    /// Another event.
    #[error("the log is not a TransactionDeposited event")]
    Event,
    /// A version that came after us.
    #[error("deposit version {0} is unknown")]
    Version(B256),
    /// `opaqueData` is not where or as long as the ABI puts it.
    #[error("the deposit's data is not ABI-encoded as one byte string")]
    Abi,
    /// `opaqueData` is shorter than its fixed part.
    #[error("the deposit's data has {0} bytes, fewer than its fixed part")]
    TooShort(usize),
    /// More than all the ether that there can be.
    #[error("the deposit mints more than 2^128 wei")]
    Mint,
}

/// Contracts on L1 act on L2 under their address plus this, so that nobody there can impersonate them.
const ALIAS_OFFSET: U256 =
    U256::from_be_slice(&alloy_primitives::hex!("1111000000000000000000000000000000001111"));

/// The address under which a contract on L1 acts on L2.
pub fn alias_l1_address(l1_address: Address) -> Address {
    Address::from_word((U256::from_be_bytes(l1_address.into_word().0) + ALIAS_OFFSET).into())
}

/// The contract on L1 that acts on L2 under this address.
pub fn unalias_l1_address(l2_address: Address) -> Address {
    Address::from_word(
        U256::from_be_bytes(l2_address.into_word().0).wrapping_sub(ALIAS_OFFSET).into(),
    )
}

impl UserDeposit {
    /// `mint`, `value`, gas limit and the creation flag, packed.
    const FIXED_LEN: usize = 32 + 32 + 8 + 1;

    /// Reads the event. Topics of addresses count by their lower 20 bytes, as everywhere on the OP Stack.
    pub fn decode_log(log: &LogData) -> Result<Self, UserDepositError> {
        let &[TRANSACTION_DEPOSITED, from, to, version] = log.topics() else {
            return Err(UserDepositError::Event);
        };
        if version != B256::ZERO {
            return Err(UserDepositError::Version(version));
        }
        let opaque = opaque_data(&log.data).ok_or(UserDepositError::Abi)?;
        let (fixed, input) = opaque
            .split_first_chunk::<{ Self::FIXED_LEN }>()
            .ok_or(UserDepositError::TooShort(opaque.len()))?;
        let mint = U256::from_be_slice(&fixed[..32]);
        let creation = fixed[72] != 0;
        Ok(Self {
            from: Address::from_word(from),
            to: if creation { TxKind::Create } else { TxKind::Call(Address::from_word(to)) },
            mint: mint.try_into().map_err(|_| UserDepositError::Mint)?,
            value: U256::from_be_slice(&fixed[32..64]),
            gas_limit: U256::from_be_slice(&fixed[64..72]).to(),
            input: log.data.slice_ref(input),
        })
    }

    /// Writes the event as the portal does. Simulated L1s and tests need it; a chain never does.
    pub fn encode_log(&self) -> LogData {
        let topics = vec![
            TRANSACTION_DEPOSITED,
            self.from.into_word(),
            self.to.to().copied().unwrap_or_default().into_word(),
            B256::ZERO,
        ];
        let opaque_len = Self::FIXED_LEN + self.input.len();
        let mut data = Vec::with_capacity(64 + opaque_len.next_multiple_of(32));
        data.extend(U256::from(32).to_be_bytes::<32>());
        data.extend(U256::from(opaque_len).to_be_bytes::<32>());
        data.extend(U256::from(self.mint).to_be_bytes::<32>());
        data.extend(self.value.to_be_bytes::<32>());
        data.extend(self.gas_limit.to_be_bytes());
        data.push(self.to.is_create().into());
        data.extend_from_slice(&self.input);
        data.resize(data.len().next_multiple_of(32), 0);
        LogData::new_unchecked(topics, data.into())
    }

    /// The transaction on L2. Its identity is the log's place on L1: `log_index` counts the whole block's logs.
    pub fn into_deposit(self, l1_block_hash: B256, log_index: u64) -> TxDeposit {
        TxDeposit {
            source_hash: UserDepositSource::new(l1_block_hash, log_index).source_hash(),
            from: self.from,
            to: self.to,
            mint: self.mint,
            value: self.value,
            gas_limit: self.gas_limit,
            is_system_transaction: false,
            input: self.input,
        }
    }
}

/// The one byte string of ABI-encoded data, if it starts at 32 and is padded to no more than the next full word.
fn opaque_data(data: &[u8]) -> Option<&[u8]> {
    let (offset, rest) = data.split_first_chunk::<32>()?;
    let (len, padded) = rest.split_first_chunk::<32>()?;
    if U256::from_be_bytes(*offset) != U256::from(32) {
        return None;
    }
    let len = usize::try_from(U256::from_be_bytes(*len)).ok()?;
    let opaque = padded.get(..len)?;
    (padded.len() == len.checked_next_multiple_of(32)?).then_some(opaque)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, bytes, keccak256};
    use op_alloy_consensus::{L1InfoDepositSource, UpgradeDepositSource};
    use proptest::prelude::*;

    use super::*;

    fn example() -> UserDeposit {
        UserDeposit {
            from: address!("1111111111111111111111111111111111111111"),
            to: TxKind::Call(address!("2222222222222222222222222222222222222222")),
            mint: 5,
            value: U256::from(7),
            gas_limit: 100_000,
            input: bytes!("c0ffee"),
        }
    }

    fn with_data(data: Vec<u8>) -> LogData {
        LogData::new_unchecked(example().encode_log().topics().to_vec(), data.into())
    }

    #[test]
    fn the_event_is_the_portals() {
        assert_eq!(
            TRANSACTION_DEPOSITED,
            keccak256("TransactionDeposited(address,address,uint256,bytes)")
        );
    }

    #[test]
    fn reads_what_the_abi_encoder_writes() {
        use alloy_sol_types::{SolEvent, SolValue, sol};

        sol! {
            event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);
        }
        let deposit = example();
        let opaque =
            (U256::from(5), U256::from(7), 100_000u64, false, bytes!("c0ffee")).abi_encode_packed();
        let event = TransactionDeposited {
            from: deposit.from,
            to: address!("2222222222222222222222222222222222222222"),
            version: U256::ZERO,
            opaqueData: opaque.into(),
        };
        let log = event.encode_log_data();
        assert_eq!(UserDeposit::decode_log(&log), Ok(deposit.clone()));
        assert_eq!(deposit.encode_log(), log);
    }

    #[test]
    fn any_flag_but_zero_creates_a_contract() {
        let log = example().encode_log();
        for flag in [1, 2, 0xff] {
            let mut data = log.data.to_vec();
            data[64 + 72] = flag;
            assert_eq!(UserDeposit::decode_log(&with_data(data)).unwrap().to, TxKind::Create);
        }
    }

    #[test]
    fn refuses_other_logs() {
        let check = |log: &LogData, error| assert_eq!(UserDeposit::decode_log(log), Err(error));
        let log = example().encode_log();
        check(&LogData::new_unchecked(vec![], log.data.clone()), UserDepositError::Event);
        check(
            &LogData::new_unchecked(log.topics()[..3].to_vec(), log.data.clone()),
            UserDepositError::Event,
        );
        let mut topics = log.topics().to_vec();
        topics[0] = B256::ZERO;
        check(&LogData::new_unchecked(topics, log.data.clone()), UserDepositError::Event);
        let mut topics = log.topics().to_vec();
        topics[3] = B256::with_last_byte(1);
        let version = UserDepositError::Version(B256::with_last_byte(1));
        check(&LogData::new_unchecked(topics, log.data.clone()), version);
    }

    #[test]
    fn refuses_malformed_data() {
        let log = example().encode_log();
        let check = |change: &dyn Fn(&mut Vec<u8>), error| {
            let mut data = log.data.to_vec();
            change(&mut data);
            assert_eq!(UserDeposit::decode_log(&with_data(data)), Err(error));
        };
        check(&|data| data.clear(), UserDepositError::Abi);
        check(&|data| data.truncate(63), UserDepositError::Abi);
        check(&|data| data[31] = 64, UserDepositError::Abi);
        check(&|data| data[0] = 1, UserDepositError::Abi);
        check(&|data| data[32] = 1, UserDepositError::Abi);
        // One byte off a full word, and one word too many.
        check(&|data| data.truncate(data.len() - 1), UserDepositError::Abi);
        check(&|data| data.extend([0; 32]), UserDepositError::Abi);
        // Longer than what is there.
        check(&|data| data[63] = 200, UserDepositError::Abi);
        let short = |data: &mut Vec<u8>| {
            data[63] = 72;
            data.truncate(64 + 96);
        };
        check(&short, UserDepositError::TooShort(72));
        check(&|data| data[64 + 15] = 1, UserDepositError::Mint);
    }

    #[test]
    fn source_hashes_are_the_published_ones() {
        // op-node's test of upgrade transactions, which share the outer hash.
        let upgrade = UpgradeDepositSource::new("Ecotone: L1 Block Proxy Update".into());
        let expected = b256!("18acb38c5ff1c238a7460ebc1b421fa49ec4874bdf1e0a530d234104e5e67dbc");
        assert_eq!(upgrade.source_hash(), expected);
        // The domain keeps a user's deposit apart from the L1 attributes of the same numbers.
        let l1_hash = B256::repeat_byte(7);
        let user = example().into_deposit(l1_hash, 3);
        assert_ne!(user.source_hash, L1InfoDepositSource::new(l1_hash, 3).source_hash());
        let inner = keccak256([&l1_hash[..], &U256::from(3).to_be_bytes::<32>()].concat());
        assert_eq!(user.source_hash, keccak256([&[0; 32][..], &inner[..]].concat()));
        assert!(!user.is_system_transaction);
    }

    #[test]
    fn aliases_are_the_published_ones() {
        // L1CrossDomainMessenger of OP Mainnet, and how it appears on L2.
        let messenger = address!("25ace71c97b33cc4729cf772ae268934f7ab5fa1");
        let alias = address!("36bde71c97b33cc4729cf772ae268934f7ab70b2");
        assert_eq!(alias_l1_address(messenger), alias);
        assert_eq!(unalias_l1_address(alias), messenger);
        // It wraps.
        let highest = address!("ffffffffffffffffffffffffffffffffffffffff");
        assert_eq!(alias_l1_address(highest), address!("1111000000000000000000000000000000001110"));
        assert_eq!(
            unalias_l1_address(Address::ZERO),
            address!("eeeeffffffffffffffffffffffffffffffffeeef")
        );
    }

    proptest! {
        #[test]
        fn round_trips(
            from: [u8; 20], to in prop::option::of(any::<[u8; 20]>()), mint: u128, value: [u8; 32], gas_limit: u64,
            input in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let deposit = UserDeposit {
                from: from.into(),
                to: to.map_or(TxKind::Create, |to| TxKind::Call(to.into())),
                mint,
                value: U256::from_be_bytes(value),
                gas_limit,
                input: input.into(),
            };
            prop_assert_eq!(UserDeposit::decode_log(&deposit.encode_log()), Ok(deposit));
        }

        #[test]
        fn arbitrary_data_never_panics(
            head in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300), offset: bool,
        ) {
            let mut data = head;
            if offset && data.len() >= 64 {
                data[..62].fill(0);
                data[31] = 32;
            }
            if let Ok(deposit) = UserDeposit::decode_log(&with_data(data)) {
                prop_assert_eq!(UserDeposit::decode_log(&deposit.encode_log()), Ok(deposit));
            }
        }

        #[test]
        fn aliases_round_trip(address: [u8; 20]) {
            let address = Address::from(address);
            prop_assert_eq!(unalias_l1_address(alias_l1_address(address)), address);
        }
    }
}
