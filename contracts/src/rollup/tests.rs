use alloy_primitives::{address, b64, b256};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::*;

/// As op-node writes it.
const FILE: &str = r#"{
  "genesis": {
    "l1": {
      "hash": "0xf39446e09aeca67452545d06a6e6a6a11184575ecf421f9306cf3602febf93ba",
      "number": 12
    },
    "l2": {
      "hash": "0x2a92ff72dad302d39fa80ef81522f0ccb27dc903255b618dfc4feddb22a8f80d",
      "number": 0
    },
    "l2_time": 1728358574,
    "system_config": {
      "batcherAddr": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
      "overhead": "0x0000000000000000000000000000000000000000000000000000000000000000",
      "scalar": "0x010000000000000000000000000000000000000000000000000c5fc500000558",
      "gasLimit": 60000000,
      "eip1559Params": "0x000000320000000a",
      "operatorFeeParams": "0x0000000000000000000000000000000000000000000000070000000000000009"
    }
  },
  "block_time": 2,
  "max_sequencer_drift": 1800,
  "seq_window_size": 3600,
  "channel_timeout": 50,
  "l1_chain_id": 900,
  "l2_chain_id": 901,
  "regolith_time": 0,
  "canyon_time": 0,
  "delta_time": 0,
  "ecotone_time": 0,
  "fjord_time": 0,
  "granite_time": 0,
  "holocene_time": 0,
  "isthmus_time": 0,
  "batch_inbox_address": "0xff00000000000000000000000000000000000901",
  "deposit_contract_address": "0x55bdfb0bfef1070c457124920546359426153833",
  "l1_system_config_address": "0x3649f526889a918af0a5498706db29e81bc91e0c",
  "protocol_versions_address": "0x0000000000000000000000000000000000000000",
  "chain_op_config": {
    "eip1559Elasticity": 6,
    "eip1559Denominator": 250,
    "eip1559DenominatorCanyon": 250
  }
}"#;

fn config() -> RollupConfig {
    RollupConfig {
        spec: ChainSpec::dev(901),
        genesis: RollupGenesis {
            l1: BlockId {
                number: 12,
                hash: b256!("f39446e09aeca67452545d06a6e6a6a11184575ecf421f9306cf3602febf93ba"),
            },
            l2: BlockId {
                number: 0,
                hash: b256!("2a92ff72dad302d39fa80ef81522f0ccb27dc903255b618dfc4feddb22a8f80d"),
            },
            l2_time: 1_728_358_574,
            system_config: SystemConfig {
                batcher: address!("3c44cdddb6a900fa2b585dd299e03d12fa4293bc"),
                gas_limit: 60_000_000,
                base_fee_scalar: 1_368,
                blob_base_fee_scalar: 810_949,
                eip1559: Some(Eip1559Params::new(50, 10).unwrap()),
                operator_fee: OperatorFee { scalar: 7, constant: 9 },
            },
        },
        block_time: 2,
        max_sequencer_drift: 1_800,
        seq_window_size: 3_600,
        channel_timeout: 50,
        l1_chain_id: 900,
        batch_inbox: address!("ff00000000000000000000000000000000000901"),
        deposit_contract: address!("55bdfb0bfef1070c457124920546359426153833"),
        system_config_contract: address!("3649f526889a918af0a5498706db29e81bc91e0c"),
    }
}

/// Reads [`FILE`] with one value replaced, or removed if the new one is `null`.
fn read_with(pointer: &str, value: Value) -> Result<RollupConfig, RollupFileError> {
    let mut file: Value = serde_json::from_str(FILE).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = file.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => parent.remove(key),
        value => parent.insert(key.into(), value),
    };
    read_rollup(&file.to_string())
}

fn error_with(pointer: &str, value: Value) -> String {
    read_with(pointer, value).unwrap_err().to_string()
}

#[test]
fn reads_and_writes_what_op_node_does() {
    assert_eq!(read_rollup(FILE).unwrap(), config());
    assert_eq!(write_rollup(&config()).unwrap(), FILE);
}

