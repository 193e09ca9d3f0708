//! The plan, executed: the contracts are where it says, and say what derivation reads.

use alloy_primitives::{Address, B256, Log, U256, bytes};
use alloy_sol_types::{SolCall, SolEvent};
use millrace_contracts::{
    DEV_ACCOUNTS, Deployment, DeploymentConfig, L1Contracts, default_batch_inbox,
};
use millrace_protocol::{
    CONFIG_UPDATE, Eip1559Params, OperatorFee, SystemConfig, UserDeposit, alias_l1_address,
    predeploys::CREATE2_DEPLOYER,
};
use revm::primitives::TxKind;

use crate::{
    chain::Chain,
    interfaces::{IOptimismPortal, IProxyAdmin, ISuperchainConfig, ISystemConfig},
};

const OWNER: Address = DEV_ACCOUNTS[1];
const GUARDIAN: Address = DEV_ACCOUNTS[2];
const BATCHER: Address = DEV_ACCOUNTS[3];
const ANYBODY: Address = DEV_ACCOUNTS[4];

fn config() -> DeploymentConfig {
    DeploymentConfig {
        l1_chain_id: 900,
        l2_chain_id: 901,
        owner: OWNER,
        guardian: GUARDIAN,
        unsafe_block_signer: ANYBODY,
        batch_inbox: default_batch_inbox(901),
        system_config: SystemConfig {
            batcher: BATCHER,
            gas_limit: 60_000_000,
            base_fee_scalar: 1_368,
            blob_base_fee_scalar: 810_949,
            eip1559: Some(Eip1559Params::new(50, 10).unwrap()),
            operator_fee: OperatorFee { scalar: 5, constant: 6 },
        },
        salt: B256::repeat_byte(7),
    }
}

/// A chain that stands for L1, which has the deterministic deployer as any other, with a rollup on it.
fn deployed(config: &DeploymentConfig) -> (Chain, L1Contracts) {
    let mut chain = Chain::new();
    let plan = Deployment::new(config).unwrap();
    for step in &plan.steps {
        assert_eq!(step.to, CREATE2_DEPLOYER);
        assert!(chain.code(step.creates).is_empty());
        chain.send(ANYBODY, step.to, step.value, step.data.clone());
        assert_eq!(chain.code(step.creates), step.contract.runtime_code());
    }
    (chain, plan.contracts)
}

#[test]
fn everything_is_where_the_plan_says() {
    let config = config();
    let (mut chain, contracts) = deployed(&config);
    for address in [contracts.superchain_config, contracts.system_config, contracts.portal] {
        let admin = IProxyAdmin::getProxyAdminCall { proxy: address };
        assert_eq!(chain.view(contracts.proxy_admin, admin), contracts.proxy_admin);
    }
    assert_eq!(chain.view(contracts.proxy_admin, IProxyAdmin::ownerCall {}), OWNER);
    let portal = chain.view(contracts.system_config, ISystemConfig::optimismPortalCall {});
    assert_eq!(portal, contracts.portal);
    let system_config = chain.view(contracts.portal, IOptimismPortal::systemConfigCall {});
    assert_eq!(system_config, contracts.system_config);
    let superchain = chain.view(contracts.portal, IOptimismPortal::superchainConfigCall {});
    assert_eq!(superchain, contracts.superchain_config);
    let guardian = chain.view(contracts.superchain_config, ISuperchainConfig::guardianCall {});
    assert_eq!(guardian, GUARDIAN);
    assert_eq!(chain.view(contracts.portal, IOptimismPortal::guardianCall {}), GUARDIAN);
}

#[test]
fn the_system_config_has_what_was_asked_for() {
    let config = config();
    let (mut chain, contracts) = deployed(&config);
    macro_rules! read {
        ($call:ident) => {
            chain.view(contracts.system_config, ISystemConfig::$call {})
        };
    }
    assert_eq!(read!(ownerCall), OWNER);
    assert_eq!(read!(batcherHashCall), BATCHER.into_word());
    assert_eq!(read!(gasLimitCall), 60_000_000);
    assert_eq!((read!(basefeeScalarCall), read!(blobbasefeeScalarCall)), (1_368, 810_949));
    assert_eq!((read!(eip1559DenominatorCall), read!(eip1559ElasticityCall)), (50, 10));
    assert_eq!((read!(operatorFeeScalarCall), read!(operatorFeeConstantCall)), (5, 6));
    assert_eq!(read!(unsafeBlockSignerCall), ANYBODY);
    assert_eq!(read!(batchInboxCall), default_batch_inbox(901));
    assert_eq!(read!(l2ChainIdCall), U256::from(901));
    // The bounds that the plan checks are the contract's.
    assert_eq!((read!(minimumGasLimitCall), read!(maximumGasLimitCall)), (21_000_000, 500_000_000));

    let call = L1Contracts::start_block_call();
    let result = chain.transact(ANYBODY, TxKind::Call(contracts.system_config), U256::ZERO, call);
    let start = L1Contracts::read_start_block(&result.into_output().unwrap()).unwrap();
    assert_eq!(U256::from(start), chain.block.number);
}

/// A second attempt fails as a whole, and what is there stays as it is.
#[test]
fn what_is_there_cannot_be_deployed_again() {
    let config = config();
    let (mut chain, contracts) = deployed(&config);
    let gas_limit = ISystemConfig::setGasLimitCall { gasLimit: 30_000_000 };
    chain.call(OWNER, contracts.system_config, gas_limit);
    for step in Deployment::new(&config).unwrap().steps {
        let result = chain.transact(ANYBODY, TxKind::Call(step.to), step.value, step.data);
        assert!(!result.is_success());
    }
    let gas_limit = chain.view(contracts.system_config, ISystemConfig::gasLimitCall {});
    assert_eq!(gas_limit, 30_000_000);
}

