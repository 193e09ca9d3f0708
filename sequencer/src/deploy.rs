//! Putting a rollup on L1: its contracts, and the files that name them.

use std::time::{Duration, Instant};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxHash, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context, bail};
use millrace_contracts::{
    CREATE2_DEPLOYER_TRANSACTION, Deployment, DeploymentConfig, Genesis, L1Contracts,
    RollupBeginning, default_batch_inbox,
};
use millrace_l1::{At, BlobSchedule, L1Client, L1HeaderSealed, NonceAt, SendError};
use millrace_protocol::{ChainSpec, L1Header, SystemConfig, predeploys::CREATE2_DEPLOYER};

use crate::{cli::DeployArgs, config::L1Config, genesis, l1_side, posting, rollup::Rollup};

/// What a rollup is to be.
#[derive(Debug, Clone)]
pub struct NewRollup {
    /// Its chain id.
    pub chain_id: u64,
    /// Seconds between its blocks.
    pub block_time_s: u64,
    /// How many L1 blocks after its epoch a batch may still be included.
    pub seq_window_size: u64,
    /// Who may change the system config and upgrade the contracts.
    pub owner: Address,
    /// Who may post batches.
    pub batcher: Address,
    /// The gas limit of its blocks.
    pub gas_limit: u64,
    /// Tells it apart from other rollups that have everything else in common.
    pub salt: B256,
    /// Who has ether on it before anybody deposits some.
    pub funded: Funded,
    /// How many L1 blocks have to lie above the deployment before its block is believed to stay: both chains begin there.
    pub l1_confirmations: u64,
}

/// Who has ether on a new rollup before anybody deposits some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funded {
    /// Nobody: ether comes from L1.
    Nobody,
    /// The development accounts, whose keys everybody knows.
    Developers,
}

/// What a user pays for data, in millionths of L1's price: about what compressed batches in blobs cost.
const BASE_FEE_SCALAR: u32 = 1_368;
const BLOB_BASE_FEE_SCALAR: u32 = 810_949;

/// How often to look whether L1 has included a transaction, and how often at most.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const LOOKS_MAX: u32 = 1_200;

/// How often to look, at least and at most, whether L1 keeps the deployment: the more rarely the longer L1 makes no block,
/// as whoever counts the questions may refuse to answer many.
const CONFIRMATION_INTERVALS: [Duration; 2] = [LOOK_INTERVAL, Duration::from_secs(4)];

/// For how long L1 may give no answer, or not have the deployment.
const ABSENCE_MAX: Duration = Duration::from_mins(5);

/// How often to say how far L1 is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

impl NewRollup {
    /// Puts the contracts on L1, as far as they are not there, and tells what they make.
    ///
    /// Whoever runs it again, also after it was cut off, gets the same rollup.
    pub async fn deploy(&self, l1: &L1Client, payer: &PrivateKeySigner) -> anyhow::Result<Rollup> {
        let system_config = SystemConfig {
            batcher: self.batcher,
            gas_limit: self.gas_limit,
            base_fee_scalar: BASE_FEE_SCALAR,
            blob_base_fee_scalar: BLOB_BASE_FEE_SCALAR,
            eip1559: None,
            operator_fee: Default::default(),
        };
        let config = DeploymentConfig {
            l1_chain_id: l1.chain_id(),
            l2_chain_id: self.chain_id,
            owner: self.owner,
            guardian: self.owner,
            unsafe_block_signer: Address::ZERO,
            batch_inbox: default_batch_inbox(self.chain_id),
            system_config,
            salt: self.salt,
        };
        let plan = Deployment::new(&config).context("plan the deployment")?;
        let deployer = Deployer { l1, payer };
        deployer.ensure_create2().await?;
        for step in &plan.steps {
            if has_code(l1, step.creates).await? {
                continue;
            }
            tracing::info!(contract = ?step.contract, address = %step.creates, "deploying");
            let sent = deployer.send(TxKind::Call(step.to), step.value, step.data.clone()).await;
            // Somebody else may have been faster; what counts is that it is there.
            if !has_code(l1, step.creates).await? {
                sent?;
                bail!("{:?} is not at {} after its transaction", step.contract, step.creates);
            }
        }
        let header = self.beginning(l1, &plan.contracts).await?;
        let genesis = match self.funded {
            Funded::Developers => Genesis::dev_rollup(self.chain_id, header, system_config),
            Funded::Nobody => Genesis::rollup(millrace_contracts::NewRollup {
                chain_id: self.chain_id,
                l1: header,
                system_config,
                owner: self.owner,
                fee_recipient: self.owner,
                balances: Default::default(),
            }),
        };
        let beginning = RollupBeginning {
            spec: ChainSpec::dev(self.chain_id),
            l1: header,
            l2_hash: genesis::header(&genesis).hash(),
            block_time: self.block_time_s,
            seq_window_size: self.seq_window_size,
        };
        Rollup::new(config.rollup_config(&plan.contracts, beginning), genesis)
    }

