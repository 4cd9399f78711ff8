//! Checks of AWS's contention model without its simulation: the shape of the delays that the
//! published algorithms draw. The model with its published tables is `cargo run --release -p
//! resilience-benches -- contention`.

use resilience_core::InvalidConfig;
use resilience_core::retry::Backoff;
use std::time::Duration;

use crate::ms;

type Make = fn(Duration, Duration) -> Result<Backoff, InvalidConfig>;

/// The mean of delay `k` over an even grid of samples, by one sample for the whole run.
fn mean(make: Make, k: usize) -> f64 {
    let backoff = make(ms(5), ms(2_000)).unwrap();
    let grid = 1_000;
    let total: f64 = (0..grid)
        .map(|point| {
            let u = (f64::from(point) + 0.5) / f64::from(grid);
            let mut schedule = backoff.schedule();
            (0..k).map(|_| schedule.next(u)).last().unwrap().as_secs_f64()
        })
        .sum();
    total / f64::from(grid) * 1e3
}

/// Full jitter waits half as long as exponential, equal jitter three quarters, at every attempt.
#[test]
fn means_of_the_published_algorithms() {
    for k in 1..=12 {
        let exponential = mean(Backoff::exponential, k);
        assert!((mean(Backoff::full_jitter, k) / exponential - 0.5).abs() < 1e-3);
        assert!((mean(Backoff::equal_jitter, k) / exponential - 0.75).abs() < 1e-3);
    }
    // U(base, 3·base).
    assert!((mean(Backoff::textbook_decorrelated_jitter, 1) - 10.0).abs() < 1e-2);
    assert!((mean(Backoff::decorrelated_jitter, 1) - 10.0).abs() < 1e-2);
}
