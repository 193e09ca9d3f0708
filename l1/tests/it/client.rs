//! Reads, admission, fail-over and what endpoints get wrong.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, bytes};
use millrace_l1::{
    At, ClientConfig, EndpointConfig, EndpointError, L1Client, L1Error, NonceAt, SendError, Sent,
    TransactionPlace,
};
use millrace_protocol::BlockId;

use crate::support::{
    CHAIN_ID,
    anvil::{Anvil, key},
    client, config, eventually,
    faulty::{Fault, Faulty},
};

#[tokio::test(flavor = "multi_thread")]
async fn reads_what_a_node_has() {
    let anvil = Anvil::start().await;
    let client = &anvil.client;
    let genesis = client.header(At::Latest).await.unwrap().unwrap();
    assert_eq!(genesis.number, 0);

    let account = key(0).address();
    let before = client.balance(account).await.unwrap();
    let target = Address::repeat_byte(0x77);
    let hash = anvil.send(&key(0), target, bytes!("c0ffee")).await;
    assert_eq!(client.nonce(account, NonceAt::Latest).await.unwrap(), 0);
    assert_eq!(client.nonce(account, NonceAt::Pending).await.unwrap(), 1);
    assert_eq!(client.transaction_receipt(hash).await.unwrap(), None);
    let place = client.transaction_place(hash).await.unwrap();
    assert_eq!(place, TransactionPlace::Pool);
    let place = client.transaction_place(B256::ZERO).await.unwrap();
    assert_eq!(place, TransactionPlace::Nowhere);

    let head = anvil.mine(1).await;
    let receipt = client.transaction_receipt(hash).await.unwrap().unwrap();
    assert_eq!((receipt.block, receipt.success), (head, true));
    let place = client.transaction_place(hash).await.unwrap();
    assert_eq!(place, TransactionPlace::Block(head.number));
    let cost = u128::from(receipt.gas_used) * receipt.effective_gas_price;
    assert_eq!(client.balance(account).await.unwrap(), before - U256::from(cost));

    for at in [At::Latest, At::Number(1), At::Hash(head.hash)] {
        assert_eq!(client.header(at).await.unwrap().unwrap().hash(), head.hash, "{at:?}");
    }
    let block = client.block(head.hash).await.unwrap().unwrap();
    assert_eq!(*block.transactions[0].tx_hash(), hash);
    let receipts = client.receipts(&block.header).await.unwrap().unwrap();
    assert_eq!((receipts.len(), receipts[0].status()), (1, true));

    let heads = client.heads().await.unwrap();
    assert_eq!(heads.latest.hash(), head.hash);
    assert_eq!(heads.finalized, Some(BlockId { number: 0, hash: genesis.hash() }));
    let headers = client.headers(0..=1).await.unwrap().unwrap();
    assert_eq!(
        headers.iter().map(|header| header.hash()).collect::<Vec<_>>(),
        [genesis.hash(), head.hash]
    );

    let fees = client.fees().await.unwrap();
    assert_eq!((fees.head, fees.blob_base_fee), (head, 1));
    assert!(fees.next_base_fee > 0 && fees.next_base_fee < fees.base_fee);
    assert_eq!(client.blob_base_fees_of(1).await, [(0, 1)]);
    assert!(client.code(target).await.unwrap().is_empty());
    assert!(client.call(target, &Bytes::new(), At::Latest).await.unwrap().is_empty());
    assert!(client.estimate_gas(account, Some(target), &Bytes::new()).await.unwrap() >= 21_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_nothing_rather_than_an_error() {
    let anvil = Anvil::start().await;
    let client = &anvil.client;
    assert_eq!(client.header(At::Number(5)).await.unwrap(), None);
    assert_eq!(client.header(At::Hash(B256::ZERO)).await.unwrap(), None);
    assert!(client.block(B256::ZERO).await.unwrap().is_none());
    assert_eq!(client.headers(0..=3).await.unwrap(), None);
    assert_eq!(client.transaction_receipt(B256::ZERO).await.unwrap(), None);
    assert_eq!(client.metrics().endpoints[0].set_aside.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_accepted_once_and_known_afterwards() {
    let anvil = Anvil::start().await;
    let faulty = Faulty::start(&anvil.url, Fault::None).await;
    let two = client(&[&faulty.url, &anvil.url]);
    two.heads().await.unwrap();
    faulty.set(Fault::LosesAnswers);
    // The first endpoint takes it, and its answer is lost; the second one has seen it.
    let raw = signed(0).await;
    assert_eq!(two.send_raw(&raw).await, Ok(Sent::Known));
    anvil.mine(1).await;
    let refused = two.send_raw(&raw).await;
    assert!(matches!(refused, Err(SendError::NonceTooLow(_)) | Ok(Sent::Known)), "{refused:?}");
    let refused = two.send_raw(&bytes!("02c0")).await;
    assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
}

async fn signed(nonce: u64) -> Bytes {
    use alloy_consensus::{SignableTransaction, TxEip1559};
    use alloy_eips::Encodable2718;
    use alloy_network::TxSignerSync;
    let mut transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        to: Address::ZERO.into(),
        ..Default::default()
    };
    let signature = key(3).sign_transaction_sync(&mut transaction).unwrap();
    transaction.into_signed(signature).encoded_2718().into()
}

/// Every fault of the first endpoint sends the question to the second one, and is forgiven once it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_endpoint_is_set_aside_and_comes_back() {
    let anvil = Anvil::start().await;
    anvil.send(&key(0), Address::ZERO, Bytes::new()).await;
    let head = anvil.mine(1).await;
    let faults = [
        Fault::BadGateway,
        Fault::Html,
        Fault::Hangs,
        Fault::Endless,
        Fault::WrongId,
        Fault::ChainId,
        Fault::MissingTransaction,
        Fault::OtherHeader,
        Fault::Busy,
    ];
    for fault in faults {
        let faulty = Faulty::start(&anvil.url, fault.clone()).await;
        let mut config = config(&[&faulty.url, &anvil.url], Some(anvil.id_at(0).await));
        config.endpoints[0].request_timeout = Duration::from_millis(200);
        config.endpoints[0].response_bytes_max = 1 << 20;
        let client = L1Client::new(config).unwrap();
        let block = client.block(head.hash).await.unwrap().unwrap();
        assert_eq!(block.transactions.len(), 1, "{fault:?}");
        let metrics = client.metrics().clone();
        assert_eq!(metrics.endpoints[0].set_aside.get(), 1, "{fault:?}");
        assert_eq!(metrics.endpoints[0].usable.get(), 0, "{fault:?}");
        assert_eq!(metrics.endpoints[1].set_aside.get(), 0, "{fault:?}");

        faulty.set(Fault::None);
        while metrics.endpoints[0].usable.get() == 0 {
            client.block(head.hash).await.unwrap().unwrap();
        }
        let requests = metrics.endpoints[1].requests.get();
        client.block(head.hash).await.unwrap().unwrap();
        assert_eq!(
            metrics.endpoints[1].requests.get(),
            requests,
            "{fault:?}: the first is preferred"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_is_never_used() {
    let (ours, other) =
        (Anvil::start().await, Anvil::start_with(&["--timestamp", "1600000000"]).await);
    let genesis = ours.id_at(0).await;
    assert_ne!(genesis, other.id_at(0).await);
    other.mine(3).await;
    let client = L1Client::new(config(&[&other.url, &ours.url], Some(genesis))).unwrap();
    assert_eq!(client.heads().await.unwrap().latest.hash(), genesis.hash);
    assert_eq!(client.header(At::Number(3)).await.unwrap_or(None), None);

    let alone = L1Client::new(config(&[&other.url], Some(genesis))).unwrap();
    let error = alone.header(At::Latest).await.unwrap_err();
    let L1Error::Unavailable { reason: EndpointError::OtherChain(_), .. } = error else {
        panic!("{error}")
    };
    let wrong_id = ClientConfig { chain_id: 1, ..config(&[&ours.url], None) };
    let error = L1Client::new(wrong_id).unwrap().heads().await.unwrap_err();
    assert!(error.to_string().contains("another chain"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_behind_is_not_asked_about_the_head() {
    let anvil = Anvil::start().await;
    let head = anvil.mine(20).await;
    let stale = Faulty::start(&anvil.url, Fault::StaleAt(10)).await;
    let client = client(&[&stale.url, &anvil.url]);
    assert_eq!(client.heads().await.unwrap().latest.hash(), head.hash);
    let before = stale.requests();
    client.balance(Address::ZERO).await.unwrap();
    assert!(client.metrics().endpoints[0].stale.get() > 0);
    // It is asked for its head again, and for nothing else.
    assert_eq!(client.metrics().endpoints[0].head.get(), 10);
    assert_eq!(stale.requests(), before + 1);
    // A little behind is good enough to be preferred.
    stale.set(Fault::StaleAt(18));
    assert_eq!(client.heads().await.unwrap().latest.number, 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_asked_for_until_they_are_there() {
    let anvil = Anvil::start().await;
    anvil.send(&key(0), Address::ZERO, Bytes::new()).await;
    let head = anvil.mine(1).await;
    let faulty = Faulty::start(&anvil.url, Fault::NullReceipts(2)).await;
    let client = client(&[&faulty.url]);
    let header = client.header(At::Hash(head.hash)).await.unwrap().unwrap();
    assert_eq!(client.receipts(&header).await.unwrap().unwrap().len(), 1);
    faulty.set(Fault::NullReceipts(1_000));
    assert_eq!(client.receipts(&header).await.unwrap(), None);
    // Receipts that don't match the header are worse than none.
    faulty.set(Fault::MissingReceipt);
    let error = client.receipts(&header).await.unwrap_err();
    assert!(
        matches!(error, L1Error::Unavailable { reason: EndpointError::Untrue(_), .. }),
        "{error}"
    );
    assert!(client.metrics().endpoints[0].untrue.get() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_at_a_time_is_good_enough() {
    let anvil = Anvil::start().await;
    let head = anvil.mine(9).await;
    let faulty = Faulty::start(&anvil.url, Fault::NoBatches).await;
    let client = client(&[&faulty.url]);
    assert_eq!(client.heads().await.unwrap().latest.hash(), head.hash);
    let headers = client.headers(0..=9).await.unwrap().unwrap();
    assert!(headers.windows(2).all(|pair| pair[1].parent_hash == pair[0].hash()));
    assert_eq!(client.metrics().endpoints[0].set_aside.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_are_gone_the_caller_learns_it_in_bounded_time() {
    let anvil = Anvil::start().await;
    let faulty = Faulty::start(&anvil.url, Fault::BadGateway).await;
    let client = client(&[&faulty.url, "http://127.0.0.1:1"]);
    let error = client.header(At::Latest).await.unwrap_err();
    assert!(matches!(error, L1Error::Unavailable { .. }), "{error}");
    assert_eq!(client.metrics().unanswered.get(), 1);
    faulty.set(Fault::None);
    eventually("the endpoint to be due again", || {
        client.metrics().endpoints[0].set_aside.get() > 0
    })
    .await;
    assert_eq!(client.header(At::Latest).await.unwrap().unwrap().number, 0);
}

/// Each of them would wait for its own timeout, one after the other, and the last one for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn many_questions_wait_together_for_one_that_hangs() {
    const QUESTIONS: usize = 50;
    let anvil = Anvil::start().await;
    let faulty = Faulty::start(&anvil.url, Fault::Hangs).await;
    let mut config = config(&[&faulty.url], None);
    config.endpoints[0].request_timeout = Duration::from_millis(200);
    let client = L1Client::new(config).unwrap();
    let questions = (0..QUESTIONS).map(|_| client.header(At::Latest));
    for answer in futures::future::join_all(questions).await {
        let error = answer.unwrap_err();
        let L1Error::Unavailable { reason: EndpointError::Timeout, .. } = error else {
            panic!("{error}")
        };
    }
    assert!(faulty.requests() < QUESTIONS as u64, "{} requests", faulty.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_and_keys_stay_out_of_messages() {
    let mut endpoint = EndpointConfig::new("provider", "http://127.0.0.1:1/v3/secret-key");
    endpoint.headers.push(("authorization".to_owned(), "secret-token".to_owned()));
    let config = ClientConfig { rounds_max: 1, ..ClientConfig::new(vec![endpoint], 1, None) };
    let client = L1Client::new(config.clone()).unwrap();
    let error = client.heads().await.unwrap_err();
    for text in [format!("{config:?} {client:?} {error:?}"), error.to_string()] {
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("provider"), "{text}");
    }
}
