//! The batcher's neighbours: what it posts, where to, and who signs.

use std::{path::Path, sync::Arc};

use alloy_consensus::{TxEip4844Variant, TypedTransaction};
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, U256};
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context, bail};
use futures::future::{BoxFuture, FutureExt};
use millrace_batcher::{
    Account, FaceError, Inclusion, L1, LocalSigner, Market, Place, SealedBlock, SealedBlocks,
    SendError, Signer, UnsignedTx,
};
use millrace_contracts::DEV_ACCOUNTS;
use millrace_l1::{
    At, EndpointConfig, L1Client, L1Error, NonceAt, RemoteSigner, SendError as L1SendError, Sent,
    TransactionPlace,
};
use millrace_protocol::{BlockId, RollupConfig};
use tokio::sync::watch;

use crate::{banner::dev_key, chain::Chain, config::KeySource, l2_ref};

/// Our journaled blocks.
#[derive(Debug, Clone)]
pub(crate) struct Journaled {
    pub(crate) chain: Arc<Chain>,
    pub(crate) rollup: Arc<RollupConfig>,
}

fn failed(error: impl std::fmt::Display) -> FaceError {
    FaceError(error.to_string())
}

impl SealedBlocks for Journaled {
    fn tip(&self) -> watch::Receiver<BlockId> {
        self.chain.tip()
    }

    fn blocks(
        &self,
        first: u64,
        count: u64,
    ) -> BoxFuture<'_, Result<Vec<Arc<SealedBlock>>, FaceError>> {
        async move {
            let mut blocks = Vec::new();
            for number in first..first.saturating_add(count) {
                let Some(served) = self.chain.block(number).await.map_err(failed)? else { break };
                let place = l2_ref::of(&served.block, &self.rollup).map_err(failed)?;
                let safe = l2_ref::safe_block(&served.block, &self.rollup);
                blocks.push(Arc::new(SealedBlock {
                    id: place.id,
                    parent_hash: place.parent_hash,
                    timestamp: place.timestamp,
                    epoch: place.origin,
                    sequence_number: place.sequence_number,
                    transactions: safe.transactions,
                }));
            }
            Ok(blocks)
        }
        .boxed()
    }

    fn hash(&self, number: u64) -> BoxFuture<'_, Result<Option<B256>, FaceError>> {
        async move {
            let header = self.chain.header(number).await.map_err(failed)?;
            Ok(header.map(|header| header.hash()))
        }
        .boxed()
    }
}

/// L1 by its clients.
#[derive(Debug, Clone)]
pub(crate) struct L1Face(pub(crate) L1Client);

