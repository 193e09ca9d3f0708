//! The `rollup.json` of op-node: what a verifier needs to know of a rollup, under the names that all of them read.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B64, B256, U256};
use millrace_protocol::{
    BlockId, ChainSpec, ChainSpecError, Eip1559Params, Eip1559ParamsError, OperatorFee,
    OptimismSpec, RollupConfig, RollupGenesis, SystemConfig,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Since Fjord, how far an L2 block's time may run ahead of its origin's. The file's value counts only before.
pub const MAX_SEQUENCER_DRIFT: u64 = 1_800;
/// Since Granite, how many L1 blocks a channel may take. The file's value counts only before.
pub const CHANNEL_TIMEOUT: u64 = 50;

/// Why a rollup cannot be read from a `rollup.json`, or not be written as one.
#[derive(Debug, thiserror::Error)]
pub enum RollupFileError {
    /// It is not such a file at all.
    #[error("not a rollup file: {0}")]
    Format(#[from] serde_json::Error),
    /// A field that must say something says nothing.
    #[error("`{0}` is zero or missing")]
    Missing(&'static str),
    /// A field says something that no rollup of ours can have.
    #[error("`{field}` is {found}; only {allowed} is possible")]
    Unsupported {
        /// The field, as the file calls it.
        field: String,
        /// What was found.
        found: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// It schedules a fork whose rules are not here: deriving on would split from the chain.
    #[error("`{0}` schedules a fork that this release does not know")]
    UnknownFork(String),
    /// It says something that this release does not know, and that may change the chain.
    #[error("`{0}` is unknown to this release")]
    UnknownField(String),
    /// Derivation here begins with Isthmus.
    #[error(
        "`{0}` is not active at genesis; only chains that begin with every fork up to Isthmus can be derived"
    )]
    ForkAfterGenesis(&'static str),
    /// The forks are out of order.
    #[error("{0}")]
    ForkOrder(#[from] ChainSpecError),
    /// The base-fee parameters are none.
    #[error("{field}: {source}")]
    BaseFeeParams {
        /// The field, as the file calls it.
        field: &'static str,
        /// What is wrong with it.
        source: Eip1559ParamsError,
    },
}

/// The file. The order of the fields is op-node's, and so the order in which they are written.
#[derive(Serialize, Deserialize)]
struct RollupFile {
    genesis: GenesisFields,
    block_time: u64,
    #[serde(default)]
    max_sequencer_drift: u64,
    seq_window_size: u64,
    #[serde(default)]
    channel_timeout: u64,
    l1_chain_id: u64,
    l2_chain_id: u64,
    regolith_time: Option<u64>,
    canyon_time: Option<u64>,
    delta_time: Option<u64>,
    ecotone_time: Option<u64>,
    fjord_time: Option<u64>,
    granite_time: Option<u64>,
    holocene_time: Option<u64>,
    isthmus_time: Option<u64>,
    batch_inbox_address: Address,
    deposit_contract_address: Address,
    l1_system_config_address: Address,
    /// Where the OP Stack's superchain announces releases: no concern of derivation, but some readers insist on it.
    #[serde(default)]
    protocol_versions_address: Address,
    chain_op_config: Option<Eip1559Fields>,
    #[serde(flatten, skip_serializing)]
    others: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct GenesisFields {
    l1: BlockFields,
    l2: BlockFields,
    l2_time: u64,
    system_config: SystemConfigFields,
}

#[derive(Serialize, Deserialize)]
struct BlockFields {
    hash: B256,
    number: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SystemConfigFields {
    #[serde(alias = "batcherAddress")]
    batcher_addr: Address,
    /// Nothing since Ecotone.
    #[serde(default)]
    overhead: B256,
    scalar: B256,
    gas_limit: u64,
    /// Zero until the owner sets them: the chain's constants hold.
    #[serde(default)]
    eip1559_params: B64,
    #[serde(default)]
    operator_fee_params: B256,
    #[serde(flatten, skip_serializing)]
    others: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eip1559Fields {
    eip1559_elasticity: u32,
    eip1559_denominator: u32,
    eip1559_denominator_canyon: Option<u32>,
}

/// What other writers add and derivation has no use for.
const IRRELEVANT: [&str; 3] =
    ["superchain_config_address", "interop_message_expiry_window", "p2p_sequencer_address"];

/// Reads a `rollup.json`.
///
/// A file is either understood whole or refused: what it says decides which chain comes out, and a verifier that skips a
/// line verifies another chain.
pub fn read_rollup(json: &str) -> Result<RollupConfig, RollupFileError> {
    let file: RollupFile = serde_json::from_str(json)?;
    check_others(&file.others)?;
    for (field, missing) in [
        ("genesis.l1.hash", file.genesis.l1.hash.is_zero()),
        ("genesis.l2.hash", file.genesis.l2.hash.is_zero()),
        ("genesis.l2_time", file.genesis.l2_time == 0),
        ("block_time", file.block_time == 0),
        ("l1_chain_id", file.l1_chain_id == 0),
        ("l2_chain_id", file.l2_chain_id == 0),
        ("batch_inbox_address", file.batch_inbox_address.is_zero()),
        ("deposit_contract_address", file.deposit_contract_address.is_zero()),
        ("l1_system_config_address", file.l1_system_config_address.is_zero()),
    ] {
        if missing {
            return Err(RollupFileError::Missing(field));
        }
    }
    if file.l1_chain_id == file.l2_chain_id {
        return Err(unsupported("l2_chain_id", file.l2_chain_id, "another id than L1's"));
    }
    // The origin itself is part of the window, and a batch needs a block to be posted in.
    if file.seq_window_size < 2 {
        return Err(unsupported("seq_window_size", file.seq_window_size, "two or more"));
    }

    Ok(RollupConfig {
        spec: read_spec(&file)?,
        genesis: RollupGenesis {
            l1: file.genesis.l1.into(),
            l2: file.genesis.l2.into(),
            l2_time: file.genesis.l2_time,
            system_config: read_system_config(&file.genesis.system_config)?,
        },
        block_time: file.block_time,
        max_sequencer_drift: MAX_SEQUENCER_DRIFT,
        seq_window_size: file.seq_window_size,
        channel_timeout: CHANNEL_TIMEOUT,
        l1_chain_id: file.l1_chain_id,
        batch_inbox: file.batch_inbox_address,
        deposit_contract: file.deposit_contract_address,
        system_config_contract: file.l1_system_config_address,
    })
}

/// Writes a `rollup.json`.
///
/// Refuses what other verifiers would understand differently, or not at all.
pub fn write_rollup(config: &RollupConfig) -> Result<String, RollupFileError> {
    for (field, found, only) in [
        ("max_sequencer_drift", config.max_sequencer_drift, MAX_SEQUENCER_DRIFT),
        ("channel_timeout", config.channel_timeout, CHANNEL_TIMEOUT),
    ] {
        if found != only {
            return Err(unsupported(field, found, "the protocol's constant"));
        }
    }
    let Some(spec) = config.spec.as_optimism() else {
        return Err(unsupported("l2_chain_id", config.spec.chain_id(), "an OP chain"));
    };
    let file = RollupFile {
        genesis: GenesisFields {
            l1: config.genesis.l1.into(),
            l2: config.genesis.l2.into(),
            l2_time: config.genesis.l2_time,
            system_config: write_system_config(&config.genesis.system_config),
        },
        block_time: config.block_time,
        max_sequencer_drift: config.max_sequencer_drift,
        seq_window_size: config.seq_window_size,
        channel_timeout: config.channel_timeout,
        l1_chain_id: config.l1_chain_id,
        l2_chain_id: config.spec.chain_id(),
        regolith_time: Some(0),
        canyon_time: spec.canyon_time,
        delta_time: spec.delta_time,
        ecotone_time: spec.ecotone_time,
        fjord_time: spec.fjord_time,
        granite_time: spec.granite_time,
        holocene_time: spec.holocene_time,
        isthmus_time: spec.isthmus_time,
        batch_inbox_address: config.batch_inbox,
        deposit_contract_address: config.deposit_contract,
        l1_system_config_address: config.system_config_contract,
        protocol_versions_address: Address::ZERO,
        chain_op_config: Some(Eip1559Fields {
            eip1559_elasticity: spec.eip1559_canyon.elasticity().get(),
            eip1559_denominator: spec.eip1559.denominator().get(),
            eip1559_denominator_canyon: Some(spec.eip1559_canyon.denominator().get()),
        }),
        others: BTreeMap::new(),
    };
    check_forks(&file)?;
    Ok(serde_json::to_string_pretty(&file)?)
}

impl From<BlockFields> for BlockId {
    fn from(BlockFields { hash, number }: BlockFields) -> Self {
        Self { number, hash }
    }
}

impl From<BlockId> for BlockFields {
    fn from(BlockId { number, hash }: BlockId) -> Self {
        Self { hash, number }
    }
}

fn unsupported(field: &str, found: impl ToString, allowed: &'static str) -> RollupFileError {
    RollupFileError::Unsupported { field: field.into(), found: found.to_string(), allowed }
}

/// Fields that are not in [`RollupFile`]. `null` says nothing, whatever its name.
fn check_others(others: &BTreeMap<String, Value>) -> Result<(), RollupFileError> {
    for (name, value) in others {
        match name.as_str() {
            name if value.is_null() || IRRELEVANT.contains(&name) => {}
            name if name.ends_with("_time") => {
                return Err(RollupFileError::UnknownFork(name.into()));
            }
            // Some write down Granite's constant.
            "granite_channel_timeout" if *value == CHANNEL_TIMEOUT => {}
            // Some write these down for every chain.
            "da_challenge_address" | "da_challenge_contract_address" if is_zero_hex(value) => {}
            name => return Err(RollupFileError::UnknownField(name.into())),
        }
    }
    Ok(())
}

fn is_zero_hex(value: &Value) -> bool {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits.is_some_and(|digits| digits.bytes().all(|digit| digit == b'0'))
}

/// Every fork up to Isthmus holds from the first block on.
fn check_forks(file: &RollupFile) -> Result<(), RollupFileError> {
    for (field, time) in [
        ("canyon_time", file.canyon_time),
        ("delta_time", file.delta_time),
        ("ecotone_time", file.ecotone_time),
        ("fjord_time", file.fjord_time),
        ("granite_time", file.granite_time),
        ("holocene_time", file.holocene_time),
        ("isthmus_time", file.isthmus_time),
    ] {
        if time.is_none_or(|time| time > file.genesis.l2_time) {
            return Err(RollupFileError::ForkAfterGenesis(field));
        }
    }
    // A later fork implies this one, where it is absent.
    if file.regolith_time.is_some_and(|time| time > file.genesis.l2_time) {
        return Err(RollupFileError::ForkAfterGenesis("regolith_time"));
    }
    Ok(())
}

fn read_spec(file: &RollupFile) -> Result<ChainSpec, RollupFileError> {
    check_forks(file)?;
    let (denominator, canyon, elasticity) = match &file.chain_op_config {
        Some(fields) => {
            let denominator = fields.eip1559_denominator;
            let canyon = fields.eip1559_denominator_canyon.unwrap_or(denominator);
            (denominator, canyon, fields.eip1559_elasticity)
        }
        // Files that are older than the field are of chains with OP Mainnet's constants.
        None => (50, 250, 6),
    };
    let params = |field, denominator| {
        Eip1559Params::new(denominator, elasticity)
            .map_err(|source| RollupFileError::BaseFeeParams { field, source })
    };
    let spec = OptimismSpec {
        eip1559: params("chain_op_config.eip1559Denominator", denominator)?,
        eip1559_canyon: params("chain_op_config.eip1559DenominatorCanyon", canyon)?,
        canyon_time: file.canyon_time,
        delta_time: file.delta_time,
        ecotone_time: file.ecotone_time,
        fjord_time: file.fjord_time,
        granite_time: file.granite_time,
        holocene_time: file.holocene_time,
        isthmus_time: file.isthmus_time,
    };
    Ok(ChainSpec::optimism(file.l2_chain_id, spec)?)
}

fn read_system_config(fields: &SystemConfigFields) -> Result<SystemConfig, RollupFileError> {
    if fields.batcher_addr.is_zero() {
        return Err(RollupFileError::Missing("genesis.system_config.batcherAddr"));
    }
    if fields.gas_limit == 0 {
        return Err(RollupFileError::Missing("genesis.system_config.gasLimit"));
    }
    for (name, value) in &fields.others {
        // Later forks add parameters, which some write down as zero before they mean anything.
        if !value.is_null() && *value != 0 {
            return Err(RollupFileError::UnknownField(format!("genesis.system_config.{name}")));
        }
    }
    let (base_fee_scalar, blob_base_fee_scalar) = read_scalar(fields.scalar)?;
    let eip1559 = match fields.eip1559_params {
        B64::ZERO => None,
        // Only two zeros stand for the constants, and that is not the case here.
        params => Some(Eip1559Params::from_payload(params, Eip1559Params::OPTIMISM).map_err(
            |source| RollupFileError::BaseFeeParams {
                field: "genesis.system_config.eip1559Params",
                source,
            },
        )?),
    };
    let [padding @ .., s0, s1, s2, s3, c0, c1, c2, c3, c4, c5, c6, c7] =
        fields.operator_fee_params.0;
    if padding != [0; 20] {
        let field = "genesis.system_config.operatorFeeParams";
        return Err(unsupported(field, fields.operator_fee_params, "a number of twelve bytes"));
    }
    Ok(SystemConfig {
        batcher: fields.batcher_addr,
        gas_limit: fields.gas_limit,
        base_fee_scalar,
        blob_base_fee_scalar,
        eip1559,
        operator_fee: OperatorFee {
            scalar: u32::from_be_bytes([s0, s1, s2, s3]),
            constant: u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
        },
    })
}

/// Both fee scalars: of Ecotone's form, which begins with a one, or of the form before it, which has no weight for blobs.
fn read_scalar(scalar: B256) -> Result<(u32, u32), RollupFileError> {
    let [version, padding @ .., b0, b1, b2, b3, f0, f1, f2, f3] = scalar.0;
    let blob = u32::from_be_bytes([b0, b1, b2, b3]);
    if padding != [0; 23] || version > 1 || (version == 0 && blob != 0) {
        let field = "genesis.system_config.scalar";
        return Err(unsupported(field, scalar, "a number of four bytes, or a one and two of them"));
    }
    Ok((u32::from_be_bytes([f0, f1, f2, f3]), blob))
}

fn write_system_config(config: &SystemConfig) -> SystemConfigFields {
    let (blob, base) = (config.blob_base_fee_scalar, config.base_fee_scalar);
    let mut scalar = B256::from(U256::from(u64::from(blob) << 32 | u64::from(base)));
    scalar[0] = 1;
    let OperatorFee { scalar: operator, constant } = config.operator_fee;
    SystemConfigFields {
        batcher_addr: config.batcher,
        overhead: B256::ZERO,
        scalar,
        gas_limit: config.gas_limit,
        eip1559_params: config.eip1559.map_or(B64::ZERO, Eip1559Params::to_payload),
        operator_fee_params: B256::from(U256::from(
            u128::from(operator) << 64 | u128::from(constant),
        )),
        others: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests;