    /// The L1 block in which the rollup was deployed, where both chains begin, once it is deep enough. A reorganization
    /// until then moves it; one later would leave files of a rollup that is not there.
    async fn beginning(&self, l1: &L1Client, contracts: &L1Contracts) -> anyhow::Result<L1Header> {
        let mut waiting = Waiting::new(self.l1_confirmations);
        loop {
            match Self::look(l1, contracts).await {
                Ok(Look { head, deployed: Some(deployed) }) => {
                    if head >= deployed.number.saturating_add(self.l1_confirmations) {
                        let schedule = BlobSchedule::of_chain(l1.chain_id());
                        let read = schedule.l1_header(&deployed);
                        let context = || format!("L1 block {} has no base fee", deployed.number);
                        return read.with_context(context);
                    }
                    waiting.is_there(head, deployed.number, deployed.hash());
                }
                // A reorganization took it away, and its transaction is on its way again.
                Ok(Look { deployed: None, .. }) => waiting.is_absent(
                    "L1 was reorganized and has lost the deployment: run the same command again",
                )?,
                Err(error) => waiting.is_absent(&format!(
                    "L1 gives no answer ({error:#}): run the same command again, and it goes on"
                ))?,
            }
            tokio::time::sleep(waiting.pause).await;
        }
    }

    /// Where L1 is, and the block in which it has the deployment.
    async fn look(l1: &L1Client, contracts: &L1Contracts) -> anyhow::Result<Look> {
        // The head first: what is read after it lies at least as deep as it seems.
        let head = l1.header(At::Latest).await?.context("L1 has no head")?.number;
        let call = L1Contracts::start_block_call();
        let answer = l1.call(contracts.system_config, &call, At::Latest).await?;
        let deployed = match L1Contracts::read_start_block(&answer) {
            Some(number) => l1.header(At::Number(number)).await?,
            None => None,
        };
        Ok(Look { head, deployed })
    }
}

/// What L1 says about the deployment.
struct Look {
    head: u64,
    deployed: Option<L1HeaderSealed>,
}

/// The wait for L1 to bury the deployment: how often to look, what to say meanwhile, and when to give up.
struct Waiting {
    confirmations: u64,
    pause: Duration,
    head: u64,
    /// Since when it is not to be seen.
    absent: Option<Instant>,
    /// The deployment's block that was spoken of, and when, and where L1 was then.
    said: Option<(B256, Instant, u64)>,
}

impl Waiting {
    const fn new(confirmations: u64) -> Self {
        let [pause, _] = CONFIRMATION_INTERVALS;
        Self { confirmations, pause, head: 0, absent: None, said: None }
    }

    /// It is in this block, and not deep enough.
    fn is_there(&mut self, head: u64, l1_block: u64, hash: B256) {
        self.absent = None;
        let [pause_min, pause_max] = CONFIRMATION_INTERVALS;
        let has_moved = std::mem::replace(&mut self.head, head) != head;
        self.pause =
            if has_moved { pause_min.max(self.pause / 2) } else { pause_max.min(self.pause * 2) };
        let confirmations = self.confirmations;
        match self.said {
            Some((said, at, _)) if said == hash && at.elapsed() < PROGRESS_INTERVAL => return,
            Some((said, _, stood)) if said == hash && stood == head => tracing::warn!(
                l1_block,
                l1_head = head,
                "L1 makes no blocks: one that never does by itself needs `--l1-confirmations 0`"
            ),
            _ => tracing::info!(
                l1_block,
                l1_head = head,
                confirmations,
                "waiting until L1 keeps the deployment"
            ),
        }
        self.said = Some((hash, Instant::now(), head));
    }

