//! Events for `tracing`.

use std::time::Duration;

use ::tracing::{Level, event};

use super::event::Event;
use super::listener::Listen;
use super::words::{CircuitState, Phase, StopReason};
use crate::outcome::RetryHint;
use crate::rejection::{Quantity, Rejection};

/// Emits each [`Event`] as an event of the `tracing` crate, in the span that is entered.
///
/// Events of single calls are `DEBUG`, since under overload they are most of the traffic and a log
/// of them is more load. Events that concern all calls are `WARN` if calls fail or wait (a circuit
/// opens, a rate limit pauses, work is cut, a profile is rejected) and `INFO` otherwise. No event
/// is an `ERROR`: a policy that does its work is not broken.
///
/// Targets are `resilience::{outcome,retry,rejection,breaker,rate,keyed,pool,shutdown,profile}`, an
/// event's name is `resilience.` and [`Event::name`], and fields are called after OpenTelemetry's
/// conventions, with durations in seconds. An event that no subscriber enables costs a check of its
/// level. There are no spans: a call has its caller's.
///
/// ```
/// use resilience_core::observe::Tracing;
/// use resilience_core::retry::RetryPolicy;
///
/// let policy = RetryPolicy::builder().name("odds-api").listen(Tracing::new()).build()?;
/// # let _ = policy;
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Tracing;

impl Tracing {
    /// Creates the listener.
    #[must_use]
    pub const fn new() -> Tracing {
        Tracing
    }
}

/// Emits an event by a call site of its own, since `tracing` requires constant metadata.
macro_rules! emit {
    ($level:ident, $target:literal, $name:literal, $message:literal, { $($fields:tt)* }) => {
        event!(
            name: concat!("resilience.", $name),
            target: concat!("resilience::", $target),
            Level::$level,
            { $($fields)* },
            $message
        )
    };
}

impl Listen for Tracing {
    fn event(&self, event: &Event<'_>) {
        match *event {
            Event::RetryScheduled { layer, key, attempts, outcome, error, delay } => {
                emit!(DEBUG, "retry", "retry_scheduled", "a retry was scheduled", {
                    resilience.layer.name = layer,
                    resilience.key = key,
                    resilience.retry.attempts = attempts,
                    resilience.outcome = outcome.as_str(),
                    error.type = outcome.as_str(),
                    error.message = error.map(display),
                    resilience.retry.delay = seconds(delay)
                });
            }
            Event::RetryStopped { layer, key, attempts, outcome, error, reason } => {
                let times = times(reason);
                emit!(DEBUG, "retry", "retry_stopped", "no retry follows", {
                    resilience.layer.name = layer,
                    resilience.key = key,
                    resilience.retry.attempts = attempts,
                    resilience.outcome = outcome.as_str(),
                    error.type = outcome.as_str(),
                    error.message = error.map(display),
                    resilience.retry.stop_reason = reason.as_str(),
                    resilience.retry.needed = times.map(|(needed, _)| seconds(needed)),
                    resilience.retry.remaining = times.map(|(_, remaining)| seconds(remaining))
                });
            }
            Event::RetrySucceeded { layer, key, attempts } => {
                emit!(DEBUG, "retry", "retry_succeeded", "a retry succeeded", {
                    resilience.layer.name = layer,
                    resilience.key = key,
                    resilience.retry.attempts = attempts
                });
            }
            Event::Rejected(rejection) => rejected(rejection),
            Event::WouldReject(rejection) => would_reject(rejection),
            Event::CircuitChanged {
                layer,
                key,
                sequence,
                from,
                to,
                reason,
                retry_after,
                error,
            } => {
                macro_rules! changed {
                    ($level:ident) => {
                        emit!($level, "breaker", "circuit_changed", "a circuit changed its state", {
                            resilience.layer.name = layer,
                            resilience.key = key,
                            resilience.circuit.sequence = sequence,
                            resilience.circuit.state = to.as_str(),
                            resilience.circuit.previous_state = from.as_str(),
                            resilience.circuit.reason = reason.as_str(),
                            resilience.circuit.retry_after = retry_after.map(seconds),
                            error.message = error.map(display)
                        })
                    };
                }
                match to {
                    CircuitState::Open | CircuitState::ForcedOpen => changed!(WARN),
                    _ => changed!(INFO),
                }
            }
            Event::UnknownError { layer, key, error_type, error } => {
                emit!(WARN, "outcome", "unknown_error", "no code recognises this error: it counts as a failure", {
                    resilience.layer.name = layer,
                    resilience.key = key,
                    error.type = error_type,
                    error.message = error.map(display)
                });
            }
            Event::RatePaused { layer, key, pause } => {
                emit!(WARN, "rate", "rate_paused", "a rate limit pauses", {
                    resilience.layer.name = layer,
                    resilience.key = key,
                    resilience.rate.pause = seconds(pause)
                });
            }
            Event::KeyEvicted { store, key, reason } => {
                emit!(DEBUG, "keyed", "key_evicted", "a store evicted a key", {
                    resilience.layer.name = store,
                    resilience.key = key,
                    resilience.eviction.reason = reason.as_str()
                });
            }
            Event::ShutdownChanged { layer, from, to, in_flight, reason } => {
                macro_rules! changed {
                    ($level:ident) => {
                        emit!($level, "shutdown", "shutdown_changed", "a shutdown goes on", {
                            resilience.layer.name = layer,
                            resilience.shutdown.phase = to.as_str(),
                            resilience.shutdown.previous_phase = from.as_str(),
                            resilience.shutdown.in_flight = in_flight,
                            resilience.shutdown.reason = reason
                        })
                    };
                }
                match to {
                    Phase::Forced if in_flight > 0 => changed!(WARN),
                    _ => changed!(INFO),
                }
            }
            Event::PoolCreateFailed { layer, failures, pause, error } => {
                emit!(WARN, "pool", "pool_create_failed", "a pool failed to create an object", {
                    resilience.layer.name = layer,
                    resilience.pool.failures = failures,
                    resilience.pool.pause = seconds(pause),
                    error.message = error.map(display)
                });
            }
            Event::PoolRetired { layer, reason } => {
                emit!(DEBUG, "pool", "pool_retired", "a pool retired an object", {
                    resilience.layer.name = layer,
                    resilience.pool.reason = reason.as_str()
                });
            }
            Event::ProfilesReloaded { error: None } => {
                emit!(INFO, "profile", "profiles_reloaded", "profiles were reloaded", {
                    resilience.profile.result = "accepted"
                });
            }
            Event::ProfilesReloaded { error: Some(error) } => {
                emit!(WARN, "profile", "profiles_reloaded", "a reload of profiles was rejected", {
                    resilience.profile.result = "rejected",
                    error.type = "invalid_config",
                    resilience.profile.error = error
                });
            }
        }
    }
}

