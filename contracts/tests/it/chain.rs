//! The development chain's genesis in an EVM: calls commit, there are no fees and no nonces.

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_sol_types::{Revert, SolCall, SolError};
use millrace_contracts::{DevGenesis, Genesis};
use rand::{SeedableRng, rngs::StdRng};
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext, MainnetEvm, SystemCallCommitEvm,
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv, TxEnv, result::ExecutionResult},
    database::{CacheDB, EmptyDB},
    handler::MainnetContext,
    primitives::{TxKind, hardfork::SpecId},
    state::AccountInfo,
};

/// A chain of one block that never ends.
pub(crate) struct Chain {
    db: CacheDB<EmptyDB>,
    pub(crate) block: BlockEnv,
}

impl Chain {
    pub(crate) fn new() -> Self {
        let genesis = Genesis::dev(DevGenesis { timestamp: 1_000, ..DevGenesis::default() });
        let diff = genesis.state_diff();
        let mut db = CacheDB::new(EmptyDB::default());
        for (changed, slots) in diff.accounts() {
            let (address, fields) = (changed.address, changed.account.unwrap());
            let code =
                fields.bytecode_hash.map(|hash| Bytecode::new_raw(diff.codes()[&hash].clone()));
            let info = AccountInfo {
                balance: fields.balance,
                nonce: fields.nonce,
                code_hash: fields.bytecode_hash.unwrap_or(alloy_primitives::KECCAK256_EMPTY),
                code: Some(code.unwrap_or_default()),
                ..AccountInfo::default()
            };
            db.insert_account_info(address, info);
            for (slot, value) in slots {
                db.insert_account_storage(address, *slot, *value).unwrap();
            }
        }
        let block = BlockEnv {
            number: U256::from(1_000),
            timestamp: U256::from(3_000),
            beneficiary: genesis.beneficiary,
            basefee: 7,
            gas_limit: genesis.gas_limit,
            prevrandao: Some(B256::repeat_byte(9)),
            ..BlockEnv::default()
        };
        Self { db, block }
    }

    /// Runs a transaction and keeps what it did.
    pub(crate) fn transact(
        &mut self,
        from: Address,
        to: TxKind,
        value: U256,
        data: Bytes,
    ) -> ExecutionResult {
        let tx = TxEnv::builder()
            .caller(from)
            .kind(to)
            .value(value)
            .data(data)
            .gas_limit(30_000_000)
            .gas_price(0);
        let tx = tx.build().unwrap();
        self.evm(|cfg| {
            cfg.disable_nonce_check = true;
            cfg.disable_base_fee = true;
            cfg.disable_eip3607 = true;
            cfg.tx_chain_id_check = false;
        })
        .transact_commit(tx)
        .unwrap()
    }

    /// The call that the protocol makes at the start of a block.
    pub(crate) fn system_call(&mut self, to: Address, data: Bytes) {
        let result = self.evm(|_| ()).system_call_commit(to, data).unwrap();
        assert!(result.is_success(), "{result:?}");
    }

    /// A call that succeeds; its logs.
    pub(crate) fn send(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        data: impl Into<Bytes>,
    ) -> Vec<Log> {
        let result = self.transact(from, to.into(), value, data.into());
        assert!(result.is_success(), "{result:?}");
        result.into_logs()
    }

    /// A call that returns something.
    pub(crate) fn call<C: SolCall>(&mut self, from: Address, to: Address, call: C) -> C::Return {
        let result = self.transact(from, to.into(), U256::ZERO, call.abi_encode().into());
        assert!(result.is_success(), "{}: {result:?}", C::SIGNATURE);
        C::abi_decode_returns(&result.into_output().unwrap()).unwrap()
    }

    /// The same from anybody.
    pub(crate) fn view<C: SolCall>(&mut self, to: Address, call: C) -> C::Return {
        self.call(Address::repeat_byte(0x77), to, call)
    }

    /// The data with which a call reverts.
    pub(crate) fn revert_data(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        data: impl Into<Bytes>,
    ) -> Bytes {
        match self.transact(from, to.into(), value, data.into()) {
            ExecutionResult::Revert { output, .. } => output,
            other => panic!("did not revert: {other:?}"),
        }
    }

    /// The reason with which a call reverts.
    pub(crate) fn revert_reason(
        &mut self,
        from: Address,
        to: Address,
        call: impl SolCall,
    ) -> String {
        let data = self.revert_data(from, to, U256::ZERO, call.abi_encode());
        Revert::abi_decode(&data).unwrap().reason
    }

    pub(crate) fn slot(&mut self, address: Address, slot: U256) -> U256 {
        revm::Database::storage(&mut self.db, address, slot).unwrap()
    }

    pub(crate) fn balance(&mut self, address: Address) -> U256 {
        revm::Database::basic(&mut self.db, address).unwrap().unwrap_or_default().balance
    }

    pub(crate) fn code(&mut self, address: Address) -> Bytes {
        let account = revm::Database::basic(&mut self.db, address).unwrap().unwrap_or_default();
        revm::Database::code_by_hash(&mut self.db, account.code_hash).unwrap().original_bytes()
    }

    /// Credits an account without a transaction, as the protocol credits the fee vaults.
    pub(crate) fn credit(&mut self, address: Address, amount: U256) {
        self.db.load_account(address).unwrap().info.balance += amount;
    }

    fn evm(
        &mut self,
        configure: fn(&mut CfgEnv),
    ) -> MainnetEvm<MainnetContext<&mut CacheDB<EmptyDB>>> {
        Context::mainnet()
            .with_db(&mut self.db)
            .with_block(self.block.clone())
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
                cfg.chain_id = millrace_contracts::DEV_CHAIN_ID;
                configure(cfg);
            })
            .build_mainnet()
    }
}

/// Randomness that can be repeated: the seed is printed with the failure that it led to.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration but its environment")]
pub(crate) fn seeded() -> StdRng {
    let given = std::env::var("MILLRACE_TEST_SEED");
    let seed = given.map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("MILLRACE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
