//! The results of calls.

use std::time::Instant;

use super::phase::Phase;
use super::{Admission, Circuit};
use crate::breaker::config::{CircuitConfig, Watches};
use crate::breaker::state::{Change, TransitionReason};
use crate::breaker::window::{CallMark, CallWindows};
use crate::clock::tick::Tick;
use crate::outcome::Outcome;

/// The cause that opens a circuit: `observed` of something, at a limit of `limit`.
pub(super) struct Trip {
    reason: TransitionReason,
    observed: u64,
    limit: u64,
}

impl Circuit {
    /// Records the outcome of a call that ended at `now`, after what [time alone](Circuit::advance)
    /// does. Returns the change of state, if there is one. `u` is called for a sample of `0..1` if
    /// a break begins.
    ///
    /// Changes nothing if the state has changed since the call was admitted, also by time.
    pub fn record(
        &mut self,
        config: &CircuitConfig,
        admission: Admission,
        outcome: Outcome,
        now: Instant,
        mut u: impl FnMut() -> f64,
    ) -> Option<Change> {
        let now = Tick::of(now);
        self.advance_at(config, now, &mut u);
        self.record_at(config, admission, outcome, now, u)
    }

    #[inline]
    pub(in crate::breaker) fn record_at(
        &mut self,
        config: &CircuitConfig,
        admission: Admission,
        outcome: Outcome,
        now: Tick,
        u: impl FnOnce() -> f64,
    ) -> Option<Change> {
        if admission.generation != self.generation {
            self.stale = self.stale.saturating_add(1);
            return None;
        }
        self.phase.give_place_back();
        let mark = config.judge(outcome, admission.took(now))?;
        match &mut self.phase {
            Phase::Closed { hinted, .. } => {
                let hint = config.hint(outcome);
                if let Some(hint) = hint {
                    *hinted = now.after(hint).max(*hinted);
                }
                self.count(config, now, outcome, mark);
                let trip = if hint.is_some() && config.hints.open {
                    Trip { reason: TransitionReason::Hint, observed: 0, limit: 0 }
                } else {
                    self.trip(config)?
                };
                let until = self.hinted();
                self.trip_at(config, now, trip, until, u())
            }
            Phase::ForcedClosed => {
                self.count(config, now, outcome, mark);
                None
            }
            Phase::HalfOpen { good, bad, .. } => {
                let is_bad = mark.failed || mark.slow;
                *good += u16::from(!is_bad);
                *bad += u16::from(is_bad);
                let ended = (*good, *bad);
                self.judge_probes(config, now, ended, outcome, u)
            }
            Phase::Ramping { good, bad, .. } => {
                let is_bad = mark.failed || mark.slow;
                *good = good.saturating_add(u32::from(!is_bad));
                *bad = bad.saturating_add(u32::from(is_bad));
                if !config.goal.is_missed_by_stage(*good, *bad) {
                    return None;
                }
                let observed = u64::from(*bad);
                self.fail_probes(config, now, outcome, observed, u())
            }
            Phase::Open { .. } | Phase::ForcedOpen { .. } | Phase::Disabled => None,
        }
    }

    #[inline]
    fn count(&mut self, config: &CircuitConfig, now: Tick, outcome: Outcome, mark: CallMark) {
        if config.is_in_streak(outcome) {
            self.streak = if mark.failed { self.streak.saturating_add(1) } else { 0 };
        }
        self.call_windows.record(&config.windows, now, mark);
    }

    fn hinted(&self) -> Option<Tick> {
        match self.phase {
            Phase::Closed { hinted, .. } => Some(hinted),
            _ => None,
        }
    }

