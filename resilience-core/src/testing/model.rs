//! Each engine beside a reference that is too simple to be wrong.
//!
//! A function here turns bytes into a configuration and a run of operations, makes them on the engine
//! and on the model, and panics where the two differ or a promise is broken. The crate's property
//! tests feed it random bytes, its fuzz targets mutated ones, and the corpus replay those that once
//! found something.

use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};

use crate::clock::{self, MAX_WAIT};
use crate::deadline::Deadline;
use crate::outcome::{FailureClass, Outcome, RetryHint};
use crate::retry::budget::Withdrawal;
use crate::retry::{Backoff, RetryBudget, RetryCosts, RetryPolicy, StopReason, Verdict};
use crate::timeout::{DeadlineLayer, TimeoutLayer};

/// Bytes that do not make a whole input are no input.
fn parse<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> Option<T> {
    Unstructured::new(bytes).arbitrary().ok()
}

#[derive(Debug, Arbitrary)]
struct BackoffInput {
    shape: u8,
    base: Duration,
    cap: Duration,
    factor: f64,
    percent: f64,
    samples: Vec<(f64, Option<Duration>)>,
}

impl BackoffInput {
    /// The backoff this asks for, and the least that it may ever wait.
    fn backoff(&self) -> Option<(Backoff, Duration)> {
        let (base, cap) = (self.base, self.cap);
        let zero = Duration::ZERO;
        let made = match self.shape % 10 {
            0 => Backoff::decorrelated_jitter(base, cap).map(|backoff| (backoff, base)),
            1 => Backoff::textbook_decorrelated_jitter(base, cap).map(|backoff| (backoff, base)),
            2 => Backoff::full_jitter(base, cap).map(|backoff| (backoff, zero)),
            3 => Backoff::equal_jitter(base, cap).map(|backoff| (backoff, base / 2)),
            4 => Backoff::exponential(base, cap).map(|backoff| (backoff, base)),
            5 => Backoff::linear(base, cap).map(|backoff| (backoff, base)),
            6 => Backoff::constant(base).map(|backoff| (backoff, base)),
            7 => Backoff::exponential(base, cap)
                .and_then(|backoff| backoff.with_factor(self.factor))
                .map(|backoff| (backoff, base)),
            8 => Backoff::exponential(base, cap)
                .and_then(|backoff| backoff.jittered(self.percent))
                .map(|backoff| (backoff, zero)),
            _ => Backoff::constant(base)
                .and_then(|backoff| backoff.jittered(self.percent))
                .map(|backoff| (backoff, zero)),
        };
        made.ok()
    }
}

/// Every delay lies within the documented bounds, none before a hint, whatever the configuration and
/// whatever the samples; what cannot be configured is refused, and nothing overflows.
pub fn backoff(bytes: &[u8]) {
    let Some(input) = parse::<BackoffInput>(bytes) else { return };
    let Some((backoff, floor)) = input.backoff() else { return };
    assert!(backoff.cap() <= MAX_WAIT * 2, "{backoff:?}");
    let mut schedule = backoff.schedule();
    for &(sample, hint) in &input.samples {
        match hint {
            None => {
                let delay = schedule.next(sample);
                assert!(floor <= delay && delay <= backoff.cap(), "{delay:?} of {backoff:?}");
            }
            Some(hint) => {
                let delay = schedule.next_after(hint, sample);
                let latest = hint.saturating_add(backoff.cap()).max(backoff.cap());
                assert!(hint <= delay && delay <= latest, "{delay:?} after {hint:?}");
            }
        }
    }
}

#[derive(Debug, Arbitrary)]
struct BudgetInput {
    /// In thousandths of a retry, up to 2.
    ratio: u16,
    reserve: u8,
    window_ms: u16,
    costs: [u8; 3],
    operations: Vec<BudgetOperation>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum BudgetOperation {
    Advance(u16),
    Call,
    Retry(u8),
    /// Asks for a retry and cancels it before it is sent.
    Cancel(u8),
}

/// A windowed budget as a list of deposits, oldest first.
struct NaiveBudget {
    /// (slot, thousandths) not spent and not lost yet.
    deposits: Vec<(u64, u64)>,
    reserve: u64,
}

impl NaiveBudget {
    const SLOTS: u64 = 10;

    /// Deposits older than the window are lost, but for the newest of them, up to the reserve.
    fn expire(&mut self, slot: u64) {
        let mut kept = self.reserve;
        for (at, tokens) in self.deposits.iter_mut().rev() {
            if *at + Self::SLOTS < slot {
                *tokens = (*tokens).min(kept);
                kept -= *tokens;
            }
        }
        self.deposits.retain(|(_, tokens)| *tokens > 0);
    }

