//! How a rollup's contracts come to be on L1: a plan, made without asking anybody.

use alloy_primitives::{Address, B256, Bytes, U256, address, bytes, keccak256, uint};
use alloy_sol_types::{SolCall, SolValue, sol};
use millrace_protocol::{
    BlockId, ChainSpec, L1Header, RollupConfig, RollupGenesis, SystemConfig,
    predeploys::CREATE2_DEPLOYER,
};

use crate::{CHANNEL_TIMEOUT, Contract, MAX_SEQUENCER_DRIFT};

/// What a rollup's contracts on L1 begin with. Any difference leads to other addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentConfig {
    /// The chain id of L1. It is no part of the addresses: the same rollup can be deployed on several L1s.
    pub l1_chain_id: u64,
    /// The chain id of L2.
    pub l2_chain_id: u64,
    /// Who may change the system config and upgrade the contracts.
    pub owner: Address,
    /// Who may hold up withdrawals; zero: nobody.
    pub guardian: Address,
    /// Who signs blocks that are not on L1 yet; zero: nobody.
    pub unsafe_block_signer: Address,
    /// Where batches are sent; [`default_batch_inbox`] unless there is a reason.
    pub batch_inbox: Address,
    /// The system config that the rollup begins with.
    pub system_config: SystemConfig,
    /// Tells rollups apart that have everything else in common.
    pub salt: B256,
}

/// Why a configuration cannot be deployed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeploymentError {
    /// The field has to be somebody.
    #[error("`{0}` is the zero address")]
    ZeroAddress(&'static str),
    /// A chain id is zero, or L2's is L1's.
    #[error("L1 has chain id {l1} and L2 has {l2}: they must be positive and different")]
    ChainIds {
        /// L1's.
        l1: u64,
        /// L2's.
        l2: u64,
    },
    /// The system config would refuse it.
    #[error("the gas limit is {found}; it must be from {GAS_LIMIT_MIN} to {GAS_LIMIT_MAX}")]
    GasLimit {
        /// What was asked for.
        found: u64,
    },
}

/// What deposits can buy in one L1 block, and the L1 attributes transaction on top: the system config's lower bound.
const GAS_LIMIT_MIN: u64 = 21_000_000;
/// The system config's upper bound.
const GAS_LIMIT_MAX: u64 = 500_000_000;

/// The transactions that put a rollup on L1, and what is there afterwards.
///
/// Each goes to the deterministic deployer, [`CREATE2_DEPLOYER`], so each address follows from what is deployed there.
/// That makes the plan idempotent: whoever executes it skips every step whose address has code, may stop anywhere and begin
/// again, and need not fear others who send the same. A step that fails while somebody else sends it too is done; look
/// again before giving up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The L1 that it is for. Check it before sending anything.
    pub l1_chain_id: u64,
    /// What to send, in this order: each step needs the ones before it.
    pub steps: Vec<DeploymentStep>,
    /// Where everything is then.
    pub contracts: L1Contracts,
}

/// One transaction of a [`Deployment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentStep {
    /// What it creates.
    pub contract: Contract,
    /// Where it is sent.
    pub to: Address,
    /// What it carries: nothing, always.
    pub value: U256,
    /// Its calldata.
    pub data: Bytes,
    /// Where the contract is then. Code here means that the step is done, by us or by anybody.
    pub creates: Address,
}

/// A rollup's contracts on L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1Contracts {
    /// The record of the others, created in one transaction with them: code here means that all of them are complete.
    pub deployment: Address,
    /// The admin of the proxies below.
    pub proxy_admin: Address,
    /// Who can hold up withdrawals.
    pub superchain_config: Address,
    /// Whose events change the system config.
    pub system_config: Address,
    /// Whose events are deposits.
    pub portal: Address,
}

/// How a deployed rollup has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupBeginning {
    /// The rules of L2, as in its genesis.
    pub spec: ChainSpec,
    /// The block in which the rollup was deployed; L2 begins at its time.
    pub l1: L1Header,
    /// The hash of L2's genesis block.
    pub l2_hash: B256,
    /// Seconds between L2 blocks.
    pub block_time: u64,
    /// How many L1 blocks after its epoch a batch may still be included.
    pub seq_window_size: u64,
}

/// A transaction that brings [`CREATE2_DEPLOYER`] to an L1 that lacks it (anvil has it, and nearly every public chain).
///
/// It is signed by nobody's key, so that it is the same on every chain: send `cost` to `signer`, then broadcast `raw`. An L1
/// that takes only transactions with a chain id has to have the contract at genesis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeylessTransaction {
    /// Who it is from.
    pub signer: Address,
    /// What its signer must have, in wei.
    pub cost: U256,
    /// What to broadcast.
    pub raw: Bytes,
}

