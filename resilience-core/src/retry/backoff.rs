//! Delays between attempts.

use std::time::Duration;

use crate::clock::nanos;
use crate::config::{self, InvalidConfig};

/// The formula for the interval of the next delay.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Decorrelated,
    TextbookDecorrelated,
    Full { factor: f64 },
    Equal { factor: f64 },
    Exponential { factor: f64, percent: f64 },
    Linear { percent: f64 },
    Constant { percent: f64 },
}

/// A rule for the delays between attempts. Copies share nothing; the state of one call is its
/// [`Schedule`].
///
/// Clients that failed together must not return together, so every delay is drawn from an
/// *interval*, which is limited by the cap **before** the draw. Limiting the drawn value instead
/// piles up everything above the cap: nine in ten clients of such a formula sleep exactly the cap
/// by their tenth attempt, and arrive in step.
///
/// Arithmetic is in whole nanoseconds; the sample `u` of `0..1` chooses the point in the interval.
///
/// | constructor | delay before retry *n* (1, 2, …) | source |
/// |---|---|---|
/// | [`decorrelated_jitter`](Backoff::decorrelated_jitter) | U(base, min(cap, 3 · previous)) | AWS, range-limited |
/// | [`textbook_decorrelated_jitter`](Backoff::textbook_decorrelated_jitter) | min(cap, U(base, 3 · previous)) | AWS, as published |
/// | [`full_jitter`](Backoff::full_jitter) | U(0, v), v = min(cap, base · factorⁿ⁻¹) | AWS |
/// | [`equal_jitter`](Backoff::equal_jitter) | U(v/2, v) | AWS |
/// | [`exponential`](Backoff::exponential) | v | |
/// | [`linear`](Backoff::linear) | min(cap, base · n) | |
/// | [`constant`](Backoff::constant) | base | |
/// | …[`.jittered(p)`](Backoff::jittered) on the last three | U(v(1 − p), min(cap, v(1 + p))) | |
///
/// "AWS" is *Exponential Backoff and Jitter*, Marc Brooker, AWS Architecture Blog, 2015.
/// Decorrelated jitter finishes contended work soonest; full jitter makes the fewest calls (the
/// crate's `contention` experiment shows both).
///
/// ```
/// use std::time::Duration;
/// use resilience_core::retry::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1))?;
/// let mut schedule = backoff.schedule();
/// let delays: Vec<_> = (0..5).map(|_| schedule.next(0.5).as_millis()).collect();
/// assert_eq!(delays, [100, 200, 400, 800, 1000]);
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    shape: Shape,
    /// In nanoseconds, as is `cap`; `base <= cap <= MAX_WAIT` by construction.
    base: u64,
    cap: u64,
}

impl Backoff {
    /// Draws each delay between `base` and three times the previous delay; `cap` limits that range.
    /// Delays are in `base..=cap`, and do not pile up at the cap.
    ///
    /// # Errors
    /// If `base` is zero or more than `cap`, or `cap` is more than a year.
    pub fn decorrelated_jitter(base: Duration, cap: Duration) -> Result<Backoff, InvalidConfig> {
        Backoff::new(Shape::Decorrelated, base, cap)
    }

    /// Draws as [`decorrelated_jitter`](Backoff::decorrelated_jitter), by the formula as published,
    /// for comparison: about a third of the late delays *are* the cap. Delays are in `base..=cap`.
    ///
    /// # Errors
    /// If `base` is zero or more than `cap`, or `cap` is more than a year.
    pub fn textbook_decorrelated_jitter(
        base: Duration,
        cap: Duration,
    ) -> Result<Backoff, InvalidConfig> {
        Backoff::new(Shape::TextbookDecorrelated, base, cap)
    }

    /// Draws each delay between zero and the exponential delay. Delays are in `0..=cap`.
    ///
    /// # Errors
    /// If `base` is zero or more than `cap`, or `cap` is more than a year.
    pub fn full_jitter(base: Duration, cap: Duration) -> Result<Backoff, InvalidConfig> {
        Backoff::new(Shape::Full { factor: 2.0 }, base, cap)
    }

