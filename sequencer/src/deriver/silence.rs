//! Notices when L1 makes no blocks any more, or its endpoints don't tell of them: from here both look alike.

use std::{convert::Infallible, sync::Arc, time::Duration};

use millrace_protocol::BlockId;
use tokio::time::{Instant, sleep};

use crate::health::{Health, Part};

/// Ten slots of Ethereum. So many were never missed in a row while the chain as such was well.
pub(crate) const SILENCE_MAX: Duration = Duration::from_mins(2);

/// Says so while L1's newest block stays the same for longer than this. Runs for ever.
pub(crate) async fn watch(
    head: impl Fn() -> BlockId,
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
                tracing::info!(l1_block = newest.number, "L1 makes blocks again");
                health.clear_problem(Part::L1Silent);
            }
        } else if !is_reported && since.elapsed() > silence_max {
            is_reported = true;
            tracing::error!(
                l1_block = newest.number,
                "L1 makes no blocks, or its endpoints are behind"
            );
            health.set_problem(
                Part::L1Silent,
                format!(
                    "L1 has no block after {}, or its endpoints are behind: for more than {} s",
                    newest.number,
                    silence_max.as_secs()
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_head_that_stays_is_reported_until_it_moves() {
        let (number, health) = (Arc::new(AtomicU64::new(7)), Arc::new(Health::default()));
        let seen = number.clone();
        let head = move || BlockId { number: seen.load(Ordering::Relaxed), ..BlockId::default() };
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
        assert!(health.problem().is_some_and(|problem| problem.contains("no block after 7")));
        number.store(8, Ordering::Relaxed);
        until(true).await;
        until(false).await;
        watching.abort();
    }
}
