//! The genesis against alloy's own genesis and trie, and through its JSON form.

use std::collections::BTreeMap;

use alloy_consensus::{EMPTY_ROOT_HASH, TrieAccount};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, address, b256, bytes, keccak256};
use alloy_trie::root::{state_root_unhashed, storage_root_unhashed};
use millrace_contracts::{DevGenesis, Genesis, GenesisAccount, GenesisError, GenesisRoots};
use millrace_protocol::{ChainSpec, EthereumForks, predeploys::L2_TO_L1_MESSAGE_PASSER};
use millrace_types::{AccountDiff, Header, SlotDiff};

fn dev() -> Genesis {
    Genesis::dev(DevGenesis { timestamp: 1_700_000_000, ..DevGenesis::default() })
}

/// The roots of a genesis by alloy's trie, from the diff that the state would apply.
fn roots(genesis: &Genesis) -> GenesisRoots {
    let diff = genesis.state_diff();
    let storage_root = |(_, slots): (&AccountDiff, &[SlotDiff])| {
        storage_root_unhashed(slots.iter().map(|(slot, value)| (B256::from(*slot), *value)))
    };
    let state_root = state_root_unhashed(diff.accounts().map(|(changed, slots)| {
        let fields = changed.account.unwrap();
        let code_hash = fields.bytecode_hash.unwrap_or(KECCAK256_EMPTY);
        assert!(code_hash == KECCAK256_EMPTY || keccak256(&diff.codes()[&code_hash]) == code_hash);
        let account = TrieAccount {
            nonce: fields.nonce,
            balance: fields.balance,
            storage_root: storage_root((changed, slots)),
            code_hash,
        };
        (changed.address, account)
    }));
    let message_passer_root =
        diff.account(&L2_TO_L1_MESSAGE_PASSER).map_or(EMPTY_ROOT_HASH, storage_root);
    GenesisRoots { state_root, message_passer_root }
}

fn header(genesis: &Genesis) -> Header {
    genesis.header(roots(genesis))
}

#[test]
fn the_state_is_what_alloy_makes_of_the_json() {
    let genesis = dev();
    let file: alloy_genesis::Genesis = serde_json::from_str(&genesis.to_json().unwrap()).unwrap();
    let expected = state_root_unhashed(
        file.alloc.into_iter().map(|(address, account)| (address, TrieAccount::from(account))),
    );
    assert_eq!(roots(&genesis).state_root, expected);
}

#[test]
fn json_gives_the_same_genesis_back() {
    for genesis in [dev(), ethereum()] {
        let json = genesis.to_json().unwrap();
        let back = Genesis::from_json(&json).unwrap();
        assert_eq!(back, genesis);
        assert_eq!(header(&back).hash_slow(), header(&genesis).hash_slow());
    }
}

/// Whoever changes a contract, an address or a price changes the development chain: data directories of the old one are
/// refused by the new one. This is the place to notice it; bless it by putting the new hash here.
#[test]
fn the_development_chain_is_the_same_as_yesterday() {
    let hash = header(&Genesis::dev(DevGenesis::default())).hash_slow();
    assert_eq!(hash, b256!("e3b4ab67c4ab75a609d5d69afc7c9a13ac604dbe197c6091c7b2137438f0fadf"));
}

#[test]
fn the_header_is_isthmus() {
    let genesis = dev();
    let roots = roots(&genesis);
    let header = genesis.header(roots);
    assert_eq!(header.state_root, roots.state_root);
    assert_eq!(header.withdrawals_root, Some(roots.message_passer_root));
    assert_ne!(roots.message_passer_root, EMPTY_ROOT_HASH, "the proxy's slots are in there");
    // sha256 of nothing.
    let requests = b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(header.requests_hash, Some(requests));
    assert_eq!(header.parent_beacon_block_root, Some(B256::ZERO));
    assert_eq!((header.blob_gas_used, header.excess_blob_gas), (Some(0), Some(0)));
    assert_eq!(header.extra_data, bytes!("00000000fa00000006"));
    assert_eq!((header.number, header.timestamp, header.gas_limit), (0, 1_700_000_000, 60_000_000));
    assert_eq!(header.base_fee_per_gas, Some(1_000_000_000));
    assert_eq!(header.beneficiary, address!("4200000000000000000000000000000000000011"));
}

fn ethereum() -> Genesis {
    let forks =
        EthereumForks { shanghai_time: Some(0), cancun_time: Some(0), ..EthereumForks::default() };
    let account = GenesisAccount {
        nonce: 3,
        balance: U256::from(5),
        code: bytes!("fe"),
        storage: BTreeMap::from([(U256::from(1), U256::MAX), (U256::MAX, U256::from(2))]),
    };
    Genesis {
        spec: ChainSpec::ethereum(7, forks).unwrap(),
        timestamp: 9,
        gas_limit: 10,
        base_fee: 11,
        extra_data: bytes!("abcd"),
        beneficiary: Address::repeat_byte(1),
        mix_hash: B256::repeat_byte(2),
        nonce: 0x42,
        difficulty: U256::from(12),
        alloc: BTreeMap::from([
            (Address::repeat_byte(3), account),
            (Address::ZERO, GenesisAccount::default()),
        ]),
    }
}

