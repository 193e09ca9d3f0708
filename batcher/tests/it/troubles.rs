//! What the batcher complains of, and for how long.

use std::time::Duration;

use alloy_primitives::U256;
use millrace_batcher::{BatchFormat, Config, Figures, Kind};

use crate::{Run, config, world::Faults};

fn calldata() -> Config {
    config(Kind::Calldata, BatchFormat::Span)
}

impl Run {
    fn figures(&self) -> Figures {
        self.handle.figures().borrow().clone()
    }

    /// Posts everything; nothing new comes.
    async fn post_all(&mut self) {
        let tip = self.world.lock().tip().number;
        for _ in 0..40 {
            self.handle.flush().await.unwrap();
            self.rest(1).await;
            if self.figures().posted == tip {
                return;
            }
        }
        panic!("{:?} of {tip} blocks are posted", self.figures());
    }

    fn complains_of(&self, what: &str) -> bool {
        self.figures().trouble.is_some_and(|trouble| trouble.starts_with(what))
    }
}

#[tokio::test(start_paused = true)]
async fn what_l1_took_without_an_answer_is_no_trouble_once_it_is_included() {
    let mut run = Run::new(120, calldata(), Faults { unheard: 1.0, ..Faults::default() });
    run.world.lock().closed = true;
    run.rest(1).await;
    run.grow(5).await;
    assert!(run.complains_of("send"), "{:?}", run.figures());
    run.world.lock().closed = false;
    run.post_all().await;
    assert_eq!(run.figures().trouble, None);
}

#[tokio::test(start_paused = true)]
async fn who_can_not_pay_for_what_was_given_up_is_not_short_of_money() {
    let mut run = Run::new(121, calldata(), Faults::default());
    run.grow(5).await;
    let balance = std::mem::replace(&mut run.world.lock().account().balance, U256::ZERO);
    run.grow(5).await;
    assert!(run.figures().unfunded && balance > U256::ZERO);
    // Nothing takes the place of what is rolled back.
    run.handle.pause().await.unwrap();
    let (safe, tip) = (run.reading().safe, run.world.lock().tip().number);
    run.world.roll_back((tip - safe) as usize);
    run.rest(2).await;
    let figures = run.figures();
    assert!(figures.abandoned_total > 0 && !figures.unfunded, "{figures:?}");
}

#[tokio::test(start_paused = true)]
async fn a_signature_that_nobody_waits_for_is_no_trouble() {
    let mut config = calldata();
    config.bump_after = Duration::from_secs(30);
    let mut run = Run::new(122, config, Faults::default());
    run.world.lock().closed = true;
    run.rest(1).await;
    run.grow(4).await;
    run.handle.pause().await.unwrap();
    assert!(run.figures().in_flight > 0, "{:?}", run.figures());
    // What is under way has to offer more, and can't.
    run.world.lock().faults.unsigned = 1.0;
    run.rest(6).await;
    assert!(run.complains_of("sign"), "{:?}", run.figures());
    run.world.lock().closed = false;
    run.rest(3).await;
    let figures = run.figures();
    assert_eq!((figures.in_flight, figures.trouble), (0, None));
}
