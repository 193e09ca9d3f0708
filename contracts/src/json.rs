//! The `genesis.json` of go-ethereum and op-geth: what operators bring, and what other tools read.

use std::collections::BTreeMap;

use alloy_genesis::ChainConfig;
use alloy_primitives::{B256, Bytes, U256};
use millrace_protocol::{
    ChainFamily, ChainSpec, ChainSpecError, Eip1559Params, Eip1559ParamsError, EthereumForks,
    OpFork, OptimismSpec,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Genesis, GenesisAccount};

/// What go-ethereum starts the base fee from when the file has none.
const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Why a `genesis.json` is refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// It is not such a file at all.
    #[error("not a genesis file: {0}")]
    Format(#[from] serde_json::Error),
    /// A field of the header says something that no chain of ours can start from.
    #[error("`{field}` is {found}; only {allowed} can be started from")]
    Unsupported {
        /// The field, as the file calls it.
        field: &'static str,
        /// What the file says.
        found: String,
        /// What it may say.
        allowed: &'static str,
    },
    /// It schedules a fork whose rules are not here: running on would split from the chain.
    #[error("`{0}` schedules a fork that this release does not know")]
    UnknownFork(String),
    /// On an OP chain, the Ethereum fork and the OP fork that brings it are one.
    #[error("`{ethereum}` differs from `{optimism}`, which brings it")]
    ForkMismatch {
        /// The Ethereum fork's field.
        ethereum: &'static str,
        /// The OP fork's field.
        optimism: &'static str,
    },
    /// The forks are out of order.
    #[error("{0}")]
    ForkOrder(#[from] ChainSpecError),
    /// The base-fee parameters in the configuration or in `extraData` are none.
    #[error("{field}: {source}")]
    BaseFeeParams {
        /// The field, as the file calls it.
        field: &'static str,
        /// What is wrong with it.
        source: Eip1559ParamsError,
    },
}

/// What op-geth adds to `config`.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OptimismFields {
    /// Its presence is what makes an OP chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    optimism: Option<OptimismConstants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bedrock_block: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regolith_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canyon_time: Option<u64>,
    /// Not in op-geth's files, since it changes only derivation.
    #[serde(skip_serializing_if = "Option::is_none")]
    delta_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecotone_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fjord_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granite_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holocene_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    isthmus_time: Option<u64>,
    /// Whatever else there is.
    #[serde(flatten, skip_serializing)]
    others: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OptimismConstants {
    eip1559_elasticity: u32,
    eip1559_denominator: u32,
    /// Absent from chains that began after Canyon with one denominator.
    #[serde(skip_serializing_if = "Option::is_none")]
    eip1559_denominator_canyon: Option<u32>,
}

impl Genesis {
    /// Reads the `genesis.json` of go-ethereum or op-geth.
    ///
    /// Refuses what it cannot represent: a file is either understood whole, so that the genesis hash comes out as
    /// everywhere else, or not used.
    pub fn from_json(json: &str) -> Result<Self, GenesisError> {
        let file: alloy_genesis::Genesis = serde_json::from_str(json)?;
        check_header(&file)?;
        let spec = read_spec(&file.config)?;

        if spec.rules(file.timestamp).is_active(OpFork::Holocene) {
            Eip1559Params::from_extra_data(&file.extra_data)
                .map_err(|source| GenesisError::BaseFeeParams { field: "extraData", source })?;
        }
        let base_fee = file.base_fee_per_gas.unwrap_or(INITIAL_BASE_FEE.into());
        let base_fee = u64::try_from(base_fee)
            .map_err(|_| unsupported("baseFeePerGas", base_fee, "a number below 2^64"))?;

        Ok(Self {
            spec,
            timestamp: file.timestamp,
            gas_limit: file.gas_limit,
            base_fee,
            extra_data: file.extra_data,
            beneficiary: file.coinbase,
            mix_hash: file.mix_hash,
            nonce: file.nonce,
            difficulty: file.difficulty,
            alloc: file
                .alloc
                .into_iter()
                .map(|(address, account)| (address, read_account(account)))
                .collect(),
        })
    }

    /// Writes it in the same form.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let file = alloy_genesis::Genesis {
            config: write_spec(&self.spec)?,
            nonce: self.nonce,
            timestamp: self.timestamp,
            extra_data: self.extra_data.clone(),
            gas_limit: self.gas_limit,
            difficulty: self.difficulty,
            mix_hash: self.mix_hash,
            coinbase: self.beneficiary,
            alloc: self
                .alloc
                .iter()
                .map(|(address, account)| (*address, write_account(account)))
                .collect(),
            base_fee_per_gas: Some(self.base_fee.into()),
            number: Some(0),
            ..Default::default()
        };
        serde_json::to_string_pretty(&file)
    }
}

