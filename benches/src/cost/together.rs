//! Two threads at once, sharing one object.
//!
//! On a busy machine two threads take turns as often as not, and then nothing is contended for. So
//! the pairs that did not run side by side are found out and left out. A pair that hardly used its cores
//! because its subject put threads to sleep did run side by side: the kernel says how long a thread stood in line
//! for a core, which a sleeper does not. One that began when the other was nearly done stood in no line since, and
//! did not.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use resilience_core::clock;
use tower::BoxError;

use super::cpu::{self, Took};
use super::subject::Batch;
use crate::stats::Spread;

/// When one thread worked, for how long of that it had a core, and for how long it stood in line for one.
struct Lap {
    start: Instant,
    end: Instant,
    cpu: Duration,
    queued: Option<Duration>,
}

/// The time of either batch: CPU time on average, wall time of both; and whether they ran side by side.
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

/// Whether both were under way for nearly all of `wall`.
fn overlap(both: Duration, wall: Duration) -> bool {
    both.as_secs_f64() >= 0.8 * wall.as_secs_f64()
}

/// Whether both had a core for nearly all of `wall`, or asked for none.
pub(super) fn side_by_side(cpu: Duration, queued: Option<Duration>, wall: Duration) -> bool {
    let wall = wall.as_secs_f64();
    cpu.as_secs_f64() >= 1.7 * wall
        || queued.is_some_and(|queued| queued.as_secs_f64() <= 0.1 * wall)
}

/// Waits awake for the other: a thread that sleeps is woken on the core of the one who wakes it.
fn lap(batch: &mut Batch, calls: u64, running: &AtomicUsize) -> Result<Lap, BoxError> {
    running.fetch_add(1, Ordering::AcqRel);
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

/// How long this thread has stood in line for a core, if this is Linux and it keeps count.
fn queued() -> Option<Duration> {
    let counts = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    counts.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
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

    /// The second thread waited for a core before it began, and had it for itself then.
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