    /// Draws each delay between half of the exponential delay and all of it. Delays are in
    /// `base/2..=cap`.
    ///
    /// # Errors
    /// If `base` is zero or more than `cap`, or `cap` is more than a year.
    pub fn equal_jitter(base: Duration, cap: Duration) -> Result<Backoff, InvalidConfig> {
        Backoff::new(Shape::Equal { factor: 2.0 }, base, cap)
    }

    /// Doubles `base` with each retry, up to `cap`. Without jitter; see
    /// [`jittered`](Backoff::jittered).
    ///
    /// # Errors
    /// If `base` is zero or more than `cap`, or `cap` is more than a year.
    pub fn exponential(base: Duration, cap: Duration) -> Result<Backoff, InvalidConfig> {
        Backoff::new(Shape::Exponential { factor: 2.0, percent: 0.0 }, base, cap)
    }

    /// Waits `base`, and `base` more with each retry, up to `cap`. Without jitter; see
    /// [`jittered`](Backoff::jittered).
    ///
    /// # Errors
    /// If `base` is zero or more than `cap`, or `cap` is more than a year.
    pub fn linear(base: Duration, cap: Duration) -> Result<Backoff, InvalidConfig> {
        Backoff::new(Shape::Linear { percent: 0.0 }, base, cap)
    }

    /// Waits `wait` before every retry. Without jitter; see [`jittered`](Backoff::jittered).
    ///
    /// # Errors
    /// If `wait` is zero (use [`Backoff::none`]) or more than a year.
    pub fn constant(wait: Duration) -> Result<Backoff, InvalidConfig> {
        let wait = nanos(config::wait("wait", wait)?);
        Ok(Backoff { shape: Shape::Constant { percent: 0.0 }, base: wait, cap: wait })
    }

    /// Returns a backoff without waits.
    #[must_use]
    pub const fn none() -> Backoff {
        Backoff { shape: Shape::Constant { percent: 0.0 }, base: 0, cap: 0 }
    }

    fn new(shape: Shape, base: Duration, cap: Duration) -> Result<Backoff, InvalidConfig> {
        config::wait("base", base)?;
        config::wait("cap", cap)?;
        if base > cap {
            return Err(InvalidConfig::new(
                "base",
                format_args!("{base:?}"),
                format_args!("at most `cap` ({cap:?})"),
            ));
        }
        Ok(Backoff { shape, base: nanos(base), cap: nanos(cap) })
    }

    /// Multiplies by `factor` with each retry, in place of 2.
    ///
    /// # Errors
    /// If `factor` is not between 1 and 1,000, or this backoff does not grow by a factor.
    pub fn with_factor(mut self, factor: f64) -> Result<Backoff, InvalidConfig> {
        let given = config::number("factor", factor, 1.0, 1_000.0)?;
        match &mut self.shape {
            Shape::Full { factor }
            | Shape::Equal { factor }
            | Shape::Exponential { factor, .. } => *factor = given,
            _ => {
                return Err(InvalidConfig::new(
                    "factor",
                    given,
                    "left out: only full, equal and exponential grow by a factor",
                ));
            }
        }
        Ok(self)
    }

    /// Draws from `percent` (0.25 is ±25 %) around the delay; the cap limits that range before the
    /// draw. A constant backoff has no cap, and reaches its wait plus `percent`; the others stay in
    /// `0..=cap`.
    ///
    /// # Errors
    /// If `percent` is not between 0 and 1, or this backoff is drawn from an interval already.
    pub fn jittered(mut self, percent: f64) -> Result<Backoff, InvalidConfig> {
        let given = config::number("percent", percent, 0.0, 1.0)?;
        match &mut self.shape {
            Shape::Exponential { percent, .. } | Shape::Linear { percent } => *percent = given,
            Shape::Constant { percent } => {
                *percent = given;
                self.cap = scaled(self.base, 1.0 + given);
            }
            _ => {
                return Err(InvalidConfig::new(
                    "percent",
                    given,
                    "left out: this is jittered already",
                ));
            }
        }
        Ok(self)
    }

