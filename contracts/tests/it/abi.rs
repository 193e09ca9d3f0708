//! What the artifacts offer is exactly what the public interfaces ask for, and storage is where it has to be.

use std::collections::BTreeSet;

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::{SolEventInterface, SolInterface};
use millrace_contracts::Contract;
use serde_json::Value;

use crate::interfaces::{
    IFeeVault, IGasPriceOracle, IL1Block, IL2ToL1MessagePasser, IMulticall3, IOptimismPortal,
    IProxy, IProxyAdmin, ISuperchainConfig, ISystemConfig, IWETH,
};

#[test]
fn l1_block() {
    check_calls::<IL1Block::IL1BlockCalls>(Contract::L1Block, &[]);
    assert_eq!(
        signatures(Contract::L1Block, "error"),
        BTreeSet::from(["NotDepositor()".to_owned()])
    );
}

#[test]
fn gas_price_oracle() {
    check_calls::<IGasPriceOracle::IGasPriceOracleCalls>(Contract::GasPriceOracle, &[]);
}

#[test]
fn message_passer() {
    check_calls::<IL2ToL1MessagePasser::IL2ToL1MessagePasserCalls>(
        Contract::L2ToL1MessagePasser,
        &[],
    );
    check_events::<IL2ToL1MessagePasser::IL2ToL1MessagePasserEvents>(Contract::L2ToL1MessagePasser);
}

#[test]
fn fee_vaults() {
    for contract in [Contract::BaseFeeVault, Contract::L1FeeVault, Contract::OperatorFeeVault] {
        check_calls::<IFeeVault::IFeeVaultCalls>(contract, &[]);
        check_events::<IFeeVault::IFeeVaultEvents>(contract);
    }
    check_calls::<IFeeVault::IFeeVaultCalls>(Contract::SequencerFeeVault, &["l1FeeWallet()"]);
    check_events::<IFeeVault::IFeeVaultEvents>(Contract::SequencerFeeVault);
}

#[test]
fn weth() {
    check_calls::<IWETH::IWETHCalls>(Contract::Weth, &[]);
    check_events::<IWETH::IWETHEvents>(Contract::Weth);
}

#[test]
fn proxies() {
    check_calls::<IProxy::IProxyCalls>(Contract::Proxy, &[]);
    check_events::<IProxy::IProxyEvents>(Contract::Proxy);
    check_calls::<IProxyAdmin::IProxyAdminCalls>(Contract::ProxyAdmin, &[]);
    check_events::<IProxyAdmin::IProxyAdminEvents>(Contract::ProxyAdmin);
}

#[test]
fn multicall3() {
    check_calls::<IMulticall3::IMulticall3Calls>(Contract::Multicall3, &[]);
}

/// The initializers are no part of it: they differ from version to version, and nobody but a deployer calls them.
#[test]
fn l1_contracts() {
    let settings = "(address,bytes32,uint64,uint32,uint32,uint32,uint32,uint32,uint64,address,address,uint256)";
    let initialize = format!("initialize({settings},(address,address))");
    check_calls::<ISystemConfig::ISystemConfigCalls>(Contract::SystemConfig, &[&initialize]);
    check_events::<ISystemConfig::ISystemConfigEvents>(Contract::SystemConfig);
    check_calls::<IOptimismPortal::IOptimismPortalCalls>(
        Contract::OptimismPortal,
        &["initialize(address)"],
    );
    check_events::<IOptimismPortal::IOptimismPortalEvents>(Contract::OptimismPortal);
    let errors = ["BadTarget()", "LargeCalldata()", "OutOfGas()", "SmallGasLimit()"];
    let errors = errors.map(str::to_owned).into();
    assert_eq!(signatures(Contract::OptimismPortal, "error"), errors);
    check_calls::<ISuperchainConfig::ISuperchainConfigCalls>(Contract::SuperchainConfig, &[]);
    check_events::<ISuperchainConfig::ISuperchainConfigEvents>(Contract::SuperchainConfig);
}

