//! What stops the batcher for a while, or for good: another batcher in force, transactions that vanish, quiet users, the end.

use std::time::Duration;

use alloy_primitives::Address;
use millrace_batcher::{BatchFormat, Batcher, Config, Kind};
use tokio::time::{Instant, timeout};

use crate::{
    BLOCKS, Run, config,
    world::{Faults, World},
};

fn span(kind: Kind) -> Config {
    config(kind, BatchFormat::Span)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_posted_while_l1_names_another_batcher() {
    let mut run = Run::new(100, span(Kind::Calldata), Faults::default());
    run.grow(8).await;
    assert_eq!(run.handle.figures().borrow().usurper, None);
    let ours = std::mem::replace(&mut run.batcher, Address::repeat_byte(0x66));
    run.tell();
    // What is under way when the word arrives may still get out.
    run.grow(1).await;
    let sends = run.world.lock().sends;
    run.grow(12).await;
    assert_eq!(run.world.lock().sends, sends, "transactions were sent that count for nothing");
    let figures = run.handle.figures().borrow().clone();
    assert_eq!(figures.usurper, Some(run.batcher));
    assert!(!figures.paused, "nobody asked for a pause");
    assert!(run.handle.backlog().borrow().blocks >= 12 * BLOCKS as u64);

    run.batcher = ours;
    run.tell();
    let reading = run.settle(30).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
    assert_eq!(run.handle.figures().borrow().usurper, None);
}

#[tokio::test(start_paused = true)]
async fn what_was_included_and_lost_between_two_looks_is_sent_again_at_once() {
    let mut config = span(Kind::Calldata);
    // Nobody may wait for this.
    config.bump_after = Duration::from_hours(24);
    let mut run = Run::new(101, config, Faults::default());
    let mut lost = 0;
    for slot in 0..40 * BLOCKS {
        run.world.seal();
        run.slot().await;
        // Nobody looks between the two blocks.
        if slot % BLOCKS == BLOCKS / 2 {
            lost += run.world.lock().mine_in_vain();
        }
    }
    assert!(lost > 3, "only {lost} transactions were lost");
    let reading = run.settle(10).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
    let figures = run.handle.figures().borrow().clone();
    assert_eq!((figures.bumps_total, figures.abandoned_total), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_offered_is_not_looked_for() {
    let mut config = span(Kind::Calldata);
    config.in_flight_max = 1;
    config.bump_after = Duration::from_hours(24);
    let mut run = Run::new(104, config, Faults::default());
    run.world.lock().closed = true;
    run.rest(1).await;
    run.grow(8).await;
    {
        let world = run.world.lock();
        assert!(world.ledger.len() > 2, "only {} are signed", world.ledger.len());
        let offered: Vec<_> = world.pool.values().map(|pooled| &pooled.hash).collect();
        assert_eq!(world.searches.keys().collect::<Vec<_>>(), offered);
    }
    run.world.lock().closed = false;
    let reading = run.settle(40).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
}

/// How many channels are closed for want of transactions, on a chain that goes on making blocks.
async fn idle_channels(load: usize) -> u64 {
    let mut config = span(Kind::Calldata);
    config.channel_duration_max = 20;
    config.idle = Duration::from_secs(30);
    let mut run = Run::new(102, config, Faults::default());
    run.world.lock().load = load;
    // The first block has transactions, if any has.
    while load > 0 && run.world.lock().journal.iter().all(|block| block.transactions.is_empty()) {
        run.world.seal();
    }
    run.slot().await;
    run.tell();
    run.world.lock().load = 0;
    run.grow(10).await;
    let closed = run.handle.figures().borrow().channels_total;
    run.settle(10).await;
    closed
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_idle_when_no_transactions_come_and_empty_blocks_wait_for_nobody() {
    assert_eq!(idle_channels(5).await, 1, "whoever sent a transaction waits for L1");
    assert_eq!(idle_channels(0).await, 0, "empty blocks are not worth a channel of their own");
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_once_though_nobody_answers() {
    let config = span(Kind::Calldata);
    let world = World::new(config.rollup.clone(), 103, Faults::default());
    let (batcher, handle) = Batcher::new(config, crate::faces(&world)).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move { drop(stopped.await) };
    let running = tokio::spawn(batcher.run(shutdown));
    let mut figures = handle.figures();
    while figures.borrow_and_update().kind.is_none() {
        figures.changed().await.unwrap();
    }
    // From now on every call hangs for ever, as calls to an L1 do that takes connections and says nothing.
    world.lock().faults.crash = 1.0;
    while world.lock().crashes == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let asked = Instant::now();
    stop.send(()).unwrap();
    timeout(Duration::from_secs(60), running).await.expect("it ends").unwrap().unwrap();
    assert!(asked.elapsed() <= Duration::from_secs(3), "it took {:?}", asked.elapsed());
}
