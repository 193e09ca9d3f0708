//! Notices when L1 makes no blocks any more, or its endpoints don't tell of them: from here both look alike.

use std::{convert::Infallible, sync::Arc, time::Duration};

use millrace_protocol::BlockId;
use tokio::time::{Instant, sleep};

use crate::health::{Health, Part};

/// Ten slots of Ethereum. So many were never missed in a row while the chain as such was well.
pub(crate) const SILENCE_MAX: Duration = Duration::from_mins(2);

/// Says so while L1's newest block stays the same for longer than this, or none is seen at all. Runs for ever.
///
/// `head` has to be what whoever follows L1 saw, not what derivation made of it: that may wait for something else.
pub(crate) async fn watch(
    head: impl Fn() -> Option<BlockId>,
    health: Arc<Health>,
    silence_max: Duration,
) -> Infallible {
    let (mut newest, mut since) = (head(), Instant::now());
    let mut is_reported = false;
    loop {
        sleep(silence_max / 10).await;
        let now = head();
        if now != newest {
            (newest, since) = (now, Instant::now());
            if std::mem::take(&mut is_reported) {
                let l1_block = newest.map(|block| block.number);
                tracing::info!(l1_block, "L1 makes blocks again");
                health.clear_problem(Part::L1Silent);
            }
        } else if !is_reported && since.elapsed() > silence_max {
            is_reported = true;
            let problem = problem(newest, silence_max);
            tracing::error!("{problem}");
            health.set_problem(Part::L1Silent, problem);
        }
    }
}

fn problem(newest: Option<BlockId>, silence_max: Duration) -> String {
    let seconds = silence_max.as_secs();
    match newest {
        Some(BlockId { number, .. }) => format!(
            "L1 has no block after {number}, or its endpoints are behind: for more than {seconds} s"
        ),
        None => format!("no block of L1 was seen since the start, more than {seconds} s ago"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_head_that_stays_is_reported_until_it_moves() {
        // Nothing is seen yet.
        let (number, health) = (Arc::new(AtomicU64::new(0)), Arc::new(Health::default()));
        let seen = number.clone();
        let head = move || {
            let number = seen.load(Ordering::Relaxed);
            (number > 0).then(|| BlockId { number, ..BlockId::default() })
        };
        let watching = tokio::spawn(watch(head, health.clone(), Duration::from_millis(50)));
        let until = async |is_well: bool| {
            let reached = async {
                while health.problem().is_none() != is_well {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(Duration::from_secs(30), reached).await.expect("health changes");
        };
        until(false).await;
        assert!(
            health.problem().is_some_and(|problem| problem.contains("no block of L1 was seen"))
        );
        number.store(7, Ordering::Relaxed);
        until(true).await;
        until(false).await;
        assert!(health.problem().is_some_and(|problem| problem.contains("no block after 7")));
        number.store(8, Ordering::Relaxed);
        until(true).await;
        until(false).await;
        watching.abort();
    }
}