fn rejected(rejection: &Rejection) {
    emit!(DEBUG, "rejection", "rejected", "a call was refused", {
        resilience.layer.name = rejection.layer(),
        resilience.key = rejection.key(),
        resilience.rejection.kind = rejection.kind().as_str(),
        error.type = rejection.kind().as_str(),
        resilience.rejection.limit = rejection.limit().map(number),
        resilience.rejection.observed = rejection.observed().map(number),
        resilience.rejection.retry_after = rejection.retry_after().map(seconds),
        resilience.rejection.never = never(rejection)
    });
}

/// Without an `error.type`: nothing ended in an error.
fn would_reject(rejection: &Rejection) {
    emit!(DEBUG, "rejection", "would_reject", "a call would have been refused", {
        resilience.layer.name = rejection.layer(),
        resilience.key = rejection.key(),
        resilience.rejection.kind = rejection.kind().as_str(),
        resilience.rejection.limit = rejection.limit().map(number),
        resilience.rejection.observed = rejection.observed().map(number),
        resilience.rejection.retry_after = rejection.retry_after().map(seconds),
        resilience.rejection.never = never(rejection)
    });
}

/// Returns the needed and the remaining time of a stop for lack of time.
fn times(reason: StopReason) -> Option<(Duration, Duration)> {
    match reason {
        StopReason::DeadlineTooNear { needed, remaining }
        | StopReason::OutOfTime { needed, remaining } => Some((needed, remaining)),
        _ => None,
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// A field has one type: counts as they are, durations in seconds.
#[expect(clippy::cast_precision_loss, reason = "for people and graphs")]
fn number(quantity: Quantity) -> f64 {
    match quantity {
        Quantity::Count(count) => count as f64,
        Quantity::Duration(duration) => seconds(duration),
    }
}

fn never(rejection: &Rejection) -> Option<bool> {
    (rejection.retry_hint() == RetryHint::Never).then_some(true)
}
