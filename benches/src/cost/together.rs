//! Two threads at once, sharing one layer.
//!
//! On a busy machine two threads take turns as often as not, and then nothing is contended for. So
//! the pairs that did not run side by side are found out and left out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use resilience_core::clock;
use tower::BoxError;

use super::cpu;
use super::subject::Batch;
use crate::stats::Spread;

/// When one thread worked, and for how long of that it had a core.
struct Lap {
    start: Instant,
    end: Instant,
    cpu: Duration,
}

/// The CPU time of either batch, on average; `None` if they did not run side by side.
pub(super) fn cpu_time(batches: &mut [Batch; 2], calls: u64) -> Result<Option<Duration>, BoxError> {
    let running = AtomicUsize::new(0);
    let [one, two] = batches;
    let (one, two) = thread::scope(|scope| {
        let other = scope.spawn(|| lap(two, calls, &running));
        let one = lap(one, calls, &running);
        (one, other.join().unwrap_or_else(|_| Err("a subject panicked".into())))
    });
    let (one, two) = (one?, two?);
    let cpu = one.cpu + two.cpu;
    let wall = one.end.max(two.end).saturating_duration_since(one.start.min(two.start));
    let side_by_side = cpu.as_secs_f64() >= 1.7 * wall.as_secs_f64();
    Ok(side_by_side.then_some(cpu / 2))
}

/// Waits awake for the other: a thread that sleeps is woken on the core of the one who wakes it.
fn lap(batch: &mut Batch, calls: u64, running: &AtomicUsize) -> Result<Lap, BoxError> {
    running.fetch_add(1, Ordering::AcqRel);
    while running.load(Ordering::Acquire) < 2 {
        std::hint::spin_loop();
    }
    let start = clock::now();
    let cpu = cpu::cpu_time(|| batch(calls))?;
    Ok(Lap { start, end: clock::now(), cpu })
}

/// Of the rounds that count, unless they are too few to say anything.
pub(super) fn spread(rounds: &[Option<f64>]) -> Option<Spread> {
    let counted: Vec<f64> = rounds.iter().copied().flatten().collect();
    (counted.len() >= 5).then(|| Spread::of(&counted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rounds_say_nothing() {
        assert!(spread(&[Some(1.0), None, Some(2.0), None, Some(3.0), Some(4.0)]).is_none());
        assert!(spread(&[Some(1.0); 5]).is_some());
    }
}