    /// It is not to be seen at the moment. An error when that lasts too long.
    fn is_absent(&mut self, why: &str) -> anyhow::Result<()> {
        let [_, pause_max] = CONFIRMATION_INTERVALS;
        self.pause = pause_max.min(self.pause * 2);
        match self.absent {
            Some(since) if since.elapsed() > ABSENCE_MAX => bail!("{why}"),
            Some(_) => {}
            None => {
                tracing::warn!(why, "the deployment is not to be seen on L1; looking again");
                self.absent = Some(Instant::now());
            }
        }
        Ok(())
    }
}

/// Puts a rollup on L1, as far as it is not there, and writes its files.
pub async fn deploy(args: &DeployArgs) -> anyhow::Result<Rollup> {
    let l1 = L1Config { urls: args.l1_url.clone(), ..L1Config::default() };
    let l1 = l1_side::client(&l1, args.l1_chain_id, None)?;
    let rollup = NewRollup {
        chain_id: args.chain_id,
        block_time_s: args.block_time.0.as_secs(),
        seq_window_size: args.seq_window_size,
        owner: args.owner,
        batcher: args.batcher,
        gas_limit: args.gas_limit,
        salt: args.salt,
        l1_confirmations: args.l1_confirmations,
        funded: if args.fund_development_accounts { Funded::Developers } else { Funded::Nobody },
    };
    if args.block_time.0.subsec_nanos() != 0 || rollup.block_time_s == 0 {
        bail!("block_time: blocks are whole seconds apart");
    }
    let rollup = rollup.deploy(&l1, &posting::read_key(&args.key_file)?).await?;
    rollup.write(&args.out)?;
    Ok(rollup)
}

async fn has_code(l1: &L1Client, address: Address) -> anyhow::Result<bool> {
    Ok(!l1.code(address).await?.is_empty())
}

/// Sends transactions, one after the other.
struct Deployer<'a> {
    l1: &'a L1Client,
    payer: &'a PrivateKeySigner,
}

impl Deployer<'_> {
    /// Brings the deterministic deployer to an L1 that lacks it.
    async fn ensure_create2(&self) -> anyhow::Result<()> {
        if has_code(self.l1, CREATE2_DEPLOYER).await? {
            return Ok(());
        }
        let keyless = &CREATE2_DEPLOYER_TRANSACTION;
        tracing::info!("L1 lacks the deterministic deployer: sending its published transaction");
        let balance = self.l1.balance(keyless.signer).await?;
        if let Some(missing) = keyless.cost.checked_sub(balance).filter(|wei| !wei.is_zero()) {
            self.send(TxKind::Call(keyless.signer), missing, Bytes::new()).await?;
        }
        match self.l1.send_raw(&keyless.raw).await {
            Ok(_) | Err(SendError::NonceTooLow(_)) => {}
            Err(error) => {
                return Err(error).context("send the deterministic deployer's transaction");
            }
        }
        for _ in 0..LOOKS_MAX {
            if has_code(self.l1, CREATE2_DEPLOYER).await? {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        bail!("the deterministic deployer is not at {CREATE2_DEPLOYER} after its transaction")
    }

    /// Sends a transaction and waits until it is included.
    async fn send(&self, to: TxKind, value: U256, input: Bytes) -> anyhow::Result<()> {
        let from = self.payer.address();
        let fees = self.l1.fees().await?;
        let gas = match to {
            TxKind::Call(_) if input.is_empty() => 21_000,
            _ => {
                let gas = self.l1.estimate_gas(from, to.to().copied(), &input).await;
                gas.context("estimate gas")?
            }
        };
        let transaction = TxEip1559 {
            chain_id: self.l1.chain_id(),
            nonce: self.l1.nonce(from, NonceAt::Pending).await?,
            // Room for what changes until it is included.
            gas_limit: gas + gas / 5,
            max_fee_per_gas: 2 * u128::from(fees.next_base_fee) + fees.tip,
            max_priority_fee_per_gas: fees.tip,
            to,
            value,
            input,
            ..TxEip1559::default()
        };
        let signature = self.payer.sign_hash_sync(&transaction.signature_hash())?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        self.l1
            .send_raw(&signed.encoded_2718().into())
            .await
            .context("send a transaction to L1")?;
        self.wait_for(*signed.tx_hash()).await
    }

    async fn wait_for(&self, hash: TxHash) -> anyhow::Result<()> {
        for _ in 0..LOOKS_MAX {
            match self.l1.transaction_receipt(hash).await? {
                Some(receipt) if receipt.success => return Ok(()),
                Some(_) => bail!("transaction {hash} failed on L1"),
                None => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
        bail!("L1 has not included transaction {hash}")
    }
}
