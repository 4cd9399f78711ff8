//! The events.

use std::time::Duration;

use super::text::ErrorText;
use super::words::{CircuitState, EvictionReason, Phase, Retired, StopReason, TransitionReason};
use crate::outcome::Outcome;
use crate::rejection::Rejection;

/// Something a policy decided.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An attempt failed and another will follow.
    #[non_exhaustive]
    RetryScheduled {
        /// The policy's name.
        layer: &'a str,
        /// The key of the call, if the policy belongs to one.
        key: Option<&'a str>,
        /// The number of attempts so far.
        attempts: u32,
        /// The outcome of the last attempt.
        outcome: Outcome,
        /// The error that it ended in, if the classifier knows it as [a standard
        /// error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
        /// The wait before the next.
        delay: Duration,
    },
    /// No other attempt will follow; the caller gets the last result.
    #[non_exhaustive]
    RetryStopped {
        /// The policy's name.
        layer: &'a str,
        /// The key of the call, if the policy belongs to one.
        key: Option<&'a str>,
        /// The number of attempts.
        attempts: u32,
        /// The outcome of the last attempt.
        outcome: Outcome,
        /// The error that it ended in, if the classifier knows it as [a standard
        /// error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
        /// The reason why there is no other attempt.
        reason: StopReason,
    },
    /// A call succeeded after at least one retry.
    #[non_exhaustive]
    RetrySucceeded {
        /// The policy's name.
        layer: &'a str,
        /// The key of the call, if the policy belongs to one.
        key: Option<&'a str>,
        /// The number of attempts.
        attempts: u32,
    },
    /// A layer rejected a call.
    Rejected(&'a Rejection),
    /// A layer that only observes let a call pass that it would have rejected.
    WouldReject(&'a Rejection),
    /// A circuit changed its state.
    #[non_exhaustive]
    CircuitChanged {
        /// The breaker's name.
        layer: &'a str,
        /// The key of the circuit, if it has one.
        key: Option<&'a str>,
        /// The sequence number, greater for the later of two changes and unique in the process.
        /// Listeners are notified outside of the lock, so two changes of a circuit may come in
        /// either order: the greatest number has its state.
        sequence: u64,
        /// The former state.
        from: CircuitState,
        /// The new state.
        to: CircuitState,
        /// The reason.
        reason: TransitionReason,
        /// The length of the break, if the circuit opened for a time.
        retry_after: Option<Duration>,
        /// The error of the call that changed the state, if the classifier knows it as
        /// [a standard error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
    },
    /// A policy has its first failure that no code recognised ([`Outcome::Unknown`]). Further
    /// failures of the policy have no such event.
    #[non_exhaustive]
    UnknownError {
        /// The policy's name.
        layer: &'a str,
        /// The key of the call, if the policy has state for each key.
        key: Option<&'a str>,
        /// The type of the error: of a boxed one, the first word of its `Debug` output.
        error_type: &'a str,
        /// The error, if the classifier knows it as [a standard error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
    },
    /// A rate limit admits no call for a time that a server named.
    #[non_exhaustive]
    RatePaused {
        /// The limiter's name.
        layer: &'a str,
        /// The key of the limit, if it has one.
        key: Option<&'a str>,
        /// The length of the pause.
        pause: Duration,
    },
    /// A keyed store evicted a key to stay within its bounds.
    #[non_exhaustive]
    KeyEvicted {
        /// The store's name.
        store: &'a str,
        /// The key.
        key: &'a str,
        /// The reason.
        reason: EvictionReason,
    },
    /// A shutdown entered its next phase.
    #[non_exhaustive]
    ShutdownChanged {
        /// The shutdown's name.
        layer: &'a str,
        /// The phase that is over.
        from: Phase,
        /// The phase that begins.
        to: Phase,
        /// The number of calls and tasks under way.
        in_flight: u64,
        /// The reason of the shutdown.
        reason: &'a str,
    },
    /// A pool failed to create an object.
    #[non_exhaustive]
    PoolCreateFailed {
        /// The pool's name.
        layer: &'a str,
        /// The number of failures in a row.
        failures: u32,
        /// The time until the next try.
        pause: Duration,
        /// The manager's error, without its sources, if the pool's classifier knows it as
        /// [a standard error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
    },
    /// A pool retired an object.
    #[non_exhaustive]
    PoolRetired {
        /// The pool's name.
        layer: &'a str,
        /// The reason.
        reason: Retired,
    },
    /// A profile was reloaded, or its new text was rejected.
    #[non_exhaustive]
    ProfilesReloaded {
        /// The error in the new text, if it was rejected: the old profiles stay in force.
        error: Option<&'a str>,
    },
}

impl<'a> Event<'a> {
    /// Returns the stable name of the kind of event: the variant's, in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Event::RetryScheduled { .. } => "retry_scheduled",
            Event::RetryStopped { .. } => "retry_stopped",
            Event::RetrySucceeded { .. } => "retry_succeeded",
            Event::Rejected(_) => "rejected",
            Event::WouldReject(_) => "would_reject",
            Event::CircuitChanged { .. } => "circuit_changed",
            Event::UnknownError { .. } => "unknown_error",
            Event::RatePaused { .. } => "rate_paused",
            Event::KeyEvicted { .. } => "key_evicted",
            Event::ShutdownChanged { .. } => "shutdown_changed",
            Event::PoolCreateFailed { .. } => "pool_create_failed",
            Event::PoolRetired { .. } => "pool_retired",
            Event::ProfilesReloaded { .. } => "profiles_reloaded",
        }
    }

    /// Returns the name of the layer, policy or store of the event, if there is one.
    #[must_use]
    pub fn layer(&self) -> Option<&'a str> {
        match *self {
            Event::RetryScheduled { layer, .. }
            | Event::RetryStopped { layer, .. }
            | Event::RetrySucceeded { layer, .. }
            | Event::CircuitChanged { layer, .. }
            | Event::UnknownError { layer, .. }
            | Event::RatePaused { layer, .. }
            | Event::ShutdownChanged { layer, .. }
            | Event::PoolCreateFailed { layer, .. }
            | Event::PoolRetired { layer, .. }
            | Event::KeyEvicted { store: layer, .. } => Some(layer),
            Event::Rejected(rejection) | Event::WouldReject(rejection) => Some(rejection.layer()),
            Event::ProfilesReloaded { .. } => None,
        }
    }

    /// Returns the key of the state. `None` without one for each key.
    #[must_use]
    pub fn key(&self) -> Option<&'a str> {
        match *self {
            Event::Rejected(rejection) | Event::WouldReject(rejection) => rejection.key(),
            Event::RetryScheduled { key, .. }
            | Event::RetryStopped { key, .. }
            | Event::RetrySucceeded { key, .. }
            | Event::CircuitChanged { key, .. }
            | Event::UnknownError { key, .. }
            | Event::RatePaused { key, .. } => key,
            Event::KeyEvicted { key, .. } => Some(key),
            Event::ShutdownChanged { .. }
            | Event::PoolCreateFailed { .. }
            | Event::PoolRetired { .. }
            | Event::ProfilesReloaded { .. } => None,
        }
    }
}
