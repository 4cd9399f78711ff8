//! Model of the circuit breaker: a reference that keeps every call.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::breaker::{
    AbandonedPolicy, Admission, Change, Circuit, CircuitConfig, CircuitState, ProbeRule,
    SlidingWindow,
};
use crate::clock;
use crate::model_input::{Rest, parse};
use crate::outcome::{Outcome, RetryHint};

#[derive(Debug, Clone, Arbitrary)]
struct Input {
    consecutive: Option<u8>,
    /// Calls, percent.
    by_count: Option<(u8, u8)>,
    /// Milliseconds of a bucket, buckets, percent.
    by_time: Option<(u8, u8, u8)>,
    /// Slow from (ms), calls, percent.
    slow: Option<(u8, u8, u8)>,
    minimum: u8,
    permanent: bool,
    abandoned: u8,
    first_ms: u8,
    factor: u8,
    jitter: u8,
    memory_ms: Option<u16>,
    longest_hint_ms: u8,
    open_on_hint: bool,
    probes: u8,
    in_a_row: Option<u8>,
    ratio: u8,
    max_half_open_ms: u8,
    close_when_too_long: bool,
    ramp_ms: Option<u8>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Operation {
    Advance(u8),
    AdvanceFar(u16),
    Admit(u8),
    Fail(u8, u8),
    Succeed(u8),
    SucceedAll,
    Other { which: u8, kind: u8, hint_ms: u8 },
    Manual(u8),
}

/// The configuration as the reference reads it.
struct Rules {
    input: Input,
    minimum: usize,
    slow_after: Option<Duration>,
    windows: Vec<(Span, u64, bool)>,
    needed: usize,
    of: usize,
    probes: usize,
}

#[derive(Clone, Copy)]
enum Span {
    Last(usize),
    Slots { width: Duration, slots: u128 },
}

const SHARES: [f64; 2] = [0.25, 0.5];

fn ms(ms: impl Into<u64>) -> Duration {
    Duration::from_millis(ms.into())
}

/// Returns whole milliseconds, so that calls fall on the edges between slots.
fn width(byte: u8) -> Duration {
    ms(byte % 64 + 1)
}

fn slots(byte: u8) -> u32 {
    u32::from(byte % 12) + 1
}

fn percent(byte: u8) -> u64 {
    u64::from(byte % 100) + 1
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn share(percent: u64) -> f64 {
    percent as f64 / 100.0
}

impl Rules {
    fn new(input: Input) -> Rules {
        let mut windows = Vec::new();
        if let Some((length, buckets, rate)) = input.by_time {
            let span = Span::Slots { width: width(length), slots: slots(buckets).into() };
            windows.push((span, percent(rate), false));
        }
        if let Some((calls, rate)) = input.by_count {
            windows.push((Span::Last(usize::from(calls.max(1))), percent(rate), false));
        }
        if let Some((_, calls, rate)) = input.slow {
            windows.push((Span::Last(usize::from(calls.max(1))), percent(rate), true));
        }
        let named = input.consecutive.is_some() || !windows.is_empty();
        if !named {
            windows.push((Span::Slots { width: Duration::from_secs(1), slots: 10 }, 50, false));
        }
        let shortest = windows.iter().filter_map(|(span, ..)| match span {
            Span::Last(calls) => Some(*calls),
            Span::Slots { .. } => None,
        });
        let minimum = usize::from(input.minimum.max(1)).min(shortest.min().unwrap_or(usize::MAX));
        let probes = usize::from(input.probes % 6) + 1;
        let (needed, of) = match input.in_a_row {
            Some(n) => (usize::from(n % 8) + 1, usize::from(n % 8) + 1),
            None => (
                (probes * usize::try_from(percent(input.ratio)).unwrap_or(1)).div_ceil(100),
                probes,
            ),
        };
        let slow_after = input.slow.map(|(after, ..)| ms(after.max(1)));
        Rules { input, minimum, slow_after, windows, needed, of, probes }
    }

    fn config(&self) -> CircuitConfig {
        let input = &self.input;
        let mut builder = CircuitConfig::builder()
            .minimum_calls(u32::try_from(self.minimum).unwrap_or(u32::MAX))
            .growing_break(ms(input.first_ms.max(1)), self.factor(), self.longest_break())
            .break_jitter(self.jitter())
            .break_memory(ms(input.memory_ms.unwrap_or(u16::MAX).max(1)))
            .longest_hint(ms(input.longest_hint_ms.max(1)))
            .probes(u32::from(input.probes % 6) + 1)
            .probes_succeed_by(match input.in_a_row {
                Some(n) => ProbeRule::InARow(u32::from(n % 8) + 1),
                None => ProbeRule::Ratio(share(percent(input.ratio))),
            })
            .max_half_open(ms(input.max_half_open_ms.max(1)))
            .abandoned(self.abandoned());
        if let Some(n) = input.consecutive {
            builder = builder.consecutive_failures(n.max(1).into());
        }
        if let Some((length, buckets, rate)) = input.by_time {
            let slots = slots(buckets);
            let window = SlidingWindow::time_in(width(length) * slots, slots);
            builder = builder.failure_rate(share(percent(rate)), window);
        }
        if let Some((calls, rate)) = input.by_count {
            let window = SlidingWindow::count(calls.max(1).into());
            builder = builder.failure_rate(share(percent(rate)), window);
        }
        if let Some((after, calls, rate)) = input.slow {
            let window = SlidingWindow::count(calls.max(1).into());
            builder = builder.slow_calls(ms(after.max(1)), share(percent(rate)), window);
        }
        if self.throttled_in_rates_only() {
            builder = builder.throttled_in_rates_only();
        }
        if input.permanent {
            builder = builder.permanent_failures_count();
        }
        if input.open_on_hint {
            builder = builder.open_on_hint();
        }
        if input.close_when_too_long {
            builder = builder.close_when_half_open_too_long();
        }
        if let Some(each) = input.ramp_ms {
            builder = builder.ramp(SHARES, ms(each.max(1)));
        }
        match builder.config() {
            Ok(config) => config,
            Err(error) => unreachable_config(&error),
        }
    }

    fn factor(&self) -> f64 {
        f64::from(self.input.factor % 3 + 1)
    }

    fn jitter(&self) -> f64 {
        f64::from(self.input.jitter % 3) / 10.0
    }

    fn longest_break(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn abandoned(&self) -> AbandonedPolicy {
        match self.input.abandoned % 3 {
            1 => AbandonedPolicy::Failure,
            2 if self.input.slow.is_some() => AbandonedPolicy::Slow,
            _ => AbandonedPolicy::Ignore,
        }
    }

    // A bit of another field, so that the corpus keeps its meaning.
    fn throttled_in_rates_only(&self) -> bool {
        self.input.abandoned & 0x80 != 0
    }

    /// Returns (failed, slow) if the call counts.
    fn judge(&self, outcome: Outcome, took: Duration) -> Option<(bool, bool)> {
        let slow = self.slow_after.is_some_and(|limit| took >= limit);
        match outcome {
            Outcome::Success => Some((false, slow)),
            Outcome::Permanent => Some((self.input.permanent, slow)),
            Outcome::NotReady(_) => None,
            Outcome::Abandoned => match self.abandoned() {
                AbandonedPolicy::Failure => Some((true, slow)),
                AbandonedPolicy::Slow => slow.then_some((false, true)),
                AbandonedPolicy::Ignore => None,
            },
            _ => Some((true, slow)),
        }
    }

    fn hint(&self, outcome: Outcome) -> Option<Duration> {
        match outcome {
            Outcome::NotReady(_) => None,
            other => match other.hint() {
                RetryHint::After(hint) if !hint.is_zero() => {
                    Some(hint.min(ms(self.input.longest_hint_ms.max(1))))
                }
                _ => None,
            },
        }
    }
}

#[expect(clippy::panic, reason = "a model that rejects its own input is a bug in the model")]
fn unreachable_config(error: &crate::InvalidConfig) -> ! {
    panic!("the model made a configuration that is rejected: {error}")
}

/// A call that ended: time, failed, slow, counted by the rule on consecutive failures.
type Call = (Instant, bool, bool, bool);

/// A call under way: the life of the circuit in which it was admitted, and the time.
#[derive(Clone, Copy)]
struct UnderWay {
    life: u32,
    since: Instant,
}

/// A circuit that keeps every call of its present state.
struct Naive {
    rules: Rules,
    state: CircuitState,
    /// Number of changes of state. A call that was admitted in another life does not count.
    life: u32,
    since: Instant,
    /// The time at which the state ends by itself.
    ends: Option<Instant>,
    calls: Vec<Call>,
    hints: Vec<Instant>,
    probes_out: usize,
    stage: usize,
    breaks: u32,
    opened: u32,
    refused: u32,
    stale: u32,
    /// The bounds of the length of the last break.
    bounds: Option<(Duration, Duration)>,
}

impl Naive {
    fn become_(&mut self, state: CircuitState, at: Instant, ends: Option<Instant>) {
        self.life += 1;
        (self.state, self.since, self.ends) = (state, at, ends);
        self.probes_out = 0;
        self.stage = 0;
        self.hints.clear();
        if state != CircuitState::Open {
            self.calls.clear();
        }
    }

    /// Returns the calls that are in a window at the latest call.
    fn in_window(&self, span: Span) -> &[Call] {
        match span {
            Span::Last(calls) => &self.calls[self.calls.len().saturating_sub(calls)..],
            Span::Slots { width, slots } => {
                let mut first = 0;
                let mut anchor = None;
                for (index, &(at, ..)) in self.calls.iter().enumerate() {
                    let begin = *anchor.get_or_insert(at);
                    let slot = |at: Instant| (at - begin).as_nanos() / width.as_nanos();
                    while first < index && slot(self.calls[first].0) + slots <= slot(at) {
                        first += 1;
                    }
                    if first == index {
                        anchor = Some(at);
                    }
                }
                &self.calls[first..]
            }
        }
    }

    fn trips(&self) -> bool {
        let in_a_row = self.streak();
        let consecutive = self.rules.input.consecutive;
        if consecutive.is_some_and(|limit| in_a_row >= usize::from(limit.max(1))) {
            return true;
        }
        self.rules.windows.iter().any(|&(span, percent, slow)| {
            let calls = self.in_window(span);
            let part = calls.iter().filter(|call| if slow { call.2 } else { call.1 }).count();
            calls.len() >= self.rules.minimum && part as u64 * 100 >= percent * calls.len() as u64
        })
    }

    fn streak(&self) -> usize {
        let counted = self.calls.iter().rev().filter(|call| call.3);
        counted.take_while(|call| call.1).count()
    }

    fn open(&mut self, at: Instant, hint: Option<Instant>) {
        if self.state == CircuitState::Closed {
            let memory = ms(self.rules.input.memory_ms.unwrap_or(u16::MAX).max(1));
            let mut good = at - self.since;
            while good >= memory && self.breaks > 0 {
                good -= memory;
                self.breaks -= 1;
            }
        }
        let first = ms(self.rules.input.first_ms.max(1));
        let longest = self.rules.longest_break();
        let length = (0..self.breaks)
            .fold(first, |length, _| length.mul_f64(self.rules.factor()).min(longest));
        let jitter = self.rules.jitter();
        let off = Duration::from_nanos(50);
        let hinted = hint.map_or(Duration::ZERO, |hint| hint.saturating_duration_since(at));
        let from = length.mul_f64(1.0 - jitter).max(hinted).saturating_sub(off);
        let to = length.mul_f64(1.0 + jitter).max(hinted + length.mul_f64(jitter)) + off;
        if length < longest && self.rules.factor() > 1.0 {
            self.breaks += 1;
        }
        self.opened += 1;
        self.become_(CircuitState::Open, at, None);
        self.bounds = Some((from, to));
    }

    /// Advances the time through each end of a state.
    fn advance(&mut self, now: Instant, circuit_ends: impl Fn() -> Option<Instant>) {
        while let Some(end) = self.ends.filter(|&end| now >= end) {
            match self.state {
                CircuitState::Open | CircuitState::ForcedOpen => {
                    self.become_(CircuitState::HalfOpen, end, None);
                }
                CircuitState::HalfOpen if self.rules.input.close_when_too_long => {
                    self.become_(CircuitState::Closed, end, None);
                }
                CircuitState::HalfOpen => {
                    self.open(end, None);
                    match circuit_ends() {
                        // The break is over as well: half-open again.
                        None => self.become_(CircuitState::HalfOpen, end, None),
                        ends => self.ends = ends,
                    }
                }
                CircuitState::Ramping if self.stage + 1 < SHARES.len() => {
                    self.stage += 1;
                    self.calls.clear();
                    self.ends = self.rules.input.ramp_ms.map(|each| end + ms(each.max(1)));
                }
                _ => self.become_(CircuitState::Closed, end, None),
            }
        }
    }

    fn admit(&mut self, now: Instant, u: f64) -> Option<UnderWay> {
        let passes = match self.state {
            CircuitState::Open | CircuitState::ForcedOpen => false,
            CircuitState::HalfOpen => {
                self.probes_out < self.rules.probes
                    && self.probes_out + self.calls.len() < self.rules.of
            }
            CircuitState::Ramping => u < SHARES[self.stage],
            _ => true,
        };
        if !passes {
            self.refused += 1;
            return None;
        }
        if self.state == CircuitState::HalfOpen {
            self.probes_out += 1;
            let end = now + ms(self.rules.input.max_half_open_ms.max(1));
            self.ends = self.ends.or(Some(end));
        }
        Some(UnderWay { life: self.life, since: now })
    }

    fn ended(&mut self, call: UnderWay, outcome: Outcome, now: Instant) {
        if call.life != self.life {
            self.stale += 1;
            return;
        }
        if self.state == CircuitState::HalfOpen {
            self.probes_out -= 1;
            if self.probes_out == 0 {
                self.ends = None;
            }
        }
        let Some((failed, slow)) = self.rules.judge(outcome, now - call.since) else { return };
        let hint = self.rules.hint(outcome).map(|hint| now + hint);
        let throttled = matches!(outcome, Outcome::Throttled(_));
        let in_row = !(throttled && self.rules.throttled_in_rates_only());
        match self.state {
            CircuitState::Disabled => return,
            CircuitState::HalfOpen | CircuitState::Ramping => {
                self.calls.push((now, failed || slow, slow, in_row));
            }
            _ => self.calls.push((now, failed, slow, in_row)),
        }
        let bad = self.calls.iter().filter(|call| call.1).count();
        let Rules { needed, of, .. } = self.rules;
        match self.state {
            CircuitState::Closed => {
                self.hints.extend(hint);
                if self.trips() || hint.is_some() && self.rules.input.open_on_hint {
                    let latest = self.hints.iter().copied().max();
                    self.open(now, latest);
                }
            }
            CircuitState::HalfOpen if bad > of - needed => self.open(now, hint),
            CircuitState::HalfOpen if self.calls.len() - bad >= needed => {
                match self.rules.input.ramp_ms {
                    None => self.become_(CircuitState::Closed, now, None),
                    Some(each) => {
                        let ends = now + ms(each.max(1));
                        self.become_(CircuitState::Ramping, now, Some(ends));
                    }
                }
            }
            CircuitState::Ramping => {
                let calls = self.calls.len();
                if (needed == of || calls >= of) && bad * of > calls * (of - needed) {
                    self.open(now, hint);
                }
            }
            _ => {}
        }
    }
}

/// The engine and the reference.
struct Pair {
    config: CircuitConfig,
    circuit: Circuit,
    model: Naive,
    now: Instant,
    u: f64,
    under_way: Vec<(Admission, UnderWay)>,
}

impl Pair {
    fn new(rules: Rules) -> Pair {
        let config = rules.config();
        let now = clock::now();
        let model = Naive {
            rules,
            state: CircuitState::Closed,
            life: 0,
            since: now,
            ends: None,
            calls: Vec::new(),
            hints: Vec::new(),
            probes_out: 0,
            stage: 0,
            breaks: 0,
            opened: 0,
            refused: 0,
            stale: 0,
            bounds: None,
        };
        Pair { config, circuit: Circuit::new(), model, now, u: 0.5, under_way: Vec::new() }
    }

    fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Advance(by) => self.advance(ms(by)),
            Operation::AdvanceFar(by) => self.advance(ms(by) * 8),
            Operation::Admit(sample) => {
                self.u = f64::from(sample) / 256.0;
                let admitted = self.circuit.admit(&self.config, self.now, || self.u);
                let expected = self.model.admit(self.now, self.u);
                assert_eq!(admitted.is_ok(), expected.is_some(), "{:?}", self.circuit);
                if let (Ok(admission), Some(call)) = (admitted, expected) {
                    self.under_way.push((admission, call));
                }
            }
            Operation::Succeed(which) => self.end(which, Outcome::Success),
            Operation::SucceedAll => self.succeed_all(),
            Operation::Fail(which, hint) => {
                let hint = (hint > 128).then(|| ms(hint - 128));
                self.end(which, Outcome::Transient(hint.into()));
            }
            Operation::Other { which, kind, hint_ms } => {
                let outcome = match kind % 5 {
                    _ if kind >= 250 => Outcome::Unknown,
                    0 => Outcome::TimedOut,
                    1 => Outcome::throttled(ms(hint_ms)),
                    2 => Outcome::Permanent,
                    3 => Outcome::not_ready(ms(hint_ms)),
                    _ => Outcome::Abandoned,
                };
                self.end(which, outcome);
            }
            Operation::Manual(what) => self.manual(what),
        }
        self.compare(operation);
    }

    /// Checks the length of the engine's break, and ends the reference's break with it.
    fn adopt(&mut self) {
        if let Some((from, to)) = self.model.bounds.take() {
            let left = self.circuit.snapshot(&self.config, self.now).open_for;
            let length = left.unwrap_or_default();
            assert!((from..=to).contains(&length), "{length:?}, not {from:?} to {to:?}");
            self.model.ends = Some(self.now + length);
        }
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        let changes = self.circuit.advance(&self.config, self.now, || self.u);
        // A break may have begun meanwhile; its length is the engine's choice.
        let reopened: Option<Change> =
            changes.iter().find(|change| change.to == CircuitState::Open).copied();
        let state = self.circuit.state();
        let left = self.circuit.snapshot(&self.config, self.now).open_for;
        let now = self.now;
        self.model.advance(now, || {
            let length = reopened.and_then(|change| change.retry_after).unwrap_or_default();
            assert!(length <= ms(5_000_u32));
            (state == CircuitState::Open).then(|| now + left.unwrap_or_default())
        });
        self.model.bounds = None;
    }

    fn end(&mut self, which: u8, outcome: Outcome) {
        if self.under_way.is_empty() {
            return;
        }
        let (admission, call) =
            self.under_way.swap_remove(usize::from(which) % self.under_way.len());
        let took = self.now - call.since;
        let is_good = outcome == Outcome::Success
            && call.life == self.model.life
            && self.model.rules.slow_after.is_none_or(|limit| took < limit);
        let room = self.circuit.uncounted_successes(&self.config);
        // The uncounted path, where possible, must have the same effect.
        if is_good && !room.is_over(self.now) && which & 1 == 1 {
            self.circuit.count_successes(1);
            self.model.ended(call, outcome, self.now);
            return;
        }
        self.circuit.record(&self.config, admission, outcome, self.now, || self.u);
        self.model.ended(call, outcome, self.now);
        self.adopt();
    }

    /// Ends as many calls as may be uncounted, and counts them together.
    fn succeed_all(&mut self) {
        let room = self.circuit.uncounted_successes(&self.config);
        if room.is_over(self.now) || self.model.rules.slow_after.is_some() {
            return;
        }
        let life = self.model.life;
        let now = self.now;
        let mut credit = 0;
        while credit < room.calls && self.under_way.last().is_some_and(|call| call.1.life == life) {
            let Some((_, call)) = self.under_way.pop() else { break };
            self.model.ended(call, Outcome::Success, now);
            credit += 1;
        }
        self.circuit.count_successes(credit);
    }

    fn manual(&mut self, what: u8) {
        let before = self.model.state;
        let now = self.now;
        match what % 16 {
            0 if before == CircuitState::Open => {
                assert_eq!(self.circuit.open_now(&self.config, now, self.u), None);
            }
            0 => {
                assert!(self.circuit.open_now(&self.config, now, self.u).is_some());
                self.model.open(now, None);
                self.adopt();
            }
            1 => match before {
                CircuitState::Open | CircuitState::ForcedOpen => {
                    assert!(self.circuit.half_open().is_ok_and(|change| change.is_some()));
                    self.model.become_(CircuitState::HalfOpen, now, None);
                }
                CircuitState::HalfOpen => assert_eq!(self.circuit.half_open(), Ok(None)),
                _ => assert!(self.circuit.half_open().is_err()),
            },
            2 => self.force(CircuitState::Closed, None, |circuit, now| circuit.close(now)),
            3 => self.force(CircuitState::ForcedClosed, None, |circuit, _| circuit.force_closed()),
            4 => self.force(CircuitState::Disabled, None, |circuit, _| circuit.disable()),
            5 => {
                let ends = Some(now + ms(100_u8));
                self.force(CircuitState::ForcedOpen, ends, |circuit, now| {
                    circuit.force_open(now, Some(ms(100_u8)))
                });
                self.model.ends = ends;
            }
            6 => {
                self.circuit.reset();
                self.model.become_(CircuitState::Closed, now, None);
                let model = &mut self.model;
                (model.breaks, model.opened, model.refused, model.stale) = (0, 0, 0, 0);
            }
            7 if before == CircuitState::Closed => {
                let saved = self.circuit.save(now);
                assert_eq!(self.circuit.restore(saved, now), None);
                let since = self.model.since;
                self.model.become_(CircuitState::Closed, since, None);
                (self.model.refused, self.model.stale) = (0, 0);
            }
            _ => {}
        }
    }

    fn force(
        &mut self,
        state: CircuitState,
        ends: Option<Instant>,
        change: impl FnOnce(&mut Circuit, Instant) -> Option<Change>,
    ) {
        let changed = change(&mut self.circuit, self.now).is_some();
        assert_eq!(changed, self.model.state != state, "no event for the same state");
        if changed {
            self.model.become_(state, self.now, ends);
        }
    }

    fn compare(&self, after: Operation) {
        let model = &self.model;
        let seen = self.circuit.snapshot(&self.config, self.now);
        assert_eq!(seen.state, model.state, "after {after:?}");
        assert_eq!((seen.opened, seen.not_permitted), (model.opened, model.refused));
        assert_eq!(seen.stale, model.stale, "after {after:?}");
        assert_eq!(seen.probes as usize, model.probes_out, "after {after:?}");
        if matches!(seen.state, CircuitState::Closed | CircuitState::ForcedClosed) {
            assert_eq!(seen.streak as usize, model.streak(), "after {after:?}");
        }
        // Windows of time are compared where they were last written, after a call.
        let timed = matches!(model.rules.windows.first(), Some((Span::Slots { .. }, ..)));
        let ended = matches!(after, Operation::Fail(..) | Operation::Succeed(_));
        let latest = model.calls.last().is_some_and(|call| call.0 == self.now);
        let comparable = !timed || ended && latest;
        let counting = matches!(seen.state, CircuitState::Closed | CircuitState::ForcedClosed);
        if let (Some(&(span, ..)), true) = (model.rules.windows.first(), comparable && counting) {
            let calls = model.in_window(span);
            let failures = calls.iter().filter(|call| call.1).count();
            let slow = calls.iter().filter(|call| call.2).count();
            let counts = (seen.calls as usize, seen.failures as usize, seen.slow as usize);
            assert_eq!(counts, (calls.len(), failures, slow), "after {after:?}");
        }
    }
}

/// Asserts that a circuit is in the state that follows from the history of its calls, admits the
/// right probes, and that the lengths of its breaks are within their bounds.
pub fn breaker(bytes: &[u8]) {
    let Some((input, operations)) = parse::<(Input, Rest<Operation>)>(bytes) else { return };
    let mut pair = Pair::new(Rules::new(input));
    for operation in operations.0 {
        pair.run(operation);
    }
}