#[test]
fn an_ethereum_header_has_what_its_fork_has() {
    let header = header(&ethereum());
    assert_eq!(header.withdrawals_root, Some(EMPTY_ROOT_HASH));
    assert_eq!(header.parent_beacon_block_root, Some(B256::ZERO));
    assert_eq!(header.requests_hash, None);

    let mut paris = ethereum();
    paris.spec = ChainSpec::ethereum(7, EthereumForks::default()).unwrap();
    let header = paris.header(roots(&paris));
    assert_eq!(
        (header.withdrawals_root, header.blob_gas_used, header.excess_blob_gas),
        (None, None, None)
    );
    assert_eq!(header.parent_beacon_block_root, None);
}

/// Sepolia's genesis has a base fee, so its header is the same as if it had started after the merge, and go-ethereum's
/// state root and hash of it are public.
#[test]
fn a_published_genesis_comes_out_with_its_published_hash() {
    let ether = [
        (address!("a2A6d93439144FFE4D27c9E088dCD8b783946263"), 1_000_000),
        (address!("Bc11295936Aa79d594139de1B2e12629414F3BDB"), 1_000_000),
        (address!("7cF5b79bfe291A67AB02b393E456cCc4c266F753"), 1_000_000),
        (address!("aaec86394441f915bce3e6ab399977e9906f3b69"), 1_000_000),
        (address!("F47CaE1CF79ca6758Bfc787dbD21E6bdBe7112B8"), 1_000_000),
        (address!("d7eDDB78ED295B3C9629240E8924fb8D8874ddD8"), 1_000_000),
        (address!("8b7F0977Bb4f0fBE7076FA22bC24acA043583F5e"), 1_000_000),
        (address!("e2e2659028143784d557bcec6ff3a0721048880a"), 1_000_000),
        (address!("d9a5179f091d85051d3c982785efd1455cec8699"), 1_000_000),
        (address!("beef32ca5b9a198d27B4e02F4c70439fE60356Cf"), 1_000_000),
        (address!("0000006916a87b82333f4245046623b23794c65c"), 10_000_000),
        (address!("b21c33de1fab3fa15499c62b59fe0cc3250020d1"), 100_000_000),
        (address!("10F5d45854e038071485AC9e402308cF80D2d2fE"), 100_000_000),
        (address!("d7d76c58b3a519e9fA6Cc4D22dC017259BC49F1E"), 100_000_000),
        (address!("799D329e5f583419167cD722962485926E338F4a"), 1_u64),
    ];
    let wei = U256::from(10).pow(U256::from(18));
    let account =
        |amount| GenesisAccount { balance: U256::from(amount) * wei, ..GenesisAccount::default() };
    let genesis = Genesis {
        spec: ChainSpec::ethereum(11_155_111, EthereumForks::default()).unwrap(),
        timestamp: 0x6159_af19,
        gas_limit: 0x1c9_c380,
        base_fee: 1_000_000_000,
        extra_data: b"Sepolia, Athens, Attica, Greece!".as_slice().into(),
        beneficiary: Address::ZERO,
        mix_hash: B256::ZERO,
        nonce: 0,
        difficulty: U256::from(0x20000),
        alloc: ether.into_iter().map(|(address, amount)| (address, account(amount))).collect(),
    };
    let header = header(&genesis);
    assert_eq!(
        header.state_root,
        b256!("5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494")
    );
    assert_eq!(
        header.hash_slow(),
        b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9")
    );
}

#[test]
fn op_geth_files_are_read() {
    let genesis = Genesis::from_json(OP_GENESIS).unwrap();
    let op = genesis.spec.as_optimism().unwrap();
    assert_eq!(genesis.spec.chain_id(), 4_242);
    assert_eq!((op.eip1559.denominator().get(), op.eip1559_canyon.denominator().get()), (50, 250));
    assert_eq!(
        (op.granite_time, op.holocene_time, op.isthmus_time),
        (Some(0), Some(0), Some(86_400))
    );
    // Derivation's fork is not in op-geth's files, and came in between.
    assert_eq!(op.delta_time, Some(0));
    assert_eq!(genesis.base_fee, 0x3b9a_ca00);
    let account = &genesis.alloc[&address!("4200000000000000000000000000000000000011")];
    assert_eq!((account.balance, account.nonce), (U256::from(16), 2));
    assert_eq!(account.storage, BTreeMap::from([(U256::from(1), U256::from(0x2a))]));
    // Holocene, not Isthmus, at its time: an empty list of withdrawals.
    let header = header(&genesis);
    assert_eq!((header.withdrawals_root, header.requests_hash), (Some(EMPTY_ROOT_HASH), None));
}

