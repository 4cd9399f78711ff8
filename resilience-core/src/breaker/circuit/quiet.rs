//! Calls that change nothing but a number.
//!
//! Most calls of most circuits go well while the circuit is closed. Until a bucket is over, or the
//! minimum of calls is reached with failures among them, such a call cannot change the state: a share of
//! failures only falls by it. So they can be counted elsewhere, one addition each, and
//! [credited](Circuit::credit) before anything else is decided.
//!
//! So can those that are refused while a break lasts: all are told the same, and nothing comes of them.

use super::phase::Phase;
use super::{Circuit, Refusal};
use crate::breaker::config::CircuitConfig;
use crate::breaker::state::CircuitState;
use crate::breaker::window::Room;
use crate::rejection::Unit;
use crate::tick::Tick;

/// A break: until it is over every call is refused. Of what opened it there were `observed`, where `limit`
/// is where it opens, if that is known.
#[derive(Debug, Clone, Copy)]
pub(in crate::breaker) struct Standstill {
    pub(in crate::breaker) until: Tick,
    pub(in crate::breaker) observed: u32,
    pub(in crate::breaker) limit: u32,
    pub(in crate::breaker) unit: Unit,
}

impl Standstill {
    /// What a call is told at `now`.
    #[inline]
    pub(in crate::breaker) fn refusal(self, now: Tick) -> Refusal {
        let known = self.limit > 0;
        Refusal {
            state: CircuitState::Open,
            retry_after: (self.until != Tick::NEVER).then(|| self.until.left(now)),
            observed: known.then_some(self.observed.into()),
            limit: known.then_some(self.limit.into()),
            unit: self.unit,
        }
    }
}

impl Circuit {
    /// How many calls that go well, and are not slow, may be counted elsewhere and
    /// [credited](Circuit::credit) later. None, unless all calls pass.
    #[must_use]
    pub fn room(&self, config: &CircuitConfig) -> Room {
        if !matches!(self.phase, Phase::Closed { .. } | Phase::ForcedClosed) {
            return Room::NONE;
        }
        let room = self.tally.room(&config.windows);
        // The call that makes a rate say something may open, though it went well.
        let before_minimum = config.detectors.iter().filter_map(|detector| {
            let counts = self.tally.counts(detector.window);
            let decides = detector.part(counts) > 0 && !detector.is_meaningful(counts);
            let calls = u64::from(detector.minimum).saturating_sub(counts.calls + 1);
            decides.then_some(u32::try_from(calls).unwrap_or(u32::MAX))
        });
        Room { calls: before_minimum.fold(room.calls, u32::min), ..room }
    }

    /// So many calls, that there was [room](Circuit::room) for, went well since. To be called, by the
    /// rules that the room was for, before anything else is asked or told.
    pub fn credit(&mut self, calls: u32) {
        if calls > 0 {
            self.streak = 0;
            self.tally.credit(calls);
        }
    }

    /// The break that every call is refused in, if that is so.
    #[cfg(feature = "tokio")]
    pub(in crate::breaker) fn standstill(&self, config: &CircuitConfig) -> Option<Standstill> {
        if config.observe_only { None } else { self.phase.standstill() }
    }

    /// So many calls were refused.
    pub(in crate::breaker) fn refused(&mut self, calls: u32) {
        self.not_permitted = self.not_permitted.saturating_add(calls);
    }
}
