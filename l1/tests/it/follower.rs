//! The chain as it grows, reorganizes, goes away and comes back.

use std::time::Duration;

use alloy_primitives::Address;
use millrace_l1::{BlobSchedule, Event, Follower, FollowerConfig, FollowerHandle, L1Client};
use millrace_protocol::BlockId;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::support::{
    CHAIN_ID,
    anvil::Anvil,
    client, eventually,
    faulty::{Fault, Faulty},
};

/// A follower under way, and a consumer that checks that what it hears is a chain.
struct Followed {
    handle: FollowerHandle,
    events: mpsc::Receiver<Event>,
    chain: Vec<BlockId>,
    last: Option<Event>,
    task: JoinHandle<()>,
}

impl Followed {
    fn start(
        client: &L1Client,
        change: impl FnOnce(&mut FollowerConfig),
        start: Vec<BlockId>,
    ) -> Self {
        let mut config = FollowerConfig::new(start);
        config.poll_interval = Duration::from_millis(10);
        change(&mut config);
        let chain = config.start.clone();
        let schedule = BlobSchedule::of_chain(CHAIN_ID);
        let (follower, handle, events) = Follower::new(client.clone(), schedule, config);
        let task = tokio::spawn(follower.run(std::future::pending()));
        Self { handle, events, chain, last: None, task }
    }