#[test]
fn storage_is_where_the_protocol_reads_it() {
    let check = |contract, expected: &[(&str, u64, u64, u64)]| {
        let artifact = artifact(contract);
        let number = |variable: &Value, key| variable[key].as_u64().unwrap();
        let storage = artifact["storage"].as_array().unwrap().iter().map(|variable| {
            let (slot, offset) = (number(variable, "slot"), number(variable, "offset"));
            let (label, bytes) = (variable["label"].as_str().unwrap(), number(variable, "bytes"));
            // A spacer is named after its place, which is here to be seen anyway.
            let is_spacer = label == format!("spacer_{slot}_{offset}_{bytes}");
            (if is_spacer { SPACER } else { label }, slot, offset, bytes)
        });
        assert_eq!(storage.collect::<Vec<_>>(), expected, "{contract:?}");
    };
    check(
        Contract::L1Block,
        &[
            ("number", 0, 0, 8),
            ("timestamp", 0, 8, 8),
            ("basefee", 1, 0, 32),
            ("hash", 2, 0, 32),
            ("sequenceNumber", 3, 0, 8),
            ("blobBaseFeeScalar", 3, 8, 4),
            ("baseFeeScalar", 3, 12, 4),
            ("batcherHash", 4, 0, 32),
            ("l1FeeOverhead", 5, 0, 32),
            ("l1FeeScalar", 6, 0, 32),
            ("blobBaseFee", 7, 0, 32),
            ("operatorFeeConstant", 8, 0, 8),
            ("operatorFeeScalar", 8, 8, 4),
        ],
    );
    check(Contract::L2ToL1MessagePasser, &[("sentMessages", 0, 0, 32), ("msgNonce", 1, 0, 30)]);
    check(Contract::ProxyAdmin, &[("owner", 0, 0, 20)]);
    // Where the OP Stack's contracts have the same; what they have besides is kept free, and checked to be.
    let spacer = |slot, offset, bytes| (SPACER, slot, offset, bytes);
    check(
        Contract::SystemConfig,
        &[
            ("_initialized", 0, 0, 1),
            spacer(0, 1, 1),
            spacer(1, 0, 1600),
            ("owner", 51, 0, 20),
            spacer(52, 0, 1568),
            ("overhead", 101, 0, 32),
            ("scalar", 102, 0, 32),
            ("batcherHash", 103, 0, 32),
            ("gasLimit", 104, 0, 8),
            ("basefeeScalar", 104, 8, 4),
            ("blobbasefeeScalar", 104, 12, 4),
            ("_resourceConfig", 105, 0, 32),
            ("eip1559Denominator", 106, 0, 4),
            ("eip1559Elasticity", 106, 4, 4),
            ("operatorFeeScalar", 106, 8, 4),
            ("operatorFeeConstant", 106, 12, 8),
            ("l2ChainId", 107, 0, 32),
            ("superchainConfig", 108, 0, 20),
        ],
    );
    check(
        Contract::OptimismPortal,
        &[
            ("_initialized", 0, 0, 1),
            spacer(0, 1, 1),
            ("params", 1, 0, 32),
            spacer(2, 0, 1536),
            spacer(50, 0, 20),
            spacer(51, 0, 32),
            spacer(52, 0, 32),
            spacer(53, 0, 1),
            spacer(53, 1, 20),
            spacer(54, 0, 20),
            ("systemConfig", 55, 0, 20),
            spacer(56, 0, 20),
            spacer(57, 0, 32),
            spacer(58, 0, 32),
            spacer(59, 0, 32),
            spacer(60, 0, 32),
            spacer(61, 0, 32),
            spacer(62, 0, 20),
        ],
    );
    check(Contract::SuperchainConfig, &[("_initialized", 0, 0, 1), spacer(0, 1, 1)]);
    // A proxy's own variables would collide with its implementation's.
    check(Contract::Proxy, &[]);
}

/// Stands for a variable that only keeps its place free.
const SPACER: &str = "(spacer)";

/// The functions of a contract are those of an interface, and the named ones more.
fn check_calls<I: SolInterface>(contract: Contract, more: &[&str]) {
    let selector = |signature: &str| keccak256(signature)[..4].to_vec();
    let actual: BTreeSet<_> =
        signatures(contract, "function").iter().map(|signature| selector(signature)).collect();
    let mut expected: BTreeSet<_> = I::selectors().map(|selector| selector.to_vec()).collect();
    expected.extend(more.iter().map(|signature| selector(signature)));
    let missing: Vec<_> = expected.difference(&actual).map(alloy_primitives::hex::encode).collect();
    let unexpected: Vec<_> =
        actual.difference(&expected).map(alloy_primitives::hex::encode).collect();
    assert!(
        missing.is_empty() && unexpected.is_empty(),
        "{contract:?}: missing {missing:?}, unexpected {unexpected:?}"
    );
}

/// Its events are those of the interface, with the same topics indexed.
fn check_events<E: SolEventInterface + SelectorsOf>(contract: Contract) {
    let actual: BTreeSet<_> = signatures(contract, "event").iter().map(keccak256).collect();
    assert_eq!(actual, E::topics(), "{contract:?}");
}

/// The first topics of an interface's events.
trait SelectorsOf {
    fn topics() -> BTreeSet<B256>;
}

macro_rules! selectors_of {
    ($($events:ty),+ $(,)?) => {
        $(impl SelectorsOf for $events {
            fn topics() -> BTreeSet<B256> {
                Self::SELECTORS.iter().map(|topic| B256::from(*topic)).collect()
            }
        })+
    };
}

selectors_of!(
    IL2ToL1MessagePasser::IL2ToL1MessagePasserEvents,
    IFeeVault::IFeeVaultEvents,
    IWETH::IWETHEvents,
    IProxy::IProxyEvents,
    IProxyAdmin::IProxyAdminEvents,
    ISystemConfig::ISystemConfigEvents,
    IOptimismPortal::IOptimismPortalEvents,
    ISuperchainConfig::ISuperchainConfigEvents,
);

fn artifact(contract: Contract) -> Value {
    serde_json::from_str(contract.artifact_json()).unwrap()
}

/// The canonical signatures of everything of one kind in a contract's ABI.
fn signatures(contract: Contract, kind: &str) -> BTreeSet<String> {
    let artifact = artifact(contract);
    let items = artifact["abi"].as_array().unwrap().iter();
    let signature =
        |item: &Value| format!("{}{}", item["name"].as_str().unwrap(), tuple(&item["inputs"]));
    items.filter(|item| item["type"] == kind).map(signature).collect()
}

fn tuple(components: &Value) -> String {
    let types = components.as_array().unwrap().iter().map(|component| {
        let kind = component["type"].as_str().unwrap();
        kind.strip_prefix("tuple")
            .map_or(kind.to_owned(), |array| tuple(&component["components"]) + array)
    });
    format!("({})", types.collect::<Vec<_>>().join(","))
}