    /// Returns the longest delay.
    #[must_use]
    pub fn cap(&self) -> Duration {
        Duration::from_nanos(self.cap)
    }

    /// Returns the delays of one call, from the first.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        Schedule { backoff: *self, step: Step::default() }
    }

    /// Returns the delay after `step`, at `u` of its interval, and advances `step`.
    pub(crate) fn delay(&self, step: &mut Step, u: f64) -> Duration {
        // See docs/decisions/0004-intervals-are-clamped-samples-are-not.md.
        let (low, high) = self.interval(*step);
        // The cap limits a drawn value only in the textbook formula; all other intervals end at the
        // cap.
        let drawn = lerp(low, high, u).min(self.cap);
        step.advance(drawn);
        Duration::from_nanos(drawn)
    }

    /// Returns the delay after `step` for a server that named at least `hint`. Never less than the
    /// hint or the own delay. The wait after the hint is spread over the own interval, because the
    /// server named the same time to all callers that it rejected.
    ///
    /// A hint longer than the own delay starts the backoff over (gRPC A6).
    pub(crate) fn delay_after(&self, step: &mut Step, hint: Duration, u: f64) -> Duration {
        // See docs/decisions/0003-a-hint-is-a-floor-with-a-spread-after-it.md.
        let (_, high) = self.interval(*step);
        let own = self.delay(step, u);
        if hint > own {
            *step = Step::default();
        }
        let spread = Duration::from_nanos(lerp(0, high.min(self.cap), u));
        own.max(hint.saturating_add(spread))
    }

    /// Returns the ends of the interval of the next delay.
    fn interval(&self, step: Step) -> (u64, u64) {
        let grown = |factor: f64| {
            // `powi` of a finite factor is at worst infinite, and the minimum ends that.
            let exponent = i32::try_from(step.retries).unwrap_or(i32::MAX);
            scaled(self.base, factor.powi(exponent)).min(self.cap)
        };
        let around = |value: u64, percent: f64| {
            (scaled(value, 1.0 - percent), scaled(value, 1.0 + percent).min(self.cap))
        };
        let tripled = || step.previous.max(self.base).saturating_mul(3);
        match self.shape {
            Shape::Decorrelated => (self.base, tripled().min(self.cap)),
            Shape::TextbookDecorrelated => (self.base, tripled()),
            Shape::Full { factor } => (0, grown(factor)),
            Shape::Equal { factor } => {
                let value = grown(factor);
                (value / 2, value)
            }
            Shape::Exponential { factor, percent } => around(grown(factor), percent),
            Shape::Linear { percent } => {
                let nth = u64::from(step.retries) + 1;
                around(self.base.saturating_mul(nth).min(self.cap), percent)
            }
            Shape::Constant { percent } => around(self.base, percent),
        }
    }
}

/// The position of a call in its backoff: the number of waits, and the latest one in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    retries: u32,
    previous: u64,
}

impl Step {
    fn advance(&mut self, delay: u64) {
        self.retries = self.retries.saturating_add(1);
        self.previous = delay;
    }
}

/// The delays of one call, in order. The caller passes the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
#[doc(hidden)]
pub struct Schedule {
    backoff: Backoff,
    step: Step,
}

impl Schedule {
    /// Returns the next delay, at `u` of its interval. `u` is a sample of `0..1`; any other number
    /// counts as the nearer end, and NaN as 0.
    pub fn next(&mut self, u: f64) -> Duration {
        self.backoff.delay(&mut self.step, u)
    }

    /// Returns the next delay for a server that named at least `hint`. Never less than `hint`.
    pub fn next_after(&mut self, hint: Duration, u: f64) -> Duration {
        self.backoff.delay_after(&mut self.step, hint, u)
    }
}

