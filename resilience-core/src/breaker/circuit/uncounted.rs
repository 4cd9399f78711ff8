//! Calls that only change a count.
//!
//! Most calls of most circuits succeed while the circuit is closed. Until a bucket of a window is
//! over, or the minimum of calls is reached with failures among them, a success cannot change the
//! state: it only lowers the share of failures. So successes are counted elsewhere, one addition
//! each, and handed in by [`count_successes`](Circuit::count_successes) before anything else is
//! decided.
//!
//! Calls that are rejected during a break change no state either, and all have the same rejection.

use super::phase::Phase;
use super::{Circuit, CircuitRejection};
use crate::breaker::config::CircuitConfig;
use crate::breaker::state::CircuitState;
use crate::breaker::window::UncountedSuccesses;
use crate::clock::tick::Tick;
use crate::rejection::Unit;

/// A break, in which every call is rejected. `observed` of `unit` opened the circuit, at a limit of
/// `limit`; 0 if it was opened by hand.
#[derive(Debug, Clone, Copy)]
pub(in crate::breaker) struct OpenSnapshot {
    pub(in crate::breaker) until: Tick,
    pub(in crate::breaker) observed: u32,
    pub(in crate::breaker) limit: u32,
    pub(in crate::breaker) unit: Unit,
}

impl OpenSnapshot {
    /// Returns the rejection of a call at `now`.
    #[inline]
    pub(in crate::breaker) fn rejection(self, now: Tick) -> CircuitRejection {
        let known = self.limit > 0;
        CircuitRejection {
            state: CircuitState::Open,
            retry_after: (self.until != Tick::NEVER).then(|| self.until.left(now)),
            observed: known.then_some(self.observed.into()),
            limit: known.then_some(self.limit.into()),
            unit: self.unit,
        }
    }
}

impl Circuit {
    /// Returns how many successes that are not slow may be counted elsewhere, for a later
    /// [`count_successes`](Circuit::count_successes). None, unless all calls pass.
    #[doc(hidden)]
    #[must_use]
    pub fn uncounted_successes(&self, config: &CircuitConfig) -> UncountedSuccesses {
        if !matches!(self.phase, Phase::Closed { .. } | Phase::ForcedClosed) {
            return UncountedSuccesses::NONE;
        }
        let uncounted = self.call_windows.uncounted_successes(&config.windows);
        // The call that reaches the minimum of a rate may open the circuit though it succeeded.
        let before_minimum = config.detectors.iter().filter_map(|detector| {
            let counts = self.call_windows.counts(detector.window);
            let decides = detector.part(counts) > 0 && !detector.is_meaningful(counts);
            let calls = u64::from(detector.minimum).saturating_sub(counts.calls + 1);
            decides.then_some(u32::try_from(calls).unwrap_or(u32::MAX))
        });
        let calls = before_minimum.fold(uncounted.calls, u32::min);
        UncountedSuccesses { calls, ..uncounted }
    }

    /// Counts successes of those [allowed](Circuit::uncounted_successes). Call it with the
    /// configuration that they were allowed by, before any other method.
    #[doc(hidden)]
    pub fn count_successes(&mut self, calls: u32) {
        if calls > 0 {
            self.streak = 0;
            self.call_windows.count_successes(calls);
        }
    }

    /// Returns the break that the circuit is in, in which every call is rejected.
    #[cfg(feature = "tokio")]
    pub(in crate::breaker) fn open_snapshot(&self, config: &CircuitConfig) -> Option<OpenSnapshot> {
        if config.observe_only { None } else { self.phase.open_snapshot() }
    }

    pub(in crate::breaker) fn count_rejections(&mut self, calls: u32) {
        self.not_permitted = self.not_permitted.saturating_add(calls);
    }
}