impl L1 for L1Face {
    fn head(&self) -> BoxFuture<'_, Result<BlockId, FaceError>> {
        async move {
            let header = self.0.header(At::Latest).await.map_err(failed)?;
            let header = header.ok_or_else(|| failed("L1 has no head"))?;
            Ok(BlockId { number: header.number, hash: header.hash() })
        }
        .boxed()
    }

    fn market(&self) -> BoxFuture<'_, Result<Market, FaceError>> {
        async move {
            let fees = self.0.fees().await.map_err(failed)?;
            Ok(Market {
                base_fee: fees.next_base_fee.into(),
                blob_base_fee: fees.blob_base_fee,
                tip: fees.tip,
            })
        }
        .boxed()
    }

    fn account(&self, address: Address) -> BoxFuture<'_, Result<Account, FaceError>> {
        async move {
            let nonce = self.0.nonce(address, NonceAt::Latest).await.map_err(failed)?;
            let balance = self.0.balance(address).await.map_err(failed)?;
            Ok(Account { nonce, balance })
        }
        .boxed()
    }

    fn find(&self, hash: TxHash) -> BoxFuture<'_, Result<Place, FaceError>> {
        async move {
            let Some(receipt) = self.0.transaction_receipt(hash).await.map_err(failed)? else {
                // An L1 that has lost the receipt must not look like one that has another transaction with this nonce:
                // everything would be posted again.
                return match self.0.transaction_place(hash).await {
                    Ok(TransactionPlace::Nowhere) => Ok(Place::Nowhere),
                    // Who does not tell that either has said all that it will, and not that it is gone.
                    Ok(TransactionPlace::Pool) | Err(L1Error::Refused(_)) => Ok(Place::Pool),
                    Ok(TransactionPlace::Block(number)) => Err(failed(format!(
                        "L1 has transaction {hash} in block {number}, and doesn't tell its receipt"
                    ))),
                    Err(error) => Err(failed(error)),
                };
            };
            let gas = u128::from(receipt.gas_used).saturating_mul(receipt.effective_gas_price);
            let blobs = u128::from(receipt.blob_gas_used).saturating_mul(receipt.blob_gas_price);
            let cost = U256::from(gas).saturating_add(U256::from(blobs));
            Ok(Place::Block(Inclusion { block: receipt.block, cost }))
        }
        .boxed()
    }

    fn send(&self, raw: Bytes) -> BoxFuture<'_, Result<(), SendError>> {
        async move {
            match self.0.send_raw(&raw).await {
                Ok(Sent::Accepted) => Ok(()),
                Ok(Sent::Known) => Err(SendError::AlreadyKnown),
                Err(L1SendError::NonceTooLow(_)) => Err(SendError::NonceTooLow),
                Err(L1SendError::ReplacementUnderpriced(_)) => {
                    Err(SendError::ReplacementUnderpriced)
                }
                Err(L1SendError::Underpriced(_)) => Err(SendError::Underpriced),
                Err(L1SendError::InsufficientFunds(_)) => Err(SendError::InsufficientFunds),
                // geth keeps an account's blobs and its other transactions in pools apart.
                Err(L1SendError::Refused(error)) if error.message.contains("already reserved") => {
                    Err(SendError::KindReserved)
                }
                Err(L1SendError::Refused(error)) => Err(SendError::Rejected(error.to_string())),
                Err(L1SendError::Unavailable(error)) => {
                    Err(SendError::Unavailable(error.to_string()))
                }
            }
        }
        .boxed()
    }
}

/// A key that somebody else keeps.
#[derive(Debug)]
struct Remote(RemoteSigner);

impl Signer for Remote {
    fn address(&self) -> Address {
        self.0.address()
    }

    fn sign(&self, transaction: UnsignedTx) -> BoxFuture<'_, Result<Signature, FaceError>> {
        let transaction = match transaction {
            UnsignedTx::Calldata(transaction) => TypedTransaction::Eip1559(transaction),
            UnsignedTx::Blobs(transaction) => {
                TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844(transaction))
            }
        };
        async move { self.0.sign(&transaction).await.map_err(failed) }.boxed()
    }
}

/// Whoever signs for the batcher. Keys that everybody knows are good for development chains only.
pub(crate) fn signer(source: &KeySource) -> anyhow::Result<Arc<dyn Signer>> {
    let signer: Arc<dyn Signer> = match source {
        KeySource::File(path) => Arc::new(LocalSigner::new(read_key(path)?)),
        KeySource::Keystore { path, password } => {
            let password = std::fs::read_to_string(password)
                .with_context(|| format!("read {}", password.display()))?;
            let key =
                PrivateKeySigner::decrypt_keystore(path, password.trim_end_matches(['\n', '\r']))
                    .with_context(|| format!("open the keystore {}", path.display()))?;
            Arc::new(LocalSigner::new(key))
        }
        KeySource::Remote { url, address } => {
            let endpoint = EndpointConfig::new("signer", url);
            Arc::new(Remote(RemoteSigner::new(&endpoint, *address).context("batcher.signer_url")?))
        }
        KeySource::Development(index) => {
            let key =
                PrivateKeySigner::from_bytes(&dev_key(*index)).context("a development key")?;
            return Ok(Arc::new(LocalSigner::new(key)));
        }
    };
    if DEV_ACCOUNTS.contains(&signer.address()) {
        bail!("the batcher's key is one of the public development keys: anybody could use it");
    }
    Ok(signer)
}

/// A private key from a file. What is wrong with it is said without saying what is in it.
pub(crate) fn read_key(path: &Path) -> anyhow::Result<PrivateKeySigner> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let key: Option<PrivateKeySigner> = text.trim().parse().ok();
    key.with_context(|| format!("{}: not a private key in hexadecimal", path.display()))
}
