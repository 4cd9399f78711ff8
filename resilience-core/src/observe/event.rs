//! What there is to tell.

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
        /// Whose call it was, where the policy is one for each key.
        key: Option<&'a str>,
        /// How many attempts were made so far.
        attempts: u32,
        /// How the last of them ended.
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
        /// Whose call it was, where the policy is one for each key.
        key: Option<&'a str>,
        /// How many attempts were made.
        attempts: u32,
        /// How the last of them ended.
        outcome: Outcome,
        /// The error that it ended in, if the classifier knows it as [a standard
        /// error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
        /// Why there is no other.
        reason: StopReason,
    },
    /// A call succeeded after at least one retry.
    #[non_exhaustive]
    RetrySucceeded {
        /// The policy's name.
        layer: &'a str,
        /// Whose call it was, where the policy is one for each key.
        key: Option<&'a str>,
        /// How many attempts were made.
        attempts: u32,
    },
    /// A layer refused a call.
    Rejected(&'a Rejection),
    /// A layer that only observes let a call pass that it would have refused.
    WouldReject(&'a Rejection),
    /// A circuit changed its state.
    #[non_exhaustive]
    CircuitChanged {
        /// The breaker's name.
        layer: &'a str,
        /// Whose circuit, where there is one for each key.
        key: Option<&'a str>,
        /// Greater for the later of two changes. They are told outside of the lock, so two of one
        /// circuit at almost the same time may be told in either order: whoever shows its state goes by
        /// the greatest. Unique in the process.
        sequence: u64,
        /// What it was.
        from: CircuitState,
        /// What it is.
        to: CircuitState,
        /// Why.
        reason: TransitionReason,
        /// How long it stays open, if it opened for a time.
        retry_after: Option<Duration>,
        /// The error of the call that changed it, if one did and the classifier knows it as [a standard
        /// error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
    },
    /// A policy met the first failure that no code recognised ([`Outcome::Unknown`]); there is one event for
    /// each policy, however many follow.
    #[non_exhaustive]
    UnknownError {
        /// The policy's name.
        layer: &'a str,
        /// Whose call it was, where there is state for each key.
        key: Option<&'a str>,
        /// The type of the error: of a boxed one, the first word of its `Debug` output.
        error_type: &'a str,
        /// The error, if the classifier knows it as [a standard error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
    },
    /// A rate limit admits nobody for so long, because a server asked for it.
    #[non_exhaustive]
    RatePaused {
        /// The limiter's name.
        layer: &'a str,
        /// Whose limit, where there is one for each key.
        key: Option<&'a str>,
        /// For how long.
        pause: Duration,
    },
    /// A keyed store let go of a key to stay within its bounds.
    #[non_exhaustive]
    KeyEvicted {
        /// The store's name.
        store: &'a str,
        /// Which key.
        key: &'a str,
        /// Why.
        reason: EvictionReason,
    },
    /// A process on its way out came to its next phase.
    #[non_exhaustive]
    ShutdownChanged {
        /// The shutdown's name.
        layer: &'a str,
        /// The phase that is over.
        from: Phase,
        /// The one that begins.
        to: Phase,
        /// How much is under way then.
        in_flight: u64,
        /// What it was begun for.
        reason: &'a str,
    },
    /// A pool could not make an object.
    #[non_exhaustive]
    PoolCreateFailed {
        /// The pool's name.
        layer: &'a str,
        /// How often in a row.
        failures: u32,
        /// How long nobody tries it again.
        pause: Duration,
        /// The manager's error, without its sources, if the pool's classifier knows it as [a standard
        /// error](crate::Classify::as_error).
        error: Option<ErrorText<'a>>,
    },
    /// A pool let go of an object.
    #[non_exhaustive]
    PoolRetired {
        /// The pool's name.
        layer: &'a str,
        /// Why.
        reason: Retired,
    },
    /// A profile was reloaded, or a new text of it was refused.
    #[non_exhaustive]
    ProfilesReloaded {
        /// What is wrong with the new text, in which case the old profiles stay in force.
        error: Option<&'a str>,
    },
}

impl<'a> Event<'a> {
    /// What kind of event it is, in a word that does not change: the variant's, in snake case.
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

    /// The name of the layer, policy or store that it happened in, if it was one.
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

    /// Whose state it was, where there is one for each key.
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