/// The published transaction that creates [`CREATE2_DEPLOYER`].
pub static CREATE2_DEPLOYER_TRANSACTION: KeylessTransaction = KeylessTransaction {
    signer: address!("3fAB184622Dc19b6109349B94811493BF2a45362"),
    cost: uint!(10_000_000_000_000_000_U256),
    raw: bytes!(
        "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba02222222222222222222222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"
    ),
};

/// Where a chain's batches are sent unless somebody wants it otherwise: the OP Stack's convention, a zero and 19 bytes of the
/// chain id's hash. Nobody has a key for it.
pub fn default_batch_inbox(l2_chain_id: u64) -> Address {
    let hash = keccak256(U256::from(l2_chain_id).to_be_bytes::<32>());
    let mut inbox = Address::ZERO;
    inbox[1..].copy_from_slice(&hash[..19]);
    inbox
}

sol! {
    struct Implementations {
        address superchainConfig;
        address systemConfig;
        address optimismPortal;
    }

    struct Settings {
        address owner;
        bytes32 batcherHash;
        uint64 gasLimit;
        uint32 basefeeScalar;
        uint32 blobbasefeeScalar;
        uint32 eip1559Denominator;
        uint32 eip1559Elasticity;
        uint32 operatorFeeScalar;
        uint64 operatorFeeConstant;
        address unsafeBlockSigner;
        address batchInbox;
        uint256 l2ChainId;
    }

    function startBlock() external view returns (uint256);
}

impl Deployment {
    /// Plans it.
    pub fn new(config: &DeploymentConfig) -> Result<Self, DeploymentError> {
        config.check()?;
        // Nothing of a rollup is in the code behind its proxies, so all rollups can share it.
        let implementation = |contract| DeploymentStep::create(contract, B256::ZERO, &[]);
        let superchain_config = implementation(Contract::SuperchainConfig);
        let system_config = implementation(Contract::SystemConfig);
        let portal = implementation(Contract::OptimismPortal);

        let code = Implementations {
            superchainConfig: superchain_config.creates,
            systemConfig: system_config.creates,
            optimismPortal: portal.creates,
        };
        let arguments = (code, config.guardian, config.settings()).abi_encode_params();
        let rollup = DeploymentStep::create(Contract::RollupDeployment, config.salt, &arguments);

        Ok(Self {
            l1_chain_id: config.l1_chain_id,
            contracts: L1Contracts::of(rollup.creates),
            steps: vec![superchain_config, system_config, portal, rollup],
        })
    }
}

impl DeploymentStep {
    fn create(contract: Contract, salt: B256, arguments: &[u8]) -> Self {
        // A test asks for the creation code of everything outside `src/l2`.
        let code = contract.creation_code().expect("a contract of L1 has creation code");
        let init_code = [&code, arguments].concat();
        Self {
            contract,
            to: CREATE2_DEPLOYER,
            value: U256::ZERO,
            creates: CREATE2_DEPLOYER.create2(salt, keccak256(&init_code)),
            data: [salt.as_slice(), &init_code].concat().into(),
        }
    }
}

impl L1Contracts {
    /// The contracts that the one at this address created, in its order.
    fn of(deployment: Address) -> Self {
        Self {
            deployment,
            proxy_admin: deployment.create(1),
            superchain_config: deployment.create(2),
            system_config: deployment.create(3),
            portal: deployment.create(4),
        }
    }

    /// A call to [`Self::system_config`] that tells in which block the rollup was deployed. That block is where both chains
    /// begin: it is the first whose state has the planned system config, and later changes are events of later blocks.
    pub fn start_block_call() -> Bytes {
        startBlockCall {}.abi_encode().into()
    }

    /// Reads what that call returned; nothing if it is no block number.
    pub fn read_start_block(returned: &[u8]) -> Option<u64> {
        startBlockCall::abi_decode_returns(returned).ok()?.try_into().ok()
    }
}