#[test]
fn whatever_can_be_written_reads_back() {
    let mut config = config();
    config.genesis.system_config.eip1559 = None;
    config.genesis.system_config.operator_fee =
        OperatorFee { scalar: u32::MAX, constant: u64::MAX };
    config.genesis.system_config.base_fee_scalar = u32::MAX;
    config.genesis.system_config.blob_base_fee_scalar = u32::MAX;
    config.genesis.system_config.gas_limit = u64::MAX;
    config.genesis.l1.number = u64::MAX;
    assert_eq!(read_rollup(&write_rollup(&config).unwrap()).unwrap(), config);
}

#[test]
fn other_writers_forms_mean_the_same() {
    // Absent is what the protocol's constants or nothing at all would be.
    for (pointer, value) in [
        ("/max_sequencer_drift", Value::Null),
        ("/max_sequencer_drift", json!(600)),
        ("/channel_timeout", json!(300)),
        ("/protocol_versions_address", Value::Null),
        ("/regolith_time", Value::Null),
        ("/superchain_config_address", json!("0x95703e0982140d16f8eba6d158fccede42f04a4c")),
        ("/granite_channel_timeout", json!(50)),
        ("/genesis/system_config/minBaseFee", json!(0)),
        ("/genesis/system_config/overhead", Value::Null),
    ] {
        assert_eq!(read_with(pointer, value).unwrap(), config(), "{pointer}");
    }
    let renamed = FILE.replace("batcherAddr\"", "batcherAddress\"");
    assert_eq!(read_rollup(&renamed).unwrap(), config());
    let nulls = FILE.replacen('{', r#"{"alt_da": null, "jovian_time": null,"#, 1);
    assert_eq!(read_rollup(&nulls).unwrap(), config());
    let system = |pointer, value| read_with(pointer, value).unwrap().genesis.system_config;
    assert_eq!(system("/genesis/system_config/eip1559Params", Value::Null).eip1559, None);
    let zeros = json!(b64!("0000000000000000"));
    assert_eq!(system("/genesis/system_config/eip1559Params", zeros).eip1559, None);
    let operator_fee = system("/genesis/system_config/operatorFeeParams", Value::Null).operator_fee;
    assert_eq!(operator_fee, OperatorFee::default());
    let old = system("/genesis/system_config/scalar", json!(B256::left_padding_from(&[5])));
    assert_eq!((old.base_fee_scalar, old.blob_base_fee_scalar), (5, 0));
    let spec = read_with("/chain_op_config", Value::Null).unwrap().spec;
    assert_eq!(spec.eip1559_constants(0), Eip1559Params::OPTIMISM);
}

#[test]
fn a_later_fork_is_refused_when_it_is_scheduled() {
    for name in ["jovian_time", "interop_time", "karst_time", "pectra_blob_schedule_time"] {
        let expected = format!("`{name}` schedules a fork that this release does not know");
        assert_eq!(error_with(&format!("/{name}"), json!(0)), expected);
        assert_eq!(error_with(&format!("/{name}"), json!(4_000_000_000_u64)), expected);
    }
}

#[test]
fn forks_have_to_be_there_from_the_start() {
    for name in ["canyon", "delta", "ecotone", "fjord", "granite", "holocene", "isthmus"] {
        let pointer = format!("/{name}_time");
        let start = format!("`{name}_time` is not active at genesis");
        assert!(error_with(&pointer, Value::Null).starts_with(&start), "{name}");
        assert!(error_with(&pointer, json!(1_728_358_575)).starts_with(&start), "{name}");
    }
    assert!(error_with("/regolith_time", json!(u64::MAX)).contains("not active at genesis"));
    // Any time before counts, as long as the order holds.
    assert!(read_with("/isthmus_time", json!(1_728_358_574)).is_ok());
    assert!(error_with("/canyon_time", json!(1)).contains("scheduled before"));
}

#[test]
fn what_must_be_there_is_asked_for_by_name() {
    for (pointer, value) in [
        ("/genesis/l1/hash", json!(B256::ZERO)),
        ("/genesis/l2/hash", json!(B256::ZERO)),
        ("/genesis/l2_time", json!(0)),
        ("/genesis/system_config/batcherAddr", json!(Address::ZERO)),
        ("/genesis/system_config/gasLimit", json!(0)),
        ("/block_time", json!(0)),
        ("/l1_chain_id", json!(0)),
        ("/l2_chain_id", json!(0)),
        ("/batch_inbox_address", json!(Address::ZERO)),
        ("/deposit_contract_address", json!(Address::ZERO)),
        ("/l1_system_config_address", json!(Address::ZERO)),
    ] {
        let name = pointer[1..].replace('/', ".");
        assert_eq!(error_with(pointer, value), format!("`{name}` is zero or missing"));
    }
    for pointer in ["/genesis", "/block_time", "/genesis/system_config/scalar", "/l2_chain_id"] {
        let error = error_with(pointer, Value::Null);
        let name = pointer.rsplit('/').next().unwrap();
        assert!(error.contains("missing field") && error.contains(name), "{error}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let check = |pointer: &str, value: Value, part: &str| {
        let error = error_with(pointer, value);
        assert!(error.contains(part), "{pointer}: {error}");
    };
    check("/alt_da", json!({"da_challenge_window": 1}), "`alt_da` is unknown");
    check("/da_challenge_address", json!(Address::repeat_byte(1)), "is unknown");
    check("/granite_channel_timeout", json!(51), "is unknown");
    check("/something", json!(1), "`something` is unknown");
    check("/genesis/system_config/minBaseFee", json!(1), "`genesis.system_config.minBaseFee`");
    check("/l2_chain_id", json!(900), "another id than L1's");
    check("/seq_window_size", json!(1), "two or more");
    check(
        "/genesis/system_config/eip1559Params",
        json!("0x0000000100000000"),
        "elasticity is zero",
    );
    check("/chain_op_config/eip1559Denominator", json!(0), "denominator is zero");
    check("/genesis/system_config/operatorFeeParams", json!(B256::repeat_byte(1)), "twelve bytes");
    for scalar in [B256::repeat_byte(1), B256::with_last_byte(1) | B256::right_padding_from(&[2])] {
        check("/genesis/system_config/scalar", json!(scalar), "is possible");
    }
    let blob_without_version = B256::left_padding_from(&[1, 0, 0, 0, 0]);
    check("/genesis/system_config/scalar", json!(blob_without_version), "is possible");
    check("/block_time", json!(-1), "not a rollup file");
    assert!(read_rollup("").is_err());
    assert!(read_rollup("[]").is_err());
}

#[test]
fn what_others_would_read_differently_is_not_written() {
    let timeout = RollupConfig { channel_timeout: 51, ..config() };
    assert!(write_rollup(&timeout).unwrap_err().to_string().contains("`channel_timeout` is 51"));
    let drift = RollupConfig { max_sequencer_drift: 1, ..config() };
    assert!(write_rollup(&drift).is_err());
    let ethereum = ChainSpec::ethereum(901, Default::default()).unwrap();
    assert!(write_rollup(&RollupConfig { spec: ethereum, ..config() }).is_err());
}

/// Any bytes are answered, most of them with an error.
#[test]
fn damaged_files_never_panic() {
    for seed in 0..2_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut file = FILE.as_bytes().to_vec();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..file.len());
            match rng.random_range(0..3) {
                0 => file[at] = rng.random_range(0x20..0x7f),
                1 => {
                    file.remove(at);
                }
                _ => file.truncate(at.max(1)),
            }
        }
        if let Ok(config) = read_rollup(&String::from_utf8(file).unwrap()) {
            assert_eq!(
                read_rollup(&write_rollup(&config).unwrap()).unwrap(),
                config,
                "seed {seed}"
            );
        }
    }
}
