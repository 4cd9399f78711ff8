//! The data of each state.

use super::CircuitRejection;
use super::uncounted::OpenSnapshot;
use crate::breaker::config::CircuitConfig;
use crate::breaker::state::{CircuitState, TransitionReason};
use crate::clock::tick::Tick;
use crate::rejection::Unit;

/// The state of a circuit, in 24 bytes. `reason` is that of the change to the state.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// `hinted` is the latest time that a server named in a hint.
    Closed {
        since: Tick,
        hinted: Tick,
        reason: Option<TransitionReason>,
    },
    /// `observed` is the count that opened the circuit, at a limit of `limit`.
    Open {
        until: Tick,
        reason: TransitionReason,
        observed: u32,
        limit: u32,
    },
    /// `deadline` is that of the first probe.
    HalfOpen {
        deadline: Tick,
        in_flight: u16,
        good: u16,
        bad: u16,
        reason: Option<TransitionReason>,
    },
    Ramping {
        until: Tick,
        stage: u8,
        good: u32,
        bad: u32,
        reason: Option<TransitionReason>,
    },
    ForcedOpen {
        until: Tick,
    },
    ForcedClosed,
    Disabled,
}

impl Phase {
    pub(super) fn closed(since: Tick) -> Phase {
        Phase::Closed { since, hinted: Tick::LONG_AGO, reason: None }
    }

    pub(super) fn half_open() -> Phase {
        Phase::HalfOpen { deadline: Tick::NEVER, in_flight: 0, good: 0, bad: 0, reason: None }
    }

    pub(super) fn ramping(until: Tick, stage: u8, reason: Option<TransitionReason>) -> Phase {
        Phase::Ramping { until, stage, good: 0, bad: 0, reason }
    }

    /// Returns the reason of the change to this phase; `None` if nothing ever changed.
    pub(super) fn reason(&self) -> Option<TransitionReason> {
        match *self {
            Phase::Closed { reason, .. }
            | Phase::HalfOpen { reason, .. }
            | Phase::Ramping { reason, .. } => reason,
            Phase::Open { reason, .. } => Some(reason),
            Phase::ForcedOpen { .. } | Phase::ForcedClosed | Phase::Disabled => {
                Some(TransitionReason::Manual)
            }
        }
    }

    /// Sets the reason of the change to this phase. An open phase has its reason already.
    pub(super) fn because(mut self, why: Option<TransitionReason>) -> Phase {
        if let Phase::Closed { reason, .. }
        | Phase::HalfOpen { reason, .. }
        | Phase::Ramping { reason, .. } = &mut self
        {
            *reason = why;
        }
        self
    }

    /// Returns `true` if time alone has ended this phase at `now`.
    pub(super) fn is_over(&self, now: Tick) -> bool {
        match *self {
            Phase::Open { until, .. }
            | Phase::ForcedOpen { until }
            | Phase::Ramping { until, .. }
            | Phase::HalfOpen { deadline: until, .. } => now >= until,
            Phase::Closed { .. } | Phase::ForcedClosed | Phase::Disabled => false,
        }
    }

    pub(super) fn state(&self) -> CircuitState {
        match self {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { .. } => CircuitState::Open,
            Phase::HalfOpen { .. } => CircuitState::HalfOpen,
            Phase::Ramping { .. } => CircuitState::Ramping,
            Phase::ForcedOpen { .. } => CircuitState::ForcedOpen,
            Phase::ForcedClosed => CircuitState::ForcedClosed,
            Phase::Disabled => CircuitState::Disabled,
        }
    }

    /// Returns the rejection of the next call. `None` if that call may pass.
    pub(super) fn rejection(&self, config: &CircuitConfig, now: Tick) -> Option<CircuitRejection> {
        if let Some(open_snapshot) = self.open_snapshot() {
            return Some(CircuitRejection { state: self.state(), ..open_snapshot.rejection(now) });
        }
        match *self {
            Phase::HalfOpen { deadline, in_flight, good, bad, .. } => {
                let decided = good + bad;
                // In a wider type: the probes may have been admitted by another configuration.
                let out = u32::from(in_flight);
                let free = out < u32::from(config.probes)
                    && out + u32::from(decided) < u32::from(config.goal.of);
                (!free).then(|| CircuitRejection {
                    // If the probes fail, a break of at least this length follows.
                    retry_after: Some(config.break_.first.min(deadline.left(now))),
                    observed: Some(u64::from(out) + u64::from(decided)),
                    limit: Some(config.probes.into()),
                    unit: Unit::Probes,
                    state: self.state(),
                })
            }
            _ => None,
        }
    }

    /// Returns the break; `None` outside of one.
    pub(super) const fn open_snapshot(&self) -> Option<OpenSnapshot> {
        match *self {
            Phase::Open { until, observed, limit, reason } => {
                let unit = match reason {
                    TransitionReason::SlowCallRate => Unit::SlowCalls,
                    TransitionReason::ProbesFailed => Unit::FailedProbes,
                    _ => Unit::Failures,
                };
                Some(OpenSnapshot { until, observed, limit, unit })
            }
            Phase::ForcedOpen { until } => {
                Some(OpenSnapshot { until, observed: 0, limit: 0, unit: Unit::Failures })
            }
            _ => None,
        }
    }

    /// Rejects a random share of the calls during a ramp.
    pub(super) fn lot(
        &self,
        config: &CircuitConfig,
        now: Tick,
        u: &mut impl FnMut() -> f64,
    ) -> Option<CircuitRejection> {
        let Phase::Ramping { until, stage, .. } = *self else { return None };
        let share = *config.ramp.as_ref()?.shares.get(usize::from(stage))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1")]
        let percent = (share * 100.0) as u64;
        (u() >= share).then_some(CircuitRejection {
            state: CircuitState::Ramping,
            retry_after: Some(until.left(now)),
            observed: Some(100),
            limit: Some(percent),
            unit: Unit::Percent,
        })
    }

    /// Counts an admitted call.
    pub(super) fn take_place(&mut self, config: &CircuitConfig, now: Tick) {
        if let Phase::HalfOpen { deadline, in_flight, .. } = self {
            *in_flight += 1;
            *deadline = now.after(config.max_half_open).min(*deadline);
        }
    }

    /// Counts a call that ended. Without probes there is no deadline.
    pub(super) fn give_place_back(&mut self) {
        if let Phase::HalfOpen { deadline, in_flight, .. } = self {
            *in_flight = in_flight.saturating_sub(1);
            if *in_flight == 0 {
                *deadline = Tick::NEVER;
            }
        }
    }
}
