//! Measurement of two threads that share one object and run in parallel.
//!
//! On a busy machine two threads often take turns, and then do not contend. Samples in which the
//! threads did not run in parallel are therefore left out. Two conditions must hold:
//!
//! - Both threads were under way for at least 80 % of the wall time ([`overlap`]). This excludes a
//!   thread that waited for a core before it began, and started when the other was nearly done.
//! - Both threads had a core ([`side_by_side`]): they used at least 1.7 times the wall time as CPU
//!   time, or waited in the run queue for at most 10 % of it. The second case admits subjects that
//!   put threads to sleep: a sleeping thread uses no CPU time, and is not in the run queue.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use resilience_core::clock;
use tower::BoxError;

use super::cpu::{self, Took};
use super::subject::Batch;
use crate::stats::Spread;

/// Start, end and CPU time of one thread's batch, and the time that the thread spent in the run
/// queue. `queued` is `None` if the kernel does not count that time.
struct Lap {
    start: Instant,
    end: Instant,
    cpu: Duration,
    queued: Option<Duration>,
}

/// Runs both batches on a thread each. Returns the mean CPU time of the two, the wall time from the
/// first start to the last end, and `true` if the threads ran in parallel.
///
/// # Errors
/// Returns the error of a batch, or fails if the spawned thread panics.
pub(super) fn time(batches: &mut [Batch; 2], calls: u64) -> Result<(Took, bool), BoxError> {
    let running = AtomicUsize::new(0);
    let [one, two] = batches;
    let (one, two) = thread::scope(|scope| {
        let other = scope.spawn(|| lap(two, calls, &running));
        let one = lap(one, calls, &running);
        (one, other.join().unwrap_or_else(|_| Err("a subject panicked".into())))
    });
    let (one, two) = (one?, two?);
    let wall = one.end.max(two.end).saturating_duration_since(one.start.min(two.start));
    let both = one.end.min(two.end).saturating_duration_since(one.start.max(two.start));
    let cpu = one.cpu + two.cpu;
    let queued = one.queued.zip(two.queued).map(|(one, two)| one + two);
    let together = overlap(both, wall) && side_by_side(cpu, queued, wall);
    Ok((Took { cpu: cpu / 2, wall }, together))
}

/// Returns `true` if `both`, the time in which both threads were under way, is at least 80 % of
/// `wall`.
fn overlap(both: Duration, wall: Duration) -> bool {
    both.as_secs_f64() >= 0.8 * wall.as_secs_f64()
}

/// Returns `true` if the threads' total CPU time is at least 1.7 times `wall`, or their total time
/// in the run queue is known and at most 10 % of `wall`.
pub(super) fn side_by_side(cpu: Duration, queued: Option<Duration>, wall: Duration) -> bool {
    let wall = wall.as_secs_f64();
    cpu.as_secs_f64() >= 1.7 * wall
        || queued.is_some_and(|queued| queued.as_secs_f64() <= 0.1 * wall)
}

/// Waits until both threads have started, then runs `batch`.
fn lap(batch: &mut Batch, calls: u64, running: &AtomicUsize) -> Result<Lap, BoxError> {
    running.fetch_add(1, Ordering::AcqRel);
    // Spins instead of sleeping: the scheduler may wake a sleeping thread on the core of the thread
    // that wakes it, and the two would take turns.
    while running.load(Ordering::Acquire) < 2 {
        std::hint::spin_loop();
    }
    let queued = queued();
    let start = clock::now();
    let cpu = cpu::cpu_time(|| batch(calls))?;
    let end = clock::now();
    let queued = queued.zip(self::queued()).map(|(before, after)| after.saturating_sub(before));
    Ok(Lap { start, end, cpu, queued })
}

/// Returns the total time that this thread has spent in the run queue: the second number in Linux's
/// `/proc/thread-self/schedstat`. Returns `None` if that file cannot be read.
fn queued() -> Option<Duration> {
    let counts = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    counts.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// Returns the spread of the rounds that count, or `None` if there are fewer than five.
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

    /// The second thread waits for a core before it begins, and does not compete for it afterwards.
    #[test]
    fn one_after_the_other_is_not_together() {
        let ms = Duration::from_millis;
        assert!(side_by_side(ms(10), Some(ms(0)), ms(10)) && !overlap(ms(0), ms(10)));
        assert!(overlap(ms(9), ms(10)));
    }

    #[test]
    fn threads_that_took_turns_are_not_side_by_side_and_sleepers_are() {
        let ms = Duration::from_millis;
        assert!(side_by_side(ms(19), None, ms(10)));
        assert!(!side_by_side(ms(10), Some(ms(9)), ms(10)));
        assert!(!side_by_side(ms(10), None, ms(10)));
        assert!(side_by_side(ms(3), Some(ms(0)), ms(10)));
    }
}