fn unsupported(field: &'static str, found: impl ToString, allowed: &'static str) -> GenesisError {
    GenesisError::Unsupported { field, found: found.to_string(), allowed }
}

/// The header's fields that are the same in every genesis of ours.
fn check_header(file: &alloy_genesis::Genesis) -> Result<(), GenesisError> {
    for (field, found) in [
        ("number", file.number),
        ("blobGasUsed", file.blob_gas_used),
        ("excessBlobGas", file.excess_blob_gas),
    ] {
        if let Some(found @ 1..) = found {
            return Err(unsupported(field, found, "zero"));
        }
    }
    if let Some(parent) = file.parent_hash.filter(|hash| !hash.is_zero()) {
        return Err(unsupported("parentHash", parent, "zero"));
    }
    Ok(())
}

fn read_spec(config: &ChainConfig) -> Result<ChainSpec, GenesisError> {
    // Rules before the merge are not here, so all of them have to be over at block zero.
    if config.london_block != Some(0) {
        let found = config.london_block.map_or("absent".into(), |block| block.to_string());
        return Err(unsupported("londonBlock", found, "zero"));
    }
    if let Some(difficulty) =
        config.terminal_total_difficulty.filter(|difficulty| !difficulty.is_zero())
    {
        return Err(unsupported("terminalTotalDifficulty", difficulty, "zero"));
    }
    let unknown = [
        ("amsterdamTime", config.amsterdam_time),
        ("bogotaTime", config.bogota_time),
        ("bpo1Time", config.bpo1_time),
        ("bpo2Time", config.bpo2_time),
        ("bpo3Time", config.bpo3_time),
        ("bpo4Time", config.bpo4_time),
        ("bpo5Time", config.bpo5_time),
    ];
    if let Some((name, _)) = unknown.iter().find(|(_, time)| time.is_some()) {
        return Err(GenesisError::UnknownFork((*name).into()));
    }

    let extra = Value::Object(
        config.extra_fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    );
    let fields: OptimismFields = serde_json::from_value(extra)?;
    let is_schedule = |(key, value): &(&String, &Value)| key.ends_with("Time") && !value.is_null();
    if let Some((name, _)) = fields.others.iter().find(is_schedule) {
        return Err(GenesisError::UnknownFork(name.clone()));
    }

    match &fields.optimism {
        Some(constants) => read_optimism(config, constants, &fields),
        None => Ok(ChainSpec::ethereum(
            config.chain_id,
            EthereumForks {
                shanghai_time: config.shanghai_time,
                cancun_time: config.cancun_time,
                prague_time: config.prague_time,
                osaka_time: config.osaka_time,
            },
        )?),
    }
}