impl DeploymentConfig {
    /// What verifiers have to know of the rollup, once it has begun.
    pub fn rollup_config(
        &self,
        contracts: &L1Contracts,
        RollupBeginning { spec, l1, l2_hash, block_time, seq_window_size }: RollupBeginning,
    ) -> RollupConfig {
        RollupConfig {
            spec,
            genesis: RollupGenesis {
                l1: l1.id(),
                l2: BlockId { number: 0, hash: l2_hash },
                l2_time: l1.timestamp,
                system_config: self.system_config,
            },
            block_time,
            max_sequencer_drift: MAX_SEQUENCER_DRIFT,
            seq_window_size,
            channel_timeout: CHANNEL_TIMEOUT,
            l1_chain_id: self.l1_chain_id,
            batch_inbox: self.batch_inbox,
            deposit_contract: contracts.portal,
            system_config_contract: contracts.system_config,
        }
    }

    /// Says here what the contracts would only answer with a revert, which the deterministic deployer keeps to itself.
    fn check(&self) -> Result<(), DeploymentError> {
        for (field, address) in [
            ("owner", self.owner),
            ("batcher", self.system_config.batcher),
            ("batch_inbox", self.batch_inbox),
        ] {
            if address.is_zero() {
                return Err(DeploymentError::ZeroAddress(field));
            }
        }
        let (l1, l2) = (self.l1_chain_id, self.l2_chain_id);
        if l1 == 0 || l2 == 0 || l1 == l2 {
            return Err(DeploymentError::ChainIds { l1, l2 });
        }
        let found = self.system_config.gas_limit;
        if !(GAS_LIMIT_MIN..=GAS_LIMIT_MAX).contains(&found) {
            return Err(DeploymentError::GasLimit { found });
        }
        Ok(())
    }

