//! A service that keeps a key and signs with it, as those do to which companies entrust theirs.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use alloy_eips::eip2718::Encodable2718;
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, hex};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_signer_local::PrivateKeySigner;
use axum::{Json, Router, extract::State};
use serde_json::{Value, json};

use super::server::Server;

/// What it says when it doesn't sign.
pub(crate) const REFUSAL: &str = "this key is locked";

/// A running signer.
#[derive(Debug)]
pub(crate) struct Signer {
    server: Server,
    keeper: Arc<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    key: PrivateKeySigner,
    /// Relaxed: nothing else is ordered by it.
    is_locked: AtomicBool,
}

impl Signer {
    /// Starts one that keeps this key, and signs whatever it is asked to.
    pub(crate) fn start(key: &PrivateKeySigner) -> Self {
        let keeper = Arc::new(Keeper { key: key.clone(), is_locked: AtomicBool::new(false) });
        let router = Router::new().fallback(answer).with_state(keeper.clone());
        Self { server: Server::start(router), keeper }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Whether it refuses from now on.
    pub(crate) fn lock(&self, is_locked: bool) {
        self.keeper.is_locked.store(is_locked, Ordering::Relaxed);
    }
}

async fn answer(State(keeper): State<Arc<Keeper>>, Json(call): Json<Value>) -> Json<Value> {
    let mut answer = json!({ "jsonrpc": "2.0", "id": call["id"] });
    match keeper.sign(&call) {
        Ok(signed) => answer["result"] = json!(signed),
        Err(message) => answer["error"] = json!({ "code": -32000, "message": message }),
    }
    Json(answer)
}

impl Keeper {
    fn sign(&self, call: &Value) -> Result<String, String> {
        if call["method"] != "eth_signTransaction" {
            return Err("unknown method".to_owned());
        }
        if self.is_locked.load(Ordering::Relaxed) {
            return Err(REFUSAL.to_owned());
        }
        let asked: TransactionRequest =
            serde_json::from_value(call["params"][0].clone()).map_err(|error| error.to_string())?;
        let address: Address = self.key.address();
        if asked.from != Some(address) {
            return Err(format!("the key of {:?} is not here", asked.from));
        }
        let incomplete = || "the transaction is not complete".to_owned();
        // Blobs don't come along: only their hashes are signed.
        let mut transaction = if asked.blob_versioned_hashes.is_some() {
            asked.build_4844_without_sidecar().map_err(|_| incomplete())?.into()
        } else {
            asked.build_typed_tx().map_err(|_| incomplete())?
        };
        let signature = self.key.sign_transaction_sync(&mut transaction);
        let signature = signature.map_err(|error| error.to_string())?;
        Ok(hex::encode_prefixed(transaction.into_envelope(signature).encoded_2718()))
    }
}