    async fn next(&mut self) -> Event {
        let event = tokio::time::timeout(Duration::from_secs(30), self.events.recv());
        let event = event.await.unwrap_or_else(|_| panic!("nothing more after {:?}", self.last));
        let event = event.expect("the follower runs");
        self.last = Some(event.clone());
        match &event {
            Event::Block(header) => {
                if let Some(tip) = self.chain.last() {
                    assert_eq!((header.number, header.parent_hash), (tip.number + 1, tip.hash));
                }
                self.chain.push(header.id());
            }
            Event::Reorg { to, from } => {
                assert_eq!(self.chain.last(), Some(from));
                while self.chain.last().is_some_and(|tip| tip != to) {
                    self.chain.pop();
                }
                assert!(
                    !self.chain.is_empty(),
                    "a reorganization to a block that was never reported"
                );
            }
            _ => {}
        }
        event
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            if wanted(&event) {
                return event;
            }
        }
    }

    async fn until_tip(&mut self, tip: BlockId) {
        while self.chain.last() != Some(&tip) {
            self.next().await;
        }
        assert_eq!(self.handle.tip(), Some(tip));
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_every_block_once_and_in_order() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    // More than one request's worth of blocks was there before.
    let head = anvil.mine(130).await;
    let mut followed = Followed::start(&anvil.client, |_| {}, vec![genesis]);
    followed.until_tip(head).await;
    for _ in 0..5 {
        let head = anvil.mine(3).await;
        followed.until_tip(head).await;
    }
    assert_eq!(followed.chain.len(), 146);
    assert_eq!(followed.handle.remembered(77).unwrap().id(), anvil.id_at(77).await);
    assert_eq!(followed.handle.canonical(77).await.unwrap().unwrap().id(), anvil.id_at(77).await);
    assert_eq!(followed.handle.canonical(146).await.unwrap(), None);
    eventually("the head", || followed.handle.head().is_some_and(|head| head.number == 145)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_confirmation_depth() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    anvil.mine(10).await;
    let mut followed =
        Followed::start(&anvil.client, |config| config.confirmations = 4, vec![genesis]);
    followed.until_tip(anvil.id_at(6).await).await;
    // A reorganization above it is none of our business.
    anvil.reorg(4).await;
    anvil.mine(1).await;
    followed.until_tip(anvil.id_at(7).await).await;
    assert_eq!(anvil.client.metrics().reorgs.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reorganizations_of_any_depth_go_back_to_the_common_ancestor() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let head = anvil.mine(100).await;
    let mut followed =
        Followed::start(&anvil.client, |config| config.headers_max = 80, vec![genesis]);
    followed.until_tip(head).await;
    for depth in [1, 2, 3, 10, 60, 7] {
        let expected = anvil.id_at(anvil.head().await.number - depth).await;
        let head = anvil.reorg(depth).await;
        let event = followed.until(|event| matches!(event, Event::Reorg { .. })).await;
        assert!(matches!(event, Event::Reorg { to, .. } if to == expected), "{depth}: {event:?}");
        followed.until_tip(head).await;
    }
    assert_eq!(anvil.client.metrics().reorgs.get(), 6);
    assert_eq!(anvil.client.metrics().reorged_blocks.get(), 83);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_deeper_than_what_is_remembered_goes_back_to_what_is_final() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let head = anvil.mine(100).await;
    let mut followed =
        Followed::start(&anvil.client, |config| config.headers_max = 10, vec![genesis]);
    followed.until_tip(head).await;
    // Anvil's final block is 64 behind.
    eventually("finality", || followed.handle.finalized().is_some_and(|id| id.number == 36)).await;
    let head = anvil.reorg(40).await;
    let event = followed.until(|event| matches!(event, Event::Reorg { .. })).await;
    assert_eq!(event, Event::Reorg { to: anvil.id_at(36).await, from: followed_from(&event) });
    followed.until_tip(head).await;
    // Below what is remembered, L1 is asked.
    assert_eq!(followed.handle.remembered(50), None);
    let asked = followed.handle.canonical(50).await.unwrap().unwrap();
    assert_eq!(asked.id(), anvil.id_at(50).await);
}

fn followed_from(event: &Event) -> BlockId {
    match event {
        Event::Reorg { from, .. } => *from,
        _ => panic!("{event:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_is_never_taken_back() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let head = anvil.mine(100).await;
    let mut followed = Followed::start(&anvil.client, |_| {}, vec![genesis]);
    followed.until_tip(head).await;
    eventually("finality", || followed.handle.finalized().is_some_and(|id| id.number == 36)).await;
    let ours = anvil.id_at(36).await;
    anvil.reorg(70).await;
    let is_mark =
        |event: &Event| matches!(event, Event::Head(_) | Event::Safe(_) | Event::Finalized(_));
    let event = followed.until(|event| !is_mark(event)).await;
    let theirs = Some(anvil.id_at(36).await.hash);
    assert_eq!(event, Event::Contradiction { ours, theirs });
    assert_eq!(followed.handle.tip(), Some(head));
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_cover_only_what_was_reported() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    anvil.mine(300).await;
    let mut followed = Followed::start(&anvil.client, |_| {}, vec![genesis]);
    let mut finalized = 0;
    while finalized < 236 {
        match followed.next().await {
            Event::Finalized(id) => {
                assert!(id.number > finalized && followed.chain.contains(&id));
                finalized = id.number;
            }
            Event::Safe(id) => assert!(followed.chain.contains(&id)),
            _ => {}
        }
    }
    assert_eq!(finalized, 236);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_l1_that_is_gone_is_reported_and_awaited() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let faulty = Faulty::start(&anvil.url, Fault::None).await;
    let client = client(&[&faulty.url]);
    let mut followed = Followed::start(&client, |_| {}, vec![genesis]);
    followed.until_tip(anvil.mine(2).await).await;
    for fault in [Fault::BadGateway, Fault::Html, Fault::ChainId] {
        let lost = |event: &Event| matches!(event, Event::Lost { .. });
        faulty.set(Fault::BadGateway);
        followed.until(lost).await;
        faulty.set(fault.clone());
        assert_eq!(client.metrics().lost.get(), 1);
        let head = anvil.mine(2).await;
        let unanswered = client.metrics().unanswered.get();
        eventually("more attempts", || client.metrics().unanswered.get() > unanswered + 2).await;
        faulty.set(Fault::None);
        // Once for each reason.
        if fault != Fault::BadGateway {
            followed.until(lost).await;
        }
        assert_eq!(followed.until(|_| true).await, Event::Found);
        followed.until_tip(head).await;
    }
    assert_eq!(client.metrics().reorgs.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_flaps_changes_nothing() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let faulty = Faulty::start(&anvil.url, Fault::None).await;
    let client = client(&[&faulty.url]);
    let mut followed = Followed::start(&client, |_| {}, vec![genesis]);
    for round in 0..6 {
        let head = anvil.mine(5).await;
        followed.until_tip(head).await;
        faulty.set(Fault::StaleAt(round * 5));
        let looks = faulty.requests();
        eventually("looks at a stale head", || faulty.requests() > looks + 6).await;
        assert_eq!(followed.handle.tip(), Some(head));
        faulty.set(Fault::None);
    }
    assert_eq!(client.metrics().reorgs.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_chain_is_followed_once_it_stays_or_has_grown() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let start = anvil.mine(10).await;
    let mut followed = Followed::start(&anvil.client, |_| {}, vec![genesis]);
    followed.until_tip(start).await;
    let expected = anvil.id_at(5).await;
    anvil.rpc("anvil_rollback", serde_json::json!([5])).await;
    let head = anvil.mine(2).await;
    let event = followed.until(|event| matches!(event, Event::Reorg { .. })).await;
    assert_eq!(event, Event::Reorg { to: expected, from: start });
    followed.until_tip(head).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_endpoint_takes_over_without_a_gap() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let first = Faulty::start(&anvil.url, Fault::None).await;
    let second = Faulty::start(&anvil.url, Fault::None).await;
    let client = client(&[&first.url, &second.url]);
    let mut followed = Followed::start(&client, |_| {}, vec![genesis]);
    for round in 0..4 {
        let (bad, good) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        good.set(Fault::None);
        bad.set(if round < 2 { Fault::BadGateway } else { Fault::StaleAt(1) });
        followed.until_tip(anvil.mine(70).await).await;
        followed.until_tip(anvil.reorg(5).await).await;
    }
    assert_eq!(client.metrics().reorgs.get(), 4);
}

/// Two nodes that disagree about the chain, of which now one and now the other is there.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_contradict_each_other_still_make_a_chain() {
    let args = ["--timestamp", "1700000000"];
    let (ours, other) = (Anvil::start_with(&args).await, Anvil::start_with(&args).await);
    let genesis = ours.id_at(0).await;
    assert_eq!(genesis, other.id_at(0).await);
    other.rpc("anvil_setCoinbase", serde_json::json!([Address::repeat_byte(0xff)])).await;
    let faulty = Faulty::start(&ours.url, Fault::None).await;
    let client = client(&[&faulty.url, &other.url]);
    let mut followed = Followed::start(&client, |_| {}, vec![genesis]);
    let mut head = ours.mine(12).await;
    other.mine(10).await;
    followed.until_tip(head).await;
    for _ in 0..3 {
        // The other chain is shorter, and followed only once it stays.
        faulty.set(Fault::BadGateway);
        followed.until(|event| matches!(event, Event::Reorg { .. })).await;
        followed.until_tip(other.head().await).await;
        faulty.set(Fault::None);
        head = ours.mine(1).await;
        followed.until_tip(head).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_contradicts_what_is_final_does_not_stand_in_the_way() {
    let args = ["--timestamp", "1700000000"];
    let (ours, other) = (Anvil::start_with(&args).await, Anvil::start_with(&args).await);
    let genesis = ours.id_at(0).await;
    other.rpc("anvil_setCoinbase", serde_json::json!([Address::repeat_byte(0xff)])).await;
    let client = client(&[&ours.url, &other.url]);
    let mut followed = Followed::start(&client, |_| {}, vec![genesis]);
    followed.until_tip(ours.mine(100).await).await;
    eventually("finality", || followed.handle.finalized().is_some_and(|id| id.number == 36)).await;
    // Being far ahead, it makes the good one look stale.
    other.mine(200).await;
    let event = followed.until(|event| matches!(event, Event::Contradiction { .. })).await;
    let theirs = Some(other.id_at(36).await.hash);
    assert_eq!(event, Event::Contradiction { ours: ours.id_at(36).await, theirs });
    let head = ours.mine(1).await;
    followed.until(|event| *event == Event::Agreement).await;
    followed.until_tip(head).await;
    assert_eq!(client.metrics().reorgs.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn begins_with_the_newest_known_block_that_is_still_there() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    anvil.mine(20).await;
    let known = [genesis, anvil.id_at(5).await, anvil.id_at(12).await, anvil.id_at(18).await];
    anvil.reorg(10).await;
    let mut followed = Followed::start(&anvil.client, |_| {}, known.to_vec());
    assert_eq!(followed.next().await, Event::Reorg { to: known[1], from: known[3] });
    followed.until_tip(anvil.head().await).await;

    // A start above the head is awaited rather than given up.
    let ahead = anvil.mine(3).await;
    let stale = Faulty::start(&anvil.url, Fault::StaleAt(15)).await;
    let client = client(&[&stale.url]);
    let start = vec![genesis, ahead];
    let mut followed = Followed::start(&client, |_| {}, start);
    let looks = stale.requests();
    eventually("looks at a stale head", || stale.requests() > looks + 6).await;
    assert!(followed.events.is_empty());
    stale.set(Fault::None);
    followed.until_tip(anvil.mine(1).await).await;
    assert_eq!(client.metrics().reorgs.get(), 0);

    // None of ours is there.
    let strange = BlockId { number: 3, hash: Default::default() };
    let mut followed = Followed::start(&anvil.client, |_| {}, vec![strange]);
    let theirs = Some(anvil.id_at(3).await.hash);
    assert_eq!(followed.next().await, Event::Contradiction { ours: strange, theirs });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_slow_is_waited_for_and_one_that_is_gone_ends_it() {
    let anvil = Anvil::start().await;
    let genesis = anvil.id_at(0).await;
    let head = anvil.mine(120).await;
    let mut followed =
        Followed::start(&anvil.client, |config| config.events_max = 1, vec![genesis]);
    followed.next().await;
    followed.until_tip(head).await;
    let (_, gone) = mpsc::channel(1);
    followed.events = gone;
    anvil.mine(1).await;
    eventually("the follower's end", || followed.task.is_finished()).await;
}
