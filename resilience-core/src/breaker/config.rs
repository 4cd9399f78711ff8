//! Configuration of a circuit.

use std::time::Duration;

use super::builder::CircuitBreakerBuilder;
#[cfg(feature = "tower")]
use super::window::WindowSpan;
use super::window::{Counts, SlidingWindow};
use crate::clock::tick::Tick;
use crate::clock::{self, nanos};
use crate::outcome::{Outcome, RetryHint};
#[cfg(feature = "tower")]
use crate::plan_input::BreakerInput;
use crate::rejection::RejectionKind;

/// The checked settings of a circuit: when it opens, for how long, and how it closes again.
/// Returned by [`CircuitBreakerBuilder::config`].
///
/// Not stored in the [`Circuit`](super::Circuit): one configuration serves a hundred thousand
/// circuits, and changes for all of them at once.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitConfig {
    pub(super) consecutive: Option<u16>,
    pub(super) windows: Box<[SlidingWindow]>,
    pub(super) detectors: Box<[Detector]>,
    pub(super) slow_after: Option<Duration>,
    pub(super) permanent_fails: bool,
    pub(super) throttled_in_rates_only: bool,
    /// Kinds of rejections, by layers below, that count as failures.
    pub(super) counted_rejections: Box<[RejectionKind]>,
    pub(super) abandoned: AbandonedPolicy,
    pub(super) break_: Break,
    pub(super) hints: Hints,
    pub(super) probes: u16,
    pub(super) goal: Goal,
    pub(super) max_half_open: Duration,
    pub(super) close_when_too_long: bool,
    pub(super) ramp: Option<Ramp>,
    pub(super) observe_only: bool,
}

impl CircuitConfig {
    /// Returns a builder with the defaults of [`CircuitBreakerBuilder`].
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder::new()
    }

    /// Returns how a call that took `took` nanoseconds counts; `None` if it does not count.
    #[inline]
    pub(super) fn judge(&self, outcome: Outcome, took: u64) -> Option<super::window::CallMark> {
        let slow = self.slow_after.is_some_and(|limit| took >= nanos(limit));
        let failed = match outcome {
            Outcome::Success => false,
            Outcome::Permanent => self.permanent_fails,
            Outcome::Transient(_)
            | Outcome::TimedOut
            | Outcome::Throttled(_)
            | Outcome::Unknown => true,
            Outcome::NotReady(_) => return None,
            Outcome::Abandoned => match self.abandoned {
                AbandonedPolicy::Failure => true,
                AbandonedPolicy::Slow if slow => false,
                AbandonedPolicy::Slow | AbandonedPolicy::Ignore => return None,
            },
        };
        Some(super::window::CallMark { failed, slow })
    }

    /// Returns `true` if a call that ended so takes part in the rule on failures in a row.
    #[inline]
    pub(super) fn is_in_streak(&self, outcome: Outcome) -> bool {
        !(self.throttled_in_rates_only && matches!(outcome, Outcome::Throttled(_)))
    }

    /// Returns when the last stage of the ramp is over, if this one is at `until`.
    pub(super) fn ramp_ends(&self, until: Tick, stage: u8) -> Tick {
        let Some(ramp) = &self.ramp else { return until };
        let left = ramp.shares.len().saturating_sub(usize::from(stage) + 1) as u64;
        until.after_ns(nanos(ramp.each).saturating_mul(left))
    }

    /// Returns the input of a stack's plan.
    #[cfg(feature = "tower")]
    pub(crate) fn planned(&self) -> BreakerInput {
        let windows = self.detectors.iter().filter_map(|detector| {
            match self.windows.get(detector.window)?.0 {
                WindowSpan::Time { length, .. } => Some((length, detector.minimum)),
                WindowSpan::Calls(_) => None,
            }
        });
        BreakerInput {
            windows: windows.collect(),
            slow_after: self.slow_after,
            shortest_break: self.break_.first,
            max_half_open: self.max_half_open,
        }
    }

    /// Returns the server's hint, up to the longest that is followed.
    pub(super) fn hint(&self, outcome: Outcome) -> Option<Duration> {
        match outcome {
            Outcome::Transient(RetryHint::After(hint))
            | Outcome::Throttled(RetryHint::After(hint)) => {
                Some(hint.min(self.hints.longest)).filter(|hint| !hint.is_zero())
            }
            _ => None,
        }
    }
}

/// The treatment of calls that are dropped before they end.
///
/// Ignored by default: a caller that left proves nothing about the service, and the loser of a
/// hedge is always dropped. A limit on the attempt belongs inside the breaker, where running out of
/// time is a result. The other two are for a limit outside of the breaker only: that limit drops
/// calls that hang, and the circuit would never open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbandonedPolicy {
    /// The call does not count. Its probe can be used again.
    #[default]
    Ignore,
    /// The call counts as a failure.
    Failure,
    /// The call counts as slow if it had already taken as long as a slow call, and does not count
    /// otherwise.
    Slow,
}

/// The rule by which probes close a circuit.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ProbeRule {
    /// At least this share of the probes succeeds. More than 0, at most 1.
    Ratio(f64),
    /// This number of probes succeeds in a row. From 1 to 1,000.
    InARow(u32),
}

/// A share of calls, in millionths: rates are compared in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share(pub(super) u32);

impl Share {
    const WHOLE: u128 = 1_000_000;

    /// Returns `true` if `part` of `calls` reaches this share.
    pub(super) fn is_reached(self, part: u64, calls: u64) -> bool {
        u128::from(part) * Share::WHOLE >= u128::from(self.0) * u128::from(calls)
    }

