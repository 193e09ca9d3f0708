//! A batcher that is started again finds a world that is not as it was: another key, another batcher in force.

use alloy_primitives::{Address, U256};
use millrace_batcher::{BatchFormat, Derived, Fate, Kind, Signer};

use crate::{Run, config, world::Faults};

fn run(seed: u64) -> Run {
    Run::new(seed, config(Kind::Calldata, BatchFormat::Span), Faults::default())
}

impl Run {
    /// The operator has another key from now on, and L1 names it.
    fn change_key(&mut self, key: u8) {
        self.running.abort();
        self.world.lock().change_key(key);
        self.batcher = self.world.address();
        self.restart();
    }

    /// How many records the ledger holds open.
    fn open(&self) -> usize {
        self.world.lock().ledger.values().filter(|(_, fate)| fate.is_none()).count()
    }

    fn abandoned(&self) -> usize {
        let is_abandoned = |fate: &Option<Fate>| *fate == Some(Fate::Abandoned);
        self.world.lock().ledger.values().filter(|(_, fate)| is_abandoned(fate)).count()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_key_without_money_signed_is_signed_anew_by_the_next_key() {
    let mut run = run(110);
    run.world.lock().account().balance = U256::ZERO;
    run.rest(1).await;
    run.grow(8).await;
    assert!(run.handle.figures().borrow().unfunded);
    let signed = run.open();
    assert!(signed > 0, "nothing was written down");
    // Both accounts are at nonce zero: nothing tells their transactions apart but who signed them.
    run.change_key(8);
    run.tell();
    let reading = run.settle(10).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
    assert_eq!(run.abandoned(), signed);
    assert!(!run.handle.figures().borrow().unfunded);
}

#[tokio::test(start_paused = true)]
async fn what_the_last_key_had_included_is_not_posted_again() {
    let mut run = run(111);
    run.grow(10).await;
    run.world.lock().closed = true;
    run.grow(3).await;
    let (safe, l1_number) = (run.reading().safe, run.world.lock().head().number);
    assert!(safe > 0 && run.open() > 0, "some is included, some is not");
    run.change_key(8);
    run.world.lock().closed = false;
    // Derivation begins far back, and speaks of the batcher of those days: nothing can be said about the last key's yet.
    run.handle.derived(Derived { l1_number: l1_number - 8, safe: 0, batcher: run.batcher });
    tokio::time::sleep(crate::BLOCK_TIME * 3).await;
    assert_eq!(run.abandoned(), 0, "a successor of this process would not know what to wait for");
    run.tell();
    let reading = run.settle(30).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
    assert!(run.abandoned() > 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_posted_before_derivation_speaks_of_todays_batcher() {
    let mut run = run(112);
    run.grow(10).await;
    let old = Derived {
        safe: run.reading().safe,
        l1_number: run.world.lock().head().number - 4,
        batcher: run.batcher,
    };
    // There is something to send, and something to sign.
    run.world.lock().closed = true;
    run.grow(3).await;
    run.world.lock().pool.clear();
    let ours = std::mem::replace(&mut run.batcher, Address::repeat_byte(0x66));
    run.restart();
    let count = |run: &Run| {
        let world = run.world.lock();
        (world.sends, world.ledger.len())
    };
    let before = count(&run);
    // What derivation begins with is from before L1 named another batcher.
    run.handle.derived(old);
    tokio::time::sleep(crate::BLOCK_TIME * 4).await;
    assert!(run.handle.figures().borrow().unsettled > 0, "the ledger was read");
    run.tell();
    run.grow(5).await;
    let figures = run.handle.figures().borrow().clone();
    assert_eq!(figures.usurper, Some(run.batcher));
    assert_eq!(count(&run), before, "posted for nothing");

    run.batcher = ours;
    run.world.lock().closed = false;
    run.tell();
    let reading = run.settle(30).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
}