fn read_optimism(
    config: &ChainConfig,
    constants: &OptimismConstants,
    fields: &OptimismFields,
) -> Result<ChainSpec, GenesisError> {
    for (field, found) in
        [("bedrockBlock", fields.bedrock_block), ("regolithTime", fields.regolith_time)]
    {
        if let Some(found @ 1..) = found {
            return Err(unsupported(field, found, "zero"));
        }
    }
    if config.osaka_time.is_some() {
        return Err(GenesisError::UnknownFork("osakaTime".into()));
    }
    for (ethereum, time, optimism, op_time) in [
        ("shanghaiTime", config.shanghai_time, "canyonTime", fields.canyon_time),
        ("cancunTime", config.cancun_time, "ecotoneTime", fields.ecotone_time),
        ("pragueTime", config.prague_time, "isthmusTime", fields.isthmus_time),
    ] {
        // Absent is fine: the OP fork implies it.
        if time.is_some() && time != op_time {
            return Err(GenesisError::ForkMismatch { ethereum, optimism });
        }
    }

    let params = |field, denominator| {
        Eip1559Params::new(denominator, constants.eip1559_elasticity)
            .map_err(|source| GenesisError::BaseFeeParams { field, source })
    };
    let denominator = constants.eip1559_denominator;
    let canyon_denominator = constants.eip1559_denominator_canyon.unwrap_or(denominator);
    let spec = OptimismSpec {
        eip1559: params("eip1559Denominator", denominator)?,
        eip1559_canyon: params("eip1559DenominatorCanyon", canyon_denominator)?,
        canyon_time: fields.canyon_time,
        delta_time: fields.delta_time.or(fields.ecotone_time),
        ecotone_time: fields.ecotone_time,
        fjord_time: fields.fjord_time,
        granite_time: fields.granite_time,
        holocene_time: fields.holocene_time,
        isthmus_time: fields.isthmus_time,
    };
    Ok(ChainSpec::optimism(config.chain_id, spec)?)
}

fn write_spec(spec: &ChainSpec) -> Result<ChainConfig, serde_json::Error> {
    let zero = Some(0);
    let mut config = ChainConfig {
        chain_id: spec.chain_id(),
        homestead_block: zero,
        eip150_block: zero,
        eip155_block: zero,
        eip158_block: zero,
        byzantium_block: zero,
        constantinople_block: zero,
        petersburg_block: zero,
        istanbul_block: zero,
        muir_glacier_block: zero,
        berlin_block: zero,
        london_block: zero,
        arrow_glacier_block: zero,
        gray_glacier_block: zero,
        merge_netsplit_block: zero,
        terminal_total_difficulty: Some(U256::ZERO),
        terminal_total_difficulty_passed: true,
        ..Default::default()
    };
    match spec.family() {
        ChainFamily::Ethereum(forks) => {
            config.shanghai_time = forks.shanghai_time;
            config.cancun_time = forks.cancun_time;
            config.prague_time = forks.prague_time;
            config.osaka_time = forks.osaka_time;
        }
        ChainFamily::Optimism(op) => {
            config.shanghai_time = op.canyon_time;
            config.cancun_time = op.ecotone_time;
            config.prague_time = op.isthmus_time;
            let fields = OptimismFields {
                optimism: Some(OptimismConstants {
                    eip1559_elasticity: op.eip1559.elasticity().get(),
                    eip1559_denominator: op.eip1559.denominator().get(),
                    eip1559_denominator_canyon: Some(op.eip1559_canyon.denominator().get()),
                }),
                bedrock_block: zero,
                regolith_time: zero,
                canyon_time: op.canyon_time,
                delta_time: op.delta_time,
                ecotone_time: op.ecotone_time,
                fjord_time: op.fjord_time,
                granite_time: op.granite_time,
                holocene_time: op.holocene_time,
                isthmus_time: op.isthmus_time,
                others: BTreeMap::new(),
            };
            config.extra_fields = serde_json::from_value(serde_json::to_value(fields)?)?;
        }
    }
    Ok(config)
}

fn read_account(account: alloy_genesis::GenesisAccount) -> GenesisAccount {
    let slots = account.storage.unwrap_or_default().into_iter();
    GenesisAccount {
        nonce: account.nonce.unwrap_or_default(),
        balance: account.balance,
        code: account.code.unwrap_or_default(),
        storage: slots.map(|(slot, value)| (slot.into(), value.into())).collect(),
    }
}

fn write_account(account: &GenesisAccount) -> alloy_genesis::GenesisAccount {
    let slots = account.storage.iter().map(|(slot, value)| (B256::from(*slot), B256::from(*value)));
    alloy_genesis::GenesisAccount {
        nonce: (account.nonce != 0).then_some(account.nonce),
        balance: account.balance,
        code: Some(account.code.clone()).filter(|code: &Bytes| !code.is_empty()),
        storage: (!account.storage.is_empty()).then(|| slots.collect()),
        ..Default::default()
    }
}