    /// Returns the cause to open now, if there is one.
    #[inline]
    fn trip(&self, config: &CircuitConfig) -> Option<Trip> {
        if let Some(limit) = config.consecutive.filter(|&limit| self.streak >= limit) {
            return Some(Trip {
                reason: TransitionReason::ConsecutiveFailures,
                observed: self.streak.into(),
                limit: limit.into(),
            });
        }
        config.detectors.iter().find_map(|detector| {
            let counts = self.call_windows.counts(detector.window);
            let observed = detector.part(counts);
            // A share is more than zero: without a bad call, the usual case, it is not reached.
            let trips = observed > 0
                && detector.is_meaningful(counts)
                && detector.share.is_reached(observed, counts.calls);
            let reason = match detector.watches {
                Watches::Failures => TransitionReason::FailureRate,
                Watches::Slow => TransitionReason::SlowCallRate,
            };
            trips.then(|| Trip { reason, observed, limit: detector.share.of(counts.calls) })
        })
    }

    fn judge_probes(
        &mut self,
        config: &CircuitConfig,
        now: Tick,
        (good, bad): (u16, u16),
        outcome: Outcome,
        u: impl FnOnce() -> f64,
    ) -> Option<Change> {
        let goal = config.goal;
        if goal.is_missed(bad) {
            return self.fail_probes(config, now, outcome, bad.into(), u());
        }
        if good < goal.needed {
            return None;
        }
        self.call_windows = CallWindows::default();
        let phase = match &config.ramp {
            Some(ramp) => Phase::ramping(now.after(ramp.each), 0, None),
            None => Phase::closed(now),
        };
        self.set_state(phase, TransitionReason::ProbesSucceeded)
    }

    fn fail_probes(
        &mut self,
        config: &CircuitConfig,
        now: Tick,
        outcome: Outcome,
        observed: u64,
        u: f64,
    ) -> Option<Change> {
        let limit = u64::from(config.goal.of - config.goal.needed) + 1;
        let trip = Trip { reason: TransitionReason::ProbesFailed, observed, limit };
        let hinted = config.hint(outcome).map(|hint| now.after(hint));
        self.trip_at(config, now, trip, hinted, u)
    }

    /// Ends the stage of a ramp that was over at `until`.
    pub(super) fn next_stage(
        &mut self,
        config: &CircuitConfig,
        stage: u8,
        until: Tick,
    ) -> Option<Change> {
        match &config.ramp {
            Some(ramp) if usize::from(stage) + 1 < ramp.shares.len() => {
                let until = until.after(ramp.each);
                self.phase = Phase::ramping(until, stage + 1, self.phase.reason());
                None
            }
            _ => self.set_state(Phase::closed(until), TransitionReason::RampCompleted),
        }
    }

    /// Opens for a break.
    pub(super) fn open(
        &mut self,
        config: &CircuitConfig,
        now: Tick,
        hinted: Option<Tick>,
        reason: TransitionReason,
        u: f64,
    ) -> Option<Change> {
        self.trip_at(config, now, Trip { reason, observed: 0, limit: 0 }, hinted, u)
    }

    fn trip_at(
        &mut self,
        config: &CircuitConfig,
        now: Tick,
        trip: Trip,
        hinted: Option<Tick>,
        u: f64,
    ) -> Option<Change> {
        if let Phase::Closed { since, .. } = self.phase {
            self.steps = self.steps.saturating_sub(config.break_.forgotten(now.since(since)));
        }
        let length = config.break_.length(self.steps);
        if config.break_.length(self.steps.saturating_add(1)) > length {
            self.steps += 1;
        }
        let own = now.after(config.break_.jittered(length, u));
        // All callers got the same hint: the jitter begins at its end.
        let spread = config.break_.spread(length, u);
        let by_hint = hinted.filter(|&hinted| hinted > now).map(|hinted| hinted.after(spread));
        let until = own.max(by_hint.unwrap_or(own));
        self.opened = self.opened.saturating_add(1);
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let phase = Phase::Open {
            until,
            reason: trip.reason,
            observed: count(trip.observed),
            limit: count(trip.limit),
        };
        let change = self.set_state(phase, trip.reason)?;
        Some(Change { retry_after: Some(until.left(now)), ..change })
    }
}
