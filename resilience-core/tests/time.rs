//! Every engine with instants that no clock returns: two centuries before the start of the
//! process, five after it, the last possible one, and out of order. Each call ends, none panics
//! (overflow is checked in this build), and bounds that hold for any clock hold here.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use resilience_core::breaker::{Admission, Circuit, CircuitConfig, ProbeRule, SlidingWindow};
use resilience_core::health::{CachedResult, CheckSettings, RunDecision};
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use resilience_core::pool::Lifetime;
use resilience_core::rate::{Decision, Quota, RateLimiter, Shaping, TokenBucket};
use resilience_core::retry::{RetryBudget, RetryPolicy};
use resilience_core::shutdown::{ShutdownBounds, ShutdownSequence};
use resilience_core::{Deadline, FailureClass, Outcome, clock};

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The last instant that the platform has, or one close to it.
fn last() -> Instant {
    let halves = std::iter::successors(Some(1_u64 << 63), |step| Some(step / 2)).take(64);
    halves.fold(clock::now(), |last, step| {
        last.checked_add(Duration::from_secs(step)).unwrap_or(last)
    })
}

/// When an operation happens, and what chooses it.
type Step = (Instant, u8, Index);

fn instant() -> impl Strategy<Value = Instant> {
    let now = clock::now();
    let later = move |wait: Duration| now.checked_add(wait).unwrap_or(now);
    let earlier = move |wait: Duration| now.checked_sub(wait).unwrap_or(now);
    prop_oneof![
        4 => (0..5_000_u32).prop_map(move |ms| later(ms * MS)),
        2 => (0..500_u32 * 365).prop_map(move |days| later(days * DAY)),
        1 => (0..200_u32 * 365).prop_map(move |days| earlier(days * DAY)),
        1 => prop::sample::select(vec![199_u32, 200, 201, 291, 292, 293, 500])
            .prop_map(move |years| later(years * YEAR)),
        1 => Just(last()),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((instant(), any::<u8>(), any::<Index>()), 0..120)
}

/// A sample for each break that begins. A call that begins more than a few does not end.
struct Samples(Cell<u32>);

impl Samples {
    fn draw(&self) -> f64 {
        self.0.set(self.0.get() + 1);
        assert!(self.0.get() < 10, "time alone has begun ten breaks in one call");
        0.999
    }
}

fn circuits() -> Vec<CircuitConfig> {
    let hour = DAY / 24;
    let plain = CircuitConfig::builder().consecutive_failures(2).growing_break(MS, 3.0, YEAR);
    let windows = CircuitConfig::builder()
        .failure_rate(0.5, SlidingWindow::time_in(DAY, 1_000))
        .failure_rate(0.5, SlidingWindow::count(3))
        .slow_calls(MS, 0.5, SlidingWindow::time(MS))
        .minimum_calls(2)
        .break_for(YEAR)
        .break_memory(MS);
    let ramp = CircuitConfig::builder()
        .consecutive_failures(1)
        .break_for(hour)
        .probes_succeed_by(ProbeRule::InARow(1))
        .max_half_open(YEAR)
        .ramp([0.1, 0.2, 0.5, 0.9], YEAR);
    let closing =
        plain.clone().max_half_open(MS).close_when_half_open_too_long().longest_hint(YEAR);
    [plain, windows, ramp, closing].map(|builder| builder.config().unwrap()).into()
}

fn outcome(byte: u8) -> Outcome {
    match byte % 5 {
        0 | 1 => Outcome::transient(),
        2 => Outcome::throttled(YEAR),
        3 => Outcome::Success,
        _ => Outcome::TimedOut,
    }
}

fn drive_circuit(config: &CircuitConfig, steps: &[Step]) {
    let mut circuit = Circuit::new();
    let mut admitted: Vec<Admission> = Vec::new();
    for (now, byte, which) in steps.iter().copied() {
        let samples = Samples(Cell::new(0));
        let draw = || samples.draw();
        match byte % 16 {
            0..4 => {
                circuit.advance(config, now, draw);
                admitted.extend(circuit.admit(config, now, draw).ok());
            }
            4..9 if !admitted.is_empty() => {
                let admission = admitted.swap_remove(which.index(admitted.len()));
                circuit.record(config, admission, outcome(byte / 16), now, draw);
            }
            9 => drop(circuit.open_now(config, now, 0.999)),
            10 => drop(circuit.force_open(now, (byte > 100).then_some(Duration::MAX))),
            11 => drop(circuit.half_open()),
            12 => drop(circuit.close(now)),
            13 => {
                let saved = circuit.save(now);
                circuit.restore(saved, now);
            }
            14 => {
                let uncounted = circuit.uncounted_successes(config);
                let calls = if uncounted.is_over(now) { 0 } else { uncounted.calls.min(50) };
                circuit.count_successes(calls);
            }
            _ => drop(circuit.advance(config, now, draw)),
        }
        let _seen = (circuit.snapshot(config, now), circuit.rejection(config, now));
        let _kept = (circuit.is_pinned(now), circuit.remembers_until(config, now));
    }
}

fn shapings() -> Vec<Shaping> {
    let yearly = Quota::per(3, YEAR).unwrap();
    let sevenths = Quota::per(7, Duration::from_secs(3_600)).unwrap();
    let fast = Quota::per(u32::MAX, Duration::from_nanos(1)).unwrap().with_burst(5).unwrap();
    let plain = [yearly, sevenths, fast].map(Shaping::new);
    let shaped = plain[1].with_min_gap(YEAR).unwrap();
    plain.into_iter().chain([shaped, plain[0].with_warm_up(YEAR).unwrap()]).collect()
}

fn drive_bucket(shaping: Shaping, steps: &[Step]) {
    let mut bucket = TokenBucket::new(shaping);
    let mut taken = Vec::new();
    for (now, byte, which) in steps.iter().copied() {
        match byte % 8 {
            0..3 => {
                let decision = bucket.take(now, 1 + u32::from(byte % 3));
                if let Decision::NotUntil(then) = decision {
                    assert!(then >= now || now > clock::now() + 199 * YEAR, "not before {then:?}");
                }
            }
            3 | 4 => taken.extend(bucket.try_take(now, 1).ok()),
            5 if !taken.is_empty() => {
                bucket.give_back(taken.swap_remove(which.index(taken.len())));
            }
            6 => bucket.pause_until(now, now.checked_add(YEAR * 3).unwrap_or(now)),
            _ => bucket.set_shaping(now, *which.get(&shapings())),
        }
        assert!(bucket.available(now) <= shaping.quota().burst().max(7));
    }
}

/// The clock that stands still at its end gives no more than a burst.
fn burst_at(shaping: Shaping, now: Instant) {
    let mut bucket = TokenBucket::new(shaping);
    let admitted = (0..100).filter(|_| bucket.take(now, 1) == Decision::Conforms).count();
    assert!(admitted <= shaping.quota().burst() as usize, "{admitted} at once");
}

fn drive_budget(budget: &RetryBudget, steps: &[Step]) {
    let mut taken = Vec::new();
    let (mut calls, mut spent) = (0_u32, 0_u32);
    for (now, byte, which) in steps.iter().copied() {
        match byte % 4 {
            0 => {
                budget.call_started(now);
                calls += 1;
            }
            1 => taken.extend(budget.withdraw(now, FailureClass::Transient).ok()),
            2 if !taken.is_empty() => drop(taken.swap_remove(which.index(taken.len()))),
            3 if !taken.is_empty() => {
                let _receipt = taken.swap_remove(which.index(taken.len())).sent();
                spent += 1;
            }
            _ => budget.failed(FailureClass::Throttled),
        }
        assert!(budget.available(now) >= 0.0);
        let _kept = budget.remembers_until(now);
        assert!(spent <= calls + 10, "{spent} retries of {calls} calls");
    }
}

fn drive_keyed(store: &Keyed<u8, RateLimiter>, steps: &[Step]) {
    for (now, byte, _) in steps.iter().copied() {
        let key = byte % 64;
        if byte < 200 {
            store.with(&key, now, |limiter| limiter.check_at(now, 1).is_ok());
        } else {
            let _seen = store.peek(&key, now);
        }
        assert!(store.len() <= 16 && store.bytes() <= 1 << 20);
    }
}

fn drive_verdict(steps: &[Step]) {
    let (terms, mut verdict, mut last) = (CheckSettings::default(), CachedResult::new(), None);
    for (now, byte, _) in steps.iter().copied() {
        match verdict.decide(&terms, now) {
            RunDecision::Run { run, .. } => last = Some(run),
            _ => verdict.advance(&terms, now),
        }
        match last {
            Some(run) if byte % 3 == 0 => verdict.finish(run, Ok(()), &terms, now),
            Some(run) if byte % 3 == 1 => verdict.abandon(run),
            _ => {}
        }
        let _seen = (verdict.age(now), verdict.is_fresh(&terms, now), verdict.state());
    }
}

fn drive_shutdown(bounds: ShutdownBounds, steps: &[Step]) {
    let mut course = ShutdownSequence::new(bounds);
    let mut phases = 0;
    for (now, byte, _) in steps.iter().copied() {
        match byte % 8 {
            0 => course.begin(now),
            1 => course.hooks_ended(),
            _ => {
                while course.advance(now, u64::from(byte % 2)).is_some() {
                    phases += 1;
                    assert!(phases <= 5, "a phase came twice");
                }
            }
        }
        let _seen = (course.due(), course.end());
    }
}

fn drive_retry(policy: &RetryPolicy, steps: &[Step]) {
    for pair in steps.windows(3) {
        let [(started, byte, _), (now, _, _), (deadline, _, _)] = *pair else { continue };
        let mut attempts = policy.start(started);
        let deadline = (byte % 2 == 0).then(|| Deadline::at(deadline));
        for _ in 0..10 {
            let verdict = attempts.decide(now, deadline, outcome(byte / 2), 0.5);
            if verdict.stop_reason().is_some() {
                break;
            }
        }
    }
}

fn check_deadlines(steps: &[Step]) {
    for pair in steps.windows(2) {
        let [(at, ..), (now, ..)] = *pair else { continue };
        let deadline = Deadline::at(at);
        let _left = (deadline.instant(), deadline.remaining(now));
        let near = |instant: Instant| instant < clock::now() + 199 * YEAR;
        if near(at) && near(now) {
            assert_eq!(deadline.has_passed(now), now >= at);
            assert_eq!(deadline.remaining(now), at.saturating_duration_since(now));
        }
        let after = Deadline::after(now, Duration::MAX);
        assert!(!after.has_passed(now), "a year is left, at the end of the line as well");
    }
}

fn check_lifetimes(steps: &[Step]) {
    let lifetime = Lifetime::new().max_age(YEAR).max_idle(MS).build().unwrap();
    for three in steps.windows(3) {
        let [(now, ..), (created, ..), (used, ..)] = *three else { continue };
        let _verdict = lifetime.expired(now, created, used, 0.5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn circuits_end_every_call(steps in steps()) {
        circuits().iter().for_each(|config| drive_circuit(config, &steps));
    }

    #[test]
    fn buckets_hold_their_burst(steps in steps(), now in instant()) {
        for shaping in shapings() {
            drive_bucket(shaping, &steps);
            burst_at(shaping, now);
        }
    }

    #[test]
    fn budgets_hold_their_bound(steps in steps()) {
        let share = RetryBudget::builder().ratio(1.0);
        for window in [MS, DAY] {
            drive_budget(&share.window(window).build().unwrap(), &steps);
        }
        let bucket = RetryBudget::aws_2_1();
        steps.iter().for_each(|(now, ..)| drop(bucket.withdraw(*now, FailureClass::TimedOut)));
    }

    #[test]
    fn stores_stay_within_their_bounds(steps in steps()) {
        let each = RateLimiter::builder().quota(Quota::per_second(2)).reject().build().unwrap();
        for idle in [MS, YEAR] {
            let each = each.clone();
            let limits = KeyedLimits::new(16, 1 << 20, idle).unwrap();
            drive_keyed(&Keyed::new(limits, move |_: &u8| each.fresh()), &steps);
        }
    }

    #[test]
    fn the_others_end_every_call(steps in steps()) {
        drive_verdict(&steps);
        drive_shutdown(ShutdownBounds::default(), &steps);
        drive_retry(&RetryPolicy::builder().max_attempts(4).build().unwrap(), &steps);
        check_deadlines(&steps);
        check_lifetimes(&steps);
    }
}