    /// Returns the smallest part of `calls` that reaches this share.
    #[expect(clippy::cast_possible_truncation, reason = "a share is at most the whole")]
    pub(super) fn of(self, calls: u64) -> u64 {
        (u128::from(self.0) * u128::from(calls)).div_ceil(Share::WHOLE) as u64
    }
}

/// The kind of calls that a detector watches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Detector {
    pub(super) window: usize,
    pub(super) watches: Watches,
    pub(super) share: Share,
    pub(super) minimum: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watches {
    Failures,
    Slow,
}

impl Detector {
    /// Returns the part of `counts` that it watches.
    pub(super) fn part(&self, counts: Counts) -> u64 {
        match self.watches {
            Watches::Failures => counts.failures,
            Watches::Slow => counts.slow,
        }
    }

    /// Returns `true` if there are at least the minimum of calls.
    pub(super) fn is_meaningful(&self, counts: Counts) -> bool {
        counts.calls >= u64::from(self.minimum)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Break {
    pub(super) first: Duration,
    pub(super) factor: f64,
    pub(super) max: Duration,
    pub(super) jitter: f64,
    pub(super) memory: Option<Duration>,
}

impl Break {
    /// Returns the length of the break after `steps` others, before jitter.
    pub(super) fn length(&self, steps: u16) -> Duration {
        if self.factor <= 1.0 {
            return self.first;
        }
        let grown = self.first.as_secs_f64() * self.factor.powi(i32::from(steps));
        Duration::try_from_secs_f64(grown).unwrap_or(self.max).min(self.max)
    }

    /// Returns `length` with up to the jitter added or subtracted.
    pub(super) fn jittered(&self, length: Duration, u: f64) -> Duration {
        if self.jitter == 0.0 {
            return length;
        }
        let factor = 1.0 + self.jitter * (2.0 * u - 1.0);
        Duration::try_from_secs_f64(length.as_secs_f64() * factor)
            .unwrap_or(length)
            .min(clock::MAX_WAIT)
    }

    /// Returns the time between a hint and the end of the break: up to the jitter's share of
    /// `length`.
    pub(super) fn spread(&self, length: Duration, u: f64) -> Duration {
        let spread = length.as_secs_f64() * self.jitter * u;
        Duration::try_from_secs_f64(spread).unwrap_or_default().min(clock::MAX_WAIT)
    }

    /// Returns when the growth of `steps` breaks is forgotten, if the circuit is closed from
    /// `since` on.
    pub(super) fn forgotten_at(&self, since: Tick, steps: u16) -> Tick {
        match self.memory {
            _ if steps == 0 => Tick::LONG_AGO,
            Some(memory) => since.after_ns(nanos(memory).saturating_mul(steps.into())),
            None => Tick::NEVER,
        }
    }

    /// Returns the steps that are forgotten after this many nanoseconds of being closed.
    pub(super) fn forgotten(&self, closed_for: u64) -> u16 {
        let steps = self.memory.map_or(0, |memory| closed_for / nanos(memory).max(1));
        u16::try_from(steps).unwrap_or(u16::MAX)
    }
}

/// The use of servers' hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hints {
    /// Zero if they are ignored.
    pub(super) longest: Duration,
    pub(super) open: bool,
}

/// The number of probes that must succeed, of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goal {
    pub(super) needed: u16,
    pub(super) of: u16,
}

impl Goal {
    /// Returns `true` if the goal is out of reach.
    pub(super) fn is_missed(self, bad: u16) -> bool {
        bad > self.of - self.needed
    }

    /// Returns `true` if a stage of a ramp has more bad calls than the probes may have.
    pub(super) fn is_missed_by_stage(self, good: u32, bad: u32) -> bool {
        let calls = u64::from(good) + u64::from(bad);
        let needed = u64::from(self.needed);
        let of = u64::from(self.of);
        (needed == of || calls >= of) && u64::from(bad) * of > calls * (of - needed)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ramp {
    pub(super) shares: Box<[f64]>,
    pub(super) each: Duration,
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn rates_are_compared_exactly() {
        // 0.07 * 100.0 is more than 7 in floating point.
        assert!(Share(70_000).is_reached(7, 100));
        assert!(!Share(70_001).is_reached(7, 100));
        assert_eq!(Share(500_000).of(5), 3);
        assert_eq!(Share(1_000_000).of(u64::MAX), u64::MAX);
    }

    #[test]
    fn breaks_grow_to_the_longest_and_stay_there() {
        let second = Duration::from_secs(1);
        let grows =
            Break { first: second * 5, factor: 2.0, max: second * 300, jitter: 0.1, memory: None };
        assert_eq!(grows.length(0), second * 5);
        assert_eq!(grows.length(3), second * 40);
        assert_eq!(grows.length(u16::MAX), second * 300);
        assert_eq!(grows.jittered(second * 10, 0.0), second * 9);
        assert_eq!(grows.jittered(second * 10, 0.5), second * 10);
        assert_eq!(grows.jittered(second * 10, 1.0), second * 11);
        assert_eq!([0.5, 1.0].map(|u| grows.spread(second * 10, u)), [second / 2, second]);
        for wild in [f64::NAN, f64::INFINITY, -1.0, f64::MAX] {
            assert_eq!(grows.spread(second, wild), Duration::ZERO, "{wild}");
        }
        assert_eq!(grows.forgotten(u64::MAX), 0);
    }

    #[test]
    fn a_stage_is_missed_as_the_probes_would_be() {
        let strict = Goal { needed: 3, of: 3 };
        assert!(strict.is_missed_by_stage(1_000, 1));
        let half = Goal { needed: 2, of: 4 };
        assert!(!half.is_missed_by_stage(0, 3), "too early to say");
        assert!(half.is_missed_by_stage(1, 3));
        assert!(!half.is_missed_by_stage(2, 2));
    }
}
