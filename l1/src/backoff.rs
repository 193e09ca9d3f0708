//! Pauses that double up to a limit, with jitter so that many clients don't return together.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

/// The pause after failure number `failures` (from 1): between half and all of `min · 2^(failures - 1)`, up to `max`.
pub(crate) fn pause(rng: &mut StdRng, (min, max): (Duration, Duration), failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let full = min.saturating_mul(1 << doublings).min(max);
    full.mul_f64(rng.random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn doubles_up_to_its_limit() {
        let mut rng = StdRng::seed_from_u64(1);
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(3));
        for failures in 1..100 {
            let full = min.saturating_mul(1 << (failures - 1).min(20)).min(max);
            let pause = pause(&mut rng, (min, max), failures);
            assert!(full / 2 <= pause && pause <= full, "{failures}: {pause:?}");
        }
        assert!(pause(&mut rng, (min, max), u32::MAX) <= max);
    }

    #[test]
    fn the_same_seed_gives_the_same_pauses() {
        let pauses = || {
            let mut rng = StdRng::seed_from_u64(7);
            [1, 2, 3].map(|n| pause(&mut rng, (Duration::from_secs(1), Duration::from_secs(9)), n))
        };
        assert_eq!(pauses(), pauses());
    }
}