    fn available(&self) -> u64 {
        self.deposits.iter().map(|(_, tokens)| tokens).sum()
    }

    /// Spends the oldest first. Says whether there was enough.
    fn withdraw(&mut self, mut cost: u64) -> bool {
        if self.available() < cost {
            return false;
        }
        for (_, tokens) in &mut self.deposits {
            let part = cost.min(*tokens);
            *tokens -= part;
            cost -= part;
        }
        true
    }
}

/// The windowed budget grants exactly what a list of deposits would, and never lets attempts pass
/// `(1 + ratio) * calls + reserve`.
pub fn budget(bytes: &[u8]) {
    let Some(input) = parse::<BudgetInput>(bytes) else { return };
    let ratio = u64::from(input.ratio % 2_001);
    let window = Duration::from_millis(u64::from(input.window_ms.max(10)));
    let costs = input.costs.map(|cost| u64::from(cost.max(1)) * 100);
    let budget = RetryBudget::builder()
        .ratio(as_tokens(ratio))
        .reserve(u32::from(input.reserve))
        .window(window)
        .costs(RetryCosts {
            transient: as_tokens(costs[0]),
            timed_out: as_tokens(costs[1]),
            throttled: as_tokens(costs[2]),
        })
        .build();
    let Ok(budget) = budget else { unreachable_input(&input) };
    let reserve = u64::from(input.reserve) * 1_000;
    let mut model = NaiveBudget { deposits: vec![(0, reserve)], reserve };
    let start = clock::now();
    let mut now = start;
    let (mut deposited, mut spent) = (reserve, 0);
    // The first call fixes the budget's origin.
    assert_eq!(budget.available(now), as_tokens(reserve));
    for operation in &input.operations {
        let slot = slot(start, now, window);
        model.expire(slot);
        match *operation {
            BudgetOperation::Advance(ms) => now += Duration::from_millis(u64::from(ms)),
            BudgetOperation::Call => {
                budget.call_started(now);
                model.deposits.push((slot, ratio));
                deposited += ratio;
            }
            BudgetOperation::Retry(class) => {
                let (class, cost) = class_of(class, costs);
                let granted = budget.withdraw(now, class).map(Withdrawal::sent).is_ok();
                assert_eq!(granted, model.withdraw(cost), "cost {cost} at {slot}");
                spent += if granted { cost } else { 0 };
            }
            BudgetOperation::Cancel(class) => {
                let (class, cost) = class_of(class, costs);
                let before = budget.available(now);
                let granted = budget.withdraw(now, class);
                assert_eq!(granted.is_ok(), model.available() >= cost);
                drop(granted);
                assert_eq!(budget.available(now), before, "a cancelled retry costs nothing");
            }
        }
        assert!(spent <= deposited, "{spent} of {deposited}");
        model.expire(self::slot(start, now, window));
        assert_eq!(budget.available(now), as_tokens(model.available()), "after {operation:?}");
    }
}

fn slot(start: Instant, now: Instant, window: Duration) -> u64 {
    u64::try_from((now - start).as_nanos() / (window / 10).as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn as_tokens(thousandths: u64) -> f64 {
    thousandths as f64 / 1_000.0
}

fn class_of(byte: u8, costs: [u64; 3]) -> (FailureClass, u64) {
    match byte % 3 {
        0 => (FailureClass::Transient, costs[0]),
        1 => (FailureClass::TimedOut, costs[1]),
        _ => (FailureClass::Throttled, costs[2]),
    }
}

#[expect(clippy::panic, reason = "a model that rejects its own input is a bug in the model")]
fn unreachable_input(input: &impl std::fmt::Debug) -> ! {
    panic!("the model made a configuration that is refused: {input:?}")
}

#[derive(Debug, Arbitrary)]
struct PolicyInput {
    max_attempts: u32,
    max_elapsed: Duration,
    attempt_time: Duration,
    backoff: BackoffInput,
    reserve: u8,
    wait_when_not_ready: bool,
    deadline: Option<Duration>,
    attempts: Vec<AttemptInput>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct AttemptInput {
    kind: u8,
    hint: Option<Duration>,
    never: bool,
    took: Duration,
    sample: f64,
    cancelled: bool,
}

impl AttemptInput {
    fn outcome(self) -> Outcome {
        let hint = if self.never { RetryHint::Never } else { self.hint.into() };
        match self.kind % 7 {
            0 => Outcome::Success,
            1 => Outcome::TimedOut,
            2 => Outcome::Permanent,
            3 => Outcome::Abandoned,
            4 => Outcome::Throttled(hint),
            5 => Outcome::NotReady(hint),
            _ => Outcome::Transient(hint),
        }
    }
}

/// One call through a policy: never more attempts than allowed, never a wait that reaches the
/// deadline or the time allowed, never one shorter than the hint, every retry paid for and every
/// cancelled one given back; and any configuration either works or is refused.
pub fn policy(bytes: &[u8]) {
    let Some(input) = parse::<PolicyInput>(bytes) else { return };
    let Ok(budget) = RetryBudget::builder().ratio(0.0).reserve(u32::from(input.reserve)).build()
    else {
        unreachable_input(&input)
    };
    let mut builder = RetryPolicy::builder()
        .max_attempts(input.max_attempts)
        .max_elapsed(input.max_elapsed)
        .attempt_time(input.attempt_time)
        .budget(budget.clone());
    if let Some((backoff, _)) = input.backoff.backoff() {
        builder = builder.backoff(backoff);
    }
    if input.wait_when_not_ready {
        builder = builder.wait_when_not_ready();
    }
    let Ok(policy) = builder.build() else { return };

    let start = clock::now();
    let deadline = input.deadline.map(|wait| Deadline::after(start, wait));
    let mut now = start;
    let mut attempts = policy.start(start);
    let mut left = f64::from(input.reserve);
    for &attempt in &input.attempts {
        now = clock::later(now, attempt.took.min(Duration::from_secs(3_600)));
        let outcome = attempt.outcome();
        match attempts.decide(now, deadline, outcome, attempt.sample) {
            Verdict::Done => return assert_eq!(outcome, Outcome::Success),
            Verdict::Stop { reason, .. } => return check_stop(outcome, reason, input.max_attempts),
            Verdict::Retry(retry) => {
                let delay = retry.delay();
                if let RetryHint::After(hint) = outcome.hint() {
                    assert!(delay >= hint);
                }
                let needed = delay + input.attempt_time;
                assert!(deadline.is_none_or(|deadline| needed < deadline.remaining(now)));
                assert!(now - start + needed <= input.max_elapsed);
                if attempt.cancelled {
                    drop(retry);
                    return assert_eq!(budget.available(now), left);
                }
                now += delay;
                retry.sent(&mut attempts);
                left -= if outcome.failure().is_some() { 1.0 } else { 0.0 };
                assert_eq!(budget.available(now), left);
                assert!(attempts.made() <= input.max_attempts);
            }
        }
    }
}

fn check_stop(outcome: Outcome, reason: StopReason, max_attempts: u32) {
    match reason {
        StopReason::NotRetryable => {
            assert!(matches!(outcome, Outcome::Permanent | Outcome::Abandoned), "{outcome:?}");
        }
        StopReason::NotReady => assert!(matches!(outcome, Outcome::NotReady(_)), "{outcome:?}"),
        StopReason::ToldNotTo => assert_eq!(outcome.hint(), RetryHint::Never),
        StopReason::AttemptsExhausted => assert!(max_attempts > 0),
        _ => assert!(outcome != Outcome::Success),
    }
}

#[derive(Debug, Arbitrary)]
struct ConfigInput {
    numbers: [f64; 5],
    whole: [u32; 3],
    waits: [Duration; 3],
}

/// Any value in any field of any configuration either works or is refused by name.
pub fn config(bytes: &[u8]) {
    let Some(ConfigInput { numbers, whole, waits }) = parse::<ConfigInput>(bytes) else { return };
    let [ratio, transient, timed_out, throttled, percent] = numbers;
    let share = RetryBudget::builder()
        .ratio(ratio)
        .window(waits[0])
        .reserve(whole[0])
        .costs(RetryCosts { transient, timed_out, throttled })
        .build();
    let budgets = [
        share,
        RetryBudget::percent(percent),
        RetryBudget::grpc(whole[0], ratio),
        RetryBudget::throttler(whole[0], whole[1], whole[2]),
        RetryBudget::aws_2_1().with_capacity(whole[0]),
    ];
    let now = clock::now();
    for budget in budgets {
        match budget {
            Ok(budget) => use_budget(&budget, now),
            Err(error) => assert!(!error.field().is_empty() && !error.bound().is_empty()),
        }
    }
    for layer in [TimeoutLayer::new(waits[1]).map(drop), DeadlineLayer::new(waits[2]).map(drop)] {
        assert!(layer.is_ok() || layer.is_err_and(|error| error.field() == "limit"));
    }
}

/// Whatever it was configured with, an account counts without overflow.
fn use_budget(budget: &RetryBudget, now: Instant) {
    for age in [Duration::ZERO, Duration::from_millis(1), MAX_WAIT] {
        let now = clock::later(now, age);
        budget.call_started(now);
        budget.failed(FailureClass::TimedOut);
        budget.succeeded();
        let before = budget.available(now);
        drop(budget.withdraw(now, FailureClass::Throttled));
        assert_eq!(budget.available(now), before);
    }
}
