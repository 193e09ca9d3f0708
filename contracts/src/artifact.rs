//! The compiled contracts, as `build.mjs` left them in `artifacts/`.

use std::sync::LazyLock;

use alloy_primitives::Bytes;
use serde::Deserialize;

/// A contract of ours, compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "each is the contract of that name, described in its Solidity source"
)]
pub enum Contract {
    BaseFeeVault,
    GasPriceOracle,
    L1Block,
    L1FeeVault,
    L2ToL1MessagePasser,
    Multicall3,
    OperatorFeeVault,
    OptimismPortal,
    Proxy,
    ProxyAdmin,
    RollupDeployment,
    SequencerFeeVault,
    SuperchainConfig,
    SystemConfig,
    Weth,
}

/// The part of an artifact that the node needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    runtime_bytecode: Bytes,
    /// Only of what is deployed on L1: genesis has no use for it.
    #[serde(default)]
    creation_bytecode: Option<Bytes>,
}

impl Contract {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::BaseFeeVault,
        Self::GasPriceOracle,
        Self::L1Block,
        Self::L1FeeVault,
        Self::L2ToL1MessagePasser,
        Self::Multicall3,
        Self::OperatorFeeVault,
        Self::OptimismPortal,
        Self::Proxy,
        Self::ProxyAdmin,
        Self::RollupDeployment,
        Self::SequencerFeeVault,
        Self::SuperchainConfig,
        Self::SystemConfig,
        Self::Weth,
    ];

    /// The code that an account holding this contract has.
    pub fn runtime_code(self) -> Bytes {
        self.artifact().runtime_bytecode.clone()
    }

    /// The code that creates it, before the arguments of its constructor; nothing for what only genesis places.
    pub fn creation_code(self) -> Option<Bytes> {
        self.artifact().creation_bytecode.clone()
    }

    /// The whole artifact: name, source, compiler, ABI, storage layout and runtime bytecode, as JSON.
    pub const fn artifact_json(self) -> &'static str {
        match self {
            Self::BaseFeeVault => include_str!("../artifacts/BaseFeeVault.json"),
            Self::GasPriceOracle => include_str!("../artifacts/GasPriceOracle.json"),
            Self::L1Block => include_str!("../artifacts/L1Block.json"),
            Self::L1FeeVault => include_str!("../artifacts/L1FeeVault.json"),
            Self::L2ToL1MessagePasser => include_str!("../artifacts/L2ToL1MessagePasser.json"),
            Self::Multicall3 => include_str!("../artifacts/Multicall3.json"),
            Self::OperatorFeeVault => include_str!("../artifacts/OperatorFeeVault.json"),
            Self::OptimismPortal => include_str!("../artifacts/OptimismPortal.json"),
            Self::Proxy => include_str!("../artifacts/Proxy.json"),
            Self::ProxyAdmin => include_str!("../artifacts/ProxyAdmin.json"),
            Self::RollupDeployment => include_str!("../artifacts/RollupDeployment.json"),
            Self::SequencerFeeVault => include_str!("../artifacts/SequencerFeeVault.json"),
            Self::SuperchainConfig => include_str!("../artifacts/SuperchainConfig.json"),
            Self::SystemConfig => include_str!("../artifacts/SystemConfig.json"),
            Self::Weth => include_str!("../artifacts/WETH.json"),
        }
    }

    fn artifact(self) -> &'static Artifact {
        static ARTIFACTS: LazyLock<[Artifact; Contract::ALL.len()]> = LazyLock::new(|| {
            // The texts are part of the program, and a test parses all of them.
            Contract::ALL.map(|contract| {
                serde_json::from_str(contract.artifact_json()).expect("an embedded artifact parses")
            })
        });
        &ARTIFACTS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_has_code_and_its_own_artifact() {
        for (index, contract) in Contract::ALL.into_iter().enumerate() {
            assert_eq!(contract as usize, index, "ALL is in declaration order");
            let artifact: serde_json::Value =
                serde_json::from_str(contract.artifact_json()).unwrap();
            let name = artifact["name"].as_str().unwrap();
            assert!(name.eq_ignore_ascii_case(&format!("{contract:?}")), "{contract:?} is {name}");
            assert!(!contract.runtime_code().is_empty());
            let source = artifact["source"].as_str().unwrap();
            assert_eq!(
                contract.creation_code().is_none(),
                source.starts_with("src/l2/"),
                "{source}"
            );
        }
    }
}
