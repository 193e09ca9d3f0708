//! Blobs by the beacon API: anvil's own, and the older one of nodes that don't know the newer yet.

use std::sync::Arc;

use alloy_eips::eip4844::Blob;
use alloy_primitives::{Bytes, hex};
use axum::{Router, extract::Path, http::StatusCode, response::IntoResponse, routing::get};
use millrace_l1::{
    BeaconConfig, BlobSchedule, BlobSource, EndpointConfig, L1Client, ReadError, Reader,
};
use millrace_protocol::BlockId;
use serde_json::json;

use crate::{
    reader::{INBOX, blob, rollup, system_config},
    support::{
        CHAIN_ID,
        anvil::{Anvil, key},
    },
};

fn reader(client: &L1Client, beacons: &[&str]) -> Reader {
    let beacons: Vec<BeaconConfig> = beacons
        .iter()
        .map(|url| BeaconConfig {
            endpoint: EndpointConfig::new("beacon", *url),
            slot_seconds: Some(1),
        })
        .collect();
    let blobs = BlobSource::new(&beacons).unwrap();
    Reader::new(client.clone(), blobs, BlobSchedule::of_chain(CHAIN_ID), Arc::new(rollup()))
}

/// A block with two blobs of the batcher's, in a slot of its own number.
async fn block_with_blobs(anvil: &Anvil) -> (BlockId, Vec<Blob>) {
    let genesis = anvil.rpc("eth_getBlockByNumber", json!(["0x0", false])).await;
    let genesis: alloy_primitives::U64 =
        serde_json::from_value(genesis["timestamp"].clone()).unwrap();
    // Anvil takes the slot for the block's number.
    let number = anvil.head().await.number + 1_000;
    anvil.rpc("anvil_mine", json!([999])).await;
    let blobs = vec![blob(b"one"), blob(b"two")];
    anvil.send_blobs(&key(1), INBOX, blobs.clone()).await;
    anvil.rpc("evm_setNextBlockTimestamp", json!([genesis.to::<u64>() + number])).await;
    (anvil.mine(1).await, blobs)
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_come_from_a_beacon_node() {
    let anvil = Anvil::start().await;
    let (head, _) = block_with_blobs(&anvil).await;
    // The first beacon node is gone.
    let reader = reader(&anvil.client, &["http://127.0.0.1:1", &anvil.url]);
    let block = reader.block(head.hash, &system_config()).await.unwrap();
    assert_eq!(block.inbox, [&b"one"[..], b"two"].map(Bytes::from_static));
}

/// A beacon node that knows only sidecars, and says what it is told.
async fn older_beacon(sidecars: serde_json::Value) -> String {
    let genesis = json!({ "data": { "genesis_time": "0" } }).to_string();
    let sidecars = json!({ "data": sidecars }).to_string();
    let router = Router::new()
        .route("/eth/v1/beacon/genesis", get(move || async move { genesis }))
        .route("/eth/v1/beacon/blobs/{slot}", get(|| async { StatusCode::NOT_FOUND }))
        .route(
            "/eth/v1/beacon/blob_sidecars/{slot}",
            get(move |Path(slot): Path<u64>| async move {
                assert!(slot > 1_600_000_000, "a slot a second since 1970");
                sidecars.into_response()
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn sidecars_are_good_enough_and_are_not_believed() {
    use alloy_eips::eip4844::c_kzg;
    let anvil = Anvil::start().await;
    let (head, blobs) = block_with_blobs(&anvil).await;
    let sidecar = |blob: &Blob, claimed: &Blob| {
        let settings = c_kzg::ethereum_kzg_settings(0);
        let claimed = settings.blob_to_kzg_commitment(&c_kzg::Blob::new(claimed.0)).unwrap();
        json!({ "blob": blob, "kzg_commitment": format!("0x{}", hex::encode(claimed.as_slice())) })
    };
    let others = blob(b"somebody else's");
    // In another order, among others.
    let true_ones = json!([
        sidecar(&others, &others),
        sidecar(&blobs[1], &blobs[1]),
        sidecar(&blobs[0], &blobs[0]),
    ]);
    let beacon = older_beacon(true_ones).await;
    let block = reader(&anvil.client, &[&beacon]).block(head.hash, &system_config()).await.unwrap();
    assert_eq!(block.inbox, [&b"one"[..], b"two"].map(Bytes::from_static));

    let untrue = json!([sidecar(&blobs[0], &blobs[0]), sidecar(&others, &blobs[1])]);
    let beacon = older_beacon(untrue).await;
    let error = reader(&anvil.client, &[&beacon]).block(head.hash, &system_config()).await;
    assert!(matches!(error, Err(ReadError::Blob(_))), "{error:?}");
    assert!(anvil.client.metrics().blobs_untrue.get() > 0);
    // Another node that has the one that is missing completes it.
    let both = reader(&anvil.client, &[&beacon, &anvil.url]);
    assert_eq!(both.block(head.hash, &system_config()).await.unwrap().inbox.len(), 2);
}