/// Returns `value * factor`, saturated; zero for NaN.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates on purpose")]
#[expect(clippy::cast_precision_loss, reason = "a delay is not precise to its 53rd bit")]
fn scaled(value: u64, factor: f64) -> u64 {
    // Exact for a factor of one: a constant wait without jitter is exactly its wait.
    if factor == 1.0 { value } else { (value as f64 * factor) as u64 }
}

fn lerp(low: u64, high: u64, u: f64) -> u64 {
    let span = high.saturating_sub(low);
    low + scaled(span, u.clamp(0.0, 1.0)).min(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn nothing_piles_up_at_the_cap() {
        let backoff = Backoff::decorrelated_jitter(MS(100), MS(10_000)).unwrap();
        let textbook = Backoff::textbook_decorrelated_jitter(MS(100), MS(10_000)).unwrap();
        let mut ours = 0;
        let mut published = 0;
        // A fixed low-discrepancy walk through [0, 1): the golden ratio.
        let mut u = 0.0;
        for _ in 0..10_000 {
            let mut our_delays = backoff.schedule();
            let mut published_delays = textbook.schedule();
            let mut last = [Duration::ZERO; 2];
            for _ in 0..10 {
                u = (u + 0.618_033_988_749_894_9_f64 + 0.137 * u).fract();
                last = [our_delays.next(u), published_delays.next(u)];
            }
            ours += usize::from(last[0] >= MS(10_000));
            published += usize::from(last[1] >= MS(10_000));
        }
        assert_eq!(ours, 0);
        assert!(published > 500, "the published formula has mass at its cap: {published}");
    }

    #[test]
    fn a_hint_is_a_floor_and_is_jittered_after() {
        let backoff = Backoff::full_jitter(MS(50), MS(20_000)).unwrap();
        let at = |hint, u| backoff.schedule().next_after(hint, u);
        assert_eq!(at(MS(3_000), 0.0), MS(3_000));
        assert_eq!(at(MS(3_000), 0.5), MS(3_025));
        assert_eq!(at(MS(10), 1.0), MS(60));
        assert_eq!(at(Duration::ZERO, 1.0), MS(50));
        assert_eq!(at(Duration::MAX, 1.0), Duration::MAX);
    }

    #[test]
    fn after_a_hint_the_backoff_starts_over() {
        let mut schedule = Backoff::exponential(MS(100), MS(10_000)).unwrap().schedule();
        schedule.next(0.0);
        schedule.next(0.0);
        assert!(schedule.next_after(MS(1_000), 0.0) >= MS(1_000));
        assert_eq!(schedule.next(0.0), MS(100));
    }

    #[test]
    fn impossible_configurations_are_named() {
        let named = |result: Result<Backoff, InvalidConfig>| result.unwrap_err().field();
        assert_eq!(named(Backoff::full_jitter(Duration::ZERO, MS(1))), "base");
        assert_eq!(named(Backoff::full_jitter(MS(2), MS(1))), "base");
        assert_eq!(named(Backoff::full_jitter(MS(2), Duration::MAX)), "cap");
        assert_eq!(named(Backoff::constant(Duration::ZERO)), "wait");
        let linear = Backoff::linear(MS(1), MS(2)).unwrap();
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            let exponential = Backoff::exponential(MS(1), MS(2)).unwrap();
            assert_eq!(named(exponential.with_factor(bad)), "factor");
        }
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(named(linear.jittered(bad)), "percent");
        }
        assert_eq!(named(linear.with_factor(3.0)), "factor");
        let full = Backoff::full_jitter(MS(1), MS(2)).unwrap();
        assert_eq!(named(full.jittered(0.2)), "percent");
    }

    #[test]
    fn wild_samples_land_on_the_ends() {
        let mut schedule = Backoff::full_jitter(MS(50), MS(50)).unwrap().schedule();
        assert_eq!(schedule.next(f64::NAN), Duration::ZERO);
        assert_eq!(schedule.next(-3.0), Duration::ZERO);
        assert_eq!(schedule.next(f64::INFINITY), MS(50));
    }
}
