//! Delays of other libraries: from their crates, or from the formula if the library is not written
//! in Rust.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use rand::RngExt;
use rand::rngs::SmallRng;
use tower_resilience_retry::{BackoffConfigError, ExponentialRandomBackoff, IntervalFunction};

use super::rules::Session;

pub(super) const POLLY: &str = "Polly V2";

/// Returns a session of `backon`. Its delays double up to `cap`, and jitter then adds up to as much
/// again, so that a delay reaches twice `cap`.
pub(super) fn backon(first: Duration, cap: Duration, rng: &mut SmallRng) -> Session {
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(cap)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(rng.random())
        .build();
    Box::new(move |_| delays.next().unwrap_or(cap))
}

/// Returns a factory of `tower-resilience` sessions. The delays double up to `cap`, and then vary
/// by ± 50 %. They come from a generator of that crate which cannot be seeded, so that results vary
/// between runs.
pub(super) fn tower_resilience(
    first: Duration,
    cap: Duration,
) -> Result<impl Fn(&mut SmallRng) -> Session, BackoffConfigError> {
    let intervals = ExponentialRandomBackoff::new(first, 0.5)?.max_interval(cap);
    Ok(move |_: &mut SmallRng| -> Session {
        let intervals = intervals.clone();
        let mut retries = 0;
        Box::new(move |_| {
            let delay = intervals.next_interval(retries);
            retries += 1;
            delay
        })
    })
}

/// Returns a session with the formula of Polly's `DelayBackoffType.Exponential` with jitter. Each
/// delay is the difference of a smooth curve at two random points, in units of `base / 1.4`, and is
/// limited to `cap` (Polly's `MaxDelay`) after it is drawn.
pub(super) fn polly(base: Duration, cap: Duration) -> Session {
    let (mut attempt, mut previous) = (0.0, 0.0);
    Box::new(move |rng| {
        let t: f64 = attempt + rng.random::<f64>();
        let next = t.exp2() * (4.0 * t).sqrt().tanh();
        let units = ((next - previous) / 1.4).max(0.0);
        attempt += 1.0;
        previous = next;
        Duration::try_from_secs_f64(units * base.as_secs_f64()).unwrap_or(cap).min(cap)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn pollys_delays_double_until_the_cap() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut rng = SmallRng::seed_from_u64(1);
        let mut median = |retries: usize| {
            let mut delays: Vec<Duration> = (0..2_001)
                .filter_map(|_| {
                    let mut session = polly(base, cap);
                    (0..retries).map(|_| session(&mut rng)).last()
                })
                .collect();
            delays.sort();
            delays[1_000].as_secs_f64() / base.as_secs_f64()
        };
        for (retries, doubled) in [(3, 2.0_f64), (4, 4.0), (5, 8.0)] {
            let found = median(retries);
            assert!((found / doubled - 1.0).abs() < 0.1, "delay {retries}: {found}");
        }
        assert_eq!(median(12), 100.0);
    }
}