#[test]
fn what_cannot_be_represented_is_refused() {
    let check = |from: &str, to: &str, message: &str| {
        assert!(OP_GENESIS.contains(from), "{from}");
        let error = Genesis::from_json(&OP_GENESIS.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    };
    check("{", "[", "not a genesis file");
    check(
        r#""number": "0x0""#,
        r#""number": "0x1""#,
        "`number` is 1; only zero can be started from",
    );
    check(r#""excessBlobGas": "0x0""#, r#""excessBlobGas": "0x5""#, "`excessBlobGas` is 5");
    let parent = format!(r#""parentHash": "{}","difficulty""#, B256::repeat_byte(1));
    check(r#""difficulty""#, &parent, "`parentHash` is 0x0101");
    check(
        r#""baseFeePerGas": "0x3b9aca00""#,
        r#""baseFeePerGas": "0x10000000000000000""#,
        "below 2^64",
    );
    check(r#""londonBlock": 0"#, r#""londonBlock": 5"#, "`londonBlock` is 5");
    check(r#""londonBlock": 0,"#, "", "`londonBlock` is absent");
    check(
        r#""terminalTotalDifficulty": 0"#,
        r#""terminalTotalDifficulty": 9"#,
        "`terminalTotalDifficulty` is 9",
    );
    check(r#""bedrockBlock": 0"#, r#""bedrockBlock": 3"#, "`bedrockBlock` is 3");
    check(
        r#""isthmusTime": 86400"#,
        r#""isthmusTime": 86400, "jovianTime": 90000"#,
        "`jovianTime` schedules",
    );
    check(
        r#""isthmusTime": 86400"#,
        r#""isthmusTime": 86400, "osakaTime": 90000"#,
        "`osakaTime` schedules",
    );
    check(
        r#""isthmusTime": 86400"#,
        r#""isthmusTime": 86400, "amsterdamTime": 1"#,
        "`amsterdamTime` schedules",
    );
    check(
        r#""pragueTime": 86400"#,
        r#""pragueTime": 0"#,
        "`pragueTime` differs from `isthmusTime`",
    );
    check(r#""holoceneTime": 0,"#, "", "isthmus is scheduled before holocene");
    check(r#""eip1559Denominator": 50"#, r#""eip1559Denominator": 0"#, "denominator is zero");
    check(r#""0x00000000fa00000006""#, r#""0x00""#, "extraData");
    check(r#""balance": "0x10""#, r#""balance": "ten""#, "not a genesis file");
}

#[test]
fn the_error_names_the_field() {
    let file = OP_GENESIS.replacen(
        r#""isthmusTime": 86400"#,
        r#""isthmusTime": 86400, "interopTime": 1"#,
        1,
    );
    let error = Genesis::from_json(&file).unwrap_err();
    assert!(matches!(error, GenesisError::UnknownFork(name) if name == "interopTime"));
}

/// The shape in which op-deployer writes it.
const OP_GENESIS: &str = r#"{
  "config": {
    "chainId": 4242,
    "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
    "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "muirGlacierBlock": 0, "berlinBlock": 0,
    "londonBlock": 0, "arrowGlacierBlock": 0, "grayGlacierBlock": 0, "mergeNetsplitBlock": 0,
    "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 86400,
    "bedrockBlock": 0, "regolithTime": 0, "canyonTime": 0, "ecotoneTime": 0, "fjordTime": 0, "graniteTime": 0,
    "holoceneTime": 0, "isthmusTime": 86400,
    "terminalTotalDifficulty": 0,
    "depositContractAddress": "0x0000000000000000000000000000000000000000",
    "optimism": { "eip1559Elasticity": 6, "eip1559Denominator": 50, "eip1559DenominatorCanyon": 250 }
  },
  "nonce": "0x0", "timestamp": "0x64", "extraData": "0x00000000fa00000006", "gasLimit": "0x1c9c380",
  "difficulty": "0x0",
  "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000000",
  "coinbase": "0x4200000000000000000000000000000000000011",
  "alloc": {
    "4200000000000000000000000000000000000011": {
      "balance": "0x10", "nonce": "0x2", "code": "0x00",
      "storage": {
        "0x0000000000000000000000000000000000000000000000000000000000000001":
          "0x000000000000000000000000000000000000000000000000000000000000002a"
      }
    }
  },
  "number": "0x0", "gasUsed": "0x0", "baseFeePerGas": "0x3b9aca00", "excessBlobGas": "0x0", "blobGasUsed": "0x0"
}"#;