    fn settings(&self) -> Settings {
        let SystemConfig {
            batcher,
            gas_limit,
            base_fee_scalar,
            blob_base_fee_scalar,
            eip1559,
            operator_fee,
        } = self.system_config;
        Settings {
            owner: self.owner,
            batcherHash: batcher.into_word(),
            gasLimit: gas_limit,
            basefeeScalar: base_fee_scalar,
            blobbasefeeScalar: blob_base_fee_scalar,
            eip1559Denominator: eip1559.map_or(0, |params| params.denominator().get()),
            eip1559Elasticity: eip1559.map_or(0, |params| params.elasticity().get()),
            operatorFeeScalar: operator_fee.scalar,
            operatorFeeConstant: operator_fee.constant,
            unsafeBlockSigner: self.unsafe_block_signer,
            batchInbox: self.batch_inbox,
            l2ChainId: U256::from(self.l2_chain_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable};
    use alloy_eips::eip2718::Decodable2718;
    use millrace_protocol::{Eip1559Params, L1Attributes, OperatorFee};

    use super::*;
    use crate::{Genesis, GenesisRoots, read_rollup, write_rollup};

    fn config() -> DeploymentConfig {
        DeploymentConfig {
            l1_chain_id: 900,
            l2_chain_id: 901,
            owner: Address::repeat_byte(1),
            guardian: Address::repeat_byte(2),
            unsafe_block_signer: Address::repeat_byte(3),
            batch_inbox: default_batch_inbox(901),
            system_config: SystemConfig {
                batcher: Address::repeat_byte(4),
                gas_limit: 60_000_000,
                base_fee_scalar: 1_368,
                blob_base_fee_scalar: 810_949,
                eip1559: Some(Eip1559Params::new(50, 10).unwrap()),
                operator_fee: OperatorFee { scalar: 5, constant: 6 },
            },
            salt: B256::ZERO,
        }
    }

    #[test]
    fn rollups_differ_in_their_addresses_and_share_their_code() {
        let plan = Deployment::new(&config()).unwrap();
        assert_eq!(Deployment::new(&config()).unwrap(), plan);
        let names: Vec<_> = plan.steps.iter().map(|step| step.contract).collect();
        use Contract::{OptimismPortal, RollupDeployment, SuperchainConfig, SystemConfig};
        assert_eq!(names, [SuperchainConfig, SystemConfig, OptimismPortal, RollupDeployment]);
        assert_eq!(plan.steps[3].creates, plan.contracts.deployment);

        for other in [
            DeploymentConfig { salt: B256::with_last_byte(1), ..config() },
            DeploymentConfig { guardian: Address::ZERO, ..config() },
            DeploymentConfig { l2_chain_id: 902, ..config() },
        ] {
            let other = Deployment::new(&other).unwrap();
            assert_eq!(other.steps[..3], plan.steps[..3]);
            assert_ne!(other.contracts.deployment, plan.contracts.deployment);
        }
    }

    #[test]
    fn init_code_is_not_larger_than_l1_allows() {
        for step in Deployment::new(&config()).unwrap().steps {
            // The salt comes before it.
            assert!(step.data.len() - 32 <= 49_152, "{:?}", step.contract);
            assert!(step.contract.runtime_code().len() <= 24_576, "{:?}", step.contract);
        }
    }

    #[test]
    fn what_the_contracts_would_refuse_is_refused() {
        let system = |change: fn(&mut SystemConfig)| {
            let mut config = config();
            change(&mut config.system_config);
            config
        };
        let check = |config: DeploymentConfig, expected| {
            assert_eq!(Deployment::new(&config).unwrap_err(), expected);
        };
        use DeploymentError::{ChainIds, GasLimit, ZeroAddress};
        check(DeploymentConfig { owner: Address::ZERO, ..config() }, ZeroAddress("owner"));
        check(
            DeploymentConfig { batch_inbox: Address::ZERO, ..config() },
            ZeroAddress("batch_inbox"),
        );
        check(system(|config| config.batcher = Address::ZERO), ZeroAddress("batcher"));
        check(DeploymentConfig { l1_chain_id: 901, ..config() }, ChainIds { l1: 901, l2: 901 });
        check(DeploymentConfig { l2_chain_id: 0, ..config() }, ChainIds { l1: 900, l2: 0 });
        check(system(|config| config.gas_limit = 20_999_999), GasLimit { found: 20_999_999 });
        check(system(|config| config.gas_limit = 500_000_001), GasLimit { found: 500_000_001 });
    }

    #[test]
    fn the_keyless_transaction_creates_the_deployer() {
        let KeylessTransaction { signer, cost, raw } = &CREATE2_DEPLOYER_TRANSACTION;
        let tx = TxEnvelope::decode_2718_exact(raw).unwrap();
        assert_eq!(tx.recover_signer().unwrap(), *signer);
        assert_eq!(signer.create(0), CREATE2_DEPLOYER);
        use alloy_consensus::Transaction;
        assert_eq!(U256::from(tx.gas_limit()) * U256::from(tx.gas_price().unwrap()), *cost);
    }

    #[test]
    fn the_default_inbox_is_by_the_convention() {
        // keccak256 of 130 as a word is 0xb2244e64….
        let expected = address!("00b2244e644cfe16f72b654fbc48ff0fecec8fc5");
        assert_eq!(default_batch_inbox(130), expected);
    }

    /// From the plan to the file and back, with a genesis between that says the same.
    #[test]
    fn what_verifiers_are_told_is_what_was_deployed() {
        let config = config();
        let contracts = Deployment::new(&config).unwrap().contracts;
        let l1 = L1Header {
            number: 4,
            hash: B256::repeat_byte(5),
            parent_hash: B256::repeat_byte(6),
            timestamp: 1_700_000_000,
            base_fee: 7,
            blob_base_fee: 1,
            prev_randao: B256::ZERO,
            parent_beacon_block_root: B256::ZERO,
        };
        let genesis = Genesis::dev_rollup(config.l2_chain_id, l1, config.system_config);
        let rollup = config.rollup_config(
            &contracts,
            RollupBeginning {
                spec: genesis.spec.clone(),
                l1,
                l2_hash: B256::repeat_byte(9),
                block_time: 1,
                seq_window_size: 3_600,
            },
        );
        assert_eq!(read_rollup(&write_rollup(&rollup).unwrap()).unwrap(), rollup);
        assert_eq!(Genesis::from_json(&genesis.to_json().unwrap()).unwrap().spec, rollup.spec);
        assert_eq!(rollup.genesis.l2_time, genesis.timestamp);
        assert_eq!(rollup.genesis.l1, l1.id());
        assert_eq!(rollup.deposit_contract, contracts.portal);

        // What the header and L1Block say is the config that the rollup begins with.
        let roots = GenesisRoots { state_root: B256::ZERO, message_passer_root: B256::ZERO };
        let attributes = L1Attributes::for_block(&config.system_config, &l1, 0);
        let of_genesis = SystemConfig::of_l2_block(&genesis.header(roots), &attributes);
        assert_eq!(of_genesis, Ok(rollup.genesis.system_config));
    }

    #[test]
    fn reads_the_start_block() {
        let word = U256::from(77).to_be_bytes::<32>();
        assert_eq!(L1Contracts::read_start_block(&word), Some(77));
        assert_eq!(L1Contracts::read_start_block(&[0xff; 32]), None);
        assert_eq!(L1Contracts::read_start_block(&[]), None);
        assert_eq!(L1Contracts::start_block_call()[..], keccak256("startBlock()")[..4]);
    }
}