/// What the events of the first block come to is the planned config, and each later one changes what it says.
#[test]
fn config_updates_are_what_derivation_reads() {
    let config = config();
    let plan = Deployment::new(&config).unwrap();
    let address = plan.contracts.system_config;
    let mut chain = Chain::new();
    let mut follower = SystemConfig {
        batcher: Address::ZERO,
        gas_limit: 0,
        base_fee_scalar: 0,
        blob_base_fee_scalar: 0,
        eip1559: None,
        operator_fee: OperatorFee::default(),
    };
    let apply = |follower: &mut SystemConfig, logs: Vec<Log>| {
        let mut applied = 0;
        for log in logs.iter().filter(|log| log.address == address) {
            if log.topics()[0] == CONFIG_UPDATE {
                follower.apply_log(&log.data).unwrap();
                applied += 1;
            }
        }
        applied
    };
    for step in plan.steps {
        let logs = chain.send(ANYBODY, step.to, step.value, step.data);
        apply(&mut follower, logs);
    }
    assert_eq!(follower, config.system_config);

    let mut expected = follower;
    let mut check = |call: Vec<u8>, change: fn(&mut SystemConfig)| {
        let logs = chain.send(OWNER, address, U256::ZERO, call);
        assert_eq!(apply(&mut follower, logs), 1);
        change(&mut expected);
        assert_eq!(follower, expected);
    };
    let batcher = ISystemConfig::setBatcherHashCall { batcherHash: ANYBODY.into_word() };
    check(batcher.abi_encode(), |config| config.batcher = ANYBODY);
    let scalars =
        ISystemConfig::setGasConfigEcotoneCall { basefeeScalar: 0, blobbasefeeScalar: u32::MAX };
    check(scalars.abi_encode(), |config| {
        (config.base_fee_scalar, config.blob_base_fee_scalar) = (0, u32::MAX);
    });
    check(ISystemConfig::setGasLimitCall { gasLimit: 21_000_000 }.abi_encode(), |config| {
        config.gas_limit = 21_000_000;
    });
    let params = ISystemConfig::setEIP1559ParamsCall { denominator: u32::MAX, elasticity: 1 };
    check(params.abi_encode(), |config| {
        config.eip1559 = Some(Eip1559Params::new(u32::MAX, 1).unwrap());
    });
    let fee = ISystemConfig::setOperatorFeeScalarsCall {
        operatorFeeScalar: u32::MAX,
        operatorFeeConstant: u64::MAX,
    };
    check(fee.abi_encode(), |config| {
        config.operator_fee = OperatorFee { scalar: u32::MAX, constant: u64::MAX };
    });
    let signer = ISystemConfig::setUnsafeBlockSignerCall { unsafeBlockSigner: ANYBODY };
    check(signer.abi_encode(), |_| ());
}

#[test]
fn deposits_are_what_derivation_reads() {
    let (mut chain, contracts) = deployed(&config());
    // Both sides name the event alike.
    assert_eq!(
        IOptimismPortal::TransactionDeposited::SIGNATURE_HASH,
        millrace_protocol::TRANSACTION_DEPOSITED
    );
    let call = |is_creation| IOptimismPortal::depositTransactionCall {
        to: if is_creation { Address::ZERO } else { OWNER },
        value: U256::from(3),
        gasLimit: 100_000,
        isCreation: is_creation,
        data: bytes!("0102030405"),
    };
    for (is_creation, to) in [(false, TxKind::Call(OWNER)), (true, TxKind::Create)] {
        let data = call(is_creation).abi_encode();
        let logs = chain.send(ANYBODY, contracts.portal, U256::from(2), data);
        let expected = UserDeposit {
            from: ANYBODY,
            to,
            mint: 2,
            value: U256::from(3),
            gas_limit: 100_000,
            input: bytes!("0102030405"),
        };
        assert_eq!(UserDeposit::decode_log(&logs[0].data), Ok(expected.clone()));
        assert_eq!(logs[0].data, expected.encode_log());
    }
    // Ether that is just sent.
    let logs = chain.send(ANYBODY, contracts.portal, U256::from(9), []);
    let deposit = UserDeposit::decode_log(&logs[0].data).unwrap();
    assert_eq!((deposit.from, deposit.to, deposit.mint), (ANYBODY, ANYBODY.into(), 9));
    assert_eq!(deposit.value, U256::from(9));
}

/// A contract deposits while it is being created, when it has no code yet.
#[test]
fn the_alias_is_the_protocols() {
    let (mut chain, contracts) = deployed(&config());
    // Init code that calls the portal with one wei and no data: PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 1 PUSH20 portal GAS CALL
    // PUSH0 PUSH0 RETURN.
    let init_code =
        [&bytes!("5f5f5f5f600173")[..], contracts.portal.as_slice(), &bytes!("5af15f5ff3")]
            .concat();
    let result = chain.transact(ANYBODY, TxKind::Create, U256::from(1), init_code.into());
    let created = result.created_address().unwrap();
    let logs = result.into_logs();
    let deposit = UserDeposit::decode_log(&logs[0].data).unwrap();
    assert_eq!(deposit.from, alias_l1_address(created));
    assert_eq!(deposit.to, TxKind::Call(created));
    assert_eq!(deposit.mint, 1);
}
